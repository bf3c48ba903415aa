"""The small door: arrays in, a trained network and its history out. For notebooks, and for the course."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from coverslip.core.devices import keep_big_blocks, pick_device
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.augment import Augmentation, augmentation
from coverslip.data.split import assign_parts
from coverslip.evidence import classification_evidence
from coverslip.models.keras_adapter import as_module
from coverslip.tasks.classification import Classification
from coverslip.training.array_data import Part, read_groups, read_images, read_labels
from coverslip.training.batches import ArrayInputs
from coverslip.training.checks import check_answer, explain_grown
from coverslip.training.config import TrainingConfig
from coverslip.training.epoch_lines import EpochLines
from coverslip.training.held_out import number_groups
from coverslip.training.loop import train_network
from coverslip.training.outcome import History, Scores
from coverslip.training.scoring import evaluating, score_network

IntArray = npt.NDArray[np.int64]
LIKE_KERAS = {"schedule": "constant", "weight_decay": 0.0}  # what `fit` there does with its Adam


def fit_arrays(
    network: Any,
    x: Any,
    y: Any,
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

    Some images are held out by chance, every class by its share and groups whole, never the last rows. After training
    the network has the weights of the epoch with the smallest loss on them (``keep_best=False`` leaves the last).

    Args:
        network: any `torch.nn.Module` that answers images (N, C, H, W), or rows (N, D), with scores (N, K) before
            softmax; or a Keras model on PyTorch, with its softmax or without.
        x: NumPy array or torch tensor: (N, H, W, C), (N, C, H, W) or (N, H, W), uint8 or floats 0 to 1; the network
            sees floats 0 to 1. Or (N, D), any numbers.
        y: class numbers (N,), one-hot rows (N, K), or names (N,).
        epochs: passes over the training images.
        batch_size: images a step; 0 is all of them.
        lr: learning rate.
        validation_split: share that is held out, 0 to below 1; 0 holds out nothing.
        groups: what each image is of (leaf, patient, slide): images of one are never on both sides.
        classes: names in the order of the outputs.
        seed: of the split, the order and the augmentation. What the network starts from is up to you:
            ``torch.manual_seed`` before it is built.
        augment: a preset ("flips", "light", "strong") or an `Augmentation`; None leaves the images as they are.
        optimizer: "adam", "adamw" or "sgd".
        layout: "NHWC" or "NCHW", where the shape of ``x`` does not tell.
        verbose: 0 prints nothing.
        recipe: other settings of `coverslip.training.config.TrainingConfig`, such as ``patience=5``, ``l2=1e-4``,
            ``schedule="one-cycle"``. The learning rate is constant and there is no weight decay, unless said here.

    Returns:
        The history, which also holds the network and which rows were held out.

    Raises:
        UserError: arrays, labels or settings that do not fit, each with what to do about it.

    >>> chance = np.random.default_rng(0)
    >>> x = chance.integers(0, 256, (40, 8, 8, 3), np.uint8)
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    >>> history = fit_arrays(network, x, chance.integers(0, 2, 40), epochs=2, verbose=0)
    >>> history.frame.height, len(history.validation_rows)
    (2, 8)
    """
    module = as_module(network)
    how = augmentation(augment) if isinstance(augment, str) else augment
    weights = config.pop("class_weights", ())
    plan = _recipe(config, epochs=epochs, lr=lr, batch_size=batch_size, optimizer=optimizer, seed=seed)
    inputs, said = read_images(x, layout, how, seed)
    labels, names = _read_answers(module, inputs, y, classes)
    plan = dataclasses.replace(plan, class_weights=_weights_of(weights, names))
    if len(set(labels.tolist())) < 2:
        raise UserError(f"all images are of one class, {names[int(labels[0])]!r}", "add images of another class")
    parts = hold_out(labels, read_groups(groups, len(inputs)), validation_split, seed)
    rows, held = np.flatnonzero(parts == 0), np.flatnonzero(parts == 1)
    lines = EpochLines() if verbose else None
    if lines is not None:
        how_held = " at random" + ("" if groups is None else ", whole groups") if len(held) else ""
        lines.note(f"{said}; {len(names)} classes; {len(rows):,} to learn from, {len(held):,} held out{how_held}")
    keep_big_blocks()
    trained = train_network(
        module,
        Part(inputs, rows),
        labels[rows],
        len(names),
        plan,
        validation=(Part(inputs, held), labels[held]) if len(held) else None,
        mix=how if how is not None and how.uses("mixup", "cutmix") else None,
        callbacks=[lines] if lines is not None else [],
    )
    history = History(
        frame=trained.history,
        network=network,
        classes=names,
        best_epoch=trained.best_epoch,
        stopped=trained.stopped if trained.history.height < epochs else "",
        train_rows=rows,
        validation_rows=held,
        layout=layout,
    )
    if lines is not None and len(held) and plan.keep_best:
        lines.note(f"the network has the weights of epoch {history.best_epoch}, the one with the best {plan.monitor}")
    if lines is not None and (grown := explain_grown(trained.history, len(names), plan)):
        lines.note(grown)
    return history


