"""What commands print: results to standard output, everything else to standard error."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

SHOWN_CLASSES = 20


def say_error(problem: str, fix: str, word: str = "error") -> None:
    """Two lines to standard error: what is wrong, and how to mend it."""
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
    """Print a warning in one line, without the place in the code; stands in for `warnings.showwarning`."""
    if issubclass(category, FutureWarning | UserWarning):
        print(f"warning: {message}", file=sys.stderr)  # noqa: T201


def quoted(path: Path | str) -> str:
    """A path as it can be pasted into a shell."""
    return shlex.quote(str(path))


def print_result(evidence: dict[str, Any], report: Path, following: str, warnings: Sequence[str] = ()) -> None:
    """The result with its intervals, where the page is, and the next command to try."""
    from rich.console import Console
    from rich.table import Table

    from coverslip.evidence.intervals import format_interval

    console = Console(highlight=False)
    groups = f" of {evidence['groups']:,} groups" if evidence["grouped"] else ""
    table = Table(title=f"test: {evidence['images']:,} images{groups}", title_justify="left", box=None, pad_edge=False)
    table.add_column("score")
    table.add_column(f"value [{evidence['level']:.0%} interval]")
    for name, value in evidence["scores"].items():
        table.add_row(name.replace("_", " "), format_interval(value))
    console.print(table)
    threshold = evidence.get("threshold")
    if threshold is not None:
        said = f"named {threshold['class_name']!r} from a probability of {threshold['value']:.3g} on"
        console.print(f"{said}: sensitivity is of its images, specificity of the others", markup=False, soft_wrap=True)
    for warning in [*evidence["warnings"], *warnings]:
        console.print(f"note: {warning}", markup=False, soft_wrap=True)
    console.print(f"report: {report}", markup=False, soft_wrap=True)
    console.print(f"next:   {following}", markup=False, soft_wrap=True)
