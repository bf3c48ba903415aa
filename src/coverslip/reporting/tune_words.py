"""Sentences about a study: its result, its reliability, and its duration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from coverslip.figures.tuning import Setting, TrialRow, value_label
from coverslip.figures.tuning_axes import setting_scale
from coverslip.reporting.tune_files import StudyFiles
from coverslip.reporting.wording import count_text, score_context

KINDS = {
    "search": "a search for better settings",
    "sweep": "a sweep of all values",
    "one-at-a-time": "one setting at a time",
}
EDGE = 0.03  # fraction of a range; a best value this close to an end suggests that the optimum lies beyond
DIVERGED = ("became", "diverged", "nan", "inf")


def headline(files: StudyFiles) -> dict[str, Any]:
    """Return the headline in parts that the page formats: before, value, interval, after; and the following sentences.

    Args:
        files: the study's files.
    """
    summary = files.summary
    best, selection, default = (summary.get(name) or {} for name in ("best", "luck", "default"))
    counts = summary.get("trials") or {}
    trials = int(selection.get("trials") or counts.get("finished") or len(files.trials))
    corrected, apparent = (score_context(score) for score in (selection.get("corrected"), best.get("accuracy")))
    number = best.get("number")
    if number is None:
        return {"plain": _without_best(files), "rest": _advice(files)}
    rest = []
    stepped = files.kind == "one-at-a-time"
    among = f"{trials:,} finished" if len(files.trials) > trials else f"{trials:,}"
    name = f"trial {number}, the best of {among}" if trials > 1 else f"trial {number}, the only one"
    if corrected["number"] is not None and trials > 1:
        parts = {"before": "Expected accuracy on new images:", "after": f"(settings of {name})."}
        if apparent["number"] is not None:
            rest.append(f"On the images used for selection, its accuracy is {apparent['value']}.")
        rest.append(
            f"Selecting the best of {trials:,} trials biases this score upwards; the expected accuracy is corrected "
            f"for this selection bias{_interval_text(corrected)}."
        )
        return {**parts, **_value_and_interval(corrected), "rest": rest}
    if apparent["number"] is None:
        loss = best.get("validation_loss")
        loss_text = f"; its validation log loss is {loss:.3f}" if isinstance(loss, int | float) else ""
        return {"plain": f"The best trial so far is {name}{loss_text}.", "rest": []}
    subject = name if trials > 1 else f"trial {number}, the only finished one"
    subject = f"trial {number}, chosen by the steps" if stepped and not files.running else subject
    before = f"Accuracy of {subject}{', so far' if files.running else ''}:"
    selected = trials > 1 and not stepped
    parts = {"before": before, "after": "on the images used for selection."}
    if selected:
        rest.append("The trial was selected on these images, so this accuracy is optimistic.")
    standard = score_context(default.get("accuracy"))
    if standard["number"] is not None and default.get("number") != number:
        interval = f" {standard['interval']}" if standard["interval"] else ""
        rest.append(f"The accuracy of the default is {standard['value']}{interval}.")
    return {**parts, **_value_and_interval(apparent), "rest": rest}


def _value_and_interval(score: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": score["value"], "interval": score["interval"]}


def _interval_text(score: Mapping[str, Any]) -> str:
    if not score["interval"]:
        return f" (no interval: {score['reason']})"
    over = f" over {count_text(score['groups'], 'group')}" if score["groups"] else ""
    return f" (in brackets: {score['level'] or '95 %'} confidence interval{over})"


def _without_best(files: StudyFiles) -> str:
    if not files.trials:
        return "No trial has started yet."
    failed = sum(trial.state == "failed" for trial in files.trials)
    if failed == len(files.trials):
        return f"All {count_text(failed, 'trial')} failed." if failed > 1 else "The only trial failed."
    if files.running:
        return "No trial has finished yet."
    return f"None of {count_text(len(files.trials), 'trial')} finished."


def _advice(files: StudyFiles) -> list[str]:
    """Return the most frequent reason of failure, and what to try first."""
    reasons = Counter(trial.why for trial in files.trials if trial.state == "failed" and trial.why)
    if not reasons or files.running:
        return []
    why, count = reasons.most_common(1)[0]
    lines = [f"Most frequent reason: {why} ({count_text(count, 'trial')})."]
    if any(word in why.lower() for word in DIVERGED):
        lines.append("First try a learning rate that is ten to a thousand times lower.")
    return lines


def sentences(files: StudyFiles) -> list[str]:
    """Return the conclusions about the best trial as sentences, the most important first."""
    summary = files.summary
    texts = [(summary.get(name) or {}).get("sentence") for name in ("compared", "luck", "nested", "repeats")]
    return [as_sentence(str(text)) for text in texts if text]


def as_sentence(text: str) -> str:
    """Return the text with a capital letter, a full stop, and minus signs instead of hyphens.

    >>> as_sentence("trial 3 is better: +0.1 [-0.01, +0.2]")
    'Trial 3 is better: +0.1 [−0.01, +0.2].'
    """
    text = text.strip().replace("[-", "[−").replace(" -0", " −0").replace(" -1", " −1")
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def edges(files: StudyFiles) -> list[str]:
    """Return a warning for every best value at an end of its range, since a better value may lie beyond."""
    best = files.trial(int((files.summary.get("best") or {}).get("number", -1)))
    warnings = []
    for setting in files.varied if best is not None and len(files.trials) > 2 else ():
        end = _edge(setting, best, files.trials) if best is not None else ""
        if end and best is not None:
            value = value_label(best.values[setting.key])
            warnings.append(
                f"The best {setting.title}, {value}, is at the {end} end of the range: a better value may lie beyond."
            )
    return warnings


def _edge(setting: Setting, best: TrialRow, trials: Sequence[TrialRow]) -> str:
    """Return "lower", "upper" or ""; an end at 0 does not count, since nothing lies beyond it."""
    value = best.values.get(setting.key)
    tried = sorted({float(trial.values[setting.key]) for trial in trials if _is_number(trial.values.get(setting.key))})
    if not _is_number(value) or value is None or len(tried) < 3:
        return ""
    axis = setting_scale(setting, trials)
    if axis.choices or setting.choices:
        at, last = tried.index(float(value)), len(tried) - 1
        return "lower" if at == 0 and value != 0 else "upper" if at == last else ""
    unit = axis.unit(value)
    return "lower" if unit < EDGE and axis.low != 0 else "upper" if unit > 1 - EDGE else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def time_text(seconds: float | None) -> str:
    """Return a duration for readers.

    >>> [time_text(seconds) for seconds in (0.4, 12, 250, 4000, 200000, None)]
    ['under 1 s', '12 s', '4 min 10 s', '1 h 6 min', '55 h 33 min', '']
    """
    if seconds is None or not math.isfinite(seconds):
        return ""
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
