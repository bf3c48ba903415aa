"""What training needs before its first step: rows, and the inputs of the first trained stage."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from coverslip.core.progress import Progress
from coverslip.core.storage import cache_folder, free_bytes, size_text
from coverslip.data.augment import Augmentation
from coverslip.data.cache import PixelCache
from coverslip.data.split import assign_splits
from coverslip.data.table import ImageTable
from coverslip.inference.features import FeatureExtractor
from coverslip.models.catalog import stage_names
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_stages
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import fitted_spec
from coverslip.pipeline.resolve import initial_weights, network_design, trained_from
from coverslip.training.batches import Inputs
from coverslip.training.inputs import ActivationInputs, ImageInputs

MIXING = ("mixup", "cutmix")


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
    train, validation = training_rows(config, table)
    selection, calibration = split_validation(table, validation, config.split.seed)
    spec = fitted_spec(config, table, pixels)
    design, stage, seed = network_design(config, spec.channels), trained_from(config), config.training.seed
    weights = initial_weights(config, spec.channels)
    single, mix = _split_augmentation(config.augment or Augmentation())
    inputs: Inputs = ImageInputs(pixels.pixels, train, spec, single, seed)
    selection_inputs: Inputs = ImageInputs(pixels.pixels, selection, spec)
    computed = 0
    if stage != stage_names(design)[0]:
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
    half = assign_splits(np.asarray(table.strata(validation)), table.groups(validation), (0.5, 0.5), seed)
    selection = [row for row, part in zip(validation, half.tolist(), strict=True) if part == 0]
    calibration = [row for row, part in zip(validation, half.tolist(), strict=True) if part == 1]
    return (selection, calibration) if calibration else ([], selection)


def training_rows(config: RunConfig, table: ImageTable) -> tuple[list[int], list[int]]:
    """Return the rows of the training and of the validation set; with ``split.refit``, all are for training."""
    train, validation = table.rows("train"), table.rows("validation")
    return (sorted(train + validation), []) if config.split.refit else (train, validation)


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
