"""``coverslip course``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coverslip.cli.terminal import quoted
from coverslip.core.errors import UserError

FOLDER = Path("coverslip-course")
WORDS = {
    "new": "copied",
    "same": "already here",
    "updated": "a newer edition took the place of a copy that nobody had changed",
    "kept": "kept, with your work in it",
    "beside": "the newer edition; your own notebook beside it is kept as it is",
}


def course(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder for the notebooks. Default: coverslip-course, or the one you are in.")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only copy the notebooks.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="Lessons, tasks and minutes.")] = False,
    show_progress: Annotated[bool, typer.Option("--progress", help="What is solved, and where to go on.")] = False,
    answers: Annotated[int | None, typer.Option(help="Put the answers of this lesson beside it.")] = None,
) -> None:
    """One day of deep learning, as notebooks on this machine; no account, no network connection."""
    from coverslip.course.shelf import has_lessons

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
    from coverslip.course.shelf import lessons

    entries = lessons()
    for entry in entries:
        needs = f"  (needs coverslip[{','.join(entry.needs)}])" if entry.needs else ""
        typer.echo(f"{entry.number}  {entry.title}, {entry.minutes} minutes{needs}")
        for number, wanted in entry.tasks.items():
            typer.echo(f"     {number:<5} {wanted}")
    minutes = sum(entry.minutes for entry in entries)
    typer.echo(f"together {minutes // 60} hours {minutes % 60} minutes; TEACHING.md has a timetable of the day")


def _progress(home: Path) -> None:
    from coverslip.course.progress import read_progress
    from coverslip.course.shelf import has_lessons, lessons

    if not has_lessons(home):
        raise UserError(f"there is no lesson in {str(home)!r}", "'coverslip course FOLDER' puts them there")
    solved, following = set(read_progress(home).solved), ""
    for entry in lessons():
        done = [number for number in entry.tasks if number in solved]
        marks = "  ".join(f"{'✓' if number in solved else '·'} {number}" for number in entry.tasks)
        typer.echo(f"{entry.number}  {entry.title}: {len(done)} of {len(entry.tasks)} tasks   {marks}".rstrip())
        left = [number for number in entry.tasks if number not in solved]
        if left and not following:
            following = f"task {left[0]} in {quoted(home / entry.path.name)}: {entry.tasks[left[0]]}"
    typer.echo(f"next: {following}" if following else "all tasks are solved: 'coverslip train' awaits your own images")


def _answers(number: int, home: Path) -> None:
    from coverslip.course.shelf import copy_answers

    copied = copy_answers(number, home)
    typer.echo(f"{copied.path}: {WORDS[copied.what]}")


def _copy_and_open(home: Path, no_open: bool) -> None:
    from coverslip.course.explorables import write_pages
    from coverslip.course.opening import need_jupyter, open_lab
    from coverslip.course.shelf import copy_lessons

    if not no_open:
        need_jupyter()  # before anything is written
    copies = copy_lessons(home)
    for copied in copies:
        typer.echo(f"{copied.path}: {WORDS[copied.what]}")
    pages = write_pages(home / "explorables")
    typer.echo(f"{home / 'explorables'}: {len(pages)} pages to play with, also without a notebook")
    first = copies[0].path
    if no_open:
        typer.echo(f"next: coverslip course {quoted(home)}, or open {quoted(first)} in any Jupyter")
        return
    typer.echo("JupyterLab opens in your browser; Ctrl+C here ends it")
    raise typer.Exit(open_lab(first))
