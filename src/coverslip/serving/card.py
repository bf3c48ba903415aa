"""Describe a served model, from the files of its run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Literal

from coverslip._version import __version__
from coverslip.core.runs import OnnxRun, Run
from coverslip.evidence.score_specs import score_spec
from coverslip.evidence.threshold import BALANCED, SENSITIVITY, SPECIFICITY, Threshold
from coverslip.inference.predictor import Predictor
from coverslip.serving.limits import Limits
from coverslip.serving.schemas import (
    Interval,
    Model,
    NamedScore,
    OperatingPoint,
    RequestLimits,
    TargetRange,
    TestedOn,
    TrainedOn,
)
from coverslip.tasks import Multilabel, Regression, Task
from coverslip.tasks.class_task import ClassTask
from coverslip.tasks.task import unsupported_task


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
    """Return the response of ``GET /v1/model``. A run with missing files is served; warnings state what is missing.

    Args:
        predictor: the trained model.
        run: folder of the run.
        limits: limits of a request.
        test: test result, see `coverslip.serving.evaluation.find_test_result`.
        maps: whether heat maps are available.
        examples: whether thumbnails of training images are available.
        keeps: whether the server stores images.
        warnings: further warnings for users.
    """
    audit = run.json_or_empty(run.audit_file)
    all_warnings = [*warnings, *predictor.notes]
    tested, scores = _tested_on(test), test.get("scores")
    shown = next((name for name in predictor.task.shown if isinstance(scores, dict) and name in scores), "")
    score = _named_score(shown, scores[shown]) if isinstance(scores, dict) and shown else None
    if tested is None:
        all_warnings.insert(
            0, "this model was not tested, or its test result is missing: do not rely on its predictions"
        )
    all_warnings += [str(warning) for warning in test.get("warnings") or []]
    trust, task = predictor.trust, predictor.task
    facts = _task_facts(task, test)
    all_warnings += facts.pop("warnings")
    if trust.familiarity is not None and trust.familiarity.approximate:
        all_warnings.append(
            f"the familiarity threshold was calibrated on only {trust.familiarity.calibrated_on:,} images or groups: "
            f"about 1 in {round(1 / trust.familiarity.false_alarm_rate):,} familiar images is flagged as unfamiliar"
        )
    metadata = predictor.metadata
    return Model(
        name=run.folder.resolve().name,
        network=predictor.design.network,
        trained_on=_trained_on(metadata.get("trained_on"), audit),
        tested_on=tested,
        score=score,
        familiarity=trust.familiarity is not None,
        maps=maps,
        examples=examples,
        keeps=keeps,
        limits=RequestLimits(bytes=limits.bytes, images=limits.images, pixels=limits.pixels),
        licence=str(metadata.get("licence") or metadata.get("origin") or "not known"),
        program=f"coverslip {__version__}",
        date=None if isinstance(run, OnnxRun) else _date(run),  # the date of a copied ONNX file has no meaning
        warnings=list(dict.fromkeys(all_warnings)),
        **facts,
    )


def _task_facts(task: Task, test: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Model` that depend on the task, and its ``warnings``.

    Raises:
        UserError: models of the task cannot be served.
    """
    facts: dict[str, Any] = {"task": task.name, "classes": list(task.names), "threshold": None, "warnings": []}
    if isinstance(task, ClassTask):
        facts |= {"calibrated": task.temperature != 1, "threshold": _threshold(task.threshold, test)}
        facts["coverage"] = None if task.sets is None else task.sets.coverage
        return facts | {"warnings": [] if task.sets is None else task.sets.warnings(task.classes)}
    if isinstance(task, Multilabel):
        facts |= {"calibrated": any(each != 1 for each in task.temperatures)}
        facts["thresholds"] = dict(zip(task.classes, task.thresholds, strict=True))
        facts["coverage"] = None if task.sets is None else task.sets.coverage
        return facts | {"warnings": [] if task.sets is None else task.sets.warnings()}
    if isinstance(task, Regression):
        seen = task.seen or ((None, None),) * len(task.targets)
        targets = [
            TargetRange(name=name, low=low, high=high) for name, (low, high) in zip(task.targets, seen, strict=True)
        ]
        coverage = next((each.coverage for each in task.intervals if each is not None), None)
        return facts | {"classes": [], "calibrated": coverage is not None, "coverage": coverage, "targets": targets}
    raise unsupported_task(task, "serve")


