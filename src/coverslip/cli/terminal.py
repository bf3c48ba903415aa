"""Output of commands: results to standard output, everything else to standard error."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from coverslip.core.errors import StoppedError

if TYPE_CHECKING:
    from rich.table import Table

MAX_CLASSES = 12  # classes whose confusion matrix fits a terminal


def print_error(problem: str, fix: str, word: str = "error") -> None:
    """Print problem and fix, two lines, to standard error."""
    color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    start, end = ("\033[1;31m", "\033[0m") if color else ("", "")
    print(f"{start}{word}:{end} {problem}\n  fix: {fix}", file=sys.stderr)  # noqa: T201


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning in one line, without its location in the code; replaces `warnings.showwarning`."""
    if issubclass(category, FutureWarning | UserWarning):
        print(f"warning: {message}", file=sys.stderr)  # noqa: T201


def quoted(path: Path | str) -> str:
    """Return a path quoted for the shell."""
    return shlex.quote(str(path))


@contextmanager
def resumable(command: str, folder: Path | None) -> Iterator[None]:
    """On Ctrl+C, print the command that resumes a run or study, if its folder is known and exists."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is None or not folder.is_dir():
            raise
        fix = f"resume with: coverslip {command} --resume {quoted(folder)}"
        raise StoppedError("interrupted; the results so far are stored", fix) from None


def _class_table(evidence: dict[str, Any]) -> Table:
    """Return the confusion matrix with the recall of each class; columns are predicted classes in the same order."""
    from rich.markup import escape
    from rich.table import Table

    from coverslip.core.score import interval_text

    names = evidence["class_names"]
    table = Table(box=None, pad_edge=False)
    table.add_column("true class")
    table.add_column("recall")
    for number, _ in enumerate(names, 1):
        table.add_column(f"→{number}", justify="right")  # names would not fit next to each other
    for number, (name, counts) in enumerate(zip(names, evidence["confusion"], strict=True), 1):
        score = evidence["classes"][name]["recall"]
        known = score["value"], score["low"], score["high"]
        recall = "no test image" if score["value"] is None else interval_text(*known, "no interval", 2)
        table.add_row(escape(f"{number} {name}"), escape(recall), *map(str, counts))
    return table


def print_result(
    evidence: dict[str, Any], report: Path, next_step: str, warnings: Sequence[str] = (), repeats: Sequence[str] = ()
) -> None:
    """Print the scores with their intervals, the path of the report, and the suggested next step.

    Args:
        evidence: content of ``test.json``.
        report: path of the report.
        next_step: a command or a short sentence.
        warnings: further warnings to print.
        repeats: sentences about cross-validation and other splits.
    """
    from rich.console import Console
    from rich.table import Table

    from coverslip.evidence.intervals import format_interval

    console = Console(highlight=False)
    groups = f" of {evidence['groups']:,} groups" if evidence["grouped"] else ""
    title = f"test set: {evidence['images']:,} images{groups}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("score")
    table.add_column(f"value [{evidence['level']:.0%} confidence interval]")
    for name, value in evidence["scores"].items():
        table.add_row(name.replace("_", " "), format_interval(value))
    console.print(table)
    if evidence.get("confusion") and len(evidence["class_names"]) <= MAX_CLASSES:
        console.print(_class_table(evidence))
    for sentence in repeats:
        console.print(sentence, markup=False, soft_wrap=True)
    threshold = evidence.get("threshold")
    if threshold is not None:
        name, value = threshold["class_name"], threshold["value"]
        text = f"decision threshold for {name!r}: {value:.3g}; sensitivity and specificity refer to {name!r}"
        console.print(text, markup=False, soft_wrap=True)
    for warning in [*evidence["warnings"], *warnings]:
        console.print(f"note: {warning}", markup=False, soft_wrap=True)
    console.print(f"report: {report}", markup=False, soft_wrap=True)
    console.print(f"next:   {next_step}", markup=False, soft_wrap=True)
