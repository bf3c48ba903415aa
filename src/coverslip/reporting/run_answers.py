"""Answers for the checklist from a run's files, one function per question; "" if the files do not contain them."""

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
    intervals_sentence,
    network_sentence,
    score_text,
    sets_sentence,
    target_ranges_sentence,
    threshold_sentence,
)
from coverslip.reporting.run_files import RunFiles, as_number
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.training_sentences import training_sentence
from coverslip.reporting.wording import count_text, digits_of, listed, name_of_score, number_text

DECISIONS = {"fixed": "fixed", "dropped": "images excluded", "accepted": "accepted"}


def flow_answer(files: RunFiles) -> str:
    """Count the images found, excluded and used."""
    flow = count_steps(files)
    return flow_text(flow) if flow else ""


def classes_answer(files: RunFiles) -> str:
    """Count the images of each class, in total and in the test set; of a regression, state the range of the targets."""
    if files.task == "regression":
        return target_ranges_sentence(files)
    used = [row for row in files.table or [] if (row.get("status") or "ok") == "ok"]
    several = files.task == "multilabel"
    if several:  # an image counts for each of its labels
        used = [{**row, "label": name} for row in used for name in row["label"].split(";")]
    counts = Counter(row["label"] for row in used)
    if not counts:
        return ""
    tested = Counter(row["label"] for row in used if row.get("split") == "test" or not files.trained_here)
    listed = [f"{name} {number:,} ({tested[name]:,} in the test set)" for name, number in counts.most_common(8)]
    one, many = WORDS[files.task].names
    more = f" and {count_text(len(counts) - 8, f'more {one}', f'more {many}')}" if len(counts) > 8 else ""
    return f"{count_text(len(counts), one, many)}: {', '.join(listed)}{more}."


def quality_answer(files: RunFiles) -> str:
    """List the findings of the audit, and the decisions about them."""
    findings = (files.audit or {}).get("findings")
    if not isinstance(findings, list):
        return ""
    titles = []
    for finding in findings:
        decision = str(finding.get("decision") or ("accepted" if finding.get("accepted") else ""))
        if decision or finding.get("severity") != "notes":
            suffix = f" ({DECISIONS.get(decision, decision)})" if decision else ""
            titles.append(f"{finding.get('title', finding.get('name'))}{suffix}")
    notes = len(findings) - len(titles)
    text = "Yes, every file was read and checked. "
    text += f"Errors and warnings: {'; '.join(titles)}." if titles else "There were no errors or warnings."
    return text + (
        f" In addition, there {'was' if notes == 1 else 'were'} {count_text(notes, 'note')}." if notes else ""
    )


def size_answer(files: RunFiles) -> str:
    """Report what the learning curve predicts for more data."""
    forecast = (files.run.json_or_empty(files.run.learning_curve_file).get("fit") or {}).get("says")
    return f"According to the learning curve within the training set: {forecast}." if forecast else ""


def label_errors_answer(files: RunFiles) -> str:
    """Count the labels that are likely to be wrong."""
    if not files.run.label_errors_file.is_file():
        return ""
    text = files.run.label_errors_file.read_text(encoding="utf-8-sig", errors="replace")
    rows = list(csv.DictReader(io.StringIO(text)))
    suspects = [row for row in rows if (row.get("suspect") or "").lower() in ("true", "1")]
    tested = sum(row.get("part") == "test" for row in suspects)
    if files.task == "regression":
        return (
            f"{count_text(len(suspects), 'value')} of {len(rows):,} lay far from an out-of-sample prediction, "
            f"{tested:,} of them in the test set. No test value was changed or excluded."
        )
    return (
        f"Confident learning on out-of-fold predictions flagged {count_text(len(suspects), 'label')} of {len(rows):,}, "
        f"{tested:,} of them in the test set. No test label was changed or excluded."
    )


def network_answer(files: RunFiles) -> str:
    """Name the network and its initial weights."""
    return _without_blanks(network_sentence(files))


def training_answer(files: RunFiles) -> str:
    """Describe the training."""
    return _without_blanks(training_sentence(files))


def performance_answer(files: RunFiles) -> str:
    """Report the scores with their intervals and methods."""
    return _without_blanks(evaluation_sentence(files))


def output_answer(files: RunFiles) -> str:
    """Describe the model's output for an image."""
    if files.task == "regression":
        names = listed(files.target_names)
        sentence = intervals_sentence(files)
        each = "each with" if len(files.target_names) > 1 else "with"
        return (
            f"The value of {names}, {each} a prediction interval. {sentence}" if sentence else f"The value of {names}."
        )
    number = len(files.class_names)
    if not number:
        return ""
    if files.task == "multilabel":
        text = f"A probability for each of {count_text(number, 'label')}; labels above their thresholds are predicted."
        return f"{text} {sets_sentence(files)}".strip()
    text = f"A probability for each of {count_text(number, 'class', 'classes')}"
    threshold, rule = threshold_sentence(files), "median" if files.task == "ordinal" else "most probable"
    text += f". {threshold}" if threshold else f"; the {rule} class is the prediction."
    return f"{text} {sets_sentence(files)}".strip()


