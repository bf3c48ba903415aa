"""What the model is and what it was tested on, from its run's folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Literal

from coverslip._version import __version__
from coverslip.core.runs import ForeignRun, Run
from coverslip.evidence.threshold import BALANCED, SENSITIVITY, SPECIFICITY, Threshold
from coverslip.inference.predictor import Predictor
from coverslip.serving.limits import Limits
from coverslip.serving.schemas import Bounds, Interval, Model, NamedScore, Operating, TestedOn, TrainedOn

SCORE = "accuracy"


def model_card(
    predictor: Predictor,
    run: Run,
    limits: Limits,
    test: Mapping[str, Any],
    *,
    maps: bool,
    examples: bool,
    keeps: bool = False,
    warnings: list[str],
) -> Model:
    """What ``GET /v1/model`` says; a run of which parts are missing is served, and says what is missing.

    Args:
        predictor: the trained model.
        run: its folder.
        limits: of a request.
        test: see `coverslip.serving.tested.test_of`.
        maps: whether there are maps.
        examples: whether there are thumbnails.
        keeps: whether images are kept.
        warnings: what else its users should know.
    """
    audit = run.known(run.audit_file)
    said = [*warnings, *predictor.notes]
    tested, scores = _part(test), test.get("scores")
    score = _named(scores.get(SCORE)) if isinstance(scores, dict) else None
    if tested is None:
        said.insert(0, "nobody tested this model, or the result is not with it: do not rely on its answers")
    said += [str(each) for each in test.get("warnings") or []]
    trust = predictor.trust
    if trust.thresholds is not None:
        said += trust.thresholds.warnings(predictor.task.classes)
    if trust.familiarity is not None and trust.familiarity.rough:
        said.append(
            f"what is unlike the training images was learned from {trust.familiarity.calibrated_on:,} images or "
            f"groups only: about one like the others in {round(1 / trust.familiarity.rate):,} is flagged too"
        )
    about = predictor.about
    return Model(
        name=run.folder.resolve().name,
        network=predictor.design.network,
        classes=list(predictor.task.classes),
        trained_on=_trained(about.get("trained_on"), audit),
        tested_on=tested,
        score=score,
        calibrated=predictor.task.temperature != 1,
        coverage=None if trust.thresholds is None else trust.thresholds.coverage,
        threshold=_threshold(predictor.threshold, test),
        familiarity=trust.familiarity is not None,
        maps=maps,
        examples=examples,
        keeps=keeps,
        limits=Bounds(bytes=limits.bytes, images=limits.images, pixels=limits.pixels),
        licence=str(about.get("licence") or about.get("origin") or "not known"),
        program=f"coverslip {__version__}",
        date=None if isinstance(run, ForeignRun) else _date(run),  # of a copy it says nothing
        warnings=list(dict.fromkeys(said)),
    )


def in_words(model: Model) -> str:
    """The model in one line, for the terminal."""
    tested = ""
    if model.score is not None and model.score.value is not None:
        low, high = model.score.low, model.score.high
        interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
        tested = f", {model.score.name} {model.score.value:.3f}{interval}"
    on = "not tested" if model.tested_on is None else f"tested on {model.tested_on.images:,} images{tested}"
    return f"{model.name}: {model.network}, {len(model.classes):,} classes, {on}"


def _part(test: Mapping[str, Any]) -> TestedOn | None:
    """Of a run's own test set nothing was trained on; an evaluation says how much was, as far as it can."""
    images = test.get("images")
    if not isinstance(images, int):
        return None
    seen = test.get("seen", 0)
    return TestedOn(
        images=images,
        groups=int(test["groups"]) if test.get("grouped") else None,
        seen=seen if isinstance(seen, int) else None,
    )


def _named(found: object) -> NamedScore | None:
    return None if not isinstance(found, Mapping) else NamedScore(name=SCORE, **_interval(found))


def _interval(found: Mapping[str, Any]) -> dict[str, Any]:
    """Value, limits, level, images and groups of a score; what is no number is null."""
    numbers = {key: found.get(key) for key in ("value", "low", "high")}
    kept: dict[str, Any] = {
        key: value if isinstance(value, int | float) and math.isfinite(value) else None
        for key, value in numbers.items()
    }
    level = found.get("level")
    return kept | {
        "level": level if isinstance(level, int | float) else 0.95,
        "images": found.get("images"),
        "groups": found.get("groups"),
    }


def _trained(found: object, audit: Mapping[str, Any]) -> TrainedOn:
    part: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    images, groups = part.get("images"), part.get("groups")
    name = PurePath(str(audit.get("source") or "").replace("\\", "/")).name
    grouped = bool(audit.get("grouped_by")) and isinstance(groups, int)
    return TrainedOn(images=images if isinstance(images, int) else 0, groups=groups if grouped else None, name=name)


def _threshold(threshold: Threshold | None, test: Mapping[str, Any]) -> Operating | None:
    """What the threshold came to in the test, where the test set was named by it; else what is stored with it."""
    if threshold is None:
        return None
    used, scores = test.get("threshold"), test.get("scores")
    named = isinstance(used, Mapping) and (used.get("class_name"), used.get("value")) == (
        threshold.class_name,
        threshold.value,
    )
    tested = [scores.get(side) for side in (SENSITIVITY, SPECIFICITY)] if isinstance(scores, Mapping) else []
    sides = [_interval(each) for each in tested if isinstance(each, Mapping)] if named else []
    on: Literal["test", "fit", "validation"] | None = "test"
    if len(sides) < 2 or all(each["value"] is None for each in sides):
        sides = [_interval(threshold.sensitivity), _interval(threshold.specificity)]
        on = "fit" if threshold.chosen in (SENSITIVITY, SPECIFICITY, BALANCED) else "validation"
        on = None if all(each["value"] is None for each in sides) else on
    return Operating(
        class_name=threshold.class_name,
        value=threshold.value,
        sensitivity=Interval(**sides[0]),
        specificity=Interval(**sides[1]),
        measured_on=on,
    )


def _date(run: Run) -> str | None:
    """The day on which the model was written."""
    try:
        return datetime.fromtimestamp(run.weights_file.stat().st_mtime, UTC).date().isoformat()
    except OSError:
        return None
