"""``python -m coverslip.course.build``: make the notebooks of the lessons, and go through them.

Without a file, all lessons of ``lessons/`` are taken. What is made goes to ``src/coverslip/course/lessons``.
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
MADE = Path(__file__).with_name("lessons")


def build(
    files: Annotated[list[Path] | None, typer.Argument(help="Lessons; all of lessons/ where none is named.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Go through them in a kernel.")] = False,
    unsolved: Annotated[bool, typer.Option("--unsolved", help="With --run: as who solves no task.")] = False,
    minutes: Annotated[float, typer.Option(help="All together may take so long.")] = 8.0,
    patience: Annotated[float, typer.Option(help="Times all limits of time: above 1 where other work goes on.")] = 1.0,
    look: Annotated[Path | None, typer.Option(help="With --run: write figures and a transcript there.")] = None,
    slides: Annotated[Path | None, typer.Option(help="With --run: write the deck of slides there.")] = None,
    teaching: Annotated[Path | None, typer.Option(help="Write the teacher's page there: TEACHING.md.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for what is made.")] = MADE,
) -> None:
    """Make notebooks and checks of the lessons; with --run go through each."""
    lessons = [read_lesson(path) for path in files] if files else read_lessons(LESSONS)
    for lesson in lessons:
        write_lesson(lesson, out)
        typer.echo(f"made: {lesson.path.name}, {len(lesson.tasks)} tasks")
    if teaching is not None:
        write_text(teaching, teaching_text(lessons, read_frame(lessons[0].path.parent)))
        typer.echo(f"made: {teaching}")
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
    start, problems, all_done = time.monotonic(), [], []
    for lesson in lessons:
        typer.echo(f"\n{lesson.path.name}: {lesson.title}")
        done = rehearse(lesson, limit=CELL_SECONDS * patience, unsolved=unsolved)
        report(done)
        problems += done.problems
        all_done.append(done)
        if look is not None:
            write_look(done, look / lesson.path.stem)
            typer.echo(f"figures and transcript: {look / lesson.path.stem}")
    total = time.monotonic() - start
    typer.echo(f"\nall together {total:.0f} s")
    if total > 60 * minutes * patience:
        problems.append(f"all lessons take {total / 60:.1f} minutes, and {minutes * patience:g} are the limit")
    if slides is not None:
        write_text(slides, deck(all_done))
        typer.echo(f"slides: {slides}")
    for problem in problems:
        typer.echo(f"\nproblem: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def report(done: Rehearsal) -> None:
    """A line a cell: seconds, line, and what it is."""
    for step in done.steps:
        role = f"{step.cell.role} {step.cell.task}".strip() or "code"
        first = next(line for line in step.cell.source.splitlines() if line.strip())
        mark = "!" if step.problem else " "
        typer.echo(f"{mark} {step.seconds:6.1f} s  line {step.cell.line:>4}  {role:<14} {first[:60]}")
    typer.echo(f"  {done.seconds:6.1f} s altogether, with the start of the kernel")


def write_look(done: Rehearsal, folder: Path) -> None:
    """The figures as PNG and everything that was said, to look at: ``transcript.md`` and ``line-0042-1.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("line-*.png"):
        old.unlink()
    ran = {id(step.cell): step for step in done.steps}
    parts = []
    for cell in done.lesson.cells:
        if not cell.code:
            parts.append(cell.source)
            continue
        step = ran.get(id(cell))
        if step is None:
            continue
        parts.append(f"```python\n# line {cell.line} {cell.role} {cell.task}\n{cell.source}\n```")
        parts.append(f"```text\n{text_of(step.outputs)}\n({step.seconds:.1f} s) {step.problem}\n```")
        for number, image in enumerate(images_of(step.outputs), 1):
            name = f"line-{cell.line:04d}-{number}.png"
            (folder / name).write_bytes(image)
            parts.append(f"![]({name})")
    (folder / "transcript.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    """Run it: 0 all is well, 1 a lesson does not stand, 2 a lesson that cannot be read."""
    try:
        typer.run(build)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()
