"""``coverslip course``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.options import OUTPUT
from coverslip.cli.terminal import quoted
from coverslip.core.errors import UserError

FOLDER = Path("coverslip-course")
WORDS = {
    "new": "copied",
    "same": "up to date",
    "updated": "updated to the newer edition",
    "kept": "kept, with your changes",
    "beside": "newer edition; your changed notebook is kept next to it",
}


def course(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder for the notebooks. Default: the current one if it has lessons, else coverslip-course."
        ),
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="List lessons, tasks and minutes.", rich_help_panel=OUTPUT)
    ] = False,
    show_progress: Annotated[
        bool, typer.Option("--progress", help="Show solved tasks and the next one.", rich_help_panel=OUTPUT)
    ] = False,
    answers: Annotated[
        int | None, typer.Option(help="Copy the solutions of this lesson.", rich_help_panel=OUTPUT)
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Copy the notebooks without opening JupyterLab.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Open the one-day course on deep learning, as offline notebooks.

    Example: coverslip course
    """
    from coverslip.course.copies import has_lessons

    home = folder or (Path() if has_lessons(Path()) else FOLDER)
    if show_list:
        _list()
    elif show_progress:
        _progress(home)
    elif answers is not None:
        _answers(answers, home)
    else:
        _copy_and_open(home, no_open)


def _list() -> None:
    from coverslip.course.copies import lessons

    entries = lessons()
    for entry in entries:
        needs = f"  (needs coverslip[{','.join(entry.needs)}])" if entry.needs else ""
        typer.echo(f"{entry.number}  {entry.title}, {entry.minutes} minutes{needs}")
        for number, task in entry.tasks.items():
            typer.echo(f"     {number:<5} {task}")
    minutes = sum(entry.minutes for entry in entries)
    typer.echo(f"total: {minutes // 60} hours {minutes % 60} minutes; TEACHING.md contains a timetable")


def _progress(home: Path) -> None:
    from coverslip.course.copies import has_lessons, lessons
    from coverslip.course.progress import read_progress

    if not has_lessons(home):
        raise UserError(f"{str(home)!r} contains no lessons", f"copy them: coverslip course {quoted(home)}")
    solved, next_task = set(read_progress(home).solved), ""
    for entry in lessons():
        done = [number for number in entry.tasks if number in solved]
        marks = "  ".join(f"{'✓' if number in solved else '·'} {number}" for number in entry.tasks)
        typer.echo(f"{entry.number}  {entry.title}: {len(done)} of {len(entry.tasks)} tasks   {marks}".rstrip())
        left = [number for number in entry.tasks if number not in solved]
        if left and not next_task:
            next_task = f"task {left[0]} in {quoted(home / entry.path.name)}: {entry.tasks[left[0]]}"
    typer.echo(f"next: {next_task or 'all tasks are solved; train on your own images: coverslip train FOLDER'}")


def _answers(number: int, home: Path) -> None:
    from coverslip.course.copies import copy_answers

    copied = copy_answers(number, home)
    typer.echo(f"{copied.path}: {WORDS[copied.status]}")


def _copy_and_open(home: Path, no_open: bool) -> None:
    from coverslip.course.copies import copy_lessons
    from coverslip.course.explorables import write_pages
    from coverslip.course.jupyter import need_jupyter, open_lab

    if not no_open:
        need_jupyter()  # fail before anything is written
    copies = copy_lessons(home)
    for copied in copies:
        typer.echo(f"{copied.path}: {WORDS[copied.status]}")
    pages = write_pages(home / "explorables")
    typer.echo(f"{home / 'explorables'}: {len(pages)} interactive pages for the browser")
    first = copies[0].path
    if no_open:
        typer.echo(f"next: coverslip course {quoted(home)}, or open {quoted(first)} in any Jupyter")
        return
    typer.echo("JupyterLab opens in your browser; press Ctrl+C here to stop it")
    raise typer.Exit(open_lab(first))
