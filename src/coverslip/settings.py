"""Every setting of a run, typed and checked once; ``experiment.toml`` holds all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from coverslip.auditing.findings import NAMES
from coverslip.data.augment import VIEWS
from coverslip.data.decoding import PixelFormat
from coverslip.data.inputs import FITS, SIZES, InputSpec
from coverslip.data.split import FRACTIONS
from coverslip.errors import UserError
from coverslip.models.catalog import DEFAULT_NETWORK, NetworkEntry
from coverslip.registry import nearest
from coverslip.training.heads import STRENGTHS

DEPTHS = ("head",)
SITES = ("whole", "balanced")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """What is read."""

    source: str  # folder, table or .npz; in a TOML file relative to that file
    group: str = ""  # a column, a regular expression on the path, "parent", "shots:K", "burst:SECONDS", or nothing
    site: str = ""  # hospital, camera, batch: named as a group is, or nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitConfig:
    """How pictures are divided; groups stay whole."""

    fractions: tuple[float, float, float] = FRACTIONS  # train, validation, test
    seed: int = 0
    sites: str = "whole"  # each site in one part only; or "balanced": each part has the same mix of sites

    def __post_init__(self) -> None:
        if self.sites not in SITES:
            raise UserError(f"sites={self.sites!r} is not known", nearest(self.sites, SITES))
        if min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise UserError(f"fractions={self.fractions} do not divide the whole", "give three that add up to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditConfig:
    """What is done about findings; names are those of `coverslip.auditing.findings.NAMES`."""

    accept: tuple[str, ...] = ()  # go on with these; they stand in the report for ever
    drop: tuple[str, ...] = ()  # leave out the pictures that these concern
    fix: bool = False  # keep one of exact copies, none of one picture under two labels, groups in one part
    price: bool = False  # also look for shortcuts, and put a price on a leak

    def __post_init__(self) -> None:
        for name in (*self.accept, *self.drop):
            if name not in NAMES:
                raise UserError(f"no finding is called {name!r}", nearest(name, NAMES))
        both = set(self.accept) & set(self.drop)
        if both:
            raise UserError(f"{min(both)!r} is both accepted and dropped", "decide for one")


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
    coverage: float = 0.9  # how often the set of classes is to hold the true one

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise UserError(f"coverage={self.coverage} is not between 0 and 1", "0.9 is usual")
        if self.folds < 2:
            raise UserError(f"folds={self.folds} cannot hold anything out", "give 2 or more; 5 is usual")
        if not self.strengths or min(self.strengths) < 0:
            raise UserError(f"strengths={self.strengths} are not penalties", "give one or more numbers of 0 or above")


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatsConfig:
    """What is trained again to see how far a score moves; on train and validation, never on the test part."""

    folds: int = 0  # of a cross-validation by whole groups; 0: none
    seeds: int = 0  # other splits; 0: none
    learning_curve: bool = False  # what more pictures would buy

    def __post_init__(self) -> None:
        for name, count in (("folds", self.folds), ("seeds", self.seeds)):
            if count < 0 or count == 1:
                raise UserError(f"{name}={count} repeats nothing", "give 2 or more, or 0 for none; 5 and 10 are usual")


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """Every setting of a run; ``experiment.toml`` holds all of them."""

    data: DataConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    input: InputConfig = field(default_factory=InputConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    repeats: RepeatsConfig = field(default_factory=RepeatsConfig)


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
