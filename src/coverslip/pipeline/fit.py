"""Train and calibrate a model on the train and validation set; the test set is not used.

All depths share one mechanism: the layers before the freeze point are computed once and cached, the layers after it
are trained. With the freeze point at the classifier a linear head is fitted; anywhere else the training loop runs.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
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
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.predictor import Predictor
from coverslip.models.catalog import network_entry
from coverslip.models.freeze import frozen_stages
from coverslip.models.user_network import USER_NETWORK
from coverslip.pipeline.calibrate import held_out_data, with_calibration, with_trust
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import fitted_spec, open_extractor
from coverslip.pipeline.resolve import is_pretrained, network_design, new_task, trained_from, uses_exact_head
from coverslip.pipeline.training_data import PreparedTraining, prepare_training, training_rows
from coverslip.tasks.task import HeadData, LastLayer, SelectionData, Task
from coverslip.training.fine_tuning import TrainedStages, train_from_stage


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Out-of-sample outputs: each by a model fitted without the image and without its group.

    Attributes:
        rows: N rows of the table.
        outputs: float (N, num_outputs).
    """

    rows: list[int]
    outputs: npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class FitResult:
    """A trained model with the records of its training.

    Attributes:
        predictor: the calibrated model.
        history: a row per optimizer step for a head, a row per epoch for other depths.
        held_out: out-of-sample outputs, from which label errors are estimated.
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
    task, head = new_task(config, table).fit_head(
        HeadData(
            features,
            table.target(train),
            table.groups(train),
            views,
            None if held is None else (held, table.target(validation)),
            config.head.l2_values,
            config.head.folds,
            config.training.seed,
        ),
        log,
    )
    about = {**_model_facts(config, table, pixels, train, task), "l2": head.l2}
    design = network_design(config, extractor.spec.channels)
    predictor = Predictor(design, extractor, head.weight, head.bias, task, about, _known_hashes(table, keys))
    if held is None:
        log.note(
            "note: with --refit no images are left for calibration, so the model has no prediction sets and no "
            "familiarity check"
        )
        predictor = with_calibration(config, table, predictor, [], None, log)
        return FitResult(predictor, head.history, HeldOut(train, head.held_out), head.penalties, head.l2)
    outputs = predictor.outputs(held)
    predictor = with_trust(table, predictor, train, features[: len(train)], validation, held)
    out_of_fold = held_out_data(table, train, head.held_out)
    predictor = with_calibration(config, table, predictor, validation, outputs, log, out_of_fold)
    held_out = HeldOut(train + validation, np.concatenate([head.held_out, outputs]))
    return FitResult(predictor, head.history, held_out, head.penalties, head.l2)


def _fine_tune(config: RunConfig, table: ImageTable, pixels: PixelCache, folder: Run, log: Progress) -> FitResult:
    prepared, task = prepare_training(config, table, pixels, log), new_task(config, table)
    keys, selection = pixels.facts["row_hash"].to_list(), prepared.selection
    part = train_from_stage(
        prepared.design,
        prepared.weights,
        prepared.stage,
        prepared.inputs,
        task.loop_targets(table.target(prepared.train)),
        task.objective(table.target(prepared.train)),
        config.training,
        fold=config.model.fold,
        validation=(prepared.selection_inputs, task.loop_targets(table.target(selection))) if selection else None,
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
    keys, task = pixels.facts["row_hash"].to_list(), new_task(config, table)
    about = {
        **_model_facts(config, table, pixels, train, task),
        **_training_facts(config, table, part, selection, calibration),
    }
    design = prepared.design
    extractor = FeatureExtractor(frozen_stages(design, part.weights), fitted_spec(config, table, pixels))
    history, layer = part.result.history, LastLayer(part.weight, part.bias)
    held: npt.NDArray[np.floating] = np.zeros((0, layer.weight.shape[1]), np.float32)
    if calibration:
        held = extractor.extract(pixels.pixels, selection + calibration, keys, 1, log, "computing validation features")
    chosen = held[: len(selection)]
    task, layer = task.finish(
        layer, SelectionData(chosen, table.target(selection), table.groups(selection), table.target(train))
    )
    predictor = Predictor(design, extractor, layer.weight, layer.bias, task, about, _known_hashes(table, keys))
    if not calibration:
        log.note("note: no images are left for calibration: no prediction sets, and a temperature of 1")
        predictor = with_calibration(config, table, predictor, [], None, log)
        nothing = np.zeros((0, task.num_outputs), np.float32)
        return FitResult(predictor, history, HeldOut([], nothing), computed=computed)
    outputs = predictor.outputs(held)
    # Familiarity compares with the nearest training images: an evenly spaced subset keeps model and search small.
    references = train if len(train) <= MAX_REFERENCE else train[:: -(-len(train) // MAX_REFERENCE)]
    features = extractor.extract(pixels.pixels, references, keys, 1, log, "computing training features")
    predictor = with_trust(table, predictor, references, features, calibration, held[len(selection) :])
    predictor = with_calibration(config, table, predictor, calibration, outputs[len(selection) :], log)
    return FitResult(predictor, history, HeldOut(selection + calibration, outputs), computed=computed)


def _model_facts(
    config: RunConfig, table: ImageTable, pixels: PixelCache, train: list[int], task: Task
) -> dict[str, Any]:
    entry = network_entry(config.model.network)
    return {
        "depth": config.model.depth,
        "trained_on": {"images": len(train), "groups": len(set(table.groups(train)))},
        "images": formats_of(pixels.facts[train]).to_json(),
        **task.facts(table.target(train)),
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
