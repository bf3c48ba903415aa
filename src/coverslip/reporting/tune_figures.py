"""Sections of a study's page with figures."""

from __future__ import annotations

from typing import Any

from coverslip.figures.tuning import Setting, best_trial, trial_svg, value_label
from coverslip.figures.tuning_history import curves_figure, history_figure
from coverslip.figures.tuning_map import lr_batch_map, sorted_values
from coverslip.figures.tuning_pairs import contour_figure
from coverslip.figures.tuning_settings import ImportanceRow, importance_figure, parallel_figure, slices_figure
from coverslip.figures.tuning_steps import step_figure
from coverslip.figures.tuning_sweeps import MAX_LINES, sweep_curves
from coverslip.reporting.tune_files import StudyFiles, loss_intervals
from coverslip.reporting.tune_words import as_sentence

Section = dict[str, Any]
MAX_SLICES, MAX_AXES = 12, 8
MAX_CELLS = 24  # values of one setting in a map
MAX_PANELS = 24
MIN_FOR_SLICES, MIN_FOR_PAIRS = 4, 6  # trials with a loss


def history_section(files: StudyFiles) -> Section:
    """Return the loss of each trial in order."""
    svg = trial_svg(
        history_figure(files.trials, chance=files.chance), "history", label="The log loss of each trial in order"
    )
    return {"svg": svg}


def curves_section(files: StudyFiles) -> Section:
    """Return the learning curve of each trial."""
    svg = trial_svg(
        curves_figure(files.trials, files.curves, chance=files.chance),
        "curves",
        label="The log loss of each trial by epoch",
    )
    return {"svg": svg, "pruned": any(trial.state == "pruned" for trial in files.trials)}


def importance_section(files: StudyFiles) -> Section | None:
    """Return the importance of the settings; None with fewer than two."""
    importance = [row for row in files.summary.get("importance") or [] if row.get("value") is not None]
    importance.sort(key=lambda row: -row["value"])
    if len(importance) < 2:
        return None
    rows = [
        ImportanceRow(files.setting(row["key"]).title, row["value"], row.get("low"), row.get("high"))
        for row in importance
    ]
    clear = [row.name for row in rows if row.low is not None and row.low > 0.05]
    names = f"{', '.join(clear[:-1])} and {clear[-1]}" if len(clear) > 1 else clear[0] if clear else ""
    says = f"The loss depended on {names}." if names else "No setting had a clear effect on its own."
    rest = 1 - sum(row.value for row in rows)
    return {
        "svg": trial_svg(importance_figure(rows), "importance", label="Importance of each setting, with intervals"),
        "says": says,
        "rest": f"{rest:.2f}" if rest >= 0.05 else "",
    }


def slices_section(files: StudyFiles) -> Section | None:
    """Return the loss by setting; None with too few trials."""
    settings = _by_importance(files)[:MAX_SLICES]
    if not settings or _measured(files) < MIN_FOR_SLICES:
        return None
    figure = slices_figure(files.trials, settings, chance=files.chance)
    return {
        "svg": trial_svg(figure, "slices", label="The log loss against each setting"),
        "left_out": len(files.varied) - len(settings),
        "alone": len(settings) == 1,
        "title": f"Loss by {settings[0].title}" if len(settings) == 1 else "",
    }


def contour_section(files: StudyFiles) -> Section | None:
    """Return the loss over the two most important settings; None with too few trials."""
    settings = [setting for setting in _by_importance(files) if len(sorted_values(files.trials, setting.key)) > 1]
    if len(settings) < 2 or best_trial(files.trials) is None or _measured(files) < MIN_FOR_PAIRS:
        return None
    first, second = settings[:2]
    figure = contour_figure(files.trials, first, second, chance=files.chance)
    return {
        "svg": trial_svg(figure, "contour", label=f"The log loss over {first.title} and {second.title}"),
        "first": first.title,
        "second": second.title,
        "surface": any("Contour" in type(artist).__name__ for artist in figure.axes[0].collections),
    }


