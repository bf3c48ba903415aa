"""Sections of a study's page with sentences and tables: state, expected accuracy, best settings, trials, methods."""

from __future__ import annotations

import math
from typing import Any

from coverslip.figures.tuning import Setting, TrialRow, best_trial, trial_svg, value_label
from coverslip.figures.tuning_axes import setting_scale
from coverslip.figures.tuning_steps import expected_figure
from coverslip.reporting.tune_files import StudyFiles
from coverslip.reporting.tune_words import time_text
from coverslip.reporting.wording import count_text, share_text

Section = dict[str, Any]
STATES = ("finished", "pruned", "failed", "running")


def state_section(files: StudyFiles) -> Section:
    """Return the number of trials in each state, the planned number, and the time."""
    trials = files.summary.get("trials") or {}
    counts = {state: sum(trial.state == state for trial in files.trials) for state in STATES}
    planned = max(int(trials.get("planned") or 0), len(files.trials), 1)
    parts = [
        {"state": state, "count": counts[state], "share": f"{100 * counts[state] / planned:.3f}"}
        for state in STATES
        if counts[state]
    ]
    open_ = planned - sum(counts.values())
    left = time_text(files.summary.get("seconds_left")) if files.running else ""
    return {
        "parts": parts,
        "open": open_ if files.summary.get("state") != "finished" else 0,
        "planned": planned,
        "time": time_text(files.summary.get("seconds")),
        "left": left,
    }


def expected_section(files: StudyFiles) -> Section | None:
    """Return the accuracies of default and best trial, the latter before and after the correction for selection."""
    best, default, selection = (files.summary.get(name) or {} for name in ("best", "default", "luck"))
    rows = []
    same = best.get("number") == default.get("number")
    stepped = files.kind == "one-at-a-time"
    name_of_best = f"trial {best.get('number')}, " + ("chosen by the steps" if stepped else "not corrected")
    for name, score, filled in (
        ("default", default.get("accuracy"), True),
        (name_of_best, None if same else best.get("accuracy"), stepped),
        ("best trial, corrected for selection", selection.get("corrected"), True),
    ):
        if score and score.get("value") is not None:
            low, high = (score.get("low"), score.get("high")) if filled else (None, None)
            rows.append((name, score["value"], low, high, filled))
    if len(rows) < 2:
        return None
    svg = trial_svg(expected_figure(rows, title="accuracy"), "expected", label="Accuracies, as in the sentences above")
    chosen = [row for row in selection.get("chosen") or [] if row.get("number") is not None]
    rivals = ""
    if len(chosen) > 1:
        texts = [f"trial {row['number']} ({share_text(float(row['share']))})" for row in chosen[:4]]
        rivals = f"Trials selected most often in bootstrap samples of the groups: {', '.join(texts)}."
    return {"svg": svg, "rivals": rivals, "open": not all(row[-1] for row in rows)}


def settings_section(files: StudyFiles) -> Section | None:
    """Return the settings of the best trial and of the default, and their position in the range."""
    best, default = (files.summary.get(name) or {} for name in ("best", "default"))
    values, usual = best.get("values") or {}, default.get("values") or {}
    if not values or (files.running and best.get("number") == default.get("number")):
        return None
    rows = []
    for setting in files.settings:
        if setting.key not in values or values[setting.key] is None:
            continue
        axis = setting_scale(setting, files.trials)
        value, standard = values[setting.key], usual.get(setting.key)
        positions = {
            name: axis.unit(setting_value)
            for name, setting_value in (("best", value), ("default", standard))
            if setting_value is not None
        }
        names = [value_label(choice) for choice in axis.choices] if axis.choices else []
        ends = (names[0], names[-1]) if names else (value_label(axis.low), value_label(axis.high))
        rows.append(
            {
                "name": setting.title,
                "key": setting.key,
                "best": value_label(value),
                "default": "–" if standard is None else value_label(standard),
                "same": standard == value,
                "places": {name: f"{100 * unit:.2f}" for name, unit in positions.items() if math.isfinite(unit)},
                "marks": [f"{100 * axis.unit(choice):.2f}" for choice in axis.choices],
                "ends": ends,
                "scale": "log" if axis.log else "",
            }
        )
    return {"rows": rows, "default": bool(usual)}


def table_section(files: StudyFiles) -> Section:
    """Return a table with a row per trial, the best first."""
    keys = [setting for setting in files.settings if any(setting.key in trial.values for trial in files.trials)]
    best = best_trial(files.trials)
    order = sorted(
        files.trials, key=lambda trial: (STATES.index(trial.state) if trial.state in STATES else 9, _rank(trial))
    )
    return {
        "settings": [(setting.title, not isinstance(_example(files, setting), str)) for setting in keys],
        "rows": [_table_row(trial, keys, best is not None and trial.number == best.number) for trial in order],
        "why": any(trial.why for trial in files.trials),
    }


def how_section(files: StudyFiles) -> list[tuple[str, str]]:
    """Return the facts about the study as pairs of term and text."""
    summary = files.summary
    images = summary.get("images") or {}
    choose, groups, train = (images.get(name) for name in ("choose", "groups", "train"))
    rows = [("Network", f"{summary.get('network') or '–'}, depth {summary.get('depth') or '–'}")]
    if train:
        rows.append(("Training set", count_text(train, "image")))
    if choose:
        of = f" of {count_text(groups, 'group')}" if groups else ""
        rows.append(("Selection", f"on {count_text(choose, 'image')}{of}: the selection half of the validation set"))
    rows.append(("Test set", "not used by the study. The run that trains the best settings uses it once"))
    rows.append(("Criterion", "log loss on the selection half at each trial's best epoch"))
    if summary.get("seconds"):
        rows.append(("Time", time_text(summary["seconds"])))
    return rows


def _example(files: StudyFiles, setting: Setting) -> object:
    return next(trial.values[setting.key] for trial in files.trials if setting.key in trial.values)


def _rank(trial: TrialRow) -> tuple[float, int]:
    return (float("inf") if trial.loss is None else trial.loss, trial.number)


def _table_row(trial: TrialRow, keys: list[Setting], best: bool) -> Section:
    def cell(text: str, value: object) -> Section:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"text": text, "value": f"{value:.9g}" if number else text, "number": number}

    loss, accuracy = trial.loss, trial.accuracy
    epochs = f"{trial.best_epoch} of {trial.epochs}" if trial.best_epoch else f"{trial.epochs}"
    return {
        "number": trial.number,
        "mark": "◆" if best else "▫" if trial.role == "default" else "",
        "word": "best trial" if best else "default" if trial.role == "default" else "",
        "state": trial.state,
        "loss": cell("–" if loss is None else f"{loss:.4f}", loss),
        "accuracy": cell("–" if accuracy is None else f"{accuracy:.3f}", accuracy),
        "values": [
            cell(
                value_label(trial.values[setting.key]) if setting.key in trial.values else "–",
                trial.values.get(setting.key),
            )
            for setting in keys
        ],
        "epochs": cell(epochs, trial.best_epoch or trial.epochs),
        "seconds": cell("–" if trial.seconds is None else f"{trial.seconds:.1f}", trial.seconds),
        "why": trial.why,
    }
