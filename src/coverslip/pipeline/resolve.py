"""Resolve a config: fill in the defaults that depend on the network and the depth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.augment import PRESETS, Augmentation
from coverslip.data.decoding import PixelFormat
from coverslip.data.inputs import InputSpec
from coverslip.data.table import ImageTable
from coverslip.models.catalog import check_options, network_entry, stage_names
from coverslip.models.design import Design
from coverslip.models.freeze import first_trained_stage
from coverslip.models.stages import CLASSIFIER
from coverslip.models.weights import file_weights, pretrained_weights
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.scale import check_scale
from coverslip.tasks import TASKS, Task
from coverslip.tasks.config import ThresholdConfig
from coverslip.training.config import TrainingConfig
from coverslip.training.losses import LOSSES, VALUE_LOSSES

if TYPE_CHECKING:
    from torch import Tensor

# Defaults by depth, chosen on leaf images: benchmarks/results/depth.md
HEAD_VIEWS, TAIL_VIEWS = 2, 4
HEAD_EPOCHS, HEAD_LR = 20, 3e-3  # of a head that the training loop fits
TAIL_EPOCHS, TAIL_LR = 6, 5e-4
SCRATCH_EPOCHS = 25
TAIL_AUGMENTATION = Augmentation(cutmix=0.3)
TRAIN_ALL = "use --depth all (in Python model_depth='all')"


def resolve_config(config: RunConfig) -> RunConfig:
    """Return the config with every default that depends on network and depth filled in; depth ``auto`` stays.

    Raises:
        UserError: an unknown network, stage or option, or a depth that needs pretrained weights the network lacks.
    """
    model, entry = config.model, network_entry(config.model.network)
    if model.weights and not Path(model.weights).is_file():
        raise UserError(f"weights file {model.weights!r} does not exist", "check the path")
    check_options(entry, network_design(config, 3))
    pretrained = is_pretrained(config)
    depth = model.depth or ("head" if pretrained else "all")
    if depth == "auto" and pretrained:
        return replace(config, model=replace(model, depth=depth))
    depth = "all" if depth == "auto" else depth
    if depth == "head" and not pretrained:
        raise UserError(f"{_without_weights(config)}, so the features of a head would be random", TRAIN_ALL)
    first = trained_from(config, depth)
    depth = "all" if first == stage_names(network_design(config, 3))[0] else depth
    if depth not in ("all", "head") and not pretrained:
        raise UserError(f"{_without_weights(config)}, so there is nothing to freeze before {first!r}", TRAIN_ALL)
    loop_head = depth == "head" and config.head.solver == "loop"
    if (depth != "head" or loop_head) and _repeats_anything(config):
        raise UserError(
            "--folds, --seeds and --learning-curve need a head with the exact solver, "
            f"not depth {depth!r}{' with the loop' if loop_head else ''}",
            "omit them, or use --depth head --set head.solver=exact",
        )
    head, whole = first == CLASSIFIER, depth == "all"
    views = 1 if whole else model.views or (HEAD_VIEWS if head else TAIL_VIEWS)
    epochs, lr = (TAIL_EPOCHS, TAIL_LR) if pretrained else (SCRATCH_EPOCHS, None)
    epochs, lr = (HEAD_EPOCHS, HEAD_LR) if loop_head else (epochs, lr)
    training = replace(
        config.training,
        epochs=config.training.epochs or epochs,
        lr=lr if config.training.lr is None else config.training.lr,
    ).filled()
    by_depth = PRESETS["light"] if whole else Augmentation() if head else TAIL_AUGMENTATION
    augment = by_depth if config.augment is None else config.augment
    return replace(config, model=replace(model, depth=depth, views=views), training=training, augment=augment)


def _repeats_anything(config: RunConfig) -> bool:
    return bool(config.repeats.folds or config.repeats.seeds or config.repeats.learning_curve)


def _without_weights(config: RunConfig) -> str:
    name = repr(config.model.network)
    return f"{name} has no pretrained weights" if config.model.pretrained else f"{name} starts from random weights"


def with_task_defaults(config: RunConfig, given: RunConfig, task: str) -> RunConfig:
    """Return a resolved config whose training suits the task, where ``given``, the unresolved config, has defaults.

    Cross-entropy becomes the squared error for a regression; labels are not smoothed, and images not mixed, for any
    task but classification: what a mixture of two images shows is known for classes only.
    """
    if task == "classification":
        return config
    training, augment = config.training, config.augment
    if training.loss == TrainingConfig().loss and task == "regression":
        training = replace(training, loss="mse")
    if given.training.label_smoothing == RunConfig(data=given.data).training.label_smoothing:
        training = replace(training, label_smoothing=0.0)
    if given.augment is None and augment is not None:
        augment = replace(augment, mixup=0.0, cutmix=0.0)
    return replace(config, training=training, augment=augment)


def check_task(config: RunConfig, table: ImageTable) -> None:
    """Refuse settings that do not suit the task of the data.

    Raises:
        UserError: the task cannot be trained with these settings; or see `check_threshold`.
    """
    values, loss = table.task == "regression", config.training.loss
    looped = config.model.depth == "auto" or not uses_exact_head(config)
    if looped and (loss in VALUE_LOSSES) != values:
        known = VALUE_LOSSES if values else LOSSES
        raise UserError(f"the loss {loss!r} does not suit the task {table.task!r}", nearest(loss, known))
    if table.task == "classification":
        check_threshold(config, table.classes)
        return
    threshold = config.threshold
    allowed = ThresholdConfig(value=threshold.value) if table.task == "multilabel" else ThresholdConfig()
    if threshold != allowed:
        fix = "omit [threshold]"
        if table.task == "multilabel":
            fix = "omit it: each label has a threshold of its own; or give one for all: --set threshold.value=0.4"
        raise UserError(f"a decision threshold needs two classes, and the task is {table.task!r}", fix)
    if config.model.depth == "auto":
        raise UserError(
            f"depth 'auto' compares classifiers, and the task is {table.task!r}", "use --depth head or tail"
        )
    if config.training.balance != "none" or config.training.class_weights:
        raise UserError(f"the balance of classes does not apply to the task {table.task!r}", "omit training.balance")
    if config.training.label_smoothing and table.task != "multilabel":
        problem = f"label smoothing does not apply to the task {table.task!r}"
        raise UserError(problem, "omit training.label_smoothing")
    if config.repeats.seeds or config.repeats.learning_curve:
        raise UserError(f"--seeds and --learning-curve do not support {table.task!r} yet", "use --folds 5")
    if table.task == "regression":
        if config.split.refit:
            raise UserError("--refit leaves no images to calibrate the prediction intervals of a regression", "omit it")
        check_scale(table, config.data.scale)


def check_threshold(config: RunConfig, classes: tuple[str, ...]) -> None:
    """Refuse a threshold that the end of the run could not set.

    Raises:
        UserError: a threshold is configured and there are not two classes, the positive class does not exist, or no
            held-out images are left to choose the threshold on.
    """
    threshold = config.threshold
    if threshold == ThresholdConfig():
        return
    if len(classes) != 2:
        fix = "omit [threshold]: the most probable class is predicted"
        raise UserError(f"a decision threshold needs two classes, and the data has {len(classes)}", fix)
    threshold.positive_of(classes)
    if threshold.fitted and config.split.refit:
        fix = "omit --refit, or give the threshold itself: --set threshold.value=0.3"
        raise UserError("with --refit no images are left to choose a threshold on", fix)


def new_task(config: RunConfig, table: ImageTable) -> Task:
    """Return the untrained task of a table."""
    return TASKS[table.task].new(table.targets or table.classes, config.data.scale)


def is_pretrained(config: RunConfig) -> bool:
    """Return whether training starts from pretrained weights."""
    from_network = config.model.pretrained and network_entry(config.model.network).load is not None
    return bool(config.model.weights) or from_network


def initial_weights(config: RunConfig, channels: int) -> dict[str, Tensor]:
    """Return the pretrained weights of everything before the classifier; empty for random initialization.

    Raises:
        UserError: the weights file does not fit the network, or the weights cannot be obtained.
    """
    design = network_design(config, channels)
    if config.model.weights:
        return file_weights(design, Path(config.model.weights))
    return pretrained_weights(design) if is_pretrained(config) else {}


def uses_exact_head(config: RunConfig) -> bool:
    """Return whether a linear head is fitted to convergence, without the training loop."""
    return config.head.solver == "exact" and trained_from(config) == CLASSIFIER and is_pretrained(config)


def trained_from(config: RunConfig, depth: str | None = None) -> str:
    """Return the first stage that is trained at ``depth``, by default the config's; ``classifier`` for a head."""
    entry = network_entry(config.model.network)
    return first_trained_stage(entry, entry.stages(network_design(config, 3)), depth or config.model.depth)


def network_design(config: RunConfig, channels: int) -> Design:
    """Return the network's design for images with ``channels`` channels."""
    model = config.model
    return Design(
        network=model.network,
        channels=channels,
        size=input_size(config),
        hidden=model.hidden,
        filters=model.filters,
        batch_norm=model.batch_norm,
        dropout=model.dropout,
        activation=model.activation,
    )


def input_size(config: RunConfig) -> tuple[int, int]:
    """Return (height, width) in pixels that images are resized to: ``input.size``, or the network's own."""
    size = config.input.size
    return (size, size) if size else network_entry(config.model.network).size


def input_spec(config: RunConfig, pixel_format: PixelFormat) -> InputSpec:
    """Return the network's preparation for images of this format, before percentiles are fitted."""
    network = network_entry(config.model.network)
    return InputSpec(
        size=input_size(config),
        fit=config.input.fit,
        channels=pixel_format.channels,
        depth=pixel_format.depth,
        mean=(network.mean,) * pixel_format.channels,
        std=(network.std,) * pixel_format.channels,
    )
