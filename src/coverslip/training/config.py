"""The config of the training loop, with validation."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from coverslip.core.config import option
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.training.losses import LOSSES, VALUE_LOSSES
from coverslip.training.optimizers import OPTIMIZERS
from coverslip.training.schedules import SCHEDULES

BALANCES = ("none", "weights", "sampling", "auto")
PRECISIONS = ("float32", "bfloat16", "auto")
MEASURES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")

EPOCHS, LR, BATCH_SIZE = 10, 1e-3, 32  # general defaults

# name: minimum, whether the minimum itself is allowed, upper bound (exclusive), common values
NUMBERS: dict[str, tuple[float, bool, float, str]] = {
    "epochs": (1, True, math.inf, "10 is a common start"),
    "lr": (0, False, math.inf, "0.001 is a common start; --find-lr suggests one"),
    "batch_size": (0, True, math.inf, "32 is usual; 0 takes all images at once, 1 one at a time"),
    "momentum": (0, True, 1, "0.9 is usual, 0 is none"),
    "weight_decay": (0, True, math.inf, "0.01 is usual, 0 is none"),
    "l2": (0, True, math.inf, "0.0001 is usual, 0 is none"),
    "warmup": (0, True, 1, "0.25 is usual: the first quarter of the steps"),
    "label_smoothing": (0, True, 1, "0.1 is usual, 0 is none"),
    "gamma": (0, True, math.inf, "2 is usual; 0 is cross-entropy"),
    "clip": (0, True, math.inf, "1 is usual, 0 is none"),
    "accumulate": (1, True, math.inf, "1 updates the weights after each batch"),
    "ema": (0, True, 1, "0.999 is usual, 0 is none"),
    "patience": (0, True, math.inf, "5 is usual, 0 never stops early"),
    "seed": (0, True, math.inf, "0 is as good as any"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """Section ``[training]``: the training loop. Only the seed applies if a head alone is fitted.

    Raises:
        UserError: a value is out of range, or a name is unknown.
    """

    epochs: int | None = option(None, "Passes over the training images. Default: depends on depth.")
    lr: float | None = option(None, "Peak learning rate of the schedule. Default: depends on depth.")
    batch_size: int | None = option(None, "Images per batch; 0: all images. Default: 32.")
    optimizer: str = option("adamw", "sgd, adam or adamw.")
    momentum: float = option(0.9, "Momentum of sgd.")
    nesterov: bool = option(False, "Use Nesterov momentum (sgd).")
    weight_decay: float = option(0.01, "Weight decay, decoupled from the gradient.")
    l2: float = option(0.0, "L2 penalty: times the sum of squared weights, added to the loss (as in Keras).")
    schedule: str = option("one-cycle", "Learning-rate schedule: constant, cosine or one-cycle.")
    warmup: float = option(0.25, "Fraction of the steps in which one-cycle rises to the peak.")
    loss: str = option("cross-entropy", "cross-entropy or focal; of a regression mse (its default), huber or absolute.")
    label_smoothing: float = option(0.0, "Fraction of each label that is spread over all classes, 0 to below 1.")
    gamma: float = option(2.0, "Gamma of the focal loss.")
    balance: str = option("none", "Class imbalance: none, weights (in the loss), sampling, or auto.")
    class_weights: tuple[float, ...] = option((), "A weight per class in the loss, instead of computed ones.")
    clip: float = option(0.0, "Maximum norm of the gradient over all weights; 0: no clipping.")
    accumulate: int = option(1, "Batches whose gradients are summed for one step.")
    ema: float = option(0.0, "Decay per step of the moving average of the weights; 0: none.")
    patience: int = option(0, "Epochs without improvement of monitor after which training stops; 0: never.")
    monitor: str = option("validation_loss", f"Quantity to monitor: {', '.join(MEASURES)}.")
    keep_best: bool = option(True, "Restore the weights of the best epoch by monitor.")
    precision: str = option("float32", "float32, bfloat16 (mixed), or auto: the faster one on this machine.")
    seed: int = option(0, "Random seed of training: initialization, order, dropout, augmentation.")

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in NUMBERS:
                _check_number(field.name, getattr(self, field.name), field.type)
        for name, known in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("loss", (*LOSSES, *VALUE_LOSSES)),
            ("balance", BALANCES),
            ("monitor", MEASURES),
            ("precision", PRECISIONS),
        ):
            value = getattr(self, name)
            if value not in known:
                raise UserError(f"unknown {name}={value!r}", nearest(str(value), known))
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise UserError("nesterov=True requires SGD with momentum", "set optimizer='sgd' and momentum=0.9")
        if any(not math.isfinite(weight) or weight < 0 for weight in self.class_weights) or (
            self.class_weights and not any(self.class_weights)
        ):
            raise UserError(f"class_weights={self.class_weights} are not valid weights", "give positive numbers")
        if self.class_weights and self.balance != "none":
            raise UserError(
                f"class_weights and balance={self.balance!r} both weight the classes", "give one of the two"
            )

    def filled(self) -> TrainingConfig:
        """Return a copy with the general defaults in place of None."""
        return replace(
            self,
            epochs=EPOCHS if self.epochs is None else self.epochs,
            lr=LR if self.lr is None else self.lr,
            batch_size=BATCH_SIZE if self.batch_size is None else self.batch_size,
        )


def _check_number(name: str, value: object, kind: object) -> None:
    minimum, included, bound, fix = NUMBERS[name]
    integer = "int" in str(kind)
    if value is None and "None" in str(kind):
        return
    if isinstance(value, bool) or not isinstance(value, int if integer else (int, float)):
        raise UserError(f"{name}={value!r} is not {'an integer' if integer else 'a number'}", fix)
    assert isinstance(value, int | float)
    if not (minimum <= value < bound) or (value == minimum and not included):  # NaN fails the first comparison
        above = f"{minimum:g} or above" if included else f"above {minimum:g}"
        below = " and finite" if bound == math.inf else f" and below {bound:g}"
        raise UserError(f"{name}={value!r} is not {above}{below}", fix)
