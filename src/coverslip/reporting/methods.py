"""The methods section for a paper: complete sentences in the past tense, every number taken from the run's files.

Facts that the files do not contain are omitted or left as [brackets] for the author to fill in. Each sentence is a
function that returns "" if its files are missing, since the reviewer checklist uses the same sentences.
"""

from __future__ import annotations

from typing import Any

from coverslip.reporting.flow import Flow, count_steps
from coverslip.reporting.run_files import RunFiles, model_facts, settings_of
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.threshold_section import SIDES, how_chosen, negative_class, threshold_of
from coverslip.reporting.training_sentences import NOT_STATED, depth_of, training_sentence
from coverslip.reporting.wording import count_text, digits_of, name_of_score, number_text, share_text
from coverslip.reporting.wording import listed as listed_names

REPORTED_SCORES = (
    "quadratic_kappa",
    "level_error",
    "exact_match",
    "micro_f1",
    "mean_average_precision",
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_auroc",
    "log_loss",
    "mae",
    "rmse",
    "concordance",
    "bias",
)
FITS = {
    "pad": "preserving the aspect ratio by padding",
    "squash": "without preserving the aspect ratio",
    "crop": "preserving the aspect ratio by cropping the center",
}
NO_SOURCE, NOT_USED = "[source of the weights]", "[were not used to train it]"
WITHOUT_BLANKS = {  # for readers who cannot fill in brackets
    f"(pretrained weights: {NO_SOURCE})": "(pretrained weights)",
    f" that {NOT_USED}": "",
    NOT_STATED: "",
}
CLASS_SETS = "class-conditional conformal prediction"
SPLITS = {"train": "training", "validation": "validation", "test": "test", "": "unused"}
PACKAGES = {"torch": "PyTorch", "timm": "timm", "openvino": "OpenVINO", "scikit-learn": "scikit-learn"}


def methods_section(files: RunFiles) -> dict[str, Any]:
    """Return the paragraphs to copy."""
    return {"paragraphs": methods_paragraphs(files)}


def methods_paragraphs(files: RunFiles) -> list[str]:
    """Return one paragraph each on data, model and training, evaluation, and software; empty ones are omitted."""
    flow = count_steps(files)
    origin = "Images were acquired [by whom, where, when, with which equipment] and labelled [by whom, how]."
    paragraphs = [
        [data_sentence(files, flow), origin, split_sentence(files, flow)],
        [network_sentence(files), preparation_sentence(files), training_sentence(files)],
        [
            evaluation_sentence(files),
            threshold_sentence(files),
            sets_sentence(files),
            intervals_sentence(files),
            familiarity_sentence(files),
        ],
        [software_sentence(files)],
    ]
    return [text for text in (" ".join(filter(None, sentences)) for sentences in paragraphs) if text]


def data_sentence(files: RunFiles, flow: Flow | None) -> str:
    """Describe the dataset: images, groups, classes and exclusions."""
    if flow is None:
        return ""
    classes = files.class_names
    if files.task == "regression":
        return _data_of_values(files, flow)
    names = f" ({', '.join(classes)})" if 1 < len(classes) <= 6 else ""
    groups = f" from {count_text(flow.used.groups, 'group')}" if flow.used.groups is not None else ""
    text = f"The dataset comprised {count_text(flow.used.images, 'image')}{groups} "
    text += f"{_kinds(files)}{names}."
    if files.grouped and files.audit:
        by = files.audit.get("grouped_by")
        text += f" Groups [plants, patients or slides] were identified by {by}." if isinstance(by, str) else ""
    unreadable = sum(flow.unreadable.values())
    text += f" {count_text(unreadable, 'file')} could not be read." if unreadable else ""
    for reason, number in flow.excluded.items():
        text += f" {count_text(number, 'image')} {'was' if number == 1 else 'were'} excluded ({reason})."
    return text


def _kinds(files: RunFiles) -> str:
    """Return the number of classes or labels with its preposition."""
    count = count_text(len(files.class_names), *WORDS[files.task].names)
    return f"with any of {count}" if files.task == "multilabel" else f"in {count}"


def _data_of_values(files: RunFiles, flow: Flow) -> str:
    """Describe the dataset of a regression."""
    groups = f" from {count_text(flow.used.groups, 'group')}" if flow.used.groups is not None else ""
    text = f"The dataset comprised {count_text(flow.used.images, 'image')}{groups}. {target_ranges_sentence(files)}"
    if files.grouped and files.audit and isinstance(by := files.audit.get("grouped_by"), str):
        text += f" Groups [plants, patients or slides] were identified by {by}."
    for reason, number in flow.excluded.items():
        text += f" {count_text(number, 'image')} {'was' if number == 1 else 'were'} excluded ({reason})."
    return text


