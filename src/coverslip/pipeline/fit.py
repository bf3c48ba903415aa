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
from torch import Tensor

from coverslip.core.progress import Progress
from coverslip.core.runs import Run
from coverslip.core.storage import cache_folder, digest, free_bytes, size_text
from coverslip.data.agreement import formats_of
from coverslip.data.augment import Augmentation
from coverslip.data.cache import PixelCache
from coverslip.data.split import assign_splits
from coverslip.data.table import ImageTable
from coverslip.evidence.familiarity import MAX_REFERENCE
from coverslip.evidence.recalibration import fit_temperature
from coverslip.evidence.threshold import fit_threshold, unmeasured_threshold
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import fit_trust
from coverslip.models.catalog import network_entry
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_stages
from coverslip.models.user_network import USER_NETWORK
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import fitted_spec, open_extractor
from coverslip.pipeline.resolve import (
    initial_weights,
    is_pretrained,
    network_design,
    trained_from,
    uses_exact_head,
)
from coverslip.tasks.classification import Classification
from coverslip.training.batches import Inputs
from coverslip.training.fine_tuning import TrainedStages, train_from_stage
from coverslip.training.heads import fit_head
from coverslip.training.inputs import ActivationInputs, ImageInputs

MIXING = ("mixup", "cutmix")


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
    train, validation, known_hashes = _training_rows(config, table, keys)
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
    predictor = Predictor(design, extractor, head.weight, head.bias, task, about, known_hashes)
    held_out = HeldOut(train, task.probabilities(head.held_out_logits))
    if held is None:
        log.note(
            "note: with --refit no images are left for calibration, so the model has no prediction sets and no "
            "familiarity check"
        )
        predictor = _with_threshold(config, table, predictor, [], calibrated=None, log=log)
        return FitResult(predictor, head.history, held_out, head.penalties, head.l2)
    calibrated = predictor.probabilities(held)
    predictor = _with_trust(config, table, predictor, train, features[: len(train)], validation, held, calibrated)
    predictor = _with_threshold(config, table, predictor, validation, calibrated=calibrated, log=log)
    held_out = HeldOut(train + validation, np.concatenate([held_out.probabilities, calibrated]))
    return FitResult(predictor, head.history, held_out, head.penalties, head.l2)


@dataclass(frozen=True, slots=True)
class PreparedTraining:
    """Everything that training from a stage on needs before its first step.

    Attributes:
        design: the network's design.
        weights: pretrained weights by name; empty for random initialization.
        stage: first trained stage.
        inputs: inputs of that stage for the training images.
        train: rows of the training images.
        selection_inputs: inputs of that stage for the selection half of the validation set.
        selection: rows of the selection half, on which the best epoch and the temperature are chosen.
        calibration: rows of the calibration half, for prediction sets and familiarity.
        mix: mixup and cutmix, or None.
        computed: number of views passed through the frozen layers.
    """

    design: Design
    weights: dict[str, Tensor]
    stage: str
    inputs: Inputs
    train: list[int]
    selection_inputs: Inputs
    selection: list[int]
    calibration: list[int]
    mix: Augmentation | None
    computed: int


def prepare_training(config: RunConfig, table: ImageTable, pixels: PixelCache, log: Progress) -> PreparedTraining:
    """Split the validation set into its halves, and compute the outputs of the frozen layers."""
    keys = pixels.facts["row_hash"].to_list()
    train, validation, _ = _training_rows(config, table, keys)
    selection, calibration = split_validation(table, validation, config.split.seed)
    spec = fitted_spec(config, table, pixels)
    design, stage, seed = network_design(config, spec.channels), trained_from(config), config.training.seed
    weights = initial_weights(config, spec.channels)
    single, mix = _split_augmentation(config.augment or Augmentation())
    inputs: Inputs = ImageInputs(pixels.pixels, train, spec, single, seed)
    selection_inputs: Inputs = ImageInputs(pixels.pixels, selection, spec)
    computed = 0
    if stage != network_entry(design.network).stages(design)[0]:
        extractor = FeatureExtractor(frozen_stages(design, weights, stage), spec, single)
        shape, views = extractor.frozen.shape, config.model.views
        _log_cache_size(extractor, train, selection, keys, views, log)
        cached = extractor.open_rows(pixels.pixels, train, keys, views, log, f"frozen layers, before {stage}")
        held = extractor.open_rows(pixels.pixels, selection, keys, 1, log, "frozen layers, validation")
        inputs, selection_inputs = ActivationInputs(cached, views, shape, seed), ActivationInputs(held, 1, shape, seed)
        computed = extractor.computed
    return PreparedTraining(
        design, weights, stage, inputs, train, selection_inputs, selection, calibration, mix, computed
    )


