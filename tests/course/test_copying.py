"""Copies of the notebooks: a learner's work is never lost, and new editions are always delivered."""

import json

import pytest

from coverslip.core.errors import UserError
from coverslip.course.copies import copy_answers, copy_lessons, lesson, lessons
from coverslip.course.notebooks import edition

NAME = "01_tiny.ipynb"


@pytest.fixture
def new_edition(tiny_course, tmp_path, monkeypatch):
    """Return a function that publishes a new edition with another first sentence: ``new_edition("text")``."""

    def publish(sentence):
        notebook = json.loads((tiny_course / NAME).read_text(encoding="utf-8"))
        notebook["cells"][0]["source"] = [sentence]
        notebook["metadata"]["coverslip"]["edition"] = edition(notebook["cells"])
        folder = tmp_path / "published" / sentence
        folder.mkdir(parents=True)
        (folder / NAME).write_text(json.dumps(notebook), encoding="utf-8")
        monkeypatch.setenv("COVERSLIP_COURSE", str(folder))

    return publish


def work_on(path, text="my own note", output=None):
    """Modify a notebook like a learner: add a cell, or run one."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    if output is None:
        notebook["cells"].append({"cell_type": "markdown", "id": "mine", "metadata": {}, "source": text})
    else:
        notebook["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": output}]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path.read_bytes()


def statuses(folder):
    return {copied.path.name: copied.status for copied in copy_lessons(folder)}


def test_notebooks_are_copied_the_first_time_and_not_again(tiny_course, tmp_path):
    home = tmp_path / "a" / "course"
    assert statuses(home) == {NAME: "new"}
    assert (home / NAME).read_bytes() == (tiny_course / NAME).read_bytes()
    assert statuses(home) == {NAME: "same"}


@pytest.mark.parametrize("did", [{"text": "my own note"}, {"output": "42"}])
def test_work_is_kept_and_the_new_edition_is_written_next_to_it(tiny_course, tmp_path, new_edition, did):
    statuses(tmp_path)
    work = work_on(tmp_path / NAME, **did)
    assert statuses(tmp_path) == {NAME: "kept"}
    new_edition("second")
    assert statuses(tmp_path) == {"01_tiny-new.ipynb": "beside"}
    assert statuses(tmp_path) == {"01_tiny-new.ipynb": "same"}
    assert (tmp_path / NAME).read_bytes() == work
    new_edition("third")
    assert statuses(tmp_path) == {"01_tiny-new.ipynb": "updated"}
    other_work = work_on(tmp_path / "01_tiny-new.ipynb")
    new_edition("fourth")
    assert statuses(tmp_path) == {"01_tiny-new-2.ipynb": "beside"}
    assert (tmp_path / NAME).read_bytes() == work
    assert (tmp_path / "01_tiny-new.ipynb").read_bytes() == other_work


def test_an_unchanged_copy_is_replaced(tiny_course, tmp_path, new_edition):
    statuses(tmp_path)
    new_edition("second")
    assert statuses(tmp_path) == {NAME: "updated"}
    assert "second" in (tmp_path / NAME).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"cells": 3, "metadata": {}}', b"\xff\xfe", b'{"metadata": null}']
)
def test_a_file_that_is_not_one_of_our_lessons_is_kept(tiny_course, tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    assert statuses(tmp_path) == {"01_tiny-new.ipynb": "beside"}
    assert (tmp_path / NAME).read_bytes() == content


def test_a_folder_and_a_broken_link_of_that_name_are_kept(tiny_course, tmp_path):
    (tmp_path / NAME).mkdir()
    assert statuses(tmp_path) == {"01_tiny-new.ipynb": "beside"}
    other = tmp_path / "linked"
    other.mkdir()
    (other / NAME).symlink_to(tmp_path / "gone.ipynb")
    assert statuses(other) == {"01_tiny-new.ipynb": "beside"}


def test_answers_are_written_next_to_the_notebook(tiny_course, tmp_path):
    copied = copy_answers(1, tmp_path)
    assert copied.path.name == "01_tiny-answers.ipynb" and copied.status == "new"
    assert "32 * 32 * 3" in copied.path.read_text(encoding="utf-8")
    work_on(copied.path)
    assert copy_answers(1, tmp_path).status == "kept"


def test_a_lesson_that_does_not_exist_and_a_file_for_a_folder_are_refused(tiny_course, tmp_path):
    with pytest.raises(UserError, match="no lesson 7") as refused:
        lesson(7)
    assert refused.value.fix == "choose from 1 to 1"
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is a file"):
        copy_lessons(tmp_path / "file")
    with pytest.raises(UserError, match="cannot create the folder"):
        copy_lessons(tmp_path / "file" / "below")


def test_a_folder_without_lessons_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("COVERSLIP_COURSE", str(tmp_path))
    with pytest.raises(UserError, match="COVERSLIP_COURSE"):
        lessons()
