"""A course with one tiny lesson, built for the tests."""

from pathlib import Path

import pytest

collect_ignore_glob = ["lessons/*"]  # lesson sources, not test modules
LESSONS = Path(__file__).with_name("lessons")


@pytest.fixture(scope="session")
def tiny_lesson():
    """Return the tiny lesson, read from its source."""
    pytest.importorskip("jupytext")
    from coverslip.course.lesson import read_lesson

    return read_lesson(LESSONS / "01_tiny.py")


@pytest.fixture(scope="session")
def built_course(tiny_lesson, tmp_path_factory):
    """Return the folder with the notebooks and checks of the tiny lesson."""
    from coverslip.course.notebooks import write_lesson

    folder = tmp_path_factory.mktemp("course")
    write_lesson(tiny_lesson, folder)
    return folder


@pytest.fixture
def tiny_course(built_course, monkeypatch, tmp_path):
    """Replace the shipped course with the tiny one, and run the test in an empty folder."""
    monkeypatch.setenv("COVERSLIP_COURSE", str(built_course))
    monkeypatch.chdir(tmp_path)
    return built_course


@pytest.fixture
def write_lesson_file(tmp_path):
    """Return a function that writes a modified tiny lesson: ``write_lesson_file(old, new)`` -> path."""

    def write(old="", new=""):
        text = (LESSONS / "01_tiny.py").read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "01_changed.py"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return path

    return write
