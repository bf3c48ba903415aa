"""Train and evaluate networks on arrays, as in Keras: `coverslip.fit`. For notebooks and the course."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from coverslip.core.devices import pick_device, tune_allocator
from coverslip.core.errors import UserError
from coverslip.core.forks import unforked
from coverslip.core.registry import nearest
from coverslip.data.augment import Augmentation, augmentation
from coverslip.data.split import assign_splits
from coverslip.evidence import classification_evidence
from coverslip.evidence.recalibration import softmax
from coverslip.models.keras_adapter import as_module
from coverslip.models.shapes import eval_mode
from coverslip.training.array_data import Subset, read_groups, read_images, read_labels
from coverslip.training.batches import ArrayInputs
from coverslip.training.checks import check_output, high_loss_note
from coverslip.training.collect import is_dataset, split_pair
from coverslip.training.config import TrainingConfig
from coverslip.training.epoch_printer import EpochPrinter
from coverslip.training.forward import compute_logits
from coverslip.training.held_out import group_codes
from coverslip.training.loop import train_network
from coverslip.training.objectives import ClassObjective
from coverslip.training.outcome import History, Scores

IntArray = npt.NDArray[np.int64]
KERAS_DEFAULTS = {"schedule": "constant", "weight_decay": 0.0}  # what `Model.fit` does with Keras' Adam


@unforked
def fit_arrays(
    network: Any,
    x: Any,
    y: Any = None,
    epochs: int = 25,
    batch_size: int = 32,
    lr: float = 1e-4,
    validation_split: float = 0.2,
    *,
    groups: Any = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    augment: str | Augmentation | None = None,
    optimizer: str = "adam",
    layout: str | None = None,
    verbose: int = 1,
    **config: Any,
) -> History:
    """Train a network on arrays, in place.

    The validation set is a random sample, stratified by class, with groups kept intact (Keras would take the last
    rows). After training, the network has the weights of the epoch with the smallest validation loss; with
    ``keep_best=False`` it keeps the last ones.

    Args:
        network: a `torch.nn.Module` that maps images (N, C, H, W), or feature vectors (N, D), to logits (N, K); or a
            Keras model with the PyTorch backend, with or without a final softmax.
        x: NumPy array or torch tensor. Images have shape (N, H, W, C), (N, C, H, W) or (N, H, W), and are uint8 or
            floats from 0 to 1; the network receives floats from 0 to 1. Feature vectors (N, D) are passed unchanged.
            Or a PyTorch data set, or a data loader, of (image, label), without ``y``: its images are read once, so that
            random transforms are drawn once; use ``augment`` instead.
        y: class ids (N,), one-hot rows (N, K), or class names (N,).
        epochs: number of passes over the training images.
        batch_size: images per step; 0 for all.
        lr: learning rate.
        validation_split: fraction of the images to use for validation, 0 to below 1; 0 for no validation set.
        groups: group of each image (leaf, patient, slide); images of one group always stay in the same split.
        classes: class names in the order of the network's outputs.
        seed: random seed of the split, the batch order and the augmentation. For reproducible initial weights, call
            ``torch.manual_seed`` before building the network.
        augment: name of a preset ("flips", "light", "strong") or an `Augmentation`; None for no augmentation.
        optimizer: "adam", "adamw" or "sgd".
        layout: "NHWC" or "NCHW"; required if the shape of ``x`` is ambiguous.
        verbose: 1 prints one line per epoch; 0 prints nothing.
        config: further settings of `coverslip.training.config.TrainingConfig`, such as ``patience=5``, ``l2=1e-4`` or
            ``schedule="one-cycle"``; ``class_weights="balanced"`` means ``balance="weights"``. As in Keras, the
            learning rate is constant and there is no weight decay by default.

    Returns:
        The history, with the network and the rows of the validation set.

    Raises:
        UserError: arrays, labels or settings are invalid; the message states how to fix it.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.integers(0, 256, (40, 8, 8, 3), np.uint8)
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    >>> history = fit_arrays(network, x, rng.integers(0, 2, 40), epochs=2, verbose=0)
    >>> history.frame.height, len(history.validation_rows)
    (2, 8)
    """
    read_once = f"; the images of the {type(x).__name__} were read once" if is_dataset(x) else ""
    x, y = split_pair(x, y)
    module = as_module(network)
    augment = augmentation(augment) if isinstance(augment, str) else augment
    if augment is not None and not isinstance(augment, Augmentation):
        problem = f"augment is of type {type(augment).__name__}"
        raise UserError(problem, "give the name of a preset ('flips', 'light', 'strong') or an Augmentation")
    config, class_weights = _balance(config)
    settings = _training_config(config, epochs=epochs, lr=lr, batch_size=batch_size, optimizer=optimizer, seed=seed)
    inputs, description = read_images(x, layout, augment, seed)
    labels, names = _read_labels(module, inputs, y, classes)
    settings = dataclasses.replace(settings, class_weights=_class_weights(class_weights, names))
    if len(set(labels.tolist())) < 2:
        raise UserError(f"all images belong to one class, {names[int(labels[0])]!r}", "add images of another class")
    split = hold_out(labels, read_groups(groups, len(inputs)), validation_split, seed)
    train, validation = np.flatnonzero(split == 0), np.flatnonzero(split == 1)
    printer = EpochPrinter() if verbose else None
    if printer is not None:
        how = " (random, groups kept intact)" if groups is not None else " (random)"
        printer.note(
            f"{description}; {len(names)} classes; {len(train):,} for training, {len(validation):,} for validation"
            f"{how if len(validation) else ''}{read_once}"
        )
    tune_allocator()
    result = train_network(
        module,
        Subset(inputs, train),
        labels[train],
        len(names),
        settings,
        validation=(Subset(inputs, validation), labels[validation]) if len(validation) else None,
        mix=augment if augment is not None and augment.uses("mixup", "cutmix") else None,
        callbacks=[printer] if printer is not None else [],
    )
    history = History(
        frame=result.history,
        network=network,
        classes=names,
        best_epoch=result.best_epoch,
        stopped=result.stopped if result.history.height < epochs else "",
        train_rows=train,
        validation_rows=validation,
        layout=layout,
    )
    if printer is not None and len(validation) and settings.keep_best:
        monitor = settings.monitor.replace("_", " ")
        printer.note(f"restored the weights of epoch {history.best_epoch}, which has the best {monitor}")
    note = high_loss_note(result.history, ClassObjective(len(names)).uninformed_loss, settings)
    if printer is not None and note:
        printer.note(note)
    return history


@unforked
def evaluate_arrays(
    network: Any,
    x: Any,
    y: Any = None,
    *,
    groups: Any = None,
    classes: Sequence[str] | None = None,
    layout: str | None = None,
) -> Scores:
    """Evaluate a network on images that were not used for training; every score has a confidence interval.

    Args:
        network: as for `fit_arrays`.
        x: images or feature vectors, as for `fit_arrays`.
        y: labels, as for `fit_arrays`.
        groups: group of each image. Confidence intervals are computed over groups, without groups over images.
        classes: class names in the order of the network's outputs, such as ``history.classes``; required if ``y``
            contains names and some class has no images.
        layout: "NHWC" or "NCHW"; required if the shape of ``x`` is ambiguous.

    Returns:
        Loss, accuracy, confusion matrix and all other scores.

    Raises:
        UserError: arrays, labels or groups are invalid.
    """
    x, y = split_pair(x, y)
    module = as_module(network)
    inputs, _ = read_images(x, layout)
    labels, names = _read_labels(module, inputs, y, classes)
    group_names = read_groups(groups, len(inputs))
    codes = None if group_names is None else group_codes(group_names)
    check_output(module, inputs, len(names), _move_to_device(module))
    logits = compute_logits(module, inputs)
    if not np.isfinite(logits).all():
        raise UserError("the network returns NaN or infinite logits", "train it again with a lower learning rate")
    probabilities = softmax(logits)
    evidence = classification_evidence(labels, probabilities, codes, names)
    return Scores(
        loss=evidence["scores"]["log_loss"],
        accuracy=evidence["scores"]["accuracy"],
        classes=names,
        confusion=np.asarray(evidence["confusion"]),
        evidence=evidence,
        probabilities=probabilities,
    )


def _training_config(settings: dict[str, Any], **arguments: Any) -> TrainingConfig:
    """Return the training config from the settings of the user and the named arguments of `fit_arrays`."""
    known = {field.name for field in dataclasses.fields(TrainingConfig)} - set(arguments)
    if not isinstance(arguments["optimizer"], str):
        problem = f"optimizer must be a name, not an object of type {type(arguments['optimizer']).__name__}"
        raise UserError(problem, "use optimizer='adam', 'adamw' or 'sgd', and lr=...")
    for name in settings:
        if name not in known:
            fix = "use lr=..." if name in ("rate", "learning_rate") else nearest(name, known)
            raise UserError(f"fit has no argument {name!r}", fix)
    defaults = {} if arguments["optimizer"] == "adamw" else KERAS_DEFAULTS
    return TrainingConfig(**{**defaults, **arguments, **settings})


def _balance(settings: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the settings without class weights, and the weights; "balanced", as in scikit-learn, sets ``balance``.

    Raises:
        UserError: the weights are another text, or contradict ``balance``.
    """
    settings = dict(settings)
    weights = settings.pop("class_weights", None)
    if isinstance(weights, str):
        if weights != "balanced":
            raise UserError(f"unknown class_weights={weights!r}", "use 'balanced', or one weight per class")
        if settings.setdefault("balance", "weights") != "weights":
            problem = f"class_weights='balanced' and balance={settings['balance']!r} contradict each other"
            raise UserError(problem, "give one of the two")
        weights = None
    return settings, () if weights is None else weights