def target_ranges_sentence(files: RunFiles) -> str:
    """State the range and the quartiles of the targets of a regression."""
    targets = (files.audit or {}).get("targets") or {}
    texts = []
    for name in files.target_names:
        quantiles = (targets.get(name) or {}).get("quantiles") or []
        if len(quantiles) == 5:
            low, first, median, third, high = (f"{value:.4g}" for value in quantiles)
            texts.append(f"{name} ranged from {low} to {high} (median {median}, quartiles {first} and {third})")
    if not texts:
        return f"The target was {listed_names(files.target_names)}." if files.target_names else ""
    text = "; ".join(texts)
    return f"The target {text}." if len(texts) == 1 else f"The targets: {text}."


def intervals_sentence(files: RunFiles) -> str:
    """Report the calibration of prediction intervals, and their empirical coverage."""
    content = files.test.get("intervals")
    if not isinstance(content, dict):
        return ""
    methods = sorted(set((content.get("methods") or {}).values()))
    text = f"Prediction intervals with a nominal coverage of {content['asked']:g} were computed by conformal prediction"
    text += f" ({'; '.join(methods)})" if methods else ""
    coverage = (files.test.get("scores") or {}).get("coverage") or {}
    if coverage.get("value") is None:
        return f"{text}."
    return f"{text}; their empirical coverage on the test set was {score_text(coverage)}."


def split_sentence(files: RunFiles, flow: Flow | None) -> str:
    """Describe the split, and what kept the sets apart."""
    if flow is None or not files.trained_here or len(flow.splits) < 2:
        return ""
    *first, last = [f"{SPLITS.get(split, split)} ({count})" for split, count in flow.splits.items()]
    unit = "with each group assigned to a single set" if files.grouped else "at the level of images"
    seed = settings_of(files, "split").get("seed")
    by = WORDS[files.task].balanced
    how = f"at random (seed {seed}), stratified by {by}" if isinstance(seed, int) else "[how]"
    how = "as specified with the data" if (files.audit or {}).get("split_given") else how
    text = f"The data were divided into {', '.join(first)} and {last} sets {how}, {unit}."
    if settings_of(files, "data").get("site"):
        whole = settings_of(files, "split").get("sites") == "whole"
        text += (
            " Each site was assigned to a single set."
            if whole
            else " The sets had approximately the same mix of sites."
        )
    return text


def network_sentence(files: RunFiles) -> str:
    """Describe the network and the origin of its weights."""
    model = model_facts(files)
    name = model.get("network") or settings_of(files, "model").get("network")
    if not name:
        return ""
    if not files.trained_here:
        return f"The network was {name}."
    if model.get("own"):
        return f"A custom network ({name}) was trained, starting from the weights supplied with it."
    if model.get("from_scratch"):
        return f"The network {name} was trained from randomly initialized weights."
    origin = model.get("origin") or NO_SOURCE
    if depth_of(files) != "head":
        return f"The network {name} (pretrained weights: {origin}) was fine-tuned."
    return f"Features were extracted with a frozen {name} network (pretrained weights: {origin})."


def preparation_sentence(files: RunFiles) -> str:
    """Describe how images were preprocessed."""
    spec, audit = model_facts(files).get("input") or {}, files.audit or {}
    size, fit = spec.get("size") or audit.get("size"), spec.get("fit") or audit.get("fit")
    if not size:
        return ""
    text = f"Images were resized to {size[1]} × {size[0]} pixels{', ' + FITS[fit] if fit in FITS else ''}"
    if spec.get("channels"):
        bits = {"uint16": 16, "float32": 32}.get(str(spec.get("depth")), 8)
        text += f" ({count_text(spec['channels'], 'channel')}, {bits} bits)"
    text += "."
    if spec.get("low"):
        text += " Intensities were rescaled between percentiles of the training images."
    mean, std = spec.get("mean") or [], spec.get("std") or []
    if mean and len(set(mean)) == 1 and len(set(std)) == 1:
        text += f" Pixel values in 0–1 were standardized with mean {mean[0]:.3f} and standard deviation {std[0]:.3f}."
    return text


