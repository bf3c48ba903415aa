"""The page of a study: the settings that were tried, their effects, and the expected accuracy of the best trial.

The page is a single file that is rewritten while the study runs; a browser that shows it reloads it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coverslip.core.storage import write_text
from coverslip.reporting.markup import fill
from coverslip.reporting.tune_figures import (
    contour_section,
    curves_section,
    history_section,
    importance_section,
    map_section,
    parallel_section,
    slices_section,
    steps_section,
    sweep_section,
)
from coverslip.reporting.tune_files import StudyFiles, read_study
from coverslip.reporting.tune_sections import (
    expected_section,
    how_section,
    settings_section,
    state_section,
    table_section,
)
from coverslip.reporting.tune_words import KINDS, edges, headline, sentences

REFRESH = 3  # seconds between two reloads of the page of a running study
SECTIONS: dict[
    str, tuple[str, Callable[[StudyFiles], Any]]
] = {  # anchor -> title, function that returns the content (None: omitted)
    "expected": ("Expected accuracy", expected_section),
    "chosen": ("Best and default settings", settings_section),
    "steps": ("Steps", steps_section),
    "map": ("Map of two settings", map_section),
    "sweep": ("Learning curves by value", sweep_section),
    "history": ("History of the trials", history_section),
    "curves": ("Learning curves", curves_section),
    "importance": ("Importance of the settings", importance_section),
    "slices": ("Loss by setting", slices_section),
    "contour": ("The two most important settings", contour_section),
    "parallel": ("Parallel coordinates", parallel_section),
    "trials": ("All trials", table_section),
    "how": ("Methods", how_section),
}
ORDER = {  # kind -> its sections in the order of the page
    "search": "expected chosen history curves importance slices contour parallel trials how",
    "sweep": "map sweep slices expected chosen importance trials how",
    "one-at-a-time": "steps expected chosen curves trials how",
}


def write_tune_page(folder: Path | str) -> Path:
    """Write ``tune.html`` into a study's folder, atomically.

    Args:
        folder: folder of a finished or running study; ``study.json``, ``trials.csv`` and ``curves.csv`` are read, and
            ``validation.npz`` for intervals.

    Returns:
        The path of the page.

    Raises:
        UserError: the folder contains no ``study.json``, or one of its files cannot be read.
    """
    files = read_study(folder)
    write_text(files.study.page_file, render_study(files))
    return files.study.page_file


def render_study(files: StudyFiles) -> str:
    """Return the page as HTML."""
    order = ORDER.get(files.kind, ORDER["search"]).split()
    if files.kind == "sweep" and len(files.varied) == 1:  # the loss by value is the main result
        order = ["slices", *(anchor for anchor in order if anchor != "slices")]
    if all(trial.loss is None for trial in files.trials):  # no figures; the table has the reasons of failure
        order = ["trials", "how"]
    contents = {anchor: SECTIONS[anchor][1](files) for anchor in order}
    contents = {anchor: content for anchor, content in contents.items() if content is not None}
    summary = files.summary
    folder = files.study.folder.resolve().name
    return fill(
        "tune_page.html.j2",
        name=str(summary.get("name") or folder),
        contents={anchor: _title(anchor, content) for anchor, content in contents.items()},
        image_note="",
        with_images=False,
        kind=KINDS.get(files.kind, KINDS["search"]),
        running=files.running,
        interrupted=summary.get("state") == "interrupted",
        refresh=REFRESH,
        folder=folder,
        result=headline(files),
        sentences=sentences(files),
        warnings=[*edges(files), *(str(note) for note in summary.get("notes") or [])],
        state=state_section(files),
        next=_command(files) if summary.get("best") or summary.get("state") == "interrupted" else "",
        database=files.study.database_file.name if files.study.database_file.is_file() else "",
        sections=contents,
    )


def _title(anchor: str, content: Any) -> str:
    title = content.get("title") if isinstance(content, dict) else None
    return title or SECTIONS[anchor][0]


def _command(files: StudyFiles) -> str:
    """Return the next command; absolute paths are shortened to the study's folder, for privacy."""
    command = str(files.summary.get("next") or "")
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    name = files.study.folder.resolve().name
    if not any(Path(word).is_absolute() for word in words):
        return command
    kept = [f"{name}/{Path(word).name}" if Path(word).suffix == ".toml" else name for word in words]
    return shlex.join(new if Path(word).is_absolute() else word for word, new in zip(words, kept, strict=True))
