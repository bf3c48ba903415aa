"""Lesson 1 in a real JupyterLab from start to end; run by `make lessons`, as its trainings take half a minute."""

import json
import os
import re

from .test_lab import is_outside, move_up, open_lab, page, run

__all__ = ["page"]  # the fixture is requested by its name

TALL = {"width": 1200, "height": 24_000}  # JupyterLab renders only visible cells, and all must be rendered
PATIENCE = 300_000  # milliseconds


def test_a_learner_runs_all_of_lesson_1_moves_a_cell_and_solves_a_task(page, tmp_path):
    with open_lab(tmp_path, "01_your_first_network.ipynb") as (url, home):
        page.set_default_timeout(PATIENCE)
        page.set_viewport_size(TALL)
        outside = []
        page.on("request", lambda request: outside.append(request.url) if is_outside(request.url, url) else None)
        page.goto(url)
        page.get_by_text(re.compile(r"\| Idle")).wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.get_by_text("Task 1.7: not yet").wait_for()  # the last task: no earlier cell stopped the notebook
        for number in range(1, 8):
            assert page.get_by_text(f"Task 1.{number}: not yet").count() == 1
        assert page.locator(".jp-OutputArea-output img").count() >= 5

        task = page.locator(".jp-CodeCell", has_text='check("1.1", inputs, train)')
        move_up(page, task, "inputs = ...")
        run(page, task, 'inputs = 128 * 128\ncheck("1.1", inputs, train)')
        page.get_by_text("three colors").first.wait_for()
        run(page, task, 'inputs = 128 * 128 * 3\ncheck("1.1", inputs, train)')
        page.locator(".coverslip-solved").wait_for()
        assert json.loads((home / ".coverslip-course.json").read_text(encoding="utf-8"))["solved"] == ["1.1"]
        if "COVERSLIP_LOOK" in os.environ:
            page.screenshot(path=os.environ["COVERSLIP_LOOK"])
        assert outside == []
