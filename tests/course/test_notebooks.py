"""Notebooks generated from lessons, for learners and with answers; the shipped ones match the lesson sources."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from coverslip.course.notebooks import edition

REPOSITORY = Path(__file__).parents[2]
SHIPPED = REPOSITORY / "src" / "coverslip" / "course" / "lessons"
BUILTINS = "builtins = ['display', 'get_ipython']"  # defined in every notebook
LESSON_FILES = sorted((REPOSITORY / "lessons").glob("[0-9]*_*.py"))


def sources(path, kind="code"):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def test_learners_see_the_tasks_but_not_the_answers(built_course):
    code = sources(built_course / "01_tiny.ipynb")
    text = "\n".join([*code, *sources(built_course / "01_tiny.ipynb", "markdown")])
    assert "numbers = ..." in text and "**Task 1.1**" in text and "> An image is a block of numbers" in text
    for hidden in ("32 * 32 * 3", "def grade", "HINTS", "Typical answers", "np.zeros(3)"):
        assert hidden not in text.replace("nn.Linear(32 * 32 * 3", "")


def test_solutions_replace_the_unsolved_cells(built_course):
    learners, answers = (sources(built_course / folder / "01_tiny.ipynb") for folder in ("", "answers"))
    assert len(learners) == len(answers)
    assert not any("..." in code for code in answers)
    assert answers[learners.index('numbers = ...\ncheck("1.1", numbers)')].startswith("numbers = 32 * 32 * 3")


def test_a_notebook_is_valid_and_its_edition_depends_on_its_cells_only(built_course):
    nbformat = pytest.importorskip("nbformat")
    for path in built_course.rglob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        nbformat.validate(notebook)
        assert notebook["metadata"]["coverslip"]["edition"] == edition(notebook["cells"])
    ran = json.loads((built_course / "01_tiny.ipynb").read_text(encoding="utf-8"))
    before = edition(ran["cells"])
    ran["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1"}]
    assert edition(ran["cells"]) == before
    ran["cells"][2]["source"] = ["2"]
    assert edition(ran["cells"]) != before


def test_notebooks_and_checks_work_without_jupytext(built_course):
    code = (
        "import sys; sys.modules['jupytext'] = sys.modules['yaml'] = sys.modules['nbformat'] = None\n"
        f"import os; os.environ['COVERSLIP_COURSE'] = {str(built_course)!r}\n"
        "from coverslip.course.copies import lessons; assert lessons()[0].number == 1\n"
        "from coverslip.course.tasks import load_task; assert load_task('1.1').hints\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_shipped_files_match_the_lesson_sources():
    pytest.importorskip("jupytext")
    from coverslip.course.lesson import read_lesson
    from coverslip.course.notebooks import lesson_files

    expected = {name: text for path in LESSON_FILES for name, text in lesson_files(read_lesson(path)).items()}
    shipped = {
        path.relative_to(SHIPPED).as_posix(): path.read_text(encoding="utf-8")
        for pattern in ("*.ipynb", "task_*.py")
        for path in SHIPPED.rglob(pattern)
    }
    stale = sorted(name for name in expected.keys() | shipped.keys() if expected.get(name) != shipped.get(name))
    assert stale == [], "rebuild them: python -m coverslip.course.build"


@pytest.mark.parametrize("path", LESSON_FILES, ids=lambda path: path.stem)
def test_every_lesson_has_three_wrong_answers_and_a_gentle_and_a_strong_hint(path):
    pytest.importorskip("jupytext")
    from coverslip.course.lesson import read_lesson
    from coverslip.course.notebooks import CHECKS, goal, lesson_files
    from coverslip.course.tasks import task_file

    lesson = read_lesson(path)
    files = lesson_files(lesson)
    assert len(lesson.of("wrong")) >= 3
    for task in lesson.tasks:
        assert goal(lesson, task), task
        assert lesson.of("teacher", task), f"TEACHING.md has nothing on {task}"
        namespace = {}
        exec(files[f"{CHECKS}/{task_file(task)}"], namespace)
        assert len(namespace["HINTS"]) >= 2 and len(set(namespace["HINTS"])) == len(namespace["HINTS"]), task


@pytest.mark.parametrize("folder", ["", "answers/"])
@pytest.mark.parametrize("path", LESSON_FILES, ids=lambda path: path.stem)
def test_no_cell_uses_a_name_that_its_notebook_does_not_define(path, folder, tmp_path):
    """The rehearsal would not notice: it runs unsolved cells and solutions in one kernel."""
    pytest.importorskip("jupytext")
    from coverslip.course.lesson import read_lesson
    from coverslip.course.notebooks import lesson_files

    notebook, script = tmp_path / "built.ipynb", tmp_path / "all_cells.py"
    notebook.write_text(lesson_files(read_lesson(path))[f"{folder}{path.stem}.ipynb"], encoding="utf-8")
    cells = sources(notebook)
    script.write_text("\n\n".join(code for code in cells if not code.startswith(("%", "!"))), encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "--config", BUILTINS]
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
