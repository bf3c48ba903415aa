"""A run from images to a tested model: joins data, model, training and evaluation. Read `run` first."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np
from torch import nn

from coverslip.core.devices import machine, pick_device, tune_allocator
from coverslip.core.progress import SILENT, EventLog, Progress
from coverslip.core.runs import Run
from coverslip.core.storage import evict
from coverslip.core.tables import write_csv
from coverslip.data.cache import PixelCache
from coverslip.data.table import ImageTable
from coverslip.inference.examples import write_examples
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.model_files import save_predictor
from coverslip.models.folding import fold_batch_norm
from coverslip.pipeline.baselines import ColorFeatures
from coverslip.pipeline.config import RunConfig, write_config
from coverslip.pipeline.depth import choose_depth
from coverslip.pipeline.evaluate import evaluate_test, write_label_errors
from coverslip.pipeline.fit import FitResult, delete_checkpoints, fit
from coverslip.pipeline.prepare import PreparedData, open_extractor, prepare, run_probes, scan_images, write_audit
from coverslip.pipeline.repeat import repeat
from coverslip.pipeline.resolve import new_task, resolve_config, with_task_defaults
from coverslip.pipeline.training_data import prepare_training
from coverslip.training.batches import input_shape
from coverslip.training.fine_tuning import new_network
from coverslip.training.lr_finder import LrRangeTest, find_lr


def run(
    config: RunConfig,
    folder: Run,
    table: ImageTable | None = None,
    *,
    verify: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Train and evaluate a model: from a folder of images to a tested run. Read this function first.

    The test set is used once, by the last step, after the model is saved.

    Args:
        config: the config; what it leaves open is filled in and written to ``experiment.toml``.
        folder: the run folder to write; an unfinished run in it is resumed.
        table: the images of the config, if they are already listed.
        verify: read every file again instead of trusting size and modification time.
        progress: receives stages and notes.

    Returns:
        The content of ``test.json``.

    Raises:
        UserError: the data or the config does not allow it.
        BlockedError: a finding that blocks training is not accepted.
    """
    tune_allocator()
    log = EventLog(folder.events_file, progress)
    resolved = resolve_config(config)
    table = scan_images(config) if table is None else table
    config = with_task_defaults(resolved, config, table.task)
    write_config(config, folder.experiment_file)
    data = prepare(config, table, verify=verify, progress=log)
    write_audit(config, data.audit, folder)
    if config.audit.probes:
        extractor = open_extractor(config, data.table, data.pixels)
        write_audit(config, run_probes(config, data.audit, data.pixels, extractor, log), folder)
    if config.model.depth == "auto":
        config = choose_depth(config, data.table, data.pixels, log)
        write_config(config, folder.experiment_file)

    fitted = fit(config, data.table, data.pixels, folder, log)
    save(fitted, config, data, folder, log)
    colors = ColorFeatures(data.pixels)
    repeat(config, data.table, colors, fitted, folder, log)

    predictor, held_out = fitted.predictor, fitted.held_out
    evidence, tested = evaluate_test(config, data.table, colors, predictor, folder, log)
    rows = held_out.rows + data.table.rows("test")
    write_label_errors(predictor.task, data.table, rows, np.concatenate([held_out.outputs, tested]), folder)
    folder.write_json(folder.environment_file, environment(log, predictor.extractor, data.pixels, fitted.computed))
    folder.write_json(folder.test_file, evidence)  # last: a run with this file is finished
    evict()
    return evidence


def save(fitted: FitResult, config: RunConfig, data: PreparedData, folder: Run, log: Progress) -> None:
    """Write the model and the history of its training; checkpoints are no longer needed then."""
    save_predictor(fitted.predictor, folder)
    if config.model.examples:
        number = write_examples(folder, fitted.predictor, data.table.paths, data.pixels)
        if number:
            log.note(
                f"the model contains thumbnails of {number:,} training images, which every user of the model can view"
            )
        else:
            log.note("note: the model stores no training images as references, so it contains no thumbnails")
    write_csv(fitted.history, folder.history_file)
    if fitted.penalties is not None:
        write_csv(fitted.penalties, folder.penalties_file)
    delete_checkpoints(folder)


def lr_range_test(config: RunConfig, progress: Progress = SILENT) -> LrRangeTest:
    """Run the learning-rate range test on the training set of a resolved config; no run is written."""
    table = scan_images(config)
    config = with_task_defaults(config, config, table.task)
    data = prepare(config, table, progress=progress)
    prepared = prepare_training(config, data.table, data.pixels, progress)
    task, target = new_task(config, data.table), data.table.target(prepared.train)
    objective = task.objective(target)
    network = new_network(prepared.design, prepared.weights, objective.num_outputs, config.training.seed)
    part: nn.Module = network.starting_at(prepared.stage)
    if config.model.fold and prepared.weights:
        part = fold_batch_norm(part, input_shape(prepared.inputs))[0]
    targets = task.loop_targets(target)
    return find_lr(part, prepared.inputs, targets, objective, config.training, mix=prepared.mix, progress=progress)


def environment(
    log: EventLog, extractor: FeatureExtractor, pixels: PixelCache | None, computed_before: int = 0
) -> dict[str, Any]:
    """Return what is needed to repeat a run: versions, machine, seconds per stage, and what was computed."""
    packages = ("coverslip", "torch", "timm", "openvino", "numpy", "scipy", "scikit-learn", "pillow", "polars")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    computed = {"views through the network": extractor.computed + computed_before}
    if pixels is not None:
        computed = {"images decoded": pixels.decoded, **computed}
    decoder = f"Pillow {versions['pillow']}; tifffile and imagecodecs where Pillow would lose bit depth or channels"
    return {
        "versions": versions,
        "machine": machine(),
        "device": str(pick_device()),
        "decoder": decoder,
        "seconds": log.seconds,
        "computed": computed,
    }
