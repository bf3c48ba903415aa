"""Train and calibrate a model on the train and validation set; the test set is not used.

All depths share one mechanism: the layers before the freeze point are computed once and cached, the layers after it
are trained. With the freeze point at the classifier a linear head is fitted; anywhere else the training loop runs.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.progress import Progress
from coverslip.core.runs import Run
from coverslip.core.storage import digest
from coverslip.data.agreement import formats_of
from coverslip.data.cache import PixelCache
from coverslip.data.table import ImageTable
from coverslip.evidence.familiarity import MAX_REFERENCE
from coverslip.evidence.recalibration import fit_temperature
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.predictor import Predictor
from coverslip.models.catalog import network_entry
from coverslip.models.freeze import frozen_stages
from coverslip.models.user_network import USER_NETWORK
from coverslip.pipeline.calibrate import with_threshold, with_trust
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import fitted_spec, open_extractor
from coverslip.pipeline.resolve import is_pretrained, network_design, trained_from, uses_exact_head
from coverslip.pipeline.training_data import PreparedTraining, class_ids, prepare_training, training_rows
from coverslip.tasks.classification import Classification
from coverslip.training.fine_tuning import TrainedStages, train_from_stage
from coverslip.training.heads import fit_head


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Out-of-sample predictions: each by a model fitted without the image and without its group.

    Attributes:
        rows: N rows of the table.
        probabilities: shape (N, K).
    """

    rows: list[int]
    probabilities: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FitResult:
    """A trained model with the records of its training.

    Attributes:
        predictor: the calibrated model.
        history: a row per optimizer step for a head, a row per epoch for other depths.
        held_out: out-of-sample predictions, from which label errors are estimated.
        penalties: cross-fitted log loss of each L2 penalty of a head; None for other depths.
        l2: L2 penalty of the head; 0 for other depths.
        computed: number of views passed through frozen layers, in addition to those that the predictor counts.
    """

    predictor: Predictor
    history: pl.DataFrame
    held_out: HeldOut
    penalties: pl.DataFrame | None = None
    l2: float = 0.0
    computed: int = 0


def fit(config: RunConfig, table: ImageTable, pixels: PixelCache, folder: Run, log: Progress) -> FitResult:
    """Train to the depth of a resolved config, and calibrate on the validation set.

    Raises:
        UserError: see `coverslip.training.fine_tuning.train_from_stage`.
    """
    channels = pixels.format.channels
    if is_pretrained(config) and channels == 1:
        log.note("the network was pretrained on color images; its first layer is adapted to grey images")
    elif is_pretrained(config) and channels != 3:
        log.note(f"the network was pretrained on color images; its first layer is adapted to {channels} channels")
    if uses_exact_head(config):
        return _fit_head(config, table, pixels, log)
    return _fine_tune(config, table, pixels, folder, log)


def delete_checkpoints(folder: Run) -> None:
    """Delete the checkpoints of a run whose model is saved."""
    shutil.rmtree(folder.checkpoints_folder, ignore_errors=True)


def _fit_head(config: RunConfig, table: ImageTable, pixels: PixelCache, log: Progress) -> FitResult:
    extractor = open_extractor(config, table, pixels)
    keys = pixels.facts["row_hash"].to_list()
    train, validation = training_rows(config, table)
    views = config.model.views
    features = extractor.extract(pixels.pixels, train, keys, views, log, "computing features")
    held = None
    if validation:
        held = extractor.extract(pixels.pixels, validation, keys, 1, log, "computing validation features")
    head = fit_head(
        features,
        table.labels(train),
        table.groups(train),
        len(table.classes),
        views=views,
        validation=None if held is None else (held, table.labels(validation)),
        l2_values=config.head.l2_values,
        folds=config.head.folds,
        seed=config.training.seed,
        progress=log,
    )
    about = {**_model_facts(config, table, pixels, train), "l2": head.l2}
    task = Classification(table.classes, head.temperature)
    design = network_design(config, extractor.spec.channels)
    predictor = Predictor(design, extractor, head.weight, head.bias, task, about, _known_hashes(table, keys))
    held_out = HeldOut(train, task.probabilities(head.held_out_logits))
    if held is None:
        log.note(
            "note: with --refit no images are left for calibration, so the model has no prediction sets and no "
            "familiarity check"
        )
        predictor = with_threshold(config, table, predictor, [], calibrated=None, log=log)
        return FitResult(predictor, head.history, held_out, head.penalties, head.l2)
    calibrated = predictor.probabilities(held)
    predictor = with_trust(config, table, predictor, train, features[: len(train)], validation, held, calibrated)
    predictor = with_threshold(config, table, predictor, validation, calibrated=calibrated, log=log)
    held_out = HeldOut(train + validation, np.concatenate([held_out.probabilities, calibrated]))
    return FitResult(predictor, head.history, held_out, head.penalties, head.l2)


