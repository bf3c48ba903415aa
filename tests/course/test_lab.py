"""A real JupyterLab in a real browser: the course is opened, cells are run and moved, and a check turns green."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from ..chromium import open_chromium

PATIENCE = 60_000  # milliseconds; a busy machine starts JupyterLab slowly


@pytest.fixture
def page(tmp_path):
    """A page of the system's Chromium."""
    with open_chromium() as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 1500})
        page.set_default_timeout(PATIENCE)
        yield page


@pytest.fixture
def lab(tiny_course, tmp_path):
    """``coverslip course`` with the tiny lesson; its address and folder."""
    with open_lab(tmp_path, "01_tiny.ipynb") as opened:
        yield opened


@contextmanager
def open_lab(tmp_path, notebook):
    """``coverslip course`` in a folder, with settings of its own: the address of a notebook, and the folder."""
    pytest.importorskip("jupyterlab")
    home, config = tmp_path / "my course", tmp_path / "config"
    config.mkdir()
    settings = {"ServerApp": {"allow_root": True, "open_browser": False}}
    (config / "jupyter_server_config.json").write_text(json.dumps(settings), encoding="utf-8")
    own = {
        "JUPYTER_CONFIG_DIR": config,
        "JUPYTER_RUNTIME_DIR": tmp_path / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": tmp_path / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": tmp_path / "workspaces",
        "IPYTHONDIR": tmp_path / "ipython",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "coverslip", "course", str(home)],
        env={**os.environ, **{name: str(path) for name, path in own.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield address(process, tmp_path / "runtime", notebook), home
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the whole session: the command, JupyterLab, the kernel
        process.communicate(timeout=30)


def address(process, runtime, notebook):
    """Where JupyterLab shows a notebook, once it listens."""
    while process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            told = json.loads(file.read_text(encoding="utf-8") or "{}")
            if told.get("token"):
                return f"{told['url']}lab/tree/{notebook}?token={told['token']}"
        time.sleep(0.1)
    raise AssertionError(process.communicate()[0])


def place(page, text):
    """Which cell of the notebook holds a text, from 0."""
    cells = "cells => cells.map(cell => cell.innerText)"
    return [text in cell for cell in page.locator(".jp-Notebook .jp-Cell").evaluate_all(cells)].index(True)


def move_up(page, cell, text):
    """Move a cell, which holds a text, two places up."""
    cell.locator(".jp-InputPrompt").click()
    before = place(page, text)
    for _ in range(2):
        page.keyboard.press("Control+Shift+ArrowUp")
    assert place(page, text) == before - 2


def run(page, cell, code):
    """Write code into a cell in place of what it holds, and run it."""
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)
    page.keyboard.press("Control+Enter")


def test_a_learner_opens_lesson_1_moves_a_cell_and_sees_the_check_turn_green(lab, page):
    url, home = lab
    outside = []
    page.on("request", lambda request: outside.append(request.url) if is_outside(request.url, url) else None)
    page.goto(url)
    page.get_by_text(re.compile(r"\| Idle")).wait_for()  # the kernel is there

    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.get_by_text("Task 1.1: not yet").wait_for()
    page.get_by_text("Hint: Height times width is not all").wait_for()
    assert page.locator(".jp-OutputArea-output img").count() == 1
    assert page.locator(".jp-MarkdownOutput img").evaluate("mark => mark.naturalWidth") == 80
    assert page.get_by_text("get notified about official Jupyter news").count() == 0

    task = page.locator(".jp-CodeCell", has_text='check("1.1", numbers)')
    move_up(page, task, "numbers = ...")
    run(page, task, 'numbers = 32 * 32\ncheck("1.1", numbers)')
    page.get_by_text("That counts one color of three.").wait_for()
    run(page, task, 'numbers = 32 * 32 * 3\ncheck("1.1", numbers)')
    solved = page.locator(".coverslip-solved")
    solved.wait_for()
    assert solved.evaluate("box => getComputedStyle(box).borderLeftColor") == "rgb(47, 111, 79)"
    assert "3,072 it is" in solved.inner_text()
    assert json.loads((home / ".coverslip-course.json").read_text(encoding="utf-8"))["solved"] == ["1.1"]
    if "COVERSLIP_LOOK" in os.environ:
        page.screenshot(path=os.environ["COVERSLIP_LOOK"])
    assert outside == []


def is_outside(url, home):
    return not url.startswith(
        ("data:", "blob:", "attachment:", home.partition("lab/")[0], home.partition("lab/")[0].replace("http", "ws"))
    )