def evaluate_arrays(
    network: Any,
    x: Any,
    y: Any,
    *,
    groups: Any = None,
    classes: Sequence[str] | None = None,
    layout: str | None = None,
) -> Scores:
    """How well a network tells apart images that it did not learn from, each score with its interval.

    Args:
        network: as for `fit_arrays`.
        x: likewise.
        y: likewise.
        groups: what each image is of; the intervals are then over groups, else over images.
        classes: names in the order of the outputs, such as ``history.classes``; needed where ``y`` holds names and some
            class has no image here.
        layout: "NHWC" or "NCHW", where the shape of ``x`` does not tell.

    Returns:
        Loss, accuracy and all other scores.

    Raises:
        UserError: arrays, labels or groups that do not fit.
    """
    module = as_module(network)
    inputs, _ = read_images(x, layout)
    labels, names = _read_answers(module, inputs, y, classes)
    named = read_groups(groups, len(inputs))
    codes = None if named is None else number_groups(named)
    check_answer(module, inputs, len(names), _device_of(module))
    scores = score_network(module, inputs)
    if not np.isfinite(scores).all():
        raise UserError("the network answers with NaN or infinite scores", "train it anew, with a lower learning rate")
    probabilities = Classification(names).probabilities(scores)
    evidence = classification_evidence(labels, probabilities, codes, names)
    return Scores(
        loss=evidence["scores"]["log_loss"],
        accuracy=evidence["scores"]["accuracy"],
        classes=names,
        confusion=np.asarray(evidence["confusion"]),
        evidence=evidence,
        probabilities=probabilities,
    )


def _recipe(given: dict[str, Any], **named: Any) -> TrainingConfig:
    known = {each.name for each in dataclasses.fields(TrainingConfig)} - set(named)
    if not isinstance(named["optimizer"], str):
        said = f"the optimizer is a {type(named['optimizer']).__name__}, not a name"
        raise UserError(said, "say optimizer='adam', 'adamw' or 'sgd', and lr=...")
    for name in given:
        if name not in known:
            fix = "say lr=..." if name in ("rate", "learning_rate") else nearest(name, known)
            raise UserError(f"fit knows no setting {name!r}", fix)
    defaults = {} if named["optimizer"] == "adamw" else LIKE_KERAS
    return TrainingConfig(**{**defaults, **named, **given})


def _weights_of(given: Any, names: tuple[str, ...]) -> tuple[float, ...]:
    """One a class; or some by number or name, as Keras' ``class_weight`` has them, and 1 for the others.

    >>> _weights_of({1: 5, "rust": 2}, ("healthy", "scab", "rust"))
    (1.0, 5.0, 2.0)
    """
    if not isinstance(given, Mapping):
        return tuple(given)
    places: dict[Any, int] = {name: place for place, name in enumerate(names)} | {n: n for n in range(len(names))}
    for each in given:
        if each not in places:
            fix = f"number them 0 to {len(names) - 1}, or use their names"
            raise UserError(f"class_weights weighs {each!r}, which is no class", fix)
    chosen = {places[each]: float(weight) for each, weight in given.items()}
    return tuple(chosen.get(place, 1.0) for place in range(len(names)))


def hold_out(labels: IntArray, groups: list[str] | None, share: float, seed: int) -> IntArray:
    """0 for an image to learn from, 1 for one that is held out: every class by its share, groups whole."""
    if not isinstance(share, int | float) or not 0 <= share < 1:
        raise UserError(f"validation_split={share!r} is not from 0 to below 1", "0.2 is usual; 0 holds out nothing")
    if share == 0:
        return np.zeros(len(labels), np.int64)
    units = [f"{row:09d}" for row in range(len(labels))] if groups is None else groups
    if len(set(units)) < 2:
        what = "1 image" if groups is None else "1 group"
        raise UserError(f"{what} cannot be divided into two parts", "add some, or set validation_split=0")
    return assign_parts(labels, units, [1 - share, share], seed)


def _read_answers(
    network: nn.Module, inputs: ArrayInputs, y: Any, classes: Sequence[str] | None
) -> tuple[IntArray, tuple[str, ...]]:
    """Class numbers and names, one name for each output of the network."""
    labels, names = read_labels(y, len(inputs), classes)
    outputs = _outputs(network, inputs)
    numbered = names == tuple(str(number) for number in range(len(names)))
    if classes is None and outputs is not None and numbered and 1 < outputs < len(names):
        raise UserError(
            f"y goes up to {len(names) - 1}, and the network has {outputs} outputs: 0 to {outputs - 1}",
            "count classes from 0, or give the network an output for each",
        )
    if classes is not None or outputs is None or outputs <= len(names):
        return labels, names  # where the number is wrong `check_answer` says so
    if set(names) <= {str(number) for number in range(outputs)}:
        return labels, tuple(str(number) for number in range(outputs))
    raise UserError(
        f"y holds {len(names)} names and the network has {outputs} outputs",
        "name all classes in the order of the outputs: classes=[...]",
    )


def _outputs(network: nn.Module, inputs: ArrayInputs) -> int | None:
    """How many scores it answers an image with; None where it does not take them, which `check_answer` explains.

    Raises:
        UserError: they are probabilities already.
    """
    rows, device = np.arange(min(8, len(inputs))), _device_of(network)
    try:
        with evaluating(network), torch.no_grad():
            answer = network(inputs.take(rows, None, device))
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None
    if not isinstance(answer, torch.Tensor) or answer.ndim != 2:
        return None
    sums = answer.float().sum(dim=1)
    if answer.shape[1] > 1 and float(answer.min()) >= 0 and bool(torch.allclose(sums, torch.ones_like(sums))):
        raise UserError(
            "the network ends in a softmax: it answers with probabilities, and the loss takes scores",
            "leave the last softmax away; predict and evaluate apply it",
        )
    return int(answer.shape[1])


def _device_of(network: nn.Module) -> torch.device:
    """The fastest device, where the network now is."""
    device = pick_device()
    network.to(device)
    return device
