"""The page of a study: which settings were tried, what they did, and how far the best can be believed.

It is one file, written again while the study runs; a browser that shows it loads it again by itself.
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

REFRESH = 3  # seconds after which an open page of a running study loads itself again
SECTIONS: dict[str, tuple[str, Callable[[StudyFiles], Any]]] = {  # anchor -> title, what fills it; None leaves it out
    "expected": ("How far to believe it", expected_section),
    "chosen": ("The best, beside the default", settings_section),
    "steps": ("Setting by setting", steps_section),
    "map": ("Two settings at once", map_section),
    "sweep": ("Every value’s curve", sweep_section),
    "history": ("Trial by trial", history_section),
    "curves": ("Epoch by epoch", curves_section),
    "importance": ("What mattered", importance_section),
    "slices": ("Each setting by itself", slices_section),
    "contour": ("The two that matter most", contour_section),
    "parallel": ("All settings at once", parallel_section),
    "trials": ("Every trial", table_section),
    "how": ("How it was done", how_section),
}
ORDER = {  # kind -> its sections in the order of the page
    "search": "expected chosen history curves importance slices contour parallel trials how",
    "sweep": "map sweep slices expected chosen importance trials how",
    "one-at-a-time": "steps expected chosen curves trials how",
}


def write_tune_page(folder: Path | str) -> Path:
    """Write ``tune.html`` into a study's folder, whole or not at all.

    Args:
        folder: a study's folder, finished or still running; ``study.json``, ``trials.csv`` and ``curves.csv`` are
            read, and for intervals ``validation.npz``.

    Returns:
        The file that was written.

    Raises:
        UserError: there is no ``study.json`` in the folder, or one of its files cannot be read.
    """
    files = read_study(folder)
    write_text(files.study.page_file, render_study(files))
    return files.study.page_file


def render_study(files: StudyFiles) -> str:
    """The whole page as HTML."""
    order = ORDER.get(files.kind, ORDER["search"]).split()
    if files.kind == "sweep" and len(files.varied) == 1:  # then the one curve of losses says most
        order = ["slices", *(each for each in order if each != "slices")]
    if any(each.loss is not None for each in files.trials):
        found = {anchor: SECTIONS[anchor][1](files) for anchor in order}
    else:  # nothing can be drawn: why it failed stands in the table
        found = {anchor: SECTIONS[anchor][1](files) for anchor in ("trials", "how")}
    found = {anchor: content for anchor, content in found.items() if content is not None}
    told = files.told
    folder = files.study.folder.resolve().name
    return fill(
        "tune_page.html.j2",
        name=str(told.get("name") or folder),
        contents={anchor: _title(anchor, content) for anchor, content in found.items()},
        image_note="",
        with_images=False,
        kind=KINDS.get(files.kind, KINDS["search"]),
        running=files.running,
        interrupted=told.get("state") == "interrupted",
        refresh=REFRESH,
        folder=folder,
        result=headline(files),
        sentences=sentences(files),
        warnings=[*edges(files), *(str(note) for note in told.get("notes") or [])],
        state=state_section(files),
        next=_command(files) if told.get("best") or told.get("state") == "interrupted" else "",
        database=files.study.database_file.name if files.study.database_file.is_file() else "",
        sections=found,
    )


def _title(anchor: str, content: Any) -> str:
    own = content.get("title") if isinstance(content, dict) else None
    return own or SECTIONS[anchor][0]


def _command(files: StudyFiles) -> str:
    """The next command; of an absolute path only the study's own folder is left, as in all pages."""
    command = str(files.told.get("next") or "")
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    name = files.study.folder.resolve().name
    if not any(Path(word).is_absolute() for word in words):
        return command
    kept = [f"{name}/{Path(word).name}" if Path(word).suffix == ".toml" else name for word in words]
    return shlex.join(new if Path(word).is_absolute() else word for word, new in zip(words, kept, strict=True))
