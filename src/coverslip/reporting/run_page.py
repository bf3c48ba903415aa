"""The report of one run: a single HTML file that needs no network connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coverslip.core.storage import write_text
from coverslip.reporting.answers import answers_of
from coverslip.reporting.audit_images import ImageStrips
from coverslip.reporting.audit_sections import audit_section
from coverslip.reporting.checklist import checklist_section
from coverslip.reporting.command_paths import run_path
from coverslip.reporting.data_sections import data_section, examples_section, split_section
from coverslip.reporting.evidence_sections import calibration_section, ledger_section, sets_section, subgroups_section
from coverslip.reporting.explain_sections import maps_section
from coverslip.reporting.flagged_sections import familiarity_section, labels_section
from coverslip.reporting.flow import flow_section
from coverslip.reporting.markup import fill
from coverslip.reporting.methods import methods_section
from coverslip.reporting.repeat_sections import learning_section, repeats_section
from coverslip.reporting.result_sections import (
    classes_section,
    confusion_section,
    mistakes_section,
    result_section,
    scores_section,
)
from coverslip.reporting.run_card import run_card
from coverslip.reporting.run_files import RunFiles, read_run
from coverslip.reporting.sections import limits_section, repeat_section, settings_section, training_section
from coverslip.reporting.threshold_section import threshold_section
from coverslip.reporting.thumbnails import Thumbnails

CONTENTS = {  # anchor -> title, in the order of the page
    "data": "Data",
    "flow": "From files to splits",
    "audit": "Data audit",
    "split": "Split",
    "examples": "Example images",
    "training": "Training",
    "scores": "Scores",
    "ledger": "Use of the test set",
    "classes": "Scores by class",
    "subgroups": "Subgroups",
    "confusion": "Confusion matrix",
    "mistakes": "Misclassified images",
    "maps": "Heat maps",
    "threshold": "Decision threshold",  # of two classes only
    "calibration": "Calibration",
    "sets": "Prediction sets",
    "familiarity": "Unfamiliar images",
    "labels": "Suspect labels",
    "repeats": "Cross-validation and other splits",
    "learning": "Learning curve",
    "limits": "Limitations",
    "checklist": "Reviewer checklist",
    "methods": "Methods paragraph",
    "repeat": "How to repeat this run",
    "settings": "Settings and environment",
}


def write_report(folder: Path, *, thumbnails: bool = True, training_images: bool = False) -> Path:
    """Write ``report.html`` into a run's folder, completely or not at all.

    Args:
        folder: a run's folder; only its files are used, and the image files listed in them if these still exist.
        thumbnails: show images. They are embedded, so everyone who receives the page receives them.
        training_images: show images of all splits; otherwise test images only.

    Returns:
        The file that was written.

    Raises:
        UserError: the folder has no test result, or one of its files cannot be read.
    """
    files = read_run(folder)
    page = render_page(files, Thumbnails(files, show=thumbnails), training_images=training_images)
    write_text(files.run.report_file, page)
    return files.run.report_file


def render_page(files: RunFiles, thumbnails: Thumbnails, *, training_images: bool = False) -> str:
    """Render the page to HTML."""
    sections: dict[str, dict[str, Any]] = {
        "data": data_section(files),
        "split": split_section(files),
        "examples": examples_section(files, thumbnails, training_images=training_images),
        "training": training_section(files),
        "scores": scores_section(files),
        "ledger": ledger_section(files),
        "classes": classes_section(files),
        "subgroups": subgroups_section(files),
        "confusion": confusion_section(files),
        "familiarity": familiarity_section(
            files, thumbnails
        ),  # few and small; the mistakes take the rest of the budget
        "labels": labels_section(files, thumbnails, training_images=training_images),
        "mistakes": mistakes_section(files, thumbnails),
        "maps": maps_section(files, thumbnails),
        "threshold": threshold_section(files),
        "calibration": calibration_section(files),
        "sets": sets_section(files),
        "repeats": repeats_section(files),
        "learning": learning_section(files),
        "limits": limits_section(files),
        "flow": flow_section(files),
        "checklist": checklist_section(files, answers_of(files)),
        "methods": methods_section(files),
        "card": {"rows": run_card(files)},
        "repeat": repeat_section(files),
        "settings": settings_section(files),
    }
    tested = {row["path"] for row in files.table or [] if row.get("split") == "test"}
    strips = ImageStrips(files, thumbnails, shown=None if training_images else tested.__contains__, limit=300)
    path = run_path(files)
    command = path.command("audit", files.run.experiment_file.name) if files.experiment else "coverslip audit FOLDER"
    # Last, so that the misclassified images have priority for the budget of thumbnails.
    sections["audit"] = audit_section(files, strips, command=command, where=path.where)
    return fill(
        "page.html.j2",
        name=files.run.folder.resolve().name,
        contents={anchor: title for anchor, title in CONTENTS.items() if sections.get(anchor) != {}},
        result=result_section(files),
        image_note=thumbnails.note(),
        with_images=thumbnails.show,
        training_images=training_images,
        **sections,
    )
