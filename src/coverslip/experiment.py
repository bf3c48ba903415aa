"""The recipe: the one place that joins data, model, task, training and evidence. Read `run` first."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from coverslip.assessment import open_test, write_label_errors
from coverslip.auditing.audit import need_unblocked
from coverslip.config import from_mapping, read_toml, to_toml
from coverslip.data.cache import PixelCache, read_pixels
from coverslip.data.scan import scan
from coverslip.data.summary import relative_root
from coverslip.data.table import ImageTable
from coverslip.depths import choose_depth
from coverslip.devices import keep_big_blocks, machine, pick_device
from coverslip.inference.examples import write_examples
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.predictor import Predictor
from coverslip.inspection import appraise, divide, found_text, inspect, open_extractor, tell, write_audit
from coverslip.learning import forget_checkpoints, learn, prepare_part
from coverslip.models.catalog import network_entry
from coverslip.models.folding import fold_batch_norm
from coverslip.paths import HOME
from coverslip.progress import SILENT, EventLog, Progress
from coverslip.runs import Run
from coverslip.settings import Experiment, check_threshold, input_size, settled
from coverslip.storage import evict, write_text
from coverslip.tables import write_csv
from coverslip.training.part import new_network
from coverslip.training.rate_finder import RateTest, find_rate
from coverslip.training.repeats import cross_validate, learning_curve, repeat_seeds


def run(plan: Experiment, folder: Run, *, verify: bool = False, progress: Progress = SILENT) -> dict[str, Any]:
    """Folder of pictures -> trained, tested, saved; returns what ``test.json`` holds.

    The test part is opened once, by the last step, after the model is saved.
    """
    keep_big_blocks()
    log = EventLog(folder.events_file, progress)
    plan = settled(plan)
    write_plan(plan, folder.experiment_file)
    size = input_size(plan, network_entry(plan.model.network))
    table = scan(plan.data.source, plan.data.group)
    check_threshold(plan, table.classes)
    log.note(found_text(table))
    pixels = read_pixels(table, size, plan.input.fit, verify=verify, progress=log)
    whole = "" if plan.input.fit == "crop" else ", 100 % of each picture survives"
    log.note(f"resized to {size[0]} x {size[1]} pixels by {plan.input.fit!r}{whole}")
    audit = inspect(plan, table, pixels, log)
    need_unblocked(audit, plan.data.source, plan.data.options)
    audit = divide(plan, audit)
    tell(audit, log)
    write_audit(plan, audit, folder)
    table = audit.table

    if plan.audit.price:
        extractor = open_extractor(plan, table, pixels)
        audit = appraise(plan, audit, pixels, extractor, log)
        write_audit(plan, audit, folder)
    if plan.model.depth == "auto":
        plan = choose_depth(plan, table, pixels, log)
        write_plan(plan, folder.experiment_file)
    learned = learn(plan, table, pixels, folder, log)
    predictor, held_out = learned.predictor, learned.held_out
    predictor.save(folder)
    if plan.bundle.examples:
        _keep_examples(table, pixels, predictor, folder, log)
    write_csv(learned.history, folder.history_file)
    if learned.strengths is not None:
        write_csv(learned.strengths, folder.strengths_file)
    forget_checkpoints(folder)

    _repeat(plan, table, pixels, predictor.extractor, learned.strength, folder, log)
    evidence, tested = open_test(plan, table, pixels, predictor, folder, log)
    rows = held_out.rows + table.rows("test")
    write_label_errors(table, rows, np.concatenate([held_out.probabilities, tested]), folder)
    folder.write_json(folder.environment_file, environment(log, predictor.extractor, pixels, learned.computed))
    folder.write_json(folder.test_file, evidence)  # last: a run with this file is finished
    evict()
    return evidence


def test_rates(plan: Experiment, progress: Progress = SILENT) -> RateTest:
    """The learning-rate range test on the training pictures of a (settled) plan; nothing is written to a run."""
    table = scan(plan.data.source, plan.data.group)
    size = input_size(plan, network_entry(plan.model.network))
    pixels = read_pixels(table, size, plan.input.fit, progress=progress)
    table = divide(plan, inspect(plan, table, pixels, progress)).table
    ready = prepare_part(plan, table, pixels, progress)
    network = new_network(ready.design, ready.weights, len(table.classes), plan.recipe.seed)
    part: nn.Module = network.since(ready.stage)
    if plan.model.fold and ready.weights:
        shape = ready.inputs.take(np.zeros(1, np.int64), None, torch.device("cpu")).shape[1:]
        part = fold_batch_norm(part, tuple(shape))[0]
    labels = np.asarray(table.labels(ready.train), np.int64)
    return find_rate(part, ready.inputs, labels, len(table.classes), plan.recipe, mix=ready.mix, progress=progress)


def write_plan(plan: Experiment, file: Path) -> None:
    """Write a plan as TOML, with the source as seen from the file's folder."""
    source = relative_root(Path(plan.data.source).absolute(), file.parent.absolute())
    source = f"./{source}" if source.startswith(HOME) else source
    write_text(file, to_toml(replace(plan, data=replace(plan.data, source=source))))