def _class_weights(weights: Any, names: tuple[str, ...]) -> tuple[float, ...]:
    """Return one weight per class. A mapping from class ids or names, as in Keras, may omit classes of weight 1.

    >>> _class_weights({1: 5, "rust": 2}, ("healthy", "scab", "rust"))
    (1.0, 5.0, 2.0)
    """
    if not isinstance(weights, Mapping):
        try:
            return tuple(float(weight) for weight in weights)
        except (TypeError, ValueError) as error:
            problem = f"class_weights={weights!r} are not weights"
            raise UserError(problem, "use 'balanced', or one number per class") from error
    ids: dict[Any, int] = {name: number for number, name in enumerate(names)} | {n: n for n in range(len(names))}
    for key in weights:
        if key not in ids:
            fix = f"use class ids 0 to {len(names) - 1}, or class names"
            raise UserError(f"class_weights has the unknown class {key!r}", fix)
    weight_of_id = {ids[key]: float(weight) for key, weight in weights.items()}
    return tuple(weight_of_id.get(number, 1.0) for number in range(len(names)))


def hold_out(labels: IntArray, groups: list[str] | None, fraction: float, seed: int) -> IntArray:
    """Return 0 for training and 1 for validation images, stratified by class, with groups kept intact.

    Args:
        labels: class ids, int64 (N,).
        groups: group names of the N images; None if each image is its own group.
        fraction: fraction of the validation images, 0 to below 1.
        seed: random seed.

    Raises:
        UserError: the fraction is out of range, or there are fewer than two groups.
    """
    if not isinstance(fraction, int | float) or not 0 <= fraction < 1:
        raise UserError(
            f"validation_split={fraction!r} is not a number from 0 to below 1", "0.2 is usual; 0 for no validation set"
        )
    if fraction == 0:
        return np.zeros(len(labels), np.int64)
    units = [f"{row:09d}" for row in range(len(labels))] if groups is None else groups
    if len(set(units)) < 2:
        what = "1 image" if groups is None else "1 group"
        raise UserError(
            f"{what} cannot be split into a training and a validation set", "add more, or set validation_split=0"
        )
    return assign_splits(labels, units, [1 - fraction, fraction], seed)


