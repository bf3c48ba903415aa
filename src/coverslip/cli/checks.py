"""Checks of the paths of a command before anything heavy is imported, so that a typing mistake is told at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from coverslip.core.errors import UserError


def check_runs(runs: Iterable[Path]) -> None:
    """Check that every run exists and contains a model.

    Raises:
        UserError: see `coverslip.core.runs.Run.open`.
    """
    from coverslip.core.runs import Run

    for run in runs:
        Run.open(run)


def check_folders(runs: Iterable[Path]) -> None:
    """Check that the folder of every run exists.

    Raises:
        UserError: one does not exist.
    """
    for run in runs:
        if not run.is_dir():
            raise UserError(f"there is no run {str(run)!r}", "give a folder written by 'coverslip train'")


def check_paths(paths: Iterable[Path]) -> None:
    """Check that every given file and folder of images exists.

    Raises:
        UserError: one does not exist.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"{str(path)!r} does not exist", "check the path")


def check_source(source: Path | None) -> None:
    """Check that a folder or table of images exists, if one is given.

    Raises:
        UserError: it does not exist.
    """
    if source is not None and source.suffix.lower() != ".toml" and not source.exists():
        raise UserError(f"{str(source)!r} does not exist", "check the path; 'coverslip demo' runs without any images")
