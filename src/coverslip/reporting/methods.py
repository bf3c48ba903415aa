"""What was done, as a methods section says it: plain past tense, every number from the run's files.

What the files do not say is left out, or stands in [brackets] for a person to fill in. The sentences are single
functions, since the checklist answers with them too; each gives "" where its files are not there.
"""

from __future__ import annotations

from typing import Any

from coverslip.reporting.flow import Flow, count_steps
from coverslip.reporting.run_files import RunFiles, model_facts, settings_of
from coverslip.reporting.threshold_section import SIDES, how_chosen, other_class, threshold_of
from coverslip.reporting.training_words import NOT_TOLD, depth_of, training_sentence
from coverslip.reporting.wording import count_text, name_of_score, number_text, share_text

SAID_SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "log_loss")
FITS = {
    "pad": "keeping their proportions, with padding",
    "squash": "without keeping their proportions",
    "crop": "keeping their proportions, with what stands over at the edges cut off",
}
NO_SOURCE, NOT_USED = "[source of the weights]", "[were not used to train it]"
WITHOUT_BLANKS = {
    f" ({NO_SOURCE})": "",
    f" that {NOT_USED}": "",
    NOT_TOLD: "",
}  # for a reader who is not to fill them in
PACKAGES = {"torch": "PyTorch", "timm": "timm", "openvino": "OpenVINO", "scikit-learn": "scikit-learn"}


def methods_section(files: RunFiles) -> dict[str, Any]:
    """The paragraphs to copy."""
    return {"paragraphs": methods_paragraphs(files)}


def methods_paragraphs(files: RunFiles) -> list[str]:
    """Data, model and training, evaluation, software: a paragraph each, none that would be empty."""
    flow = count_steps(files)
    origin = "The images were taken [by whom, where, when, with what] and labelled [by whom, how]."
    paragraphs = [
        [data_sentence(files, flow), origin, split_sentence(files, flow)],
        [network_sentence(files), preparation_sentence(files), training_sentence(files)],
        [evaluation_sentence(files), threshold_sentence(files), sets_sentence(files), familiarity_sentence(files)],
        [software_sentence(files)],
    ]
    return [text for text in (" ".join(filter(None, sentences)) for sentences in paragraphs) if text]


def data_sentence(files: RunFiles, flow: Flow | None) -> str:
    """How many images of which classes, and what was left out."""
    if flow is None:
        return ""
    classes = files.class_names
    named = f" ({', '.join(classes)})" if 1 < len(classes) <= 6 else ""
    of = f" of {count_text(flow.used.groups, 'group')}" if flow.used.groups is not None else ""
    text = f"The data were {count_text(flow.used.images, 'image')}{of}, "
    text += f"in {count_text(len(classes), 'class', 'classes')}{named}."
    if files.grouped and files.audit:
        by = files.audit.get("grouped_by")
        text += f" A group is [one leaf, patient or slide], told by {by}." if isinstance(by, str) else ""
    lost = sum(flow.unread.values())
    text += f" {count_text(lost, 'file')} could not be read." if lost else ""
    for reason, number in flow.dropped.items():
        text += f" {count_text(number, 'image')} {'was' if number == 1 else 'were'} left out ({reason})."
    return text


def split_sentence(files: RunFiles, flow: Flow | None) -> str:
    """The parts, and what kept them apart."""
    if flow is None or not files.trained_here or len(flow.parts) < 2:
        return ""
    parts = ", ".join(f"{part or 'no part'} ({count})" for part, count in flow.parts.items())
    whole = "with every group in one part only" if files.grouped else "image by image"
    seed = settings_of(files, "split").get("seed")
    drawn = f"by chance (seed {seed})" if isinstance(seed, int) else "[how]"
    drawn = "as they came divided" if (files.audit or {}).get("split_given") else drawn
    text = f"They were divided into {parts}, {drawn}, {whole}."
    site = settings_of(files, "data").get("site")
    if site:
        kept = settings_of(files, "split").get("sites")
        text += (
            " Each site was in one part only." if kept == "whole" else " Each part had nearly the same mix of sites."
        )
    return text


def network_sentence(files: RunFiles) -> str:
    """The network and where its weights come from."""
    model = model_facts(files)
    name = model.get("network") or settings_of(files, "model").get("network")
    if not name:
        return ""
    if not files.trained_here:
        return f"The network was {name}."
    if model.get("own"):
        return f"The network was one of the user's own ({name}), trained from the weights it came with."
    if model.get("from_scratch"):
        return f"The network was {name}, trained from random weights."
    origin = model.get("origin") or NO_SOURCE
    if depth_of(files) != "head":
        return f"The network was {name}, started from pretrained weights ({origin})."
    return f"Features came from the network {name} with pretrained weights ({origin}), which were not changed."


