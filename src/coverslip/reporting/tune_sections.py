"""The sections of a study's page that are sentences and tables: its state, its best, every trial, how it was done."""

from __future__ import annotations

import math
from typing import Any

from coverslip.figures.tuning import Setting, TrialRow, best_of, trial_svg, value_label
from coverslip.figures.tuning_axes import setting_scale
from coverslip.figures.tuning_steps import expected_figure
from coverslip.reporting.tune_files import StudyFiles
from coverslip.reporting.tune_words import time_text
from coverslip.reporting.wording import count_text, share_text

Section = dict[str, Any]
STATES = ("finished", "pruned", "failed", "running")
MOST_SLICES, MOST_AXES = 12, 8
MOST_CELLS = 24  # values of one setting in a map
PANELS = 24


def state_section(files: StudyFiles) -> Section:
    """How many trials are in which state, of how many planned, and the time."""
    told = files.told.get("trials") or {}
    counts = {state: sum(each.state == state for each in files.trials) for state in STATES}
    planned = max(int(told.get("planned") or 0), len(files.trials), 1)
    parts = [
        {"state": state, "count": counts[state], "share": f"{100 * counts[state] / planned:.3f}"}
        for state in STATES
        if counts[state]
    ]
    open_ = planned - sum(counts.values())
    left = time_text(files.told.get("seconds_left")) if files.running else ""
    return {
        "parts": parts,
        "open": open_ if files.told.get("state") != "finished" else 0,
        "planned": planned,
        "time": time_text(files.told.get("seconds")),
        "left": left,
    }


def expected_section(files: StudyFiles) -> Section | None:
    """What the best is worth, beside what it seemed to be worth, and beside the default."""
    best, default, luck = (files.told.get(name) or {} for name in ("best", "default", "luck"))
    rows = []
    same = best.get("number") == default.get("number")
    stepped = files.kind == "one-at-a-time"
    named = f"trial {best.get('number')}, " + (
        "to which the steps came" if stepped else "as the images say that chose it"
    )
    for name, score, filled in (
        ("the default", default.get("accuracy"), True),
        (
            named,
            None if same else best.get("accuracy"),
            stepped,
        ),
        ("the best, corrected for having been chosen", luck.get("corrected"), True),
    ):
        if score and score.get("value") is not None:
            low, high = (score.get("low"), score.get("high")) if filled else (None, None)
            rows.append((name, score["value"], low, high, filled))
    if len(rows) < 2:
        return None
    svg = trial_svg(expected_figure(rows, title="accuracy"), "expected", label="Accuracies, as in the sentences above")
    chosen = [each for each in luck.get("chosen") or [] if each.get("number") is not None]
    rivals = ""
    if len(chosen) > 1:
        some = [f"trial {each['number']} ({share_text(float(each['share']))})" for each in chosen[:4]]
        rivals = f"Resampled groups of the same images would most often have chosen {', '.join(some)}."
    return {"svg": svg, "rivals": rivals, "open": not all(row[-1] for row in rows)}


def settings_section(files: StudyFiles) -> Section | None:
    """What the best trial set, beside the default, and where in its range."""
    best, default = (files.told.get(name) or {} for name in ("best", "default"))
    values, usual = best.get("values") or {}, default.get("values") or {}
    if not values or (files.running and best.get("number") == default.get("number")):
        return None
    rows = []
    for setting in files.settings:
        if setting.key not in values or values[setting.key] is None:
            continue
        axis = setting_scale(setting, files.trials)
        value, standard = values[setting.key], usual.get(setting.key)
        places = {name: axis.unit(each) for name, each in (("best", value), ("default", standard)) if each is not None}
        names = [value_label(each) for each in axis.choices] if axis.choices else []
        ends = (names[0], names[-1]) if names else (value_label(axis.low), value_label(axis.high))
        rows.append(
            {
                "name": setting.title,
                "key": setting.key,
                "best": value_label(value),
                "default": "–" if standard is None else value_label(standard),
                "same": standard == value,
                "places": {name: f"{100 * place:.2f}" for name, place in places.items() if math.isfinite(place)},
                "marks": [f"{100 * axis.unit(each):.2f}" for each in axis.choices],
                "ends": ends,
                "scale": "log" if axis.log else "",
            }
        )
    return {"rows": rows, "default": bool(usual)}


def table_section(files: StudyFiles) -> Section:
    """Every trial as a row, the best first."""
    keys = [each for each in files.settings if any(each.key in trial.values for trial in files.trials)]
    best = best_of(files.trials)
    order = sorted(
        files.trials, key=lambda each: (STATES.index(each.state) if each.state in STATES else 9, _rank(each))
    )
    return {
        "settings": [(each.title, not isinstance(_example(files, each), str)) for each in keys],
        "rows": [_table_row(each, keys, best is not None and each.number == best.number) for each in order],
        "why": any(each.why for each in files.trials),
    }


def how_section(files: StudyFiles) -> list[tuple[str, str]]:
    """The facts that a reader needs to judge the study."""
    told = files.told
    images = told.get("images") or {}
    choose, groups, train = (images.get(name) for name in ("choose", "groups", "train"))
    rows = [("Network", f"{told.get('network') or '–'}, depth {told.get('depth') or '–'}")]
    if train:
        rows.append(("Trained on", count_text(train, "image")))
    if choose:
        of = f" of {count_text(groups, 'group')}" if groups else ""
        rows.append(("Chosen by", f"{count_text(choose, 'image')}{of}: the choosing half of the validation set"))
    rows.append(("Test part", "not opened. The run that trains the best opens it, once"))
    rows.append(("Compared by", "the log loss of the images that trials are chosen by, at each trial's best epoch"))
    if told.get("seconds"):
        rows.append(("Time", time_text(told["seconds"])))
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
        "word": "the best" if best else "the default" if trial.role == "default" else "",
        "state": trial.state,
        "loss": cell("–" if loss is None else f"{loss:.4f}", loss),
        "accuracy": cell("–" if accuracy is None else f"{accuracy:.3f}", accuracy),
        "values": [
            cell(value_label(trial.values[each.key]) if each.key in trial.values else "–", trial.values.get(each.key))
            for each in keys
        ],
        "epochs": cell(epochs, trial.best_epoch or trial.epochs),
        "seconds": cell("–" if trial.seconds is None else f"{trial.seconds:.1f}", trial.seconds),
        "why": trial.why,
    }
