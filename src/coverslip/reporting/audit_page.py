"""The page of an audit: what was found in the images before any training, to look at."""

from __future__ import annotations

from pathlib import Path

from coverslip.core.storage import write_text
from coverslip.reporting.audit_images import ImageStrips
from coverslip.reporting.audit_sections import audit_section, class_balance, next_commands
from coverslip.reporting.data_sections import data_section
from coverslip.reporting.markup import fill
from coverslip.reporting.places import data_text, source_text
from coverslip.reporting.run_files import RunFiles, read_audit
from coverslip.reporting.thumbnails import Thumbnails

CONTENTS = {  # anchor -> title, in the order of the page
    "findings": "Findings",
    "data": "The images",
    "groups": "What belongs together",
    "shortcuts": "Shortcuts",
    "price": "The price of a leak",
}


def write_audit_page(folder: Path, *, thumbnails: bool = True) -> Path:
    """Write ``audit.html`` beside ``audit.json``, whole or not at all.

    Args:
        folder: what ``coverslip audit --out`` wrote; only what is in it is used, and the image files it names where
            they are still there.
        thumbnails: show images. They become part of the page: whoever gets the page gets them.

    Returns:
        The file that was written.

    Raises:
        UserError: there is no audit.json in the folder, or it cannot be read.
    """
    files = read_audit(folder)
    write_text(files.run.audit_page_file, render_audit_page(files, Thumbnails(files, show=thumbnails)))
    return files.run.audit_page_file


def render_audit_page(files: RunFiles, thumbnails: Thumbnails) -> str:
    """The whole page as HTML."""
    audit = files.audit or {}
    place = source_text(files)
    section = audit_section(files, ImageStrips(files, thumbnails), look=f"coverslip audit {data_text(audit, place)}")
    return fill(
        "audit_page.html.j2",
        name=str(audit.get("source") or files.run.folder.resolve().name),
        contents=CONTENTS,
        audit=section,
        data=data_section(files),
        balance=class_balance(audit.get("classes")),
        ways=next_commands(audit, place),
        image_note=thumbnails.note(),
        with_images=thumbnails.show,
    )
