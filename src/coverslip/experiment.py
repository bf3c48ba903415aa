"""The recipe: the one place that joins data, model, task, training and evidence. Read `run` first."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.config import to_toml
from coverslip.data.augment import VIEWS
from coverslip.data.cache import PixelCache, read_pixels, with_status
from coverslip.data.decoding import PixelFormat
from coverslip.data.groups import join_twins
from coverslip.data.inputs import FITS, SIZES, InputSpec
from coverslip.data.scan import scan
from coverslip.data.split import FRACTIONS, split_table
from coverslip.data.summary import file_notes, relative_root, summarize
from coverslip.data.table import PARTS, ImageTable
from coverslip.devices import keep_big_blocks, machine
from coverslip.errors import UserError
from coverslip.evidence.classification import classification_evidence
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.predictor import Predictor
from coverslip.models.catalog import DEFAULT_NETWORK, NetworkEntry, network_entry, pretrained
from coverslip.progress import SILENT, EventLog, Progress
from coverslip.registry import nearest
from coverslip.runs import Run
from coverslip.storage import evict, write_text
from coverslip.tasks.classification import Classification
from coverslip.training.heads import STRENGTHS, Head, fit_head

DEPTHS = ("head",)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """What is read."""

    source: str  # folder, table or .npz; in a TOML file relative to that file
    group: str = ""  # a column, a regular expression on the path, "parent", or nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitConfig:
    """How pictures are divided; groups stay whole."""

    fractions: tuple[float, float, float] = FRACTIONS  # train, validation, test
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise UserError(f"fractions={self.fractions} do not divide the whole", "give three that add up to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class InputConfig:
    """How pictures are resized."""

    size: int = 0  # side in pixels; 0 is the network's own
    fit: str = "pad"

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise UserError(f"fit={self.fit!r} is not known", nearest(self.fit, FITS))
        if self.size and not SIZES[0] <= self.size <= SIZES[1]:
            raise UserError(f"size={self.size} is not within {SIZES[0]} to {SIZES[1]} pixels", "0 is the network's own")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Which network, and how much of it is trained."""

    network: str = DEFAULT_NETWORK
    depth: str = "head"
    views: int = 2  # of each training picture: itself, mirrored, turned ...

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise UserError(f"depth={self.depth!r} is not there yet", f"use {DEPTHS[0]!r}")
        if not 1 <= self.views <= VIEWS:
            raise UserError(f"views={self.views} is not in 1..{VIEWS}", "2 is a good number")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How the head is fitted."""

    seed: int = 0
    folds: int = 5
    strengths: tuple[float, ...] = STRENGTHS
    refit: bool = False  # train on train and validation together

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise UserError(f"folds={self.folds} cannot hold anything out", "give 2 or more; 5 is usual")
        if not self.strengths or min(self.strengths) < 0:
            raise UserError(f"strengths={self.strengths} are not penalties", "give one or more numbers of 0 or above")


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """Every setting of a run; ``experiment.toml`` holds all of them."""

    data: DataConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    input: InputConfig = field(default_factory=InputConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def run(plan: Experiment, folder: Run, *, verify: bool = False, progress: Progress = SILENT) -> dict[str, Any]:
    """Folder of pictures -> trained, tested, saved; returns what ``test.json`` holds.

    The test part is opened once, by the last step, after the model is saved.
    """
    keep_big_blocks()
    log = EventLog(folder.events_file, progress)
    write_plan(plan, folder)
    network = network_entry(plan.model.network)
    size = input_size(plan, network)
    table = scan(plan.data.source, plan.data.group)
    log.note(_found(table))
    if table.grouped_by is None:
        log.note("note: no groups are known; if several pictures show one leaf (patient, slide), name it with --group")
    pixels = read_pixels(table, size, plan.input.fit, verify=verify, progress=log)
    table = _settle(plan, table, pixels, folder, log)

    spec = input_spec(plan, network, pixels.format).fitted(pixels.pixels, table.rows("train"), plan.training.seed)
    extractor = FeatureExtractor(pretrained(plan.model.network, spec.channels), spec)
    head, about = _train(plan, table, pixels, extractor, log)
    task = Classification(table.classes, head.temperature)
    seen = frozenset(pixels.facts["row_hash"][table.rows("train") + table.rows("validation")].to_list())
    predictor = Predictor(plan.model.network, extractor, head.weight, head.bias, task, about, seen)
    predictor.save(folder)
    head.history.write_csv(folder.history_file)
    head.strengths.write_csv(folder.strengths_file)

    evidence = _test(table, pixels, predictor, folder, log)
    folder.write_json(folder.environment_file, environment(log, extractor, pixels))
    folder.write_json(folder.test_file, evidence)  # last: a run with this file is finished
    evict()
    return evidence


def write_plan(plan: Experiment, folder: Run) -> None:
    """Write ``experiment.toml``, with the source as seen from the run's folder."""
    source = relative_root(Path(plan.data.source).absolute(), folder.folder.absolute())
    write_text(folder.experiment_file, to_toml(replace(plan, data=replace(plan.data, source=source))))


