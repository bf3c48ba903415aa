"""A study in plain words: its result, how far that can be believed, and what it took."""

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
    "sweep": "a sweep: every value tried",
    "one-at-a-time": "one setting after another",
}
EDGE = 0.03  # of a range: a best value so near its end may lie beyond it
DIVERGED = ("became", "diverged", "nan", "inf")


def headline(files: StudyFiles) -> dict[str, Any]:
    """The first sentence, in pieces that the page sets apart: before, number, interval, after; and what follows it."""
    told = files.told
    best, luck, default = (told.get(name) or {} for name in ("best", "luck", "default"))
    counts = told.get("trials") or {}
    trials = int(luck.get("trials") or counts.get("finished") or len(files.trials))
    corrected, seen = (score_context(each) for each in (luck.get("corrected"), best.get("accuracy")))
    number = best.get("number")
    if number is None:
        return {"plain": _without_best(files), "rest": _advice(files)}
    rest = []
    stepped = files.kind == "one-at-a-time"
    among = f"{trials:,} finished" if len(files.trials) > trials else f"{trials:,}"
    of = f"trial {number}, the best of {among}" if trials > 1 else f"trial {number}, the only one"
    if corrected["number"] is not None and trials > 1:
        parts = {"before": "Expect", "after": f"of new images to be named correctly with the settings of {of}."}
        if seen["number"] is not None:
            rest.append(f"On the images that chose it, it has {seen['value']}.")
        rest.append(
            f"The best of {trials:,} is the best partly by luck, and the number above is corrected for that"
            f"{_interval_words(corrected)}."
        )
        return {**parts, **_pieces(corrected), "rest": rest}
    if seen["number"] is None:
        loss = best.get("validation_loss")
        shown = f"; its validation log loss is {loss:.3f}" if isinstance(loss, int | float) else ""
        return {"plain": f"The best so far is {of}{shown}.", "rest": []}
    subject = of if trials > 1 else "one trial is finished"
    subject = f"trial {number}, to which the steps came" if stepped and not files.running else subject
    subject = f"so far {subject}" if files.running else subject
    before = f"{subject[:1].upper()}{subject[1:]}, {'and ' if trials == 1 else ''}named correctly"
    chose = trials > 1 and not stepped
    parts = {"before": before, "after": "of the images that chose it." if chose else "of the choosing images."}
    if chose:
        rest.append("It was chosen for being right about these very images, so this number flatters it.")
    standard = score_context(default.get("accuracy"))
    if standard["number"] is not None and default.get("number") != number:
        rest.append(f"The default has {standard['value']}{' ' + standard['interval'] if standard['interval'] else ''}.")
    return {**parts, **_pieces(seen), "rest": rest}


def _pieces(score: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": score["value"], "interval": score["interval"]}


def _interval_words(score: Mapping[str, Any]) -> str:
    if not score["interval"]:
        return f"; it has no interval: {score['reason']}"
    on = f" over {count_text(score['groups'], 'group')}" if score["groups"] else ""
    return f"; the range in brackets is its {score['level'] or '95 %'} interval{on}"


def _without_best(files: StudyFiles) -> str:
    if not files.trials:
        return "No trial has begun yet."
    failed = sum(each.state == "failed" for each in files.trials)
    if failed == len(files.trials):
        return f"None of {count_text(failed, 'trial')} came to a number." if failed > 1 else "The only trial failed."
    if files.running:
        return "No trial is finished yet."
    return f"None of {count_text(len(files.trials), 'trial')} was finished."


def _advice(files: StudyFiles) -> list[str]:
    """Why trials failed, and what to try first."""
    reasons = Counter(each.why for each in files.trials if each.state == "failed" and each.why)
    if not reasons or files.running:
        return []
    why, count = reasons.most_common(1)[0]
    said = [f"Most often: {why} ({count_text(count, 'trial')})."]
    if any(word in why.lower() for word in DIVERGED):
        said.append("A learning rate ten to a thousand times lower is the first thing to try.")
    return said


def sentences(files: StudyFiles) -> list[str]:
    """What the study says of its best, the most important first, each a whole sentence."""
    told = files.told
    found = [(told.get(name) or {}).get("sentence") for name in ("compared", "luck", "nested", "repeats")]
    return [whole_sentence(str(each)) for each in found if each]


def whole_sentence(text: str) -> str:
    """With a capital and a full stop, and signs that are not hyphens.

    >>> whole_sentence("trial 3 is better: +0.1 [-0.01, +0.2]")
    'Trial 3 is better: +0.1 [−0.01, +0.2].'
    """
    text = text.strip().replace("[-", "[−").replace(" -0", " −0").replace(" -1", " −1")
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def edges(files: StudyFiles) -> list[str]:
    """The best values that lie at an end of what was searched, beyond which a better one may be."""
    best = files.trial(int((files.told.get("best") or {}).get("number", -1)))
    said = []
    for setting in files.varied if best is not None and len(files.trials) > 2 else ():
        end = _edge(setting, best, files.trials) if best is not None else ""
        if end and best is not None:
            value = value_label(best.values[setting.key])
            said.append(
                f"The best {setting.title}, {value}, is at the {end} end of what was tried: "
                "a better one may lie beyond."
            )
    return said


def _edge(setting: Setting, best: TrialRow, trials: Sequence[TrialRow]) -> str:
    """lower, upper or nothing; an end at 0 is no edge, since nothing lies beyond it."""
    value = best.values.get(setting.key)
    tried = sorted({float(t.values[setting.key]) for t in trials if _is_number(t.values.get(setting.key))})
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
    """A time as people say it.

    >>> [time_text(each) for each in (0.4, 12, 250, 4000, 200000, None)]
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
