"""Find the test result of a served model: of its run, in an exported file's card, or of a separate evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.runs import OnnxRun, Run
from coverslip.inference.predictor import Predictor


def find_test_result(predictor: Predictor, run: Run, evaluation: str | Path | None = None) -> dict[str, Any]:
    """Return the content of ``test.json`` for a model; an empty dictionary if the model was not tested.

    Args:
        predictor: the model.
        run: folder of the model.
        evaluation: folder written by ``coverslip evaluate`` for this model; used instead of the run's own test result.

    Raises:
        UserError: the evaluation does not exist, belongs to another model, or used training images of this one.
    """
    if evaluation is not None:
        return _read_evaluation(predictor, Run(evaluation))
    if run.test_file.is_file():
        return run.json_or_empty(run.test_file)
    return _from_card(run.json_or_empty(run.model_file)) if isinstance(run, OnnxRun) else {}


def _read_evaluation(predictor: Predictor, evaluation: Run) -> dict[str, Any]:
    folder = str(evaluation.folder)
    if not evaluation.test_file.is_file():
        raise UserError(f"{folder!r} contains no test result", "give a folder written by 'coverslip evaluate'")
    test = evaluation.read_json(evaluation.test_file)
    if test.get("model") != predictor.key:
        raise UserError(
            f"the test result in {folder!r} was measured with another model, or with an earlier version of this one",
            "run coverslip evaluate MODEL FOLDER with this model, and give the folder that it writes",
        )
    seen, images = test.get("seen"), test.get("images")
    if isinstance(seen, int) and seen > 0:
        raise UserError(
            f"the model was trained on {seen:,} of the {images:,} images of {folder!r}, so its scores are optimistic",
            "evaluate it on other images with coverslip evaluate MODEL FOLDER, or omit --tested",
        )
    return test


def _from_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the test result of the run from the ``model.json`` of an exported file."""
    content = card.get("run")
    run: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
    scores = run.get("scores")
    accuracy = scores.get("accuracy") if isinstance(scores, Mapping) else None
    if not isinstance(accuracy, Mapping) or not isinstance(accuracy.get("images"), int):
        return {}
    note = "the test result was measured with the run in full precision, not with this quantized file"
    return {
        "scores": scores,
        "images": accuracy["images"],
        "groups": accuracy.get("groups"),
        "grouped": bool(run.get("grouped")) and isinstance(accuracy.get("groups"), int),
        "threshold": card.get("threshold"),
        "warnings": [note] if card.get("quantized") else [],
    }
