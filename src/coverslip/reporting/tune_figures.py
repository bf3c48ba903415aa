"""The sections of a study's page that are figures, each with one plain sentence of what it shows."""

from __future__ import annotations

from typing import Any

from coverslip.figures.tuning import Setting, best_of, trial_svg, value_label
from coverslip.figures.tuning_history import curves_figure, history_figure
from coverslip.figures.tuning_map import rate_batch_map, sorted_values
from coverslip.figures.tuning_pairs import contour_figure
from coverslip.figures.tuning_settings import ImportanceRow, importance_figure, parallel_figure, slices_figure
from coverslip.figures.tuning_steps import step_figure
from coverslip.figures.tuning_sweeps import MOST_LINES, sweep_curves
from coverslip.reporting.tune_files import StudyFiles, loss_limits
from coverslip.reporting.tune_words import whole_sentence

Section = dict[str, Any]
MOST_SLICES, MOST_AXES = 12, 8
MOST_CELLS = 24  # values of one setting in a map
PANELS = 24
FEWEST_FOR_SLICES, FEWEST_FOR_PAIRS = 4, 6  # trials with a loss


def history_section(files: StudyFiles) -> Section:
    """What each trial reached, in order."""
    svg = trial_svg(
        history_figure(files.trials, chance=files.chance), "history", label="The log loss of each trial in order"
    )
    return {"svg": svg}


def curves_section(files: StudyFiles) -> Section:
    """How each trial got there."""
    svg = trial_svg(
        curves_figure(files.trials, files.curves, chance=files.chance),
        "curves",
        label="The log loss of each trial by epoch",
    )
    return {"svg": svg, "pruned": any(each.state == "pruned" for each in files.trials)}


def importance_section(files: StudyFiles) -> Section | None:
    """Which settings mattered."""
    told = [each for each in files.told.get("importance") or [] if each.get("value") is not None]
    told.sort(key=lambda each: -each["value"])
    if len(told) < 2:
        return None
    rows = [
        ImportanceRow(files.setting(each["key"]).title, each["value"], each.get("low"), each.get("high"))
        for each in told
    ]
    clear = [row.name for row in rows if row.low is not None and row.low > 0.05]
    names = f"{', '.join(clear[:-1])} and {clear[-1]}" if len(clear) > 1 else clear[0] if clear else ""
    says = f"The loss depended on {names}." if names else "No setting clearly mattered on its own."
    rest = 1 - sum(row.value for row in rows)
    return {
        "svg": trial_svg(importance_figure(rows), "importance", label="Importance of each setting, with intervals"),
        "says": says,
        "rest": f"{rest:.2f}" if rest >= 0.05 else "",
    }


def slices_section(files: StudyFiles) -> Section | None:
    """The loss against each setting."""
    settings = _by_importance(files)[:MOST_SLICES]
    if not settings or _measured(files) < FEWEST_FOR_SLICES:
        return None
    figure = slices_figure(files.trials, settings, chance=files.chance)
    return {
        "svg": trial_svg(figure, "slices", label="The log loss against each setting"),
        "left_out": len(files.varied) - len(settings),
        "alone": len(settings) == 1,
        "title": f"The loss against the {settings[0].title}" if len(settings) == 1 else "",
    }


def contour_section(files: StudyFiles) -> Section | None:
    """The two settings that matter most, together."""
    settings = [each for each in _by_importance(files) if len(sorted_values(files.trials, each.key)) > 1]
    if len(settings) < 2 or best_of(files.trials) is None or _measured(files) < FEWEST_FOR_PAIRS:
        return None
    first, second = settings[:2]
    figure = contour_figure(files.trials, first, second, chance=files.chance)
    return {
        "svg": trial_svg(figure, "contour", label=f"The log loss over {first.title} and {second.title}"),
        "first": first.title,
        "second": second.title,
        "surface": any("Contour" in type(each).__name__ for each in figure.axes[0].collections),
    }


def parallel_section(files: StudyFiles) -> Section | None:
    """All settings of a trial at once."""
    settings = _by_importance(files)[:MOST_AXES]
    if len(settings) < 3 or _measured(files) < FEWEST_FOR_PAIRS:
        return None
    figure = parallel_figure(files.trials, settings[::-1], chance=files.chance)
    return {
        "svg": trial_svg(figure, "parallel", label="Each trial as a line across all settings to its log loss"),
        "left_out": len(files.varied) - len(settings),
    }


def map_section(files: StudyFiles) -> Section | None:
    """The map of the two settings of a sweep."""
    pair = _pair(files)
    if pair is None:
        return None
    across, down = pair
    figure = rate_batch_map(files.trials, across, down, chance=files.chance)
    others = [each.title for each in files.varied if each not in pair]
    label = f"The log loss of each pair of {across.title} and {down.title}"
    return {"svg": trial_svg(figure, "map", label=label), "across": across.title, "down": down.title, "others": others}


def sweep_section(files: StudyFiles) -> Section | None:
    """The curves of every value."""
    if not files.varied or not files.curves:
        return None
    values = {each.key: sorted_values(files.trials, each.key) for each in files.varied}
    by = max(files.varied, key=lambda each: len(values[each.key]))
    rest = [each for each in files.varied if each != by and len(values[each.key]) <= MOST_LINES]
    within = rest[0] if rest else None
    figure = sweep_curves(files.trials, files.curves, by, within, chance=files.chance, most=PANELS)
    count = len(values[by.key])
    return {
        "svg": trial_svg(figure, "sweep", label=f"The log loss by epoch for each {by.title}"),
        "by": by.title,
        "within": within.title if within else "",
        "left_out": count - PANELS if count > PANELS else 0,
    }


def steps_section(files: StudyFiles) -> Section | None:
    """One setting after another, each with its plot and what it decided."""
    told = files.told.get("steps") or []
    if not told:
        return None
    limits = loss_limits(files)
    steps = []
    for place, each in enumerate(told):
        setting = files.setting(str(each.get("key")))
        rows = [files.trial(int(number)) for number in each.get("numbers") or []]
        some = [row for row in rows if row is not None]
        figure = step_figure(some, files.curves, setting, chosen=each.get("chosen"), limits=limits, chance=files.chance)
        chosen = each.get("chosen")
        steps.append(
            {
                "name": setting.title,
                "svg": trial_svg(figure, f"step{place}", label=f"The log loss of each {setting.title}"),
                "sentence": whole_sentence(str(each["sentence"])) if each.get("sentence") else "",
                "chosen": "" if chosen is None else value_label(chosen),
            }
        )
    return {"steps": steps, "limits": bool(limits)}


def _measured(files: StudyFiles) -> int:
    return sum(each.loss is not None for each in files.trials)


def _by_importance(files: StudyFiles) -> list[Setting]:
    order = [str(each["key"]) for each in sorted(files.told.get("importance") or [], key=lambda x: -(x["value"] or 0))]
    return sorted(files.varied, key=lambda each: order.index(each.key) if each.key in order else len(order))


def _pair(files: StudyFiles) -> tuple[Setting, Setting] | None:
    """The settings of a map's columns and rows: rate and batch size where they are, else those of most values."""
    several = [each for each in files.varied if 1 < len(sorted_values(files.trials, each.key)) <= MOST_CELLS]
    if len(several) < 2:
        return None
    several.sort(key=lambda each: each.key not in ("training.lr", "training.batch_size"))
    first, second = several[:2]
    longer = len(sorted_values(files.trials, second.key)) > len(sorted_values(files.trials, first.key))
    return (second, first) if longer else (first, second)
