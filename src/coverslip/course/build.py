"""``python -m coverslip.course.build``: generate the notebooks and checks of the lessons, and optionally run them.

By default all lessons of ``lessons/`` are built. The output goes to ``src/coverslip/course/lessons``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from coverslip.core.errors import UserError
from coverslip.core.storage import write_text
from coverslip.course.lesson import Lesson, read_lesson, read_lessons
from coverslip.course.notebooks import write_lesson
from coverslip.course.rehearsal import CELL_SECONDS, Rehearsal, images_of, rehearse, text_of
from coverslip.course.slides import deck
from coverslip.course.teaching import read_frame, teaching_text

LESSONS = Path("lessons")
GENERATED = Path(__file__).with_name("lessons")


def build(
    files: Annotated[list[Path] | None, typer.Argument(help="Lesson files. Default: all of lessons/.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Run the lessons in a Jupyter kernel.")] = False,
    unsolved: Annotated[bool, typer.Option("--unsolved", help="With --run: leave all tasks unsolved.")] = False,
    minutes: Annotated[float, typer.Option(help="Time limit for all lessons together, in minutes.")] = 8.0,
    patience: Annotated[float, typer.Option(help="Factor for all time limits; above 1 on a busy machine.")] = 1.0,
    look: Annotated[Path | None, typer.Option(help="With --run: folder for figures and a transcript.")] = None,
    slides: Annotated[Path | None, typer.Option(help="With --run: file for the slides.")] = None,
    teaching: Annotated[Path | None, typer.Option(help="File for the teachers' guide, TEACHING.md.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the notebooks and checks.")] = GENERATED,
) -> None:
    """Generate the notebooks and checks of the lessons; with --run, run each lesson."""
    lessons = [read_lesson(path) for path in files] if files else read_lessons(LESSONS)
    for lesson in lessons:
        write_lesson(lesson, out)
        typer.echo(f"built: {lesson.path.name}, {len(lesson.tasks)} tasks")
    if teaching is not None:
        write_text(teaching, teaching_text(lessons, read_frame(lessons[0].path.parent)))
        typer.echo(f"built: {teaching}")
    if run:
        _run(lessons, minutes, unsolved, look, slides, patience)


def _run(
    lessons: list[Lesson],
    minutes: float,
    unsolved: bool,
    look: Path | None,
    slides: Path | None,
    patience: float = 1.0,
) -> None:
    start, problems, rehearsals = time.monotonic(), [], []
    for lesson in lessons:
        typer.echo(f"\n{lesson.path.name}: {lesson.title}")
        rehearsal = rehearse(lesson, limit=CELL_SECONDS * patience, unsolved=unsolved)
        report(rehearsal)
        problems += rehearsal.problems
        rehearsals.append(rehearsal)
        if look is not None:
            write_transcript(rehearsal, look / lesson.path.stem)
            typer.echo(f"figures and transcript: {look / lesson.path.stem}")
    total = time.monotonic() - start
    typer.echo(f"\nall lessons: {total:.0f} s")
    if total > 60 * minutes * patience:
        problems.append(f"all lessons take {total / 60:.1f} minutes; the limit is {minutes * patience:g}")
    if slides is not None:
        write_text(slides, deck(rehearsals))
        typer.echo(f"slides: {slides}")
    for problem in problems:
        typer.echo(f"\nproblem: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def report(rehearsal: Rehearsal) -> None:
    """Print one line per cell: running time, line in the file, role and first line of code."""
    for step in rehearsal.steps:
        role = f"{step.cell.role} {step.cell.task}".strip() or "code"
        first = next(line for line in step.cell.source.splitlines() if line.strip())
        mark = "!" if step.problem else " "
        typer.echo(f"{mark} {step.seconds:6.1f} s  line {step.cell.line:>4}  {role:<14} {first[:60]}")
    typer.echo(f"  {rehearsal.seconds:6.1f} s in total, including the start of the kernel")


def write_transcript(rehearsal: Rehearsal, folder: Path) -> None:
    """Write all cells with their outputs to ``transcript.md``, and the figures to ``line-0042-1.png`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("line-*.png"):
        old.unlink()
    step_of = {id(step.cell): step for step in rehearsal.steps}
    blocks = []
    for cell in rehearsal.lesson.cells:
        if not cell.code:
            blocks.append(cell.source)
            continue
        step = step_of.get(id(cell))
        if step is None:
            continue
        blocks.append(f"```python\n# line {cell.line} {cell.role} {cell.task}\n{cell.source}\n```")
        blocks.append(f"```text\n{text_of(step.outputs)}\n({step.seconds:.1f} s) {step.problem}\n```")
        for number, image in enumerate(images_of(step.outputs), 1):
            name = f"line-{cell.line:04d}-{number}.png"
            (folder / name).write_bytes(image)
            blocks.append(f"![]({name})")
    (folder / "transcript.md").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def main() -> None:
    """Run the command; exit code 0: success, 1: a lesson has a problem, 2: a lesson is invalid."""
    try:
        typer.run(build)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()
