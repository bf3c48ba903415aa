"""The page of one run: one file that can be read anywhere, without a network connection and for a long time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from coverslip.reporting.data_sections import data_section, examples_section, split_section
from coverslip.reporting.result_sections import (
    classes_section,
    confusion_section,
    mistakes_section,
    result_section,
    scores_section,
)
from coverslip.reporting.run_files import RunFiles, read_run
from coverslip.reporting.sections import limits_section, repeat_section, settings_section, training_section
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.storage import write_text

CONTENTS = {  # anchor -> title, in the order of the page
    "data": "The data",
    "split": "The split",
    "examples": "Examples",
    "training": "Training",
    "scores": "Scores",
    "classes": "Class by class",
    "confusion": "Confusions",
    "mistakes": "Mistakes",
    "limits": "What this page does not tell",
    "repeat": "How to repeat it",
    "settings": "Settings and environment",
}


def write_report(folder: Path, *, thumbnails: bool = True, training_pictures: bool = False) -> Path:
    """Write ``report.html`` into a run's folder, whole or not at all.

    Args:
        folder: a run's folder; only what is in it is used, and the picture files it names where they are still there.
        thumbnails: show pictures. They become part of the page: whoever gets the page gets them.
        training_pictures: let the examples come from every part; without it they are test pictures only.

    Returns:
        The file that was written.

    Raises:
        UserError: there is no test result in the folder, or one of its files cannot be read.
    """
    files = read_run(folder)
    page = render_page(files, Thumbnails(files, show=thumbnails), training_pictures=training_pictures)
    write_text(files.run.report_file, page)
    return files.run.report_file


def render_page(files: RunFiles, thumbnails: Thumbnails, *, training_pictures: bool = False) -> str:
    """The whole page as HTML."""
    sections: dict[str, dict[str, Any]] = {
        "data": data_section(files),
        "split": split_section(files),
        "examples": examples_section(files, thumbnails, training_pictures=training_pictures),
        "training": training_section(files),
        "scores": scores_section(files),
        "classes": classes_section(files),
        "confusion": confusion_section(files),
        "mistakes": mistakes_section(files, thumbnails),
        "limits": limits_section(files),
        "repeat": repeat_section(files),
        "settings": settings_section(files),
    }
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            name=files.run.folder.resolve().name,
            contents=CONTENTS,
            result=result_section(files),
            picture_note=thumbnails.note(),
            with_pictures=thumbnails.show,
            **sections,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("coverslip.reporting", "templates"),
        autoescape=True,  # a class may be called <b>"x", y</b>
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment


def breakable(name: str) -> Markup:
    """A name as safe HTML that may be broken into lines after ``_`` and ``/``.

    >>> breakable("a_b & c")
    Markup('a_<wbr>b &amp; c')
    """
    return Markup(re.sub(r"(_+|/+)", r"\1<wbr>", str(escape(name))))