def preparation_sentence(files: RunFiles) -> str:
    """How images became the input of the network."""
    spec, audit = model_facts(files).get("input") or {}, files.audit or {}
    size, fit = spec.get("size") or audit.get("size"), spec.get("fit") or audit.get("fit")
    if not size:
        return ""
    text = f"Images were resized to {size[1]} × {size[0]} pixels{', ' + FITS[fit] if fit in FITS else ''}"
    if spec.get("channels"):
        text += f"; {count_text(spec['channels'], 'channel')} of {'16' if spec.get('depth') == 'uint16' else '8'} bits"
    mean, std = spec.get("mean") or [], spec.get("std") or []
    if mean and len(set(mean)) == 1 and len(set(std)) == 1:
        text += f" were scaled to 0 to 1, less {mean[0]:.3f}, divided by {std[0]:.3f}"
    text += (
        ", after their grey values were stretched between percentiles of the training images" if spec.get("low") else ""
    )
    return f"{text}."


def evaluation_sentence(files: RunFiles) -> str:
    """The scores with intervals and how those were found; a method is named where it changes."""
    test = files.test
    scores = {key: each for key, each in (test.get("scores") or {}).items() if key in SAID_SCORES and each}
    said, method = [], ""
    for key in SAID_SCORES:
        score = scores.get(key) or {}
        if score.get("value") is None:
            continue
        name = name_of_score(key)[0]
        name = name[:1].lower() + name[1:] if name[1:2].islower() else name
        text = f"{name} was {number_text(score['value'])}"
        if score.get("low") is not None and score.get("high") is not None:
            level = share_text(score["level"]) + " " if score.get("level") else ""
            new = score.get("method") or ""
            text += f" ({level}interval {score['low']:.3f} to {score['high']:.3f}{'; ' + new if new != method else ''})"
            method = new
        said.append(text)
    if not said:
        return ""
    images, groups = test.get("images"), test.get("groups")
    on = f" on {count_text(images, 'image')}" if images else ""
    on += f" of {count_text(groups, 'group')}" if on and files.grouped and groups else ""
    new = "it had not been fitted on" if files.trained_here else NOT_USED
    tested = f"The model was tested{on} that {new}. "
    text = tested + "; ".join(said)[:1].upper() + "; ".join(said)[1:] + "."
    ledger = test.get("ledger")
    if isinstance(ledger, list) and len(ledger) > 1:
        times = "once" if len(ledger) == 2 else f"{len(ledger) - 1:,} times"
        text += f" These test images had been scored {times} before."
    return text


def threshold_sentence(files: RunFiles) -> str:
    """The operating point of two classes, and what it found and spared."""
    content = threshold_of(files)
    if not content:
        return ""
    scores = files.test.get("scores") or {}
    said = [f"{name} {score_text(scores[name])}" for name in SIDES if (scores.get(name) or {}).get("value") is not None]
    text = f"An image was named {content['class_name']} from a probability of {content['value']:.3g} on"
    other = other_class(files, str(content["class_name"]))
    text += f" ({how_chosen(content, other, grouped=files.grouped)}, before the test)"
    return f"{text}; on the test images this had a {' and a '.join(said)}." if said else f"{text}."


def sets_sentence(files: RunFiles) -> str:
    """Conformal sets: what they were calibrated on, and how they did."""
    sets = files.test.get("sets")
    if not isinstance(sets, dict):
        return ""
    asked, on = sets.get("asked"), sets.get("calibrated_on") or {}
    text = f"Sets of classes that hold the true one with a probability of {asked:g}" if asked else "Sets of classes"
    text += " were found by class-conditional conformal prediction"
    if on.get("images"):
        text += f", calibrated on {count_text(on['images'], 'validation image')}"
        text += f" of {count_text(on['groups'], 'group')}" if files.grouped and on.get("groups") else ""
    coverage = sets.get("coverage") or {}
    return text + (
        f"; on the test images a share of {score_text(coverage)} held it." if coverage.get("value") is not None else "."
    )


def familiarity_sentence(files: RunFiles) -> str:
    """The flag for images unlike anything seen, and how often it was raised on the test images."""
    told = files.test.get("familiarity")
    told = told if isinstance(told, dict) else {}
    flagged = told.get("flagged")
    if not isinstance(flagged, dict) or flagged.get("value") is None:
        return ""
    promised = f" (a share of {told['promised']:.2g} was to be expected)" if told.get("promised") is not None else ""
    return f"Of the test images a share of {score_text(flagged)} was flagged as unlike the training images{promised}."


def score_text(score: dict[str, Any]) -> str:
    """``0.912 [0.881, 0.938]``, the interval only where there is one."""
    text = number_text(score.get("value"))
    has = score.get("low") is not None and score.get("high") is not None
    return f"{text} [{score['low']:.3f}, {score['high']:.3f}]" if has else text


def software_sentence(files: RunFiles) -> str:
    """Versions, and the machine."""
    environment = files.environment or {}
    versions, machine = environment.get("versions") or {}, environment.get("machine") or {}
    if not versions:
        return ""
    others = [
        f"{name} {versions[key]}"
        for key, name in PACKAGES.items()
        if versions.get(key, "not installed") != "not installed"
    ]
    python = machine.get("python") or versions.get("python")
    others = ([f"Python {python}"] if python else []) + others
    text = f"Coverslip {versions.get('coverslip', '[version]')} was used" + (
        f" ({', '.join(others)})" if others else ""
    )
    on = [f"{machine['processor']}"] if machine.get("processor") else []
    on += [count_text(machine["cores"], "core")] if isinstance(machine.get("cores"), int) else []
    return text + (f", on {', '.join(on)}." if on else ".")
