"""Where the test result of a served model is: with its run, in an exported file's card, or in an evaluation of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.runs import ForeignRun, Run
from coverslip.inference.predictor import Predictor


def test_of(predictor: Predictor, run: Run, evaluation: str | Path | None = None) -> dict[str, Any]:
    """What ``test.json`` holds of a model; an empty mapping where nobody tested it, or the result is not there.

    Args:
        predictor: the model.
        run: where it is.
        evaluation: a folder that ``coverslip evaluate`` wrote of it, which then counts instead of the run's own test.

    Raises:
        UserError: the evaluation is not there, of another model, or of images that this one was trained on.
    """
    if evaluation is not None:
        return _evaluated(predictor, Run(evaluation))
    if run.test_file.is_file():
        return run.known(run.test_file)
    return _of_card(run.known(run.model_file)) if isinstance(run, ForeignRun) else {}


def _evaluated(predictor: Predictor, there: Run) -> dict[str, Any]:
    folder = str(there.folder)
    if not there.test_file.is_file():
        raise UserError(f"{folder!r} holds no test result", "name a folder that 'coverslip evaluate' wrote")
    found = there.read_json(there.test_file)
    if found.get("model") != predictor.key:
        raise UserError(
            f"what {folder!r} holds was not measured with this model, as it is now",
            "evaluate this one: coverslip evaluate MODEL FOLDER, and name what that wrote",
        )
    seen, images = found.get("seen"), found.get("images")
    if isinstance(seen, int) and seen > 0:
        raise UserError(
            f"{seen:,} of the {images:,} images of {folder!r} trained this model, so its scores flatter it",
            "evaluate it on others: coverslip evaluate MODEL FOLDER, or leave --tested out",
        )
    return found


def _of_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """What `coverslip export` wrote of the run's test beside its file."""
    told = card.get("run")
    run: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    scores = run.get("scores")
    accuracy = scores.get("accuracy") if isinstance(scores, Mapping) else None
    if not isinstance(accuracy, Mapping) or not isinstance(accuracy.get("images"), int):
        return {}
    exact = "what is said of its test was measured of the run in full precision, not of this file"
    return {
        "scores": scores,
        "images": accuracy["images"],
        "groups": accuracy.get("groups"),
        "grouped": bool(run.get("grouped")) and isinstance(accuracy.get("groups"), int),
        "threshold": card.get("threshold"),
        "warnings": [exact] if card.get("quantized") else [],
    }
