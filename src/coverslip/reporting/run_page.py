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
from coverslip.reporting.label_sections import label_sets_section, thresholds_section, wrong_labels_section
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
from coverslip.reporting.section import CLASSES, LABELS, VALUES, PageContext, Section
from coverslip.reporting.sections import limits_section, repeat_section, settings_section, training_section
from coverslip.reporting.threshold_section import threshold_section
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.reporting.value_sections import (
    agreement_section,
    baselines_section,
    intervals_section,
    label_result_section,
    level_result_section,
    residuals_section,
    suspect_values_section,
    value_result_section,
    worst_section,
)


def _examples(page: PageContext) -> dict[str, Any]:
    return examples_section(page.files, page.thumbnails, training_images=page.training_images)


def _mistakes(page: PageContext) -> dict[str, Any]:
    return mistakes_section(page.files, page.thumbnails)


def _wrong_labels(page: PageContext) -> dict[str, Any]:
    return wrong_labels_section(page.files, page.thumbnails)


def _labels(page: PageContext) -> dict[str, Any]:
    return labels_section(page.files, page.thumbnails, training_images=page.training_images)


def _checklist(page: PageContext) -> dict[str, Any]:
    return checklist_section(page.files, answers_of(page.files))


def _audit(page: PageContext) -> dict[str, Any]:
    files = page.files
    tested = {row["path"] for row in files.table or [] if row.get("split") == "test"}
    shown = None if page.training_images else tested.__contains__
    strips, path = ImageStrips(files, page.thumbnails, shown=shown, limit=300), run_path(files)
    command = path.command("audit", files.run.experiment_file.name) if files.experiment else "coverslip audit FOLDER"
    return audit_section(files, strips, command=command, where=path.where)


SECTIONS = (  # in the order of the page; `Section.order` is the order in which they are built
    Section("data", "Data", lambda page: data_section(page.files)),
    Section("flow", "From files to splits", lambda page: flow_section(page.files)),
    Section("audit", "Data audit", _audit, order=9),  # its images use what is left of the budget
    Section("split", "Split", lambda page: split_section(page.files)),
    Section("examples", "Example images", _examples, CLASSES),
    Section("training", "Training", lambda page: training_section(page.files)),
    Section("scores", "Scores", lambda page: scores_section(page.files)),
    Section("baselines", "Comparison with simple rules", lambda page: baselines_section(page.files), VALUES),
    Section("ledger", "Use of the test set", lambda page: ledger_section(page.files)),
    Section("classes", "Scores by class", lambda page: classes_section(page.files), CLASSES),
    Section("classes", "Scores by label", lambda page: classes_section(page.files), LABELS),
    Section("agreement", "Predicted and true values", lambda page: agreement_section(page.files), VALUES),
    Section("subgroups", "Subgroups", lambda page: subgroups_section(page.files), CLASSES | LABELS),
    Section("residuals", "Errors by group and column", lambda page: residuals_section(page.files), VALUES),
    Section("confusion", "Confusion matrix", lambda page: confusion_section(page.files), CLASSES),
    Section("mistakes", "Misclassified images", _mistakes, CLASSES, 3),
    Section("wrong_labels", "Images with wrong labels", _wrong_labels, LABELS, 3),
    Section("worst", "Largest errors", lambda page: worst_section(page.files, page.thumbnails), VALUES, 3),
    Section("maps", "Heat maps", lambda page: maps_section(page.files, page.thumbnails), CLASSES, 4),
    Section("threshold", "Decision threshold", lambda page: threshold_section(page.files), CLASSES),  # of two classes
    Section("calibration", "Calibration", lambda page: calibration_section(page.files), CLASSES | LABELS),
    Section("thresholds", "Thresholds of the labels", lambda page: thresholds_section(page.files), LABELS),
    Section("label_sets", "Sets of labels", lambda page: label_sets_section(page.files), LABELS),
    Section("sets", "Prediction sets", lambda page: sets_section(page.files), CLASSES),
    Section("intervals", "Prediction intervals", lambda page: intervals_section(page.files), VALUES),
    Section("familiarity", "Unfamiliar images", lambda page: familiarity_section(page.files, page.thumbnails), order=1),
    Section("labels", "Suspect labels", _labels, CLASSES | LABELS, 2),
    Section("values", "Suspect values", lambda page: suspect_values_section(page.files), VALUES, 2),
    Section("repeats", "Cross-validation and other splits", lambda page: repeats_section(page.files)),
    Section("learning", "Learning curve", lambda page: learning_section(page.files)),
    Section("limits", "Limitations", lambda page: limits_section(page.files)),
    Section("checklist", "Reviewer checklist", _checklist),
    Section("methods", "Methods paragraph", lambda page: methods_section(page.files)),
    Section("repeat", "How to repeat this run", lambda page: repeat_section(page.files)),
    Section("settings", "Settings and environment", lambda page: settings_section(page.files)),
)
RESULTS = {
    "regression": ("value_result.html.j2", value_result_section),
    "ordinal": ("value_result.html.j2", level_result_section),
    "multilabel": ("value_result.html.j2", label_result_section),
}
"""Task -> template and content of the headline; other tasks have the accuracy as their headline."""


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
    page, task = PageContext(files, thumbnails, training_images), files.task
    used = [section for section in SECTIONS if section.tasks is None or task in section.tasks]
    built = {section.anchor: section.build(page) for section in sorted(used, key=lambda section: section.order)}
    shown = [section for section in used if built[section.anchor] != {}]
    template, headline = RESULTS.get(task, ("result.html.j2", result_section))
    return fill(
        "page.html.j2",
        name=files.run.folder.resolve().name,
        contents={section.anchor: section.title for section in shown},
        page_sections=[
            {"anchor": section.anchor, "title": section.title, "template": section.file} for section in shown
        ],
        result_template=template,
        result=headline(files),
        card={"rows": run_card(files)},
        image_note=thumbnails.note(),
        with_images=thumbnails.show,
        training_images=training_images,
        **{"threshold": {}, **built},
    )