def _read_labels(
    network: nn.Module, inputs: ArrayInputs, y: Any, classes: Sequence[str] | None
) -> tuple[IntArray, tuple[str, ...]]:
    """Return class ids and class names, one name per output of the network."""
    labels, names = read_labels(y, len(inputs), classes)
    outputs = _num_outputs(network, inputs)
    unnamed = names == tuple(str(number) for number in range(len(names)))
    if classes is None and outputs is not None and unnamed and 1 < outputs < len(names):
        raise UserError(
            f"y has class ids up to {len(names) - 1}, but the network has {outputs} outputs (0 to {outputs - 1})",
            "number the classes from 0, or give the network one output per class",
        )
    if classes is not None or outputs is None or outputs <= len(names):
        return labels, names  # `check_output` reports a wrong number of outputs
    if set(names) <= {str(number) for number in range(outputs)}:
        return labels, tuple(str(number) for number in range(outputs))
    raise UserError(
        f"y contains {len(names)} class names, but the network has {outputs} outputs",
        "list all class names in the order of the outputs: classes=[...]",
    )


def _num_outputs(network: nn.Module, inputs: ArrayInputs) -> int | None:
    """Return the number of outputs; None if the network rejects the inputs, which `check_output` will report.

    Raises:
        UserError: the outputs are probabilities, not logits.
    """
    rows, device = np.arange(min(8, len(inputs))), _move_to_device(network)
    try:
        with eval_mode(network), torch.no_grad():
            outputs = network(inputs.take(rows, None, device))
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2:
        return None
    sums = outputs.float().sum(dim=1)
    if outputs.shape[1] > 1 and float(outputs.min()) >= 0 and bool(torch.allclose(sums, torch.ones_like(sums))):
        raise UserError(
            "the network ends with a softmax: it returns probabilities, but the loss expects logits",
            "remove the last softmax; predict and evaluate apply it",
        )
    return int(outputs.shape[1])


def _move_to_device(network: nn.Module) -> torch.device:
    """Move the network to the fastest device, and return the device."""
    device = pick_device()
    network.to(device)
    return device