def evaluation_sentence(files: RunFiles) -> str:
    """Report the scores with their confidence intervals; the method is named where it changes."""
    test = files.test
    scores = {key: score for key, score in (test.get("scores") or {}).items() if key in REPORTED_SCORES and score}
    results, method = [], ""
    for key in REPORTED_SCORES:
        score = scores.get(key) or {}
        if score.get("value") is None:
            continue
        name = name_of_score(key)[0]
        name = name[:1].lower() + name[1:] if name[1:2].islower() else name  # but AUROC stays
        digits = digits_of(key, scores)
        text = f"{name} was {number_text(score['value'], digits)}"
        if score.get("low") is not None and score.get("high") is not None:
            level = share_text(score["level"]) + " " if score.get("level") else ""
            new = score.get("method") or ""
            interval = f"{level}CI {score['low']:.{digits}f} to {score['high']:.{digits}f}"
            text += f" ({interval}{'; ' + new if new != method else ''})"
            method = new
        results.append(text)
    if not results:
        return ""
    images, groups = test.get("images"), test.get("groups")
    on = f" on {count_text(images, 'image')}" if images else " on images"
    on += f" from {count_text(groups, 'group')}" if files.grouped and groups else ""
    unseen = "were not used for training" if files.trained_here else NOT_USED
    listed = "; ".join(results)
    text = f"The model was evaluated{on} that {unseen}. {listed[:1].upper()}{listed[1:]}."
    ledger = test.get("ledger")
    if isinstance(ledger, list) and len(ledger) > 1:
        times = "once" if len(ledger) == 2 else f"{len(ledger) - 1:,} times"
        text += f" This test set had been scored {times} before."
    return text


def threshold_sentence(files: RunFiles) -> str:
    """Report the decision threshold of two classes, with sensitivity and specificity on the test set."""
    content = threshold_of(files)
    if not content:
        return ""
    scores, positive = files.test.get("scores") or {}, str(content["class_name"])
    results = [
        f"{name} of {score_text(scores[name])}" for name in SIDES if (scores.get(name) or {}).get("value") is not None
    ]
    how = how_chosen(content, negative_class(files, positive), grouped=files.grouped)
    text = f"The decision threshold for {positive} was a predicted probability of {content['value']:.3g} ({how})"
    return f"{text}. On the test set, this threshold gave a {' and a '.join(results)}." if results else f"{text}."


def sets_sentence(files: RunFiles) -> str:
    """Report the calibration of conformal prediction sets, and their empirical coverage."""
    sets = files.test.get("sets")
    if not isinstance(sets, dict):
        return ""
    nominal, on = sets.get("asked"), sets.get("calibrated_on") or {}
    text = "Sets of labels" if files.task == "multilabel" else "Prediction sets"
    text += f" with a nominal coverage of {nominal:g}" if nominal else ""
    method = "conformal risk control of the share of missed labels" if files.task == "multilabel" else CLASS_SETS
    text += f" were computed by {method}"
    if on.get("images"):
        text += f", calibrated on {count_text(on['images'], 'validation image')}"
        text += f" from {count_text(on['groups'], 'group')}" if files.grouped and on.get("groups") else ""
    coverage = sets.get("coverage") or {}
    if coverage.get("value") is None:
        return f"{text}."
    what = "share of true labels in the sets" if files.task == "multilabel" else "empirical coverage"
    return f"{text}; their {what} on the test set was {score_text(coverage)}."


def familiarity_sentence(files: RunFiles) -> str:
    """Report how often test images were flagged as unlike the training images."""
    familiarity = files.test.get("familiarity")
    familiarity = familiarity if isinstance(familiarity, dict) else {}
    flagged = familiarity.get("flagged")
    if not isinstance(flagged, dict) or flagged.get("value") is None:
        return ""
    expected = ""
    if familiarity.get("promised") is not None:
        expected = f" (expected: at most {familiarity['promised']:.2g})"
    return (
        f"A fraction of {score_text(flagged)} of the test images was flagged as dissimilar to the training "
        f"images{expected}."
    )


def score_text(score: dict[str, Any]) -> str:
    """Return ``0.912 [0.881, 0.938]``, or the value alone if there is no interval."""
    text = number_text(score.get("value"))
    has_interval = score.get("low") is not None and score.get("high") is not None
    return f"{text} [{score['low']:.3f}, {score['high']:.3f}]" if has_interval else text


def software_sentence(files: RunFiles) -> str:
    """Name the software versions and the machine."""
    environment = files.environment or {}
    versions, machine = environment.get("versions") or {}, environment.get("machine") or {}
    if not versions:
        return ""
    packages = [
        f"{name} {versions[key]}"
        for key, name in PACKAGES.items()
        if versions.get(key, "not installed") != "not installed"
    ]
    python = machine.get("python") or versions.get("python")
    packages = ([f"Python {python}"] if python else []) + packages
    text = f"Analyses were performed with Coverslip {versions.get('coverslip', '[version]')}"
    text += f" ({', '.join(packages)})" if packages else ""
    hardware = [f"{machine['processor']}"] if machine.get("processor") else []
    hardware += [count_text(machine["cores"], "core")] if isinstance(machine.get("cores"), int) else []
    return text + (f" on {', '.join(hardware)}." if hardware else ".")