def _settle(plan: Experiment, table: ImageTable, pixels: PixelCache, folder: Run, log: Progress) -> ImageTable:
    """What was read and what was not, twins in one group, every picture in one part; written down."""
    table = with_status(table, pixels.facts)
    given = table.frame["split"].null_count() < len(table)
    joined, twins = join_twins(table, pixels.facts["pixel_hash"].to_list())
    if not given:  # a given split stays as it is, even where it leaks: the notes say so
        table = joined
    table = split_table(table, plan.split.fractions, plan.split.seed)
    notes = file_notes(table, pixels.facts, twins if not given else [], plan.input.fit)
    leaks = sum(table.frame["split"].gather(rows).n_unique() > 1 for rows in twins)
    if leaks:
        notes.append(f"the given split leaks: {leaks} pictures have an exact copy in another part")
    for part in PARTS[1:]:
        there = set(table.labels(table.rows(part)))
        notes += [f"class {name!r} has no picture in {part}" for n, name in enumerate(table.classes) if n not in there]
    for note in notes:
        log.note(f"note: {note}")
    table = replace(table, notes=tuple(notes))
    table.frame.write_csv(folder.table_file)
    size: tuple[int, int] = (pixels.pixels.shape[1], pixels.pixels.shape[2])
    whole = "" if plan.input.fit == "crop" else ", 100 % of each picture survives"
    log.note(f"resized to {size[0]} x {size[1]} pixels by {plan.input.fit!r}{whole}")
    root = relative_root(table.root, folder.folder.absolute())
    folder.write_json(folder.audit_file, summarize(table, pixels.facts, twins, size, plan.input.fit, root))
    log.note(_divided(table))
    return table


def input_size(plan: Experiment, network: NetworkEntry) -> tuple[int, int]:
    """(height, width) that pictures are resized to: what the settings say, else the network's own."""
    return (plan.input.size, plan.input.size) if plan.input.size else network.size


def input_spec(plan: Experiment, network: NetworkEntry, form: PixelFormat) -> InputSpec:
    """The network's preparation for pictures of this many channels and this depth, before any percentile is known."""
    return InputSpec(
        size=input_size(plan, network),
        fit=plan.input.fit,
        channels=form.channels,
        depth=form.depth,
        mean=(network.mean,) * form.channels,
        std=(network.std,) * form.channels,
    )


def _train(
    plan: Experiment, table: ImageTable, pixels: PixelCache, extractor: FeatureExtractor, log: Progress
) -> tuple[Head, dict[str, Any]]:
    """Features of train and validation, and a head fitted on them; the test part is not touched."""
    channels = extractor.spec.channels
    if channels == 1:
        log.note("grey pictures are shown in grey to a network that was trained on color")
    elif channels != 3:
        log.note(f"the network's first layer, trained on color, is adapted to {channels} channels")
    keys = pixels.facts["row_hash"].to_list()
    train, validation = table.rows("train"), table.rows("validation")
    if plan.training.refit:
        train, validation = sorted(train + validation), []
    views = plan.model.views
    features = extractor.extract(pixels.pixels, train, keys, views, log, "computing features")
    watched = None
    if validation:
        held = extractor.extract(pixels.pixels, validation, keys, 1, log, "features of validation")
        watched = (held, table.labels(validation))
    head = fit_head(
        features,
        table.labels(train),
        table.groups(train),
        len(table.classes),
        views=views,
        validation=watched,
        strengths=plan.training.strengths,
        folds=plan.training.folds,
        seed=plan.training.seed,
        progress=log,
    )
    groups = len(set(table.groups(train)))
    return head, {
        "depth": plan.model.depth,
        "strength": head.strength,
        "trained_on": {"pictures": len(train), "groups": groups},
    }


def _test(table: ImageTable, pixels: PixelCache, predictor: Predictor, folder: Run, log: Progress) -> dict[str, Any]:
    """Open the test part, once: predictions of every picture in it, and every score with its interval."""
    rows = table.rows("test")
    keys = pixels.facts["row_hash"].to_list()
    features = predictor.extractor.extract(pixels.pixels, rows, keys, 1, log, "opening the test part")
    probabilities = predictor.probabilities(features)
    part = table.frame[rows]
    labels, groups = part["label"].to_list(), part["group"].to_list()
    predictions = predictor.task.decode(probabilities, part["path"].to_list(), labels, groups, [None] * len(rows))
    predictions.write_csv(folder.predictions_file, float_precision=6)
    return score(probabilities, table, rows)


def score(probabilities: np.ndarray[Any, Any], table: ImageTable, rows: list[int]) -> dict[str, Any]:
    """Every score of some rows with its interval, over groups where there are any."""
    labels = np.asarray(table.labels(rows))
    groups = None
    if table.frame["group"][rows].null_count() < len(rows):
        groups = np.unique(np.asarray(table.groups(rows)), return_inverse=True)[1]
    return classification_evidence(labels, probabilities, groups, table.classes)


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
    return {"versions": versions, "machine": machine(), "seconds": log.seconds, "computed": computed}


def _found(table: ImageTable) -> str:
    counts = table.frame["label"].value_counts()["count"].to_list()
    low, high = min(counts), max(counts)
    each = f"{low:,} each" if low == high else f"{low:,} to {high:,} each"
    groups = table.frame["group"].drop_nulls().n_unique()
    by = f"{groups:,} groups ({table.grouped_by})" if table.grouped_by else "no groups"
    return f"found {len(table):,} pictures of {len(table.classes)} classes ({each}), {by}"


def _divided(table: ImageTable) -> str:
    parts = []
    for part in PARTS:
        rows = table.rows(part)
        groups = f" of {len(set(table.groups(rows))):,} groups" if table.grouped_by else ""
        parts.append(f"{part} {len(rows):,}{groups}")
    return "split: " + ", ".join(parts)