def _fine_tune(config: RunConfig, table: ImageTable, pixels: PixelCache, folder: Run, log: Progress) -> FitResult:
    prepared = prepare_training(config, table, pixels, log)
    keys = pixels.facts["row_hash"].to_list()
    part = train_from_stage(
        prepared.design,
        prepared.weights,
        prepared.stage,
        prepared.inputs,
        class_ids(table, prepared.train),
        len(table.classes),
        config.training,
        fold=config.model.fold,
        validation=(prepared.selection_inputs, class_ids(table, prepared.selection)) if prepared.selection else None,
        mix=prepared.mix,
        checkpoint=folder.checkpoints_folder,
        identity={
            "images, in their order": digest("train", [keys[row] for row in prepared.train + prepared.selection])
        },
        progress=log,
    )
    return _calibrated(config, table, pixels, part, prepared, log)


def _calibrated(
    config: RunConfig,
    table: ImageTable,
    pixels: PixelCache,
    part: TrainedStages,
    prepared: PreparedTraining,
    log: Progress,
) -> FitResult:
    """Return the calibrated predictor: temperature from the selection half, sets and familiarity from the other."""
    train, selection, calibration, computed = (
        prepared.train,
        prepared.selection,
        prepared.calibration,
        prepared.computed,
    )
    keys = pixels.facts["row_hash"].to_list()
    about = {
        **_model_facts(config, table, pixels, train),
        **_training_facts(config, table, part, selection, calibration),
    }
    design = prepared.design
    extractor = FeatureExtractor(frozen_stages(design, part.weights), fitted_spec(config, table, pixels))
    task = Classification(table.classes)
    predictor = Predictor(design, extractor, part.weight, part.bias, task, about, _known_hashes(table, keys))
    history = part.result.history
    if not calibration:
        log.note("note: no images are left for calibration: no prediction sets, and a temperature of 1")
        predictor = with_threshold(config, table, predictor, [], calibrated=None, log=log)
        return FitResult(predictor, history, HeldOut([], np.zeros((0, len(table.classes)))), computed=computed)
    held = extractor.extract(pixels.pixels, selection + calibration, keys, 1, log, "computing validation features")
    if selection:
        scores = predictor.logits(held[: len(selection)])
        temperature = fit_temperature(scores, class_ids(table, selection), table.groups(selection))
        predictor = replace(predictor, task=Classification(table.classes, temperature))
    probabilities = predictor.probabilities(held)
    # Familiarity compares with the nearest training images: an evenly spaced subset keeps model and search small.
    references = train if len(train) <= MAX_REFERENCE else train[:: -(-len(train) // MAX_REFERENCE)]
    features = extractor.extract(pixels.pixels, references, keys, 1, log, "computing training features")
    calibrated = probabilities[len(selection) :]
    held = held[len(selection) :]
    predictor = with_trust(config, table, predictor, references, features, calibration, held, calibrated)
    predictor = with_threshold(config, table, predictor, calibration, calibrated=calibrated, log=log)
    return FitResult(predictor, history, HeldOut(selection + calibration, probabilities), computed=computed)


def _model_facts(config: RunConfig, table: ImageTable, pixels: PixelCache, train: list[int]) -> dict[str, Any]:
    entry = network_entry(config.model.network)
    return {
        "depth": config.model.depth,
        "trained_on": {"images": len(train), "groups": len(set(table.groups(train)))},
        "images": formats_of(pixels.facts[train]).to_json(),
        "assumes": _class_fractions(table, train),
        "origin": f"the file {Path(config.model.weights).name}" if config.model.weights else entry.origin,
    }


def _training_facts(
    config: RunConfig, table: ImageTable, part: TrainedStages, selection: list[int], calibration: list[int]
) -> dict[str, Any]:
    def count(rows: list[int]) -> dict[str, int]:
        return {"images": len(rows), "groups": len(set(table.groups(rows)))}

    user_network = config.model.network.startswith(USER_NETWORK)
    return {
        "stage": trained_from(config),
        "from_scratch": not is_pretrained(config) and not user_network,
        "own": user_network,
        "epochs": part.result.history.height,
        "best_epoch": part.result.best_epoch,
        "stopped": part.result.stopped,
        "precision": part.result.precision,
        "validation_roles": {"choose": count(selection), "calibrate": count(calibration)},
    }


def _known_hashes(table: ImageTable, keys: list[str]) -> frozenset[str]:
    """Return the content hashes of all training and validation images."""
    return frozenset(keys[row] for row in table.rows("train") + table.rows("validation"))


def _class_fractions(table: ImageTable, rows: list[int]) -> dict[str, float]:
    """Return the fraction of each class in the training set: the prior that the probabilities assume."""
    counts = np.bincount(table.labels(rows), minlength=len(table.classes))
    fractions = zip(table.classes, counts / counts.sum(), strict=True)
    return {name: round(float(fraction), 6) for name, fraction in fractions}