def read_plan(file: Path) -> Experiment:
    """A plan from TOML, with the source as seen from here.

    Raises:
        UserError: it cannot be read; a setting that does not exist, or a value that it cannot take.
    """
    plan = from_mapping(Experiment, read_toml(file), file.name)
    if Path(plan.data.source).is_absolute():
        return plan
    return replace(plan, data=replace(plan.data, source=str((file.absolute().parent / plan.data.source).resolve())))


def _keep_examples(table: ImageTable, pixels: PixelCache, predictor: Predictor, folder: Run, log: Progress) -> None:
    """Small pictures of the references go with the model, and it is said that they do."""
    number = write_examples(folder, predictor, table.paths, pixels)
    if not number:
        log.note("note: the model keeps no training pictures as reference, so there are no examples of them in it")
        return
    log.note(f"small pictures of {number:,} training pictures are in the model: whoever has it can look at them")


def _repeat(
    plan: Experiment,
    table: ImageTable,
    pixels: PixelCache,
    extractor: FeatureExtractor,
    strength: float,
    folder: Run,
    log: Progress,
) -> None:
    """Other folds, other splits, fewer pictures: how far the score moves. The test part is not touched."""
    wish = plan.repeats
    if not (wish.folds or wish.seeds or wish.learning_curve):
        return
    keys, classes, seed = pixels.facts["row_hash"].to_list(), len(table.classes), plan.training.seed
    rows = sorted(table.rows("train") + table.rows("validation"))
    features = extractor.extract(pixels.pixels, rows, keys, 1, log)
    labels, groups = table.labels(rows), table.groups(rows)
    folds = seeds = None
    if wish.folds:
        folds, _ = cross_validate(
            features, labels, groups, classes, folds=wish.folds, strength=strength, seed=seed, progress=log
        )
    if wish.seeds:
        share = len(table.rows("validation")) / len(rows)
        seeds = repeat_seeds(
            features, labels, groups, classes, seeds=wish.seeds, strength=strength, held=share, seed=seed, progress=log
        )
    if folds is not None or seeds is not None:
        folder.write_json(folder.repeats_file, {"folds": folds, "seeds": seeds})
    if wish.learning_curve:
        inside = set(table.rows("train"))
        mine = [number for number, row in enumerate(rows) if row in inside]
        curve = learning_curve(
            features[mine],
            [labels[each] for each in mine],
            [groups[each] for each in mine],
            classes,
            strength=strength,
            seed=seed,
            unit="groups" if table.group_codes(rows) is not None else "pictures",
            progress=log,
        )
        folder.write_json(folder.learning_curve_file, curve)


def environment(
    log: EventLog, extractor: FeatureExtractor, pixels: PixelCache | None, computed_before: int = 0
) -> dict[str, Any]:
    """What a reader needs to repeat or judge a run: versions, machine, seconds a stage, what came from the cache."""
    packages = ("coverslip", "torch", "timm", "openvino", "numpy", "scipy", "scikit-learn", "pillow", "polars")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    computed = {"views through the network": extractor.computed + computed_before}
    if pixels is not None:
        computed = {"pictures decoded": pixels.decoded, **computed}
    decoder = f"Pillow {versions['pillow']}; tifffile and imagecodecs where Pillow would lose depth or channels"
    return {
        "versions": versions,
        "machine": machine(),
        "device": str(pick_device()),
        "decoder": decoder,
        "seconds": log.seconds,
        "computed": computed,
    }
