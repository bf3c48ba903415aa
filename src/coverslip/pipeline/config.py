"""The config of a run: every setting typed, documented and validated where it is defined.

``experiment.toml`` contains all of them. `--help` of ``coverslip train``, ``docs/settings.md`` and the JSON schema are
generated from the ``description`` of each field. Defaults that depend on the network are filled in by
`coverslip.pipeline.resolve`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from coverslip.auditing.findings import NAMES
from coverslip.core.config import from_mapping, option, read_toml, to_toml
from coverslip.core.errors import UserError
from coverslip.core.paths import HOME, expand_text
from coverslip.core.registry import nearest
from coverslip.core.renamed import upgrade_settings
from coverslip.core.storage import write_text
from coverslip.data.augment import VIEWS, Augmentation
from coverslip.data.inputs import FITS, SIZES
from coverslip.data.labels import ReadOptions
from coverslip.data.split import FRACTIONS
from coverslip.data.summary import relative_root
from coverslip.models.design import DEFAULT_NETWORK
from coverslip.tasks.config import CalibrationConfig, ThresholdConfig
from coverslip.tasks.regression.scale import SCALES
from coverslip.training.config import TrainingConfig
from coverslip.training.heads import L2_VALUES

FORMAT = 2  # of experiment.toml; version 0.1 wrote none
SITES = ("whole", "balanced")
SOLVERS = ("exact", "loop")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Section ``[data]``: the images to read."""

    source: str = field(
        metadata={
            "description": "Folder of class folders, table (CSV, Parquet) or .npz file; relative to experiment.toml."
        }
    )
    group: str = option(
        "", "Group of each image: a column, a regular expression on the path, parent, shots:K or burst:SECONDS."
    )
    site: str = option("", "Hospital, camera or batch of each image: a column or a pattern, as for the group.")
    path_column: str = option("", "Column of the table with the paths; empty: path, file, filename or image.")
    label_column: str = option("", "Column of the table with the labels; empty: label, class or target.")
    split_column: str = option("", "Column of the table with the splits; empty: split, set, subset or is_valid.")
    map: tuple[str, ...] = option((), "New name of a label, OLD=NEW; labels with one new name become one class.")
    leave_out: tuple[str, ...] = option(
        (), "Classes whose images are excluded, by their new names; nan: images without a target."
    )
    task: str = option(
        "", "classification, ordinal, multilabel or regression; empty: follows from the data and the settings below."
    )
    target: tuple[str, ...] = option((), "Columns of numbers to predict (regression).")
    scale: str = option("", "Scale on which a regression is fitted: log, logit (of proportions), or empty.")
    order: tuple[str, ...] = option((), "Ordered classes, the lowest first (ordinal).")
    labels: tuple[str, ...] = option((), "Columns of 0 and 1, one per label (multilabel).")

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", expand_text(self.source))
        self.reading  # noqa: B018 - refuses invalid names
        if self.scale not in SCALES:
            raise UserError(f"unknown scale {self.scale!r}", nearest(self.scale, SCALES[1:]))
        if self.scale and not self.target:
            raise UserError(f"--scale {self.scale} is for regression", "add --target COLUMN, or omit --scale")

    @property
    def options(self) -> dict[str, object]:
        """Options that a command about these images repeats, as `coverslip.core.commands.options_text` takes them."""
        return {
            "group": self.group,
            "site": self.site,
            "path-column": self.path_column,
            "label-column": self.label_column,
            "split-column": self.split_column,
            "map": self.map,
            "leave-out": self.leave_out,
            "task": self.task,
            "target": self.target,
            "scale": self.scale,
            "order": ",".join(self.order),
            "labels": ",".join(self.labels),
        }

    @property
    def reading(self) -> ReadOptions:
        """Columns to read, and classes to merge, rename or leave out."""
        return ReadOptions(
            path_column=self.path_column,
            label_column=self.label_column,
            split_column=self.split_column,
            map=self.map,
            leave_out=self.leave_out,
            task=self.task,
            target=self.target,
            order=self.order,
            labels=self.labels,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitConfig:
    """Section ``[split]``: train, validation and test set. Groups are never divided.

    Raises:
        UserError: the fractions do not add up to 1, or ``sites`` is unknown.
    """

    fractions: tuple[float, float, float] = option(FRACTIONS, "Fractions of the train, validation and test set.")
    seed: int = option(0, "Random seed of the split.")
    sites: str = option("whole", "whole: each site in one split only; balanced: the same mix of sites in each split.")
    refit: bool = option(False, "Train on the train and validation sets together; no images remain for calibration.")

    def __post_init__(self) -> None:
        if self.sites not in SITES:
            raise UserError(f"unknown sites={self.sites!r}", nearest(self.sites, SITES))
        if min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise UserError(f"fractions={self.fractions} do not add up to 1", "give three fractions with the sum 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditConfig:
    """Section ``[audit]``: decisions about findings, by their names in `coverslip.auditing.findings.NAMES`.

    Raises:
        UserError: a finding is unknown, or both accepted and dropped.
    """

    accept: tuple[str, ...] = option((), "Findings to accept; they stay listed in the report.")
    drop: tuple[str, ...] = option((), "Findings whose images are excluded.")
    fix: bool = option(
        False, "Keep one of several exact copies, drop images with conflicting labels, keep each group in one split."
    )
    probes: bool = option(
        False, "Test for shortcuts and estimate how much leakage inflates the score; takes up to a minute."
    )

    def __post_init__(self) -> None:
        for name in (*self.accept, *self.drop):
            if name not in NAMES:
                raise UserError(f"unknown finding {name!r}", nearest(name, NAMES))
        both = set(self.accept) & set(self.drop)
        if both:
            raise UserError(f"finding {min(both)!r} is both accepted and dropped", "choose one of the two")


@dataclass(frozen=True, kw_only=True, slots=True)
class InputConfig:
    """Section ``[input]``: the resizing of images.

    Raises:
        UserError: the size is out of range, or ``fit`` is unknown.
    """

    size: int = option(0, "Side of the network's input in pixels; 0: the network's own.")
    fit: str = option("pad", "How images are made square: pad, squash or crop.")

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise UserError(f"unknown fit={self.fit!r}", nearest(self.fit, FITS))
        if self.size and not SIZES[0] <= self.size <= SIZES[1]:
            raise UserError(
                f"size={self.size} is not within {SIZES[0]} to {SIZES[1]} pixels", "0 is the network's own size"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Section ``[model]``: the network, and how many of its layers are trained.

    Raises:
        UserError: ``views`` or ``minutes`` is out of range.
    """

    network: str = option(DEFAULT_NETWORK, "Name of the network; see coverslip networks.")
    pretrained: bool = option(True, "Start from the network's pretrained weights, if it has any.")
    weights: str = option("", "File of pretrained weights to start from instead.")
    depth: str = option(
        "", "Layers to train: head, tail, all, auto, or a stage name. Default: head if pretrained, else all."
    )
    minutes: float = option(3.0, "Training time that depth auto may use, in minutes.")
    views: int = option(0, "Views of each training image (flips and quarter turns), 1 to 8; 0: depends on depth.")
    fold: bool = option(True, "Fold the batch norm of a pretrained network into its convolutions before training.")
    hidden: tuple[int, ...] = option((), "Units of each dense layer; empty: the network's own.")
    filters: tuple[int, ...] = option((), "Filters of each convolutional block; empty: the network's own.")
    batch_norm: bool = option(False, "Use batch normalization.")
    dropout: float = option(0.0, "Dropout rate, 0 to below 1.")
    activation: str = option("relu", "Activation function.")
    examples: bool = option(
        False, "Store thumbnails of training images in the model, for serve; consider patients' privacy."
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", expand_text(self.weights))
        if not 0 <= self.views <= VIEWS:
            raise UserError(f"views={self.views} is not within 0 to {VIEWS}", "0 chooses by depth")
        if not 0 < self.minutes < 1e6:
            raise UserError(f"minutes={self.minutes} is not a positive time", "3 is the default")


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadConfig:
    """Section ``[head]``: the linear classifier of depth ``head``.

    Raises:
        UserError: a value is out of range.
    """

    solver: str = option(
        "exact", "exact: L-BFGS to convergence, l2 chosen by cross-fitting; loop: the training loop of [training]."
    )
    folds: int = option(5, "Folds of the cross-fitting that selects l2 and the temperature.")
    l2_values: tuple[float, ...] = option(L2_VALUES, "L2 penalties to choose from.")

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise UserError(f"unknown solver={self.solver!r}", nearest(self.solver, SOLVERS))
        if self.folds < 2:
            raise UserError(f"folds={self.folds} is too small for cross-fitting", "give 2 or more; 5 is usual")
        if not self.l2_values or min(self.l2_values) < 0:
            raise UserError(f"l2_values={self.l2_values} are not penalties", "give one or more numbers of 0 or above")


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatsConfig:
    """Section ``[repeats]``: repetitions on the train and validation set; the test set is not used.

    Raises:
        UserError: a number of repetitions is negative or 1.
    """

    folds: int = option(0, "Folds of a cross-validation that keeps groups together; 0: none.")
    seeds: int = option(0, "Number of additional random splits; 0: none.")
    learning_curve: bool = option(False, "Train on increasing fractions of the training set.")

    def __post_init__(self) -> None:
        for name, count in (("folds", self.folds), ("seeds", self.seeds)):
            if count < 0 or count == 1:
                raise UserError(f"{name}={count} repeats nothing", "give 2 or more, or 0 for none; 5 and 10 are usual")


@dataclass(frozen=True, kw_only=True, slots=True)
class TunedConfig:
    """Section ``[tuned]``: the study that chose these settings. For the record; a run does not depend on it."""

    trials: int = field(metadata={"description": "Trials that were compared."})
    accuracy: float = field(metadata={"description": "Accuracy of the best trial on the selection half."})
    expected: float = field(metadata={"description": "That accuracy, corrected for selection."})
    low: float = field(metadata={"description": "Lower end of its confidence interval."})
    high: float = field(metadata={"description": "Upper end of its confidence interval."})


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """All settings of a run."""

    format: int = option(FORMAT, "Version of this file's format.")
    data: DataConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    input: InputConfig = field(default_factory=InputConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(label_smoothing=0.1, precision="auto")
    )  # seed at every depth, the others below a head
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    threshold: ThresholdConfig = field(default_factory=ThresholdConfig)
    augment: Augmentation | None = None  # below a head; None: by depth
    repeats: RepeatsConfig = field(default_factory=RepeatsConfig)
    tuned: TunedConfig | None = None

    def __post_init__(self) -> None:
        check_format(self.format)


def check_format(number: object) -> None:
    """Refuse an ``experiment.toml`` that another version of Coverslip wrote in another format.

    Raises:
        UserError: the number is not `FORMAT`.
    """
    if number != FORMAT:
        raise UserError(
            f"experiment.toml has format {number!r}, and this version of Coverslip reads format {FORMAT}",
            "use the version of Coverslip that wrote the file",
        )


def write_config(config: RunConfig, file: Path) -> None:
    """Write a config as TOML, its source relative to the folder of the file."""
    source = relative_root(Path(config.data.source).absolute(), file.parent.absolute())
    source = f"./{source}" if source.startswith(HOME) else source  # a folder that is really called ~
    write_text(file, to_toml(replace(config, data=replace(config.data, source=source))))


def read_config(file: Path) -> RunConfig:
    """Read a config from TOML, its source relative to the working directory or absolute.

    A file of version 0.1, which has no ``format``, is read with its settings under their current names.

    Raises:
        UserError: the file cannot be read, is of a newer format, or contains an unknown setting or an invalid value.
    """
    content = read_toml(file)
    if "format" not in content:
        content = upgrade_settings(content)
    check_format(content.get("format", FORMAT))
    config = from_mapping(RunConfig, content, file.name)
    if Path(config.data.source).is_absolute():
        return config
    return replace(
        config, data=replace(config.data, source=str((file.absolute().parent / config.data.source).resolve()))
    )
