"""``coverslip course``: copying, listing, progress, and opening JupyterLab."""

import json
import os
import sys
from pathlib import Path

import pytest

TINY = Path(__file__).parents[1] / "course" / "lessons" / "01_tiny.py"
NAME = "01_tiny.ipynb"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A course with one tiny lesson, and an empty working directory."""
    pytest.importorskip("jupytext")
    from coverslip.course.lesson import read_lesson
    from coverslip.course.notebooks import write_lesson

    write_lesson(read_lesson(TINY), tmp_path / "shipped")
    monkeypatch.setenv("COVERSLIP_COURSE", str(tmp_path / "shipped"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def opened(monkeypatch):
    """Commands that would be started."""
    from coverslip.course import jupyter as opening

    commands = []

    class Ended:
        returncode = 0

    monkeypatch.setattr(
        opening.subprocess, "run", lambda command, **options: commands.append((command, options)) or Ended
    )
    return commands


def test_notebooks_and_pages_are_copied_into_a_folder(coverslip, home):
    answer = coverslip("course", "--no-open").done()
    assert (home / "coverslip-course" / NAME).is_file()
    assert (home / "coverslip-course" / "explorables" / "descent.html").is_file()
    assert "copied" in answer.out and "next: coverslip course coverslip-course" in answer.out


def test_in_a_course_folder_no_other_folder_is_created(coverslip, home, monkeypatch):
    coverslip("course", "--no-open").done()
    monkeypatch.chdir(home / "coverslip-course")
    assert f"{NAME}: up to date" in coverslip("course", "--no-open").done().out
    assert not Path("coverslip-course").exists()


def test_it_opens_jupyterlab_on_the_first_lesson_and_keeps_it_off_the_network(coverslip, home, opened):
    for package in ("jupyterlab", "anywidget"):
        pytest.importorskip(package)
    coverslip("course", "here").done()
    command, options = opened[0]
    assert command[:3] == [sys.executable, "-m", "jupyterlab"] and command[-1] == str(home / "here" / NAME)
    assert "--LabApp.news_url=None" in command
    settings = Path(options["env"]["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0]) / "labconfig" / "page_config.json"
    assert any(json.loads(settings.read_text(encoding="utf-8"))["disabledExtensions"].values())


def test_without_the_extra_nothing_is_copied_and_the_command_to_install_is_printed(coverslip, home, monkeypatch):
    from coverslip.course import jupyter as opening

    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    coverslip("course").refused("jupyterlab", "pip install 'coverslip[course]'")
    assert not (home / "coverslip-course").exists()


def test_the_list_contains_every_task(coverslip):
    said = coverslip("course", "--list").done().out
    assert "1  A tiny lesson, 5 minutes" in said
    assert "1.2   A network of one linear layer and two outputs." in said


def test_progress_shows_the_next_task(coverslip, home):
    coverslip("course", "--progress").refused("no lessons", "coverslip course coverslip-course")
    coverslip("course", "--no-open").done()
    assert "0 of 2 tasks" in coverslip("course", "--progress").done().out
    (home / "coverslip-course" / ".coverslip-course.json").write_text(
        '{"tries": {"1.1": 0}, "solved": ["1.1"]}', encoding="utf-8"
    )
    said = coverslip("course", "--progress").done().out
    assert "1 of 2 tasks" in said and "next: task 1.2" in said


def test_solutions_of_a_lesson_are_copied_next_to_it(coverslip, home):
    assert "copied" in coverslip("course", "--answers", "1").done().out
    assert (home / "coverslip-course" / "01_tiny-answers.ipynb").is_file()
    coverslip("course", "--answers", "9").refused("no lesson 9", "1 to 1")


def test_a_file_in_place_of_the_folder_is_refused(coverslip, home):
    (home / "notes").write_text("mine", encoding="utf-8")
    coverslip("course", "notes", "--no-open").refused("is a file")
    assert (home / "notes").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_cannot_be_written_to_is_refused(coverslip, home, monkeypatch):
    from coverslip.course import copies as shelf

    def refuse(path, text):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shelf, "write_text", refuse)
    coverslip("course", "--no-open").refused("cannot write", "Permission denied", "another folder")
