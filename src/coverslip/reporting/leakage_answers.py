"""Answers about the split and leakage for the checklist, from a run's files; "" if the files do not contain them."""

from __future__ import annotations

from coverslip.reporting.flow import Flow, count_steps
from coverslip.reporting.methods import split_sentence
from coverslip.reporting.run_files import RunFiles, model_facts
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.training_sentences import depth_of, selection_images, selects_on_validation
from coverslip.reporting.wording import count_text


def partitions_answer(files: RunFiles) -> str:
    """Say how images were assigned to the splits."""
    return split_sentence(files, count_steps(files))


def disjoint_answer(files: RunFiles) -> str:
    """Say at which level the splits are disjoint."""
    flow = count_steps(files)
    if flow is None or not files.trained_here or len(flow.splits) < 2:
        return ""
    if not files.grouped:
        return (
            "At the level of single images (duplicates kept together). No groups were specified, so the scores may be "
            "too optimistic."
        )
    shared = _groups_in_several_splits(files)
    if shared:
        verb = "is" if shared == 1 else "are"
        return f"Groups were specified, but {count_text(shared, 'group')} {verb} in more than one split."
    by = (files.audit or {}).get("grouped_by")
    return f"At the level of groups ({by}): none of {_groups(flow)} is in more than one split."


def duplicates_answer(files: RunFiles) -> str:
    """Say how many duplicates were found, and how they were kept from leaking."""
    duplicates = (files.audit or {}).get("duplicates")
    if not isinstance(duplicates, dict) or not files.trained_here:
        return ""
    exact = int(duplicates.get("images") or 0)
    text = f"Exact duplicates found: {count_text(exact, 'image') if exact else 'none'}"
    near = duplicates.get("near")
    text += f"; near-duplicates: {count_text(near, 'set') if near else 'none'}." if isinstance(near, int) else "."
    findings = {finding.get("name"): finding for finding in (files.audit or {}).get("findings") or []}
    leak = findings.get("copy-leak")
    if leak and leak.get("decision") not in ("fixed", "dropped"):
        return f"{text} Some are in different splits: {leak.get('title')}."
    return text + (" Duplicates were kept in the same split." if exact or duplicates.get("near") else "")


def preprocessing_answer(files: RunFiles) -> str:
    """Say whether anything was fitted to test images."""
    spec = model_facts(files).get("input")
    if not isinstance(spec, dict) or not files.trained_here:
        return ""
    if spec.get("low"):
        text = "No. The percentiles that rescale grey values were computed from training images only."
    else:
        text = "No. No preprocessing parameter was computed from the data; all are fixed by the network."
    if depth_of(files) in ("head", ""):
        return f"{text} {WORDS[files.task].fitted} fitted to the training set."
    selected = ""
    if selects_on_validation(files):
        selected = f"; the epoch and the temperature were selected on {selection_images(files)}"
    return f"{text} The weights were fitted to the training set{selected}."


def held_out_answer(files: RunFiles) -> str:
    """Say how often the test set was used."""
    images = files.test.get("images")
    if not files.trained_here or not images:
        return ""
    ledger = files.test.get("ledger")
    held_out = f"{count_text(images, 'image')} {'was' if images == 1 else 'were'} held out"
    if not isinstance(ledger, list) or not ledger:
        return f"{held_out} and used only after the model was saved, never for model selection."
    if len(ledger) == 1:
        return f"{held_out} and scored once, after the model was saved."
    return (
        f"{held_out}; this test set has been scored {len(ledger):,} times. If a model was selected by its test score, "
        "that score is too optimistic."
    )


def shortcuts_answer(files: RunFiles) -> str:
    """Say whether the label can be predicted from something other than the subject."""
    probes = (files.audit or {}).get("shortcuts")
    if not isinstance(probes, list) or not probes:
        return ""
    tested = [probe for probe in probes if probe.get("value") is not None]
    warnings = [str(probe.get("title")) for probe in tested if probe.get("verdict") == "warns"]
    count, label = count_text(len(tested), "probe"), WORDS[files.task].answer
    if not warnings:
        return f"No shortcut was found ({count} without access to the subject)."
    return (
        f"Yes: {len(warnings)} of {count} without access to the subject predicted the {label}: {'; '.join(warnings)}."
    )


def _groups(flow: Flow) -> str:
    return count_text(flow.used.groups or 0, "group")


def _groups_in_several_splits(files: RunFiles) -> int:
    splits: dict[str, set[str]] = {}
    for row in files.table or []:
        if row.get("group") and row.get("split"):
            splits.setdefault(row["group"], set()).add(row["split"])
    return sum(len(members) > 1 for members in splits.values())
