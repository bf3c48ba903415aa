"""A course of one tiny lesson, made anew, for the tests of the machinery around it."""

from pathlib import Path

import pytest

collect_ignore_glob = ["lessons/*"]  # they are read, not imported
LESSONS = Path(__file__).with_name("lessons")


@pytest.fixture(scope="session")
def tiny_lesson():
    """The tiny lesson as it was written."""
    pytest.importorskip("jupytext")
    from coverslip.course.lesson import read_lesson

    return read_lesson(LESSONS / "01_tiny.py")


@pytest.fixture(scope="session")
def made_course(tiny_lesson, tmp_path_factory):
    """The folder of what is made of it."""
    from coverslip.course.notebooks import write_lesson

    folder = tmp_path_factory.mktemp("course")
    write_lesson(tiny_lesson, folder)
    return folder


@pytest.fixture
def tiny_course(made_course, monkeypatch, tmp_path):
    """The tiny course is the one that came with the package, and the test runs in a folder of its own."""
    monkeypatch.setenv("COVERSLIP_COURSE", str(made_course))
    monkeypatch.chdir(tmp_path)
    return made_course


@pytest.fixture
def write_lesson_file(tmp_path):
    """Writes the tiny lesson with something in it replaced: ``write_lesson_file(old, new)`` -> its path."""

    def write(old="", new=""):
        text = (LESSONS / "01_tiny.py").read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "01_changed.py"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return path

    return write
