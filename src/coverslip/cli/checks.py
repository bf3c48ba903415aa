"""Checks of the paths of a command before anything heavy is imported, so that a typing mistake is reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from coverslip.core.paths import require_path, require_source


def check_runs(runs: Iterable[Path]) -> None:
    """Check that every run exists and contains a model; see `coverslip.core.runs.Run.open`."""
    from coverslip.core.runs import Run

    for run in runs:
        Run.open(run)


def check_folders(runs: Iterable[Path]) -> None:
    """Check that the folder of every run exists; see `coverslip.core.runs.Run.existing`."""
    from coverslip.core.runs import Run

    for run in runs:
        Run.existing(run)


def check_paths(paths: Iterable[Path]) -> None:
    """Check that every given file and folder of images exists; see `coverslip.core.paths.require_path`."""
    for path in paths:
        require_path(path)


def check_source(source: Path | None) -> None:
    """Check that a folder or table of images exists; settings (``.toml``) have errors of their own."""
    if source is not None and source.suffix.lower() != ".toml":
        require_source(source)