def _fine_tune(config: RunConfig, table: ImageTable, pixels: PixelCache, folder: Run, log: Progress) -> FitResult:
    prepared = prepare_training(config, table, pixels, log)
    keys = pixels.facts["row_hash"].to_list()
    part = train_from_stage(
        prepared.design,
        prepared.weights,
        prepared.stage,
        prepared.inputs,
        _labels(table, prepared.train),
        len(table.classes),
        config.training,
        fold=config.model.fold,
        validation=(prepared.selection_inputs, _labels(table, prepared.selection)) if prepared.selection else None,
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
    known_hashes = _training_rows(config, table, keys)[2]
    design = prepared.design
    extractor = FeatureExtractor(frozen_stages(design, part.weights), fitted_spec(config, table, pixels))
    task = Classification(table.classes)
    predictor = Predictor(design, extractor, part.weight, part.bias, task, about, known_hashes)
    history = part.result.history
    if not calibration:
        log.note("note: no images are left for calibration: no prediction sets, and a temperature of 1")
        predictor = _with_threshold(config, table, predictor, [], calibrated=None, log=log)
        return FitResult(predictor, history, HeldOut([], np.zeros((0, len(table.classes)))), computed=computed)
    held = extractor.extract(pixels.pixels, selection + calibration, keys, 1, log, "computing validation features")
    if selection:
        scores = predictor.logits(held[: len(selection)])
        temperature = fit_temperature(scores, _labels(table, selection), table.groups(selection))
        predictor = replace(predictor, task=Classification(table.classes, temperature))
    probabilities = predictor.probabilities(held)
    # Familiarity compares with the nearest training images: an evenly spaced subset keeps model and search small.
    references = train if len(train) <= MAX_REFERENCE else train[:: -(-len(train) // MAX_REFERENCE)]
    features = extractor.extract(pixels.pixels, references, keys, 1, log, "computing training features")
    calibrated = probabilities[len(selection) :]
    held = held[len(selection) :]
    predictor = _with_trust(config, table, predictor, references, features, calibration, held, calibrated)
    predictor = _with_threshold(config, table, predictor, calibration, calibrated=calibrated, log=log)
    return FitResult(predictor, history, HeldOut(selection + calibration, probabilities), computed=computed)


def split_validation(table: ImageTable, validation: list[int], seed: int) -> tuple[list[int], list[int]]:
    """Split the validation rows into the selection half and the calibration half; groups stay together.

    With fewer than two groups, all rows are in the calibration half.

    Args:
        table: the images.
        validation: rows of the validation set.
        seed: random seed of the split.
    """
    if len(set(table.groups(validation))) < 2:
        return [], validation
    half = assign_splits(np.asarray(table.labels(validation)), table.groups(validation), (0.5, 0.5), seed)
    selection = [row for row, part in zip(validation, half.tolist(), strict=True) if part == 0]
    calibration = [row for row, part in zip(validation, half.tolist(), strict=True) if part == 1]
    return (selection, calibration) if calibration else ([], selection)


def _training_rows(
    config: RunConfig, table: ImageTable, keys: list[str]
) -> tuple[list[int], list[int], frozenset[str]]:
    """Return the rows of the training and of the validation set, and the hashes of all their images."""
    train, validation = table.rows("train"), table.rows("validation")
    known_hashes = frozenset(keys[row] for row in train + validation)
    return (sorted(train + validation), [], known_hashes) if config.split.refit else (train, validation, known_hashes)


def _labels(table: ImageTable, rows: list[int]) -> npt.NDArray[np.int64]:
    return np.asarray(table.labels(rows), np.int64)


def _split_augmentation(augment: Augmentation) -> tuple[Augmentation | None, Augmentation | None]:
    """Return the augmentation of single images and that which mixes images of a batch, each None where unused."""
    single = replace(augment, mixup=0.0, cutmix=0.0)
    return None if single == Augmentation() else single, augment if augment.uses(*MIXING) else None


def _log_cache_size(
    extractor: FeatureExtractor,
    train: list[int],
    selection: list[int],
    keys: list[str],
    views: int,
    log: Progress,
) -> None:
    missing = extractor.missing(train, keys, views) + extractor.missing(selection, keys)
    if missing:
        needed = size_text(missing * 2 * int(np.prod(extractor.frozen.shape)))
        free = size_text(free_bytes(cache_folder()))
        log.note(f"the outputs of the frozen layers take {needed} in the cache; {free} are free")


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


def _with_trust(
    config: RunConfig,
    table: ImageTable,
    predictor: Predictor,
    train: list[int],
    features: npt.NDArray[np.floating],
    calibration: list[int],
    held: npt.NDArray[np.floating],
    probabilities: npt.NDArray[np.float64],
) -> Predictor:
    trust = fit_trust(
        features,
        _labels(table, train),
        table.frame["path"].gather(train).to_list(),
        held,
        _labels(table, calibration),
        table.group_codes(calibration),
        probabilities,
        config.calibration.coverage,
    )
    return replace(predictor, trust=trust)


def _with_threshold(
    config: RunConfig,
    table: ImageTable,
    predictor: Predictor,
    rows: list[int],
    *,
    calibrated: npt.NDArray[np.float64] | None,
    log: Progress,
) -> Predictor:
    """Return the predictor with a decision threshold from held-out images; unchanged unless there are two classes."""
    if len(table.classes) != 2:
        return predictor
    threshold_config, (positive, why) = config.threshold, config.threshold.positive_of(table.classes)
    if calibrated is None:
        threshold = unmeasured_threshold(positive, threshold_config.value, why)
    else:
        threshold = fit_threshold(
            _labels(table, rows),
            calibrated,
            table.group_codes(rows),
            table.classes,
            positive,
            value=threshold_config.value,
            sensitivity=threshold_config.sensitivity,
            specificity=threshold_config.specificity,
            balanced=threshold_config.balanced,
            why=why,
        )
    log.note(f"decision threshold for {positive!r}: {threshold.value:.3g} (positive class: {why})")
    if threshold.note:
        log.note(f"note: {threshold.note}")
    return replace(predictor, task=replace(predictor.task, threshold=threshold))


def _class_fractions(table: ImageTable, rows: list[int]) -> dict[str, float]:
    """Return the fraction of each class in the training set: the prior that the probabilities assume."""
    counts = np.bincount(table.labels(rows), minlength=len(table.classes))
    fractions = zip(table.classes, counts / counts.sum(), strict=True)
    return {name: round(float(fraction), 6) for name, fraction in fractions}