def parallel_section(files: StudyFiles) -> Section | None:
    """Return the parallel coordinates of all settings; None with fewer than three settings or too few trials."""
    settings = _by_importance(files)[:MAX_AXES]
    if len(settings) < 3 or _measured(files) < MIN_FOR_PAIRS:
        return None
    figure = parallel_figure(files.trials, settings[::-1], chance=files.chance)
    return {
        "svg": trial_svg(figure, "parallel", label="Each trial as a line across all settings to its log loss"),
        "left_out": len(files.varied) - len(settings),
    }


def map_section(files: StudyFiles) -> Section | None:
    """Return the map of the two settings of a sweep; None if fewer than two settings vary."""
    pair = _pair(files)
    if pair is None:
        return None
    across, down = pair
    figure = lr_batch_map(files.trials, across, down, chance=files.chance)
    others = [setting.title for setting in files.varied if setting not in pair]
    label = f"The log loss of each pair of {across.title} and {down.title}"
    return {"svg": trial_svg(figure, "map", label=label), "across": across.title, "down": down.title, "others": others}


def sweep_section(files: StudyFiles) -> Section | None:
    """Return the learning curves of every value; None without curves."""
    if not files.varied or not files.curves:
        return None
    values = {setting.key: sorted_values(files.trials, setting.key) for setting in files.varied}
    by = max(files.varied, key=lambda setting: len(values[setting.key]))
    rest = [setting for setting in files.varied if setting != by and len(values[setting.key]) <= MAX_LINES]
    within = rest[0] if rest else None
    figure = sweep_curves(files.trials, files.curves, by, within, chance=files.chance, most=MAX_PANELS)
    count = len(values[by.key])
    return {
        "svg": trial_svg(figure, "sweep", label=f"The log loss by epoch for each {by.title}"),
        "by": by.title,
        "within": within.title if within else "",
        "left_out": count - MAX_PANELS if count > MAX_PANELS else 0,
    }


def steps_section(files: StudyFiles) -> Section | None:
    """Return the steps of a one-at-a-time study, each with its figure and its decision; None without steps."""
    decisions = files.summary.get("steps") or []
    if not decisions:
        return None
    intervals = loss_intervals(files)
    steps = []
    for position, step in enumerate(decisions):
        setting = files.setting(str(step.get("key")))
        rows = [files.trial(int(number)) for number in step.get("numbers") or []]
        trials = [row for row in rows if row is not None]
        chosen = step.get("chosen")
        figure = step_figure(trials, files.curves, setting, chosen=chosen, intervals=intervals, chance=files.chance)
        steps.append(
            {
                "name": setting.title,
                "svg": trial_svg(figure, f"step{position}", label=f"The log loss of each {setting.title}"),
                "sentence": as_sentence(str(step["sentence"])) if step.get("sentence") else "",
                "chosen": "" if chosen is None else value_label(chosen),
            }
        )
    return {"steps": steps, "limits": bool(intervals)}


def _measured(files: StudyFiles) -> int:
    return sum(trial.loss is not None for trial in files.trials)


def _by_importance(files: StudyFiles) -> list[Setting]:
    rows = sorted(files.summary.get("importance") or [], key=lambda row: -(row["value"] or 0))
    order = [str(row["key"]) for row in rows]
    return sorted(files.varied, key=lambda setting: order.index(setting.key) if setting.key in order else len(order))


def _pair(files: StudyFiles) -> tuple[Setting, Setting] | None:
    """Return the settings of a map's columns and rows: learning rate and batch size if they vary, else the first."""
    candidates = [setting for setting in files.varied if 1 < len(sorted_values(files.trials, setting.key)) <= MAX_CELLS]
    if len(candidates) < 2:
        return None
    candidates.sort(key=lambda setting: setting.key not in ("training.lr", "training.batch_size"))
    first, second = candidates[:2]
    longer = len(sorted_values(files.trials, second.key)) > len(sorted_values(files.trials, first.key))
    return (second, first) if longer else (first, second)
