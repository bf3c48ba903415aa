"""The middle of a run: from divided images to a trained model, calibrated; the test set is not touched.

Three depths, one mechanism: what stands before the freeze point is computed once and cached, what stands after it is
trained. With the freeze point at the classifier a head is fitted; anywhere else the loop trains.
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
from coverslip.data.augment import Augmentation
from coverslip.data.cache import PixelCache
from coverslip.data.split import assign_parts
from coverslip.data.table import ImageTable
from coverslip.evidence.familiarity import MOST_ROWS
from coverslip.evidence.recalibration import fit_temperature
from coverslip.evidence.threshold import fit_threshold, unmeasured_threshold
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import fit_trust
from coverslip.models.catalog import network_entry
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_part
from coverslip.models.own import OWN
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import fitted_spec, open_extractor
from coverslip.pipeline.resolve import (
    first_trained_stage,
    initial_weights,
    is_pretrained,
    network_design,
    uses_exact_head,
)
from coverslip.tasks.classification import Classification
from coverslip.training.batches import Inputs
from coverslip.training.heads import fit_head
from coverslip.training.images import ActivationInputs, ImageInputs
from coverslip.training.part import TrainedPart, train_part

MIXING = ("mixup", "cutmix")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What models that were fitted without an image (and its group) say of it: rows of the table, and (N, K)."""

    rows: list[int]
    probabilities: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FitResult:
    """What training gives.

    Attributes:
        predictor: the model, calibrated.
        history: step by step for a head, epoch by epoch for anything deeper.
        held_out: for the label errors.
        penalties: cross-fitted log loss of each L2 penalty of a head; None for other depths.
        l2: penalty of the head; 0 for other depths.
        computed: views that a frozen part was run on, beside those of the predictor's own network.
    """

    predictor: Predictor
    history: pl.DataFrame
    held_out: HeldOut
    penalties: pl.DataFrame | None = None
    l2: float = 0.0
    computed: int = 0


def fit(config: RunConfig, table: ImageTable, pixels: PixelCache, folder: Run, log: Progress) -> FitResult:
    """Train as deep as the (settled) plan says, and calibrate on validation.

    Raises:
        UserError: see `coverslip.training.part.train_part`.
    """
    channels = pixels.format.channels
    if is_pretrained(config) and channels == 1:
        log.note("grey images are shown in grey to a network that was trained on color")
    elif is_pretrained(config) and channels != 3:
        log.note(f"the network's first layer, trained on color, is adapted to {channels} channels")
    if uses_exact_head(config):
        return _learn_head(config, table, pixels, log)
    return _learn_part(config, table, pixels, folder, log)


def delete_checkpoints(folder: Run) -> None:
    """The model is saved: what was kept to go on training is of no use any more."""
    shutil.rmtree(folder.checkpoints_folder, ignore_errors=True)


