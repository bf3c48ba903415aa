"""Every setting of a run, typed and checked once; ``experiment.toml`` holds all of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coverslip.auditing.findings import NAMES
from coverslip.data.augment import PRESETS, VIEWS, Augmentation
from coverslip.data.decoding import PixelFormat
from coverslip.data.inputs import FITS, SIZES, InputSpec
from coverslip.data.split import FRACTIONS
from coverslip.errors import UserError
from coverslip.evidence.threshold import positive_class
from coverslip.models.catalog import (
    DEFAULT_NETWORK,
    NetworkEntry,
    check_options,
    file_weights,
    network_entry,
    pretrained_weights,
)
from coverslip.models.design import Design
from coverslip.models.freeze import stage_at
from coverslip.models.stages import CLASSIFIER
from coverslip.paths import expand_text
from coverslip.registry import nearest
from coverslip.training.heads import STRENGTHS
from coverslip.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

SITES = ("whole", "balanced")
SOLVERS = ("exact", "loop")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """What is read."""

    source: str  # folder, table or .npz; in a TOML file relative to that file
    group: str = ""  # a column, a regular expression on the path, "parent", "shots:K", "burst:SECONDS", or nothing
    site: str = ""  # hospital, camera, batch: named as a group is, or nothing

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", expand_text(self.source))

    @property
    def options(self) -> dict[str, object]:
        """What a command about these pictures has to repeat, as `coverslip.commands.options_text` takes it."""
        return {"group": self.group, "site": self.site}


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
    pretrained: bool = True  # start from the network's own pretrained weights, where it has some
    weights: str = ""  # a file of pretrained weights instead
    depth: str = ""  # head, tail, all, auto, or a stage's name; "" is head where there are pretrained weights, else all
    minutes: float = 3.0  # that depth "auto" may take
    views: int = 0  # of each training picture: itself, mirrored, turned ...; 0 is what suits the depth
    fold: bool = True  # batch norm of a pretrained network is folded into its convolutions before training
    hidden: tuple[int, ...] = ()  # units of each dense layer; () is the network's own
    filters: tuple[int, ...] = ()  # filters of each block of convolutions; () is the network's own
    batch_norm: bool = False
    dropout: float = 0.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", expand_text(self.weights))
        if not 0 <= self.views <= VIEWS:
            raise UserError(f"views={self.views} is not in 0..{VIEWS}", "0 is what suits the depth")
        if not 0 < self.minutes < 1e6:
            raise UserError(f"minutes={self.minutes} is no time to train in", "3 is a good number")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How the head is fitted."""

    seed: int = 0
    solver: str = "exact"  # L-BFGS to the end, its penalty from cross-fitting; or "loop": step by step, by [recipe]
    folds: int = 5
    strengths: tuple[float, ...] = STRENGTHS
    refit: bool = False  # train on train and validation together
    coverage: float = 0.9  # how often the set of classes is to hold the true one

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise UserError(f"coverage={self.coverage} is not between 0 and 1", "0.9 is usual")
        if self.solver not in SOLVERS:
            raise UserError(f"solver={self.solver!r} is not known", nearest(self.solver, SOLVERS))
        if self.folds < 2:
            raise UserError(f"folds={self.folds} cannot hold anything out", "give 2 or more; 5 is usual")
        if not self.strengths or min(self.strengths) < 0:
            raise UserError(f"strengths={self.strengths} are not penalties", "give one or more numbers of 0 or above")


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdConfig:
    """Two classes: from which probability on a picture is named as the one that is looked for; at most one is asked."""

    positive: str = ""  # the class that is looked for; "" is the one whose name is not healthy, normal, control ...
    value: float | None = None  # this probability; where nothing is asked 0.5, so that the more probable class is named
    sensitivity: float | None = None  # find so large a share of its pictures, at least
    specificity: float | None = None  # leave so large a share of the other pictures alone, at least
    balanced: bool = False  # both as large as they can be together

    def __post_init__(self) -> None:
        asked = {"value": self.value, "sensitivity": self.sensitivity, "specificity": self.specificity}
        given = [name for name, wish in asked.items() if wish is not None] + ["balanced"] * self.balanced
        if len(given) > 1:
            raise UserError(f"threshold.{given[0]} and threshold.{given[1]} are two wishes", "ask for one of them")
        for name, wish in asked.items():
            if wish is not None and not 0 < wish < 1:
                raise UserError(f"threshold.{name}={wish:g} is not between 0 and 1", "0.95 stands for 95 %")

    @property
    def fitted(self) -> bool:
        """Whether pictures that trained nothing are needed to find it."""
        return self.sensitivity is not None or self.specificity is not None or self.balanced

    def positive_of(self, classes: tuple[str, ...]) -> tuple[str, str]:
        """Which of two classes is the one that is looked for, and why.

        Raises:
            UserError: another class is named.
        """
        if not self.positive:
            return positive_class(classes)
        if self.positive not in classes:
            raise UserError(f"threshold.positive={self.positive!r} is no class", nearest(self.positive, classes))
        return self.positive, "it was named"


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleConfig:
    """What the model holds beside what answers need."""

    examples: bool = False  # small pictures of training pictures, for the page of ``serve``; they may be patients'


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
class TunedConfig:
    """What a study said of these settings before they are trained again; nothing in a run depends on it."""

    trials: int  # that were compared
    accuracy: float  # of the best of them on the pictures that chose it
    expected: float  # on other pictures, without the luck of having been chosen
    low: float  # interval of that
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """Every setting of a run; ``experiment.toml`` holds all of them."""

    data: DataConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    input: InputConfig = field(default_factory=InputConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    threshold: ThresholdConfig = field(default_factory=ThresholdConfig)
    recipe: Recipe = field(default_factory=lambda: Recipe(smoothing=0.1, precision="auto"))  # of every depth but head
    augment: Augmentation | None = None  # likewise; None is what suits the depth
    repeats: RepeatsConfig = field(default_factory=RepeatsConfig)
    bundle: BundleConfig = field(default_factory=BundleConfig)
    tuned: TunedConfig | None = None


# What suits a depth: found on leaves, see benchmarks/results/depth.md
HEAD_VIEWS, TAIL_VIEWS = 2, 4
HEAD_EPOCHS, HEAD_RATE = 20, 3e-3  # of a head that the loop trains
TAIL_EPOCHS, TAIL_RATE = 6, 5e-4
SCRATCH_EPOCHS = 25
TAIL_MIXING = Augmentation(cutmix=0.3)
ALL_OF_IT = "use --depth all (in Python model_depth='all')"


def settled(plan: Experiment) -> Experiment:
    """The plan with a value for all that was left to what suits the network and the depth (but depth ``auto``).

    Raises:
        UserError: a network, stage or option that does not exist, or a depth that needs pretrained weights.
    """
    model, entry = plan.model, network_entry(plan.model.network)
    if model.weights and not Path(model.weights).is_file():
        raise UserError(f"there is no weights file {model.weights!r}", "check the path")
    check_options(entry, design_of(plan, 3))
    pretrained = is_pretrained(plan)
    depth = model.depth or ("head" if pretrained else "all")
    if depth == "auto" and pretrained:
        return replace(plan, model=replace(model, depth=depth))
    depth = "all" if depth == "auto" else depth
    if depth == "head" and not pretrained:
        raise UserError(f"{_without_weights(plan)}, so a head would stand on chance", ALL_OF_IT)
    first = trained_from(plan, depth)
    depth = "all" if first in _first_stages(plan) else depth
    if depth not in ("all", "head") and not pretrained:
        raise UserError(f"{_without_weights(plan)}, so there is nothing to freeze before {first!r}", ALL_OF_IT)
    looped = depth == "head" and plan.training.solver == "loop"
    if (depth != "head" or looped) and (plan.repeats.folds or plan.repeats.seeds or plan.repeats.learning_curve):
        raise UserError(
            "--folds, --seeds and --learning-curve repeat a head with the exact solver only, "
            f"not depth {depth!r}{' with the loop' if looped else ''}",
            "leave them out, or use --depth head --set training.solver=exact",
        )
    head, whole = first == CLASSIFIER, depth == "all"
    views = 1 if whole else model.views or (HEAD_VIEWS if head else TAIL_VIEWS)
    epochs, rate = (TAIL_EPOCHS, TAIL_RATE) if pretrained else (SCRATCH_EPOCHS, None)
    epochs, rate = (HEAD_EPOCHS, HEAD_RATE) if looped else (epochs, rate)
    recipe = replace(
        plan.recipe,
        epochs=plan.recipe.epochs or epochs,
        rate=rate if plan.recipe.rate is None else plan.recipe.rate,
        seed=plan.training.seed,
    ).filled()
    suits = PRESETS["light"] if whole else Augmentation() if head else TAIL_MIXING
    augment = suits if plan.augment is None else plan.augment
    return replace(plan, model=replace(model, depth=depth, views=views), recipe=recipe, augment=augment)


def _without_weights(plan: Experiment) -> str:
    name = repr(plan.model.network)
    return f"{name} has no pretrained weights" if plan.model.pretrained else f"{name} is to start from chance"


def check_threshold(plan: Experiment, classes: tuple[str, ...]) -> None:
    """Refuse early what the end of a run could not do.

    Raises:
        UserError: a threshold is asked for with other than two classes, of a class that is not there, or to be fitted
            where no picture is left to fit it on.
    """
    wish = plan.threshold
    if wish == ThresholdConfig():
        return
    if len(classes) != 2:
        fix = "leave [threshold] out: the most probable class is named"
        raise UserError(f"a threshold is for two classes, and here are {len(classes)}", fix)
    wish.positive_of(classes)
    if wish.fitted and plan.training.refit:
        fix = "leave --refit out, or give the threshold itself: --set threshold.value=0.3"
        raise UserError("with --refit no picture is left to find a threshold with", fix)


def is_pretrained(plan: Experiment) -> bool:
    """Whether the network starts from weights that were trained before."""
    own = plan.model.pretrained and network_entry(plan.model.network).load is not None
    return bool(plan.model.weights) or own


def starting_weights(plan: Experiment, channels: int) -> dict[str, Tensor]:
    """The weights that training starts from, of all before the classifier; none where it starts from chance.

    Raises:
        UserError: a file of weights that does not fit, or weights that are not to be had.
    """
    design = design_of(plan, channels)
    if plan.model.weights:
        return file_weights(design, Path(plan.model.weights))
    return pretrained_weights(design) if is_pretrained(plan) else {}


def fits_exactly(plan: Experiment) -> bool:
    """Whether a head is fitted to the end, instead of anything being trained step by step."""
    return plan.training.solver == "exact" and trained_from(plan) == CLASSIFIER and is_pretrained(plan)


def trained_from(plan: Experiment, depth: str | None = None) -> str:
    """The first stage that is trained at a depth (the plan's, without): ``classifier`` for a head."""
    entry = network_entry(plan.model.network)
    return stage_at(entry, entry.stages(design_of(plan, 3)), depth or plan.model.depth)


def _first_stages(plan: Experiment) -> tuple[str, ...]:
    return network_entry(plan.model.network).stages(design_of(plan, 3))[:1]


def design_of(plan: Experiment, channels: int) -> Design:
    """The network's shape for pictures of this many channels."""
    model = plan.model
    return Design(
        network=model.network,
        channels=channels,
        size=input_size(plan, network_entry(model.network)),
        hidden=model.hidden,
        filters=model.filters,
        batch_norm=model.batch_norm,
        dropout=model.dropout,
        activation=model.activation,
    )


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
