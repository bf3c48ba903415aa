"""The recipe: the one place that joins data, model, task, training and evidence. Read `run` first."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.assessment import open_test, write_label_errors
from coverslip.auditing.audit import need_unblocked
from coverslip.config import to_toml
from coverslip.data.cache import PixelCache, read_pixels
from coverslip.data.scan import scan
from coverslip.data.summary import relative_root
from coverslip.data.table import ImageTable
from coverslip.devices import keep_big_blocks, machine, pick_device
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import fit_trust
from coverslip.inspection import appraise, divide, found_text, inspect, open_extractor, tell, write_audit
from coverslip.models.catalog import network_entry
from coverslip.progress import SILENT, EventLog, Progress
from coverslip.runs import Run
from coverslip.settings import Experiment, input_size
from coverslip.storage import evict, write_text
from coverslip.tasks.classification import Classification
from coverslip.training.heads import Head, fit_head
from coverslip.training.repeats import cross_validate, learning_curve, repeat_seeds


def run(plan: Experiment, folder: Run, *, verify: bool = False, progress: Progress = SILENT) -> dict[str, Any]:
    """Folder of pictures -> trained, tested, saved; returns what ``test.json`` holds.

    The test part is opened once, by the last step, after the model is saved.
    """
    keep_big_blocks()
    log = EventLog(folder.events_file, progress)
    write_plan(plan, folder)
    size = input_size(plan, network_entry(plan.model.network))
    table = scan(plan.data.source, plan.data.group)
    log.note(found_text(table))
    pixels = read_pixels(table, size, plan.input.fit, verify=verify, progress=log)
    whole = "" if plan.input.fit == "crop" else ", 100 % of each picture survives"
    log.note(f"resized to {size[0]} x {size[1]} pixels by {plan.input.fit!r}{whole}")
    audit = inspect(plan, table, pixels, log)
    need_unblocked(audit, plan.data.source)
    audit = divide(plan, audit)
    tell(audit, log)
    write_audit(plan, audit, folder)
    table = audit.table

    extractor = open_extractor(plan, table, pixels)
    if plan.audit.price:
        audit = appraise(plan, audit, pixels, extractor, log)
        write_audit(plan, audit, folder)
    predictor, head, held_out = _train(plan, table, pixels, extractor, log)
    predictor.save(folder)
    head.history.write_csv(folder.history_file)
    head.strengths.write_csv(folder.strengths_file)

    _repeat(plan, table, pixels, extractor, head.strength, folder, log)
    evidence, tested = open_test(plan, table, pixels, predictor, folder, log)
    rows = held_out.rows + table.rows("test")
    write_label_errors(table, rows, np.concatenate([held_out.probabilities, tested]), folder)
    folder.write_json(folder.environment_file, environment(log, extractor, pixels))
    folder.write_json(folder.test_file, evidence)  # last: a run with this file is finished
    evict()
    return evidence


def write_plan(plan: Experiment, folder: Run) -> None:
    """Write ``experiment.toml``, with the source as seen from the run's folder."""
    source = relative_root(Path(plan.data.source).absolute(), folder.folder.absolute())
    write_text(folder.experiment_file, to_toml(replace(plan, data=replace(plan.data, source=source))))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What heads that were fitted without a picture (and its group) say of it: rows of the table, and (N, K)."""

    rows: list[int]
    probabilities: npt.NDArray[np.float64]


def _train(
    plan: Experiment, table: ImageTable, pixels: PixelCache, extractor: FeatureExtractor, log: Progress
) -> tuple[Predictor, Head, HeldOut]:
    """A head fitted on train, and what validation calibrates; the test part is not touched."""
    channels = extractor.spec.channels
    if channels == 1:
        log.note("grey pictures are shown in grey to a network that was trained on color")
    elif channels != 3:
        log.note(f"the network's first layer, trained on color, is adapted to {channels} channels")
    keys = pixels.facts["row_hash"].to_list()
    train, validation = table.rows("train"), table.rows("validation")
    seen = frozenset(keys[row] for row in train + validation)
    if plan.training.refit:
        train, validation = sorted(train + validation), []
    views = plan.model.views
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
        strengths=plan.training.strengths,
        folds=plan.training.folds,
        seed=plan.training.seed,
        progress=log,
    )
    about = {
        "depth": plan.model.depth,
        "strength": head.strength,
        "trained_on": {"pictures": len(train), "groups": len(set(table.groups(train)))},
        "assumes": _shares(table, train),
        "origin": network_entry(plan.model.network).origin,
    }
    task = Classification(table.classes, head.temperature)
    predictor = Predictor(plan.model.network, extractor, head.weight, head.bias, task, about, seen)
    held_out = HeldOut(train, task.probabilities(head.held))
    if held is None:
        log.note("note: with --refit no picture is left to calibrate sets and familiarity with, so there are none")
        return predictor, head, held_out
    calibrated = predictor.probabilities(held)
    trust = fit_trust(
        features[: len(train)],
        np.asarray(table.labels(train)),
        table.frame["path"].gather(train).to_list(),
        held,
        np.asarray(table.labels(validation)),
        table.group_codes(validation),
        calibrated,
        plan.training.coverage,
    )
    held_out = HeldOut(train + validation, np.concatenate([held_out.probabilities, calibrated]))
    return replace(predictor, trust=trust), head, held_out


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


def _shares(table: ImageTable, rows: list[int]) -> dict[str, float]:
    """The share of each class among the training pictures: what the probabilities take for usual."""
    counts = np.bincount(table.labels(rows), minlength=len(table.classes))
    return {name: round(float(share), 6) for name, share in zip(table.classes, counts / counts.sum(), strict=True)}


def environment(log: EventLog, extractor: FeatureExtractor, pixels: PixelCache | None) -> dict[str, Any]:
    """What a reader needs to repeat or judge a run: versions, machine, seconds a stage, what came from the cache."""
    packages = ("coverslip", "torch", "timm", "openvino", "numpy", "scipy", "scikit-learn", "pillow", "polars")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    computed = {"views through the network": extractor.computed}
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
