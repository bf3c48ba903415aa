"""The page of an audit: the findings about the images before training."""

from __future__ import annotations

from pathlib import Path

from coverslip.core.storage import write_text
from coverslip.reporting.audit_images import ImageStrips
from coverslip.reporting.audit_sections import audit_section, class_balance, next_commands
from coverslip.reporting.command_paths import data_arguments, source_argument
from coverslip.reporting.data_sections import data_section
from coverslip.reporting.markup import fill
from coverslip.reporting.run_files import RunFiles, read_audit
from coverslip.reporting.thumbnails import Thumbnails

CONTENTS = {  # anchor -> title, in the order of the page
    "findings": "Findings",
    "data": "Images",
    "groups": "Groups",
    "shortcuts": "Shortcuts",
    "inflation": "Inflation of the score by leakage",
}


def write_audit_page(folder: Path, *, thumbnails: bool = True) -> Path:
    """Write ``audit.html`` next to ``audit.json``, completely or not at all.

    Args:
        folder: a folder written by ``coverslip audit --out``; only its files are used, and the image files listed in
            them if these still exist.
        thumbnails: show images. They are embedded, so everyone who receives the page receives them.

    Returns:
        The file that was written.

    Raises:
        UserError: the folder has no audit.json, or it cannot be read.
    """
    files = read_audit(folder)
    write_text(files.run.audit_page_file, render_audit_page(files, Thumbnails(files, show=thumbnails)))
    return files.run.audit_page_file


def render_audit_page(files: RunFiles, thumbnails: Thumbnails) -> str:
    """Render the page to HTML."""
    audit = files.audit or {}
    source = source_argument(files)
    command = f"coverslip audit {data_arguments(audit, source)}"
    return fill(
        "audit_page.html.j2",
        name=str(audit.get("source") or files.run.folder.resolve().name),
        contents=CONTENTS,
        audit=audit_section(files, ImageStrips(files, thumbnails), command=command),
        data=data_section(files),
        balance=class_balance(audit.get("classes")),
        commands=next_commands(audit, source),
        image_note=thumbnails.note(),
        with_images=thumbnails.show,
    )