def imbalance_answer(files: RunFiles) -> str:
    """Report the class frequencies that the probabilities assume."""
    assumed = (files.test.get("calibration") or {}).get("assumes")
    if not isinstance(assumed, dict) or not assumed:
        return ""
    priors = sorted(assumed.items(), key=lambda item: -float(item[1]))
    listed = ", ".join(f"{name} {share:.2f}" for name, share in (*priors[:2], *priors[-2:][: len(priors) - 2]))
    return f"The probabilities assume the class frequencies of the training images (largest first: {listed})."


def repeats_answer(files: RunFiles) -> str:
    """Report the range of scores over folds and random splits."""
    repeats, ranges = files.run.json_or_empty(files.run.repeats_file), []
    score = WORDS[files.task].score
    for kind, noun in (("folds", "folds"), ("seeds", "random splits")):
        scores = ((repeats.get(kind) or {}).get("scores") or {}).get(score) or []
        values = [value for value in scores if isinstance(value, int | float)]
        if values:
            title, digits = name_of_score(score)[0].lower(), digits_of(score, {score: {"value": max(values)}})
            ranges.append(f"{title} over {len(values)} {noun} {min(values):.{digits}f} to {max(values):.{digits}f}")
    return f"{'; '.join(ranges).capitalize()}." if ranges else ""


def class_scores_answer(files: RunFiles) -> str:
    """Report the lowest recalls of single classes."""
    recalls = {name: scores.get("recall") or {} for name, scores in (files.test.get("classes") or {}).items()}
    known = sorted((score["value"], name) for name, score in recalls.items() if score.get("value") is not None)
    if not known:
        return ""
    listed = [f"{name} {score_text(recalls[name])}" for _, name in known[:3]]
    rest = " (all classes: see Scores by class)" if len(known) > 3 else ""
    return f"Recall, lowest first: {', '.join(listed)}{rest}."


def calibration_answer(files: RunFiles) -> str:
    """Report the calibration error; of a regression, the coverage of the prediction intervals."""
    if files.task == "regression":
        return intervals_sentence(files)
    calibration = files.test.get("calibration")
    summary = (calibration.get("report") or {}).get("says") if isinstance(calibration, dict) else ""
    if summary:
        return f"{str(summary)[:1].upper()}{str(summary)[1:]}."
    error = (files.test.get("scores") or {}).get("ece") or {}
    return f"{name_of_score('ece')[0]} {score_text(error)}." if error.get("value") is not None else ""


def failures_answer(files: RunFiles) -> str:
    """Count the misclassified images, and name the most frequent confusion."""
    if files.task == "regression":
        return "The test images with the largest errors are shown in the report." if files.predictions else ""
    wrong = [row for row in files.predictions or [] if row.get("predicted") and row["predicted"] != row.get("label")]
    if files.predictions is None:
        return ""
    if not wrong:
        return "No test image was misclassified."
    if files.task == "multilabel":
        return f"{count_text(len(wrong), 'test image')} had a missed or an added label (shown in the report)."
    (label, predicted), number = Counter((row["label"], row["predicted"]) for row in wrong).most_common(1)[0]
    highest = max((as_number(row.get("confidence", "")) or 0.0 for row in wrong), default=0.0)
    return (
        f"{count_text(len(wrong), 'test image')} {'was' if len(wrong) == 1 else 'were'} misclassified (shown in the "
        f"report). The most frequent confusion was {label} predicted as {predicted} ({number:,}); the highest "
        f"confidence of a wrong prediction was {number_text(highest, 2)}."
    )


def subgroups_answer(files: RunFiles) -> str:
    """Report the range of scores over the values of further columns of the table."""
    columns: dict[str, Any] = files.test.get("subgroups") or {}
    score = WORDS[files.task].subgroup
    title = name_of_score(score)[0].lower()
    ranges = []
    for column, content in columns.items():
        values = content.get("values") if isinstance(content, dict) else None
        known = [
            (entry[score]["value"], entry["value"])
            for entry in values or []
            if (entry.get(score) or {}).get("value") is not None
        ]
        if known:
            (low, worst), (high, best) = min(known), max(known)
            digits = digits_of(score, files.test.get("scores") or {})
            ranges.append(f"by {column}: {title} {low:.{digits}f} ({worst}) to {high:.{digits}f} ({best})")
    return f"{'; '.join(ranges)[:1].upper()}{'; '.join(ranges)[1:]}." if ranges else ""


def external_answer(files: RunFiles) -> str:
    """Report an evaluation of an existing model on other images."""
    if files.trained_here or not files.test.get("images"):
        return ""
    images = count_text(files.test["images"], "image")
    return f"Yes. This report evaluates an existing model on {images} from another source."


def unfamiliar_answer(files: RunFiles) -> str:
    """Describe the flag for images unlike the training images."""
    flagged = familiarity_sentence(files)
    return f"They are flagged, and the nearest training images are listed. {flagged}" if flagged else ""


def _without_blanks(text: str) -> str:
    for blank, replacement in WITHOUT_BLANKS.items():
        text = text.replace(blank, replacement)
    return text