def _learn_head(config: RunConfig, table: ImageTable, pixels: PixelCache, log: Progress) -> FitResult:
    extractor = open_extractor(config, table, pixels)
    keys = pixels.facts["row_hash"].to_list()
    train, validation, seen = _parts(config, table, keys)
    views = config.model.views
    features = extractor.extract(pixels.pixels, train, keys, views, log, "computing features")
    held = None
    if validation:
        held = extractor.extract(pixels.pixels, validation, keys, 1, log, "features of validation")
    head = fit_head(
        features,
        table.labels(train),
        table.groups(train),
        len(table.classes),
        views=views,
        validation=None if held is None else (held, table.labels(validation)),
        strengths=config.head.l2_values,
        folds=config.head.folds,
        seed=config.training.seed,
        progress=log,
    )
    about = {**_about(config, table, train), "l2": head.strength}
    task = Classification(table.classes, head.temperature)
    design = network_design(config, extractor.spec.channels)
    predictor = Predictor(design, extractor, head.weight, head.bias, task, about, seen)
    held_out = HeldOut(train, task.probabilities(head.held))
    if held is None:
        log.note("note: with --refit no image is left to calibrate sets and familiarity with, so there are none")
        predictor = _with_threshold(config, table, predictor, [], calibrated=None, log=log)
        return FitResult(predictor, head.history, held_out, head.strengths, head.strength)
    calibrated = predictor.probabilities(held)
    predictor = _trusting(config, table, predictor, train, features[: len(train)], validation, held, calibrated)
    predictor = _with_threshold(config, table, predictor, validation, calibrated=calibrated, log=log)
    held_out = HeldOut(train + validation, np.concatenate([held_out.probabilities, calibrated]))
    return FitResult(predictor, head.history, held_out, head.strengths, head.strength)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that training from a stage on starts from.

    Attributes:
        weights: pretrained, or empty.
        stage: the first that is trained.
        inputs: what it takes, of the training images.
        train: rows of those.
        watched: the same of the choose half of validation.
        choose: rows of those.
        calibrate: rows of the other half.
        mix: mixup and cutmix, or None.
        computed: views that the frozen part was run on.
    """

    design: Design
    weights: dict[str, Tensor]
    stage: str
    inputs: Inputs
    train: list[int]
    watched: Inputs
    choose: list[int]
    calibrate: list[int]
    mix: Augmentation | None
    computed: int


def prepare_part(config: RunConfig, table: ImageTable, pixels: PixelCache, log: Progress) -> Prepared:
    """Divide validation, and run what is frozen, once."""
    keys = pixels.facts["row_hash"].to_list()
    train, validation, _ = _parts(config, table, keys)
    choose, calibrate = halves(table, validation, config.split.seed)
    spec = fitted_spec(config, table, pixels)
    design, stage, seed = network_design(config, spec.channels), first_trained_stage(config), config.training.seed
    weights = initial_weights(config, spec.channels)
    how, mix = _apart(config.augment or Augmentation())
    inputs: Inputs = ImageInputs(pixels.pixels, train, spec, how, seed)
    watched: Inputs = ImageInputs(pixels.pixels, choose, spec)
    computed = 0
    if stage != network_entry(design.network).stages(design)[0]:
        extractor = FeatureExtractor(frozen_part(design, weights, stage), spec, how)
        shape, views = extractor.frozen.shape, config.model.views
        _tell_size(extractor, train, choose, keys, views, log)
        cached = extractor.open_rows(pixels.pixels, train, keys, views, log, f"computing all before {stage}")
        aside = extractor.open_rows(pixels.pixels, choose, keys, 1, log, "the same of validation")
        inputs, watched = ActivationInputs(cached, views, shape, seed), ActivationInputs(aside, 1, shape, seed)
        computed = extractor.computed
    return Prepared(design, weights, stage, inputs, train, watched, choose, calibrate, mix, computed)


def _learn_part(config: RunConfig, table: ImageTable, pixels: PixelCache, folder: Run, log: Progress) -> FitResult:
    ready = prepare_part(config, table, pixels, log)
    keys = pixels.facts["row_hash"].to_list()
    part = train_part(
        ready.design,
        ready.weights,
        ready.stage,
        ready.inputs,
        _labels(table, ready.train),
        len(table.classes),
        config.training,
        fold=config.model.fold,
        validation=(ready.watched, _labels(table, ready.choose)) if ready.choose else None,
        mix=ready.mix,
        checkpoint=folder.checkpoints_folder,
        identity={"images, in their order": digest("train", [keys[row] for row in ready.train + ready.choose])},
        progress=log,
    )
    return _calibrated(config, table, pixels, part, ready, log)


def _calibrated(
    config: RunConfig, table: ImageTable, pixels: PixelCache, part: TrainedPart, ready: Prepared, log: Progress
) -> FitResult:
    """The trained network as a predictor: temperature from the choose half, sets and familiarity from the other."""
    train, choose, calibrate, computed = ready.train, ready.choose, ready.calibrate, ready.computed
    keys = pixels.facts["row_hash"].to_list()
    about = {**_about(config, table, train), **_about_part(config, table, part, choose, calibrate)}
    seen = _parts(config, table, keys)[2]
    design = ready.design
    extractor = FeatureExtractor(frozen_part(design, part.weights), fitted_spec(config, table, pixels))
    task = Classification(table.classes)
    predictor = Predictor(design, extractor, part.weight, part.bias, task, about, seen)
    history = part.trained.history
    if not calibrate:
        log.note("note: no image is left to calibrate with, so there are no sets, and the temperature is 1")
        predictor = _with_threshold(config, table, predictor, [], calibrated=None, log=log)
        return FitResult(predictor, history, HeldOut([], np.zeros((0, len(table.classes)))), computed=computed)
    held = extractor.extract(pixels.pixels, choose + calibrate, keys, 1, log, "features of validation")
    if choose:
        scores = predictor.scores(held[: len(choose)])
        temperature = fit_temperature(scores, _labels(table, choose), table.groups(choose))
        predictor = replace(predictor, task=Classification(table.classes, temperature))
    probabilities = predictor.probabilities(held)
    some = train if len(train) <= MOST_ROWS else train[:: -(-len(train) // MOST_ROWS)]
    features = extractor.extract(pixels.pixels, some, keys, 1, log, "features of training images")
    own = probabilities[len(choose) :]
    predictor = _trusting(config, table, predictor, some, features, calibrate, held[len(choose) :], own)
    predictor = _with_threshold(config, table, predictor, calibrate, calibrated=own, log=log)
    return FitResult(predictor, history, HeldOut(choose + calibrate, probabilities), computed=computed)


def halves(table: ImageTable, validation: list[int], seed: int) -> tuple[list[int], list[int]]:
    """Validation in two, by whole groups: one half chooses (the epoch, the temperature), the other calibrates.

    Where there are too few groups for two halves, all of them calibrate.
    """
    if len(set(table.groups(validation))) < 2:
        return [], validation
    half = assign_parts(np.asarray(table.labels(validation)), table.groups(validation), (0.5, 0.5), seed)
    choose = [row for row, part in zip(validation, half.tolist(), strict=True) if part == 0]
    calibrate = [row for row, part in zip(validation, half.tolist(), strict=True) if part == 1]
    return (choose, calibrate) if calibrate else ([], choose)


def _parts(config: RunConfig, table: ImageTable, keys: list[str]) -> tuple[list[int], list[int], frozenset[str]]:
    """Rows that train and that validate, and what the model will have seen."""
    train, validation = table.rows("train"), table.rows("validation")
    seen = frozenset(keys[row] for row in train + validation)
    return (sorted(train + validation), [], seen) if config.split.refit else (train, validation, seen)


def _labels(table: ImageTable, rows: list[int]) -> npt.NDArray[np.int64]:
    return np.asarray(table.labels(rows), np.int64)


def _apart(augment: Augmentation) -> tuple[Augmentation | None, Augmentation | None]:
    """What changes single images, and what mixes several of a batch; None where nothing does."""
    alone = replace(augment, mixup=0.0, cutmix=0.0)
    return None if alone == Augmentation() else alone, augment if augment.uses(*MIXING) else None


def _tell_size(
    extractor: FeatureExtractor,
    train: list[int],
    choose: list[int],
    keys: list[str],
    views: int,
    log: Progress,
) -> None:
    missing = extractor.missing(train, keys, views) + extractor.missing(choose, keys)
    if missing:
        needed = size_text(missing * 2 * int(np.prod(extractor.frozen.shape)))
        free = size_text(free_bytes(cache_folder()))
        log.note(f"what the frozen stages give takes {needed} in the cache, {free} are free")


def _about(config: RunConfig, table: ImageTable, train: list[int]) -> dict[str, Any]:
    entry = network_entry(config.model.network)
    return {
        "depth": config.model.depth,
        "trained_on": {"images": len(train), "groups": len(set(table.groups(train)))},
        "assumes": _shares(table, train),
        "origin": f"the file {Path(config.model.weights).name}" if config.model.weights else entry.origin,
    }


def _about_part(
    config: RunConfig, table: ImageTable, part: TrainedPart, choose: list[int], calibrate: list[int]
) -> dict[str, Any]:
    def count(rows: list[int]) -> dict[str, int]:
        return {"images": len(rows), "groups": len(set(table.groups(rows)))}

    own = config.model.network.startswith(OWN)
    return {
        "stage": first_trained_stage(config),
        "from_scratch": not is_pretrained(config) and not own,
        "own": own,
        "epochs": part.trained.history.height,
        "best_epoch": part.trained.best_epoch,
        "stopped": part.trained.stopped,
        "precision": part.trained.precision,
        "validation_roles": {"choose": count(choose), "calibrate": count(calibrate)},
    }


def _trusting(
    config: RunConfig,
    table: ImageTable,
    predictor: Predictor,
    train: list[int],
    features: npt.NDArray[np.floating],
    calibrate: list[int],
    held: npt.NDArray[np.floating],
    probabilities: npt.NDArray[np.float64],
) -> Predictor:
    trust = fit_trust(
        features,
        _labels(table, train),
        table.frame["path"].gather(train).to_list(),
        held,
        _labels(table, calibrate),
        table.group_codes(calibrate),
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
    """The predictor with a threshold from images that trained nothing; as it is, with other than two classes."""
    if len(table.classes) != 2:
        return predictor
    wish, (positive, why) = config.threshold, config.threshold.positive_of(table.classes)
    if calibrated is None:
        found = unmeasured_threshold(positive, wish.value, why)
    else:
        found = fit_threshold(
            _labels(table, rows),
            calibrated,
            table.group_codes(rows),
            table.classes,
            positive,
            value=wish.value,
            sensitivity=wish.sensitivity,
            specificity=wish.specificity,
            balanced=wish.balanced,
            why=why,
        )
    log.note(f"an image is named {positive!r} from a probability of {found.value:.3g} on ({why})")
    if found.note:
        log.note(f"note: {found.note}")
    return replace(predictor, task=replace(predictor.task, threshold=found))


def _shares(table: ImageTable, rows: list[int]) -> dict[str, float]:
    """The share of each class among the training images: what the probabilities take for usual."""
    counts = np.bincount(table.labels(rows), minlength=len(table.classes))
    return {name: round(float(share), 6) for name, share in zip(table.classes, counts / counts.sum(), strict=True)}