def summary_line(model: Model) -> str:
    """Return a description of the model in one line, for the terminal."""
    tested = ""
    if model.score is not None and model.score.value is not None:
        low, high = model.score.low, model.score.high
        interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
        tested = f", {model.score.name} {model.score.value:.3f}{interval}"
    on = "not tested" if model.tested_on is None else f"tested on {model.tested_on.images:,} images{tested}"
    what = {"regression": ", ".join(target.name for target in model.targets), "multilabel": "labels"}
    of = what[model.task] if model.task == "regression" else f"{len(model.classes):,} {what.get(model.task, 'classes')}"
    return f"{model.name}: {model.network}, {of}, {on}"


def _tested_on(test: Mapping[str, Any]) -> TestedOn | None:
    """Return the test set. A run was never trained on its own; an evaluation states how many images were seen."""
    images = test.get("images")
    if not isinstance(images, int):
        return None
    seen = test.get("seen", 0)
    return TestedOn(
        images=images,
        groups=int(test["groups"]) if test.get("grouped") else None,
        seen=seen if isinstance(seen, int) else None,
    )


def _named_score(name: str, score: object) -> NamedScore | None:
    return (
        None
        if not isinstance(score, Mapping)
        else NamedScore(name=name, title=score_spec(name).title, **_interval(score))
    )


def _interval(score: Mapping[str, Any]) -> dict[str, Any]:
    """Return value, interval, level, images and groups of a score; values that are not finite numbers become None."""
    numbers: dict[str, Any] = {
        key: value if isinstance(value := score.get(key), int | float) and math.isfinite(value) else None
        for key in ("value", "low", "high")
    }
    level = score.get("level")
    return numbers | {
        "level": level if isinstance(level, int | float) else 0.95,
        "images": score.get("images"),
        "groups": score.get("groups"),
    }


def _trained_on(content: object, audit: Mapping[str, Any]) -> TrainedOn:
    training_set: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
    images, groups = training_set.get("images"), training_set.get("groups")
    name = PurePath(str(audit.get("source") or "").replace("\\", "/")).name
    grouped = bool(audit.get("grouped_by")) and isinstance(groups, int)
    return TrainedOn(images=images if isinstance(images, int) else 0, groups=groups if grouped else None, name=name)


def _threshold(threshold: Threshold | None, test: Mapping[str, Any]) -> OperatingPoint | None:
    """Return the operating point on the test set if it was tested with this threshold, else the stored one."""
    if threshold is None:
        return None
    used, scores = test.get("threshold"), test.get("scores")
    is_same = isinstance(used, Mapping) and (used.get("class_name"), used.get("value")) == (
        threshold.class_name,
        threshold.value,
    )
    tested = [scores.get(name) for name in (SENSITIVITY, SPECIFICITY)] if isinstance(scores, Mapping) else []
    intervals = [_interval(score) for score in tested if isinstance(score, Mapping)] if is_same else []
    measured_on: Literal["test", "fit", "validation"] | None = "test"
    if len(intervals) < 2 or all(interval["value"] is None for interval in intervals):
        intervals = [_interval(threshold.sensitivity), _interval(threshold.specificity)]
        measured_on = "fit" if threshold.chosen in (SENSITIVITY, SPECIFICITY, BALANCED) else "validation"
        measured_on = None if all(interval["value"] is None for interval in intervals) else measured_on
    return OperatingPoint(
        class_name=threshold.class_name,
        value=threshold.value,
        sensitivity=Interval(**intervals[0]),
        specificity=Interval(**intervals[1]),
        measured_on=measured_on,
    )


def _date(run: Run) -> str | None:
    """Return the date on which the model was written, ISO 8601."""
    try:
        return datetime.fromtimestamp(run.weights_file.stat().st_mtime, UTC).date().isoformat()
    except OSError:
        return None
