"""A real JupyterLab in a real browser: open the course, run and move cells, and solve a task."""

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

PATIENCE = 60_000  # milliseconds; JupyterLab starts slowly on a busy machine


@pytest.fixture
def page(tmp_path):
    """Return a page of the system's Chromium."""
    with open_chromium() as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 1500})
        page.set_default_timeout(PATIENCE)
        yield page


@pytest.fixture
def lab(tiny_course, tmp_path):
    """Run ``coverslip course`` with the tiny lesson; return its URL and its folder."""
    with open_lab(tmp_path, "01_tiny.ipynb") as opened:
        yield opened


@contextmanager
def open_lab(tmp_path, notebook):
    """Run ``coverslip course`` with separate settings; yield the URL of a notebook and the folder."""
    pytest.importorskip("jupyterlab")
    home, config = tmp_path / "my course", tmp_path / "config"
    config.mkdir()
    settings = {"ServerApp": {"allow_root": True, "open_browser": False}}
    (config / "jupyter_server_config.json").write_text(json.dumps(settings), encoding="utf-8")
    folders = {
        "JUPYTER_CONFIG_DIR": config,
        "JUPYTER_RUNTIME_DIR": tmp_path / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": tmp_path / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": tmp_path / "workspaces",
        "IPYTHONDIR": tmp_path / "ipython",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "coverslip", "course", str(home)],
        env={**os.environ, **{name: str(path) for name, path in folders.items()}},
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
    """Wait for JupyterLab and return the URL of a notebook."""
    while process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            server = json.loads(file.read_text(encoding="utf-8") or "{}")
            if server.get("token"):
                return f"{server['url']}lab/tree/{notebook}?token={server['token']}"
        time.sleep(0.1)
    raise AssertionError(process.communicate()[0])


def cell_index(page, text):
    """Return the index of the cell that contains a text."""
    cells = "cells => cells.map(cell => cell.innerText)"
    return [text in cell for cell in page.locator(".jp-Notebook .jp-Cell").evaluate_all(cells)].index(True)


def move_up(page, cell, text):
    """Move a cell, which contains the text, up by two."""
    cell.locator(".jp-InputPrompt").click()
    before = cell_index(page, text)
    for _ in range(2):
        page.keyboard.press("Control+Shift+ArrowUp")
    assert cell_index(page, text) == before - 2


def run(page, cell, code):
    """Replace the code of a cell and run it."""
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)
    page.keyboard.press("Control+Enter")


def test_a_learner_opens_lesson_1_moves_a_cell_and_solves_a_task(lab, page):
    url, home = lab
    outside = []
    page.on("request", lambda request: outside.append(request.url) if is_outside(request.url, url) else None)
    page.goto(url)
    page.get_by_text(re.compile(r"\| Idle")).wait_for()  # the kernel is ready

    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.get_by_text("Task 1.1: not yet").wait_for()
    page.get_by_text("Hint: Height times width is not enough").wait_for()
    assert page.locator(".jp-OutputArea-output img").count() == 1
    assert page.locator(".jp-MarkdownOutput img").evaluate("mark => mark.naturalWidth") == 80
    assert page.get_by_text("get notified about official Jupyter news").count() == 0

    task = page.locator(".jp-CodeCell", has_text='check("1.1", numbers)')
    move_up(page, task, "numbers = ...")
    run(page, task, 'numbers = 32 * 32\ncheck("1.1", numbers)')
    page.get_by_text("This counts one color of three.").wait_for()
    run(page, task, 'numbers = 32 * 32 * 3\ncheck("1.1", numbers)')
    solved = page.locator(".coverslip-solved")
    solved.wait_for()
    assert solved.evaluate("box => getComputedStyle(box).borderLeftColor") == "rgb(47, 111, 79)"
    assert "3,072 is correct" in solved.inner_text()
    assert json.loads((home / ".coverslip-course.json").read_text(encoding="utf-8"))["solved"] == ["1.1"]
    if "COVERSLIP_LOOK" in os.environ:
        page.screenshot(path=os.environ["COVERSLIP_LOOK"])
    assert outside == []


def is_outside(url, home):
    return not url.startswith(
        ("data:", "blob:", "attachment:", home.partition("lab/")[0], home.partition("lab/")[0].replace("http", "ws"))
    )
