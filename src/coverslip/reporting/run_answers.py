"""What a run's files say to the questions of the checklist, a function a question; "" where they do not say it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import Any

from coverslip.reporting.flow import count_steps, flow_text
from coverslip.reporting.methods import (
    WITHOUT_BLANKS,
    evaluation_sentence,
    familiarity_sentence,
    network_sentence,
    score_text,
    sets_sentence,
    threshold_sentence,
)
from coverslip.reporting.run_files import RunFiles, as_number
from coverslip.reporting.training_words import training_sentence
from coverslip.reporting.wording import count_text, name_of_score, number_text


def tell_flow(files: RunFiles) -> str:
    """Found, left out, used."""
    flow = count_steps(files)
    return flow_text(flow) if flow else ""


def tell_classes(files: RunFiles) -> str:
    """Images of each class, in all and in the test set."""
    used = [row for row in files.table or [] if (row.get("status") or "ok") == "ok"]
    counts = Counter(row["label"] for row in used)
    if not counts:
        return ""
    tested = Counter(row["label"] for row in used if row.get("split") == "test" or not files.trained_here)
    listed = [f"{name} {number:,} ({tested[name]:,} in the test)" for name, number in counts.most_common(8)]
    more = f" and {len(counts) - 8} classes more" if len(counts) > 8 else ""
    return f"{count_text(len(counts), 'class', 'classes')}: {', '.join(listed)}{more}."


def tell_quality(files: RunFiles) -> str:
    """What the audit found, and what was decided about it."""
    findings = (files.audit or {}).get("findings")
    if not isinstance(findings, list):
        return ""
    said = []
    for each in findings:
        decision = each.get("decision") or ("accepted" if each.get("accepted") else "")
        if decision or each.get("severity") != "notes":
            said.append(f"{each.get('title', each.get('name'))}{f' ({decision})' if decision else ''}")
    notes = len(findings) - len(said)
    also = f" {count_text(notes, 'note')} besides." if notes else ""
    return (
        f"Every file was read and judged: {'; '.join(said)}." if said else "Every file was read; no warning."
    ) + also


def tell_size(files: RunFiles) -> str:
    """What the learning curve says of more data."""
    says = (files.run.known(files.run.learning_curve_file).get("fit") or {}).get("says")
    return f"By the learning curve within the training set: {says}." if says else ""


def tell_label_errors(files: RunFiles) -> str:
    """How many labels look wrong."""
    if not files.run.label_errors_file.is_file():
        return ""
    text = files.run.label_errors_file.read_text(encoding="utf-8-sig", errors="replace")
    rows = list(csv.DictReader(io.StringIO(text)))
    suspects = [row for row in rows if (row.get("suspect") or "").lower() in ("true", "1")]
    tested = sum(row.get("part") == "test" for row in suspects)
    return (
        f"Confident learning on cross-fitted answers suspects {count_text(len(suspects), 'label')} of {len(rows):,}, "
        f"{tested:,} of them in the test set, where none was changed or dropped."
    )


def tell_network(files: RunFiles) -> str:
    """Network and first weights."""
    return _without_blanks(network_sentence(files))


def tell_training(files: RunFiles) -> str:
    """How it was fitted."""
    return _without_blanks(training_sentence(files))


def tell_performance(files: RunFiles) -> str:
    """The scores, with intervals and their methods."""
    return _without_blanks(evaluation_sentence(files))


def _without_blanks(text: str) -> str:
    for blank, instead in WITHOUT_BLANKS.items():
        text = text.replace(blank, instead)
    return text


def tell_output(files: RunFiles) -> str:
    """What the model says of an image."""
    number = len(files.class_names)
    if not number:
        return ""
    text = f"A probability for each of {count_text(number, 'class', 'classes')}"
    named = threshold_sentence(files)
    text += f". {named}" if named else "; the most probable is named."
    return f"{text} {sets_sentence(files)}".strip()


def tell_imbalance(files: RunFiles) -> str:
    """Which shares of the classes the probabilities assume."""
    assumes = (files.test.get("calibration") or {}).get("assumes")
    if not isinstance(assumes, dict) or not assumes:
        return ""
    shares = sorted(assumes.items(), key=lambda each: -float(each[1]))
    listed = ", ".join(f"{name} {share:.2f}" for name, share in (*shares[:2], *shares[-2:][: len(shares) - 2]))
    return f"The probabilities assume the shares of the training images (from the largest: {listed})."


def tell_repeats(files: RunFiles) -> str:
    """Spread over folds and seeds."""
    repeats, said = files.run.known(files.run.repeats_file), []
    for key, what in (("folds", "folds"), ("seeds", "seeds")):
        scores = ((repeats.get(key) or {}).get("scores") or {}).get("accuracy") or []
        values = [value for value in scores if isinstance(value, int | float)]
        if values:
            said.append(f"accuracy over {len(values)} {what} {min(values):.3f} to {max(values):.3f}")
    return f"{'; '.join(said).capitalize()}." if said else ""


def tell_class_scores(files: RunFiles) -> str:
    """The recalls of the classes, the lowest first."""
    recalls = {name: each.get("recall") or {} for name, each in (files.test.get("classes") or {}).items()}
    known = sorted((score["value"], name) for name, score in recalls.items() if score.get("value") is not None)
    if not known:
        return ""
    listed = [f"{name} {score_text(recalls[name])}" for _, name in known[:3]]
    return f"Recall, the lowest first: {', '.join(listed)}{' …' if len(known) > 3 else ''}; all are in the report."


def tell_calibration(files: RunFiles) -> str:
    """How far confidence is from the share that is right."""
    calibration = files.test.get("calibration")
    says = (calibration.get("report") or {}).get("says") if isinstance(calibration, dict) else ""
    if says:
        return f"{str(says)[:1].upper()}{str(says)[1:]}."
    error = (files.test.get("scores") or {}).get("ece") or {}
    return f"{name_of_score('ece')[0]} {score_text(error)}." if error.get("value") is not None else ""


def tell_failures(files: RunFiles) -> str:
    """How many mistakes, and the most frequent kind."""
    wrong = [row for row in files.predictions or [] if row.get("predicted") and row["predicted"] != row.get("label")]
    if files.predictions is None:
        return ""
    if not wrong:
        return "The model made no mistake on the test images."
    (label, said), number = Counter((row["label"], row["predicted"]) for row in wrong).most_common(1)[0]
    surest = max((as_number(row.get("confidence", "")) or 0.0 for row in wrong), default=0.0)
    return (
        f"{count_text(len(wrong), 'mistake')}, shown as images in the report; most often {label} was taken for "
        f"{said} ({number:,}); the surest mistake had a confidence of {number_text(surest, 2)}."
    )


def tell_subgroups(files: RunFiles) -> str:
    """Scores by further columns of the table."""
    columns: dict[str, Any] = files.test.get("subgroups") or {}
    said = []
    for column, told in columns.items():
        values = told.get("values") if isinstance(told, dict) else None
        known = [
            (v["accuracy"]["value"], v["value"])
            for v in values or []
            if (v.get("accuracy") or {}).get("value") is not None
        ]
        if known:
            (low, worst), (high, best) = min(known), max(known)
            said.append(f"by {column}: accuracy {low:.3f} ({worst}) to {high:.3f} ({best})")
    return f"{'; '.join(said)[:1].upper()}{'; '.join(said)[1:]}." if said else ""


def tell_elsewhere(files: RunFiles) -> str:
    """An evaluation is a test on other images."""
    if files.trained_here or not files.test.get("images"):
        return ""
    return f"This page is such a test: {count_text(files.test['images'], 'image')} of another source, an earlier model."


def tell_unfamiliar(files: RunFiles) -> str:
    """What happens with an image unlike anything seen."""
    flag = familiarity_sentence(files)
    return f"It is flagged, and the nearest training images are named. {flag}" if flag else ""
