"""How a network is trained: every setting of the loop, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from coverslip.errors import UserError
from coverslip.registry import nearest
from coverslip.training.losses import LOSSES
from coverslip.training.optimizers import OPTIMIZERS
from coverslip.training.schedules import SCHEDULES

BALANCES = ("none", "weights", "sampling", "auto")
PRECISIONS = ("float32", "bfloat16", "auto")
MEASURES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")

EPOCHS, RATE, BATCH_SIZE = 10, 1e-3, 32  # where nobody says anything else

# name: least value, whether that value itself is allowed, the bound above (never reached), what to give instead
NUMBERS: dict[str, tuple[float, bool, float, str]] = {
    "epochs": (1, True, math.inf, "10 is a start"),
    "rate": (0, False, math.inf, "0.001 is a start, and the learning-rate range test finds a better one"),
    "batch_size": (0, True, math.inf, "32 is usual; 0 takes all pictures at once, 1 one at a time"),
    "momentum": (0, True, 1, "0.9 is usual, 0 is none"),
    "weight_decay": (0, True, math.inf, "0.01 is usual, 0 is none"),
    "l2": (0, True, math.inf, "0.0001 is usual, 0 is none"),
    "warmup": (0, True, 1, "0.25 is usual: the first quarter of the steps"),
    "smoothing": (0, True, 1, "0.1 is usual, 0 is none"),
    "gamma": (0, True, math.inf, "2 is usual; 0 is cross-entropy"),
    "clip": (0, True, math.inf, "1 is usual, 0 is none"),
    "accumulate": (1, True, math.inf, "1 updates the weights after each batch"),
    "ema": (0, True, 1, "0.999 is usual, 0 is none"),
    "patience": (0, True, math.inf, "5 is usual, 0 never stops early"),
    "seed": (0, True, math.inf, "0 is as good as any"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Section ``[recipe]`` of ``experiment.toml``.

    Attributes:
        epochs: passes over the training pictures; None is what suits the depth.
        rate: the largest learning rate of the schedule; None likewise.
        batch_size: pictures a batch; None is 32. 0 takes all at once (batch gradient descent), 1 is stochastic
            gradient descent, what lies between is mini-batch.
        optimizer: ``sgd``, ``adam`` or ``adamw``.
        momentum: of ``sgd``.
        nesterov: look ahead along the momentum (``sgd``).
        weight_decay: decoupled from the gradient; see `coverslip.training.optimizers`.
        l2: times the sum of squared weights, added to the loss, as Keras' ``l2`` does; see the same place.
        schedule: ``constant``, ``cosine`` or ``one-cycle``.
        warmup: share of the steps in which ``one-cycle`` climbs to the peak.
        loss: ``cross-entropy`` or ``focal``.
        smoothing: share of each label that is spread over all classes, 0 to below 1.
        gamma: of the focal loss.
        balance: what is done about rare classes: ``none``, ``weights`` in the loss, ``sampling``, or ``auto``.
        class_weights: one a class, instead of those that ``balance="weights"`` would compute.
        clip: longest gradient, as the norm over all weights; 0 leaves it as it is.
        accumulate: batches whose gradients are summed for one step.
        ema: decay a step of the moving average of the weights; 0 is none.
        patience: epochs without a better ``monitor`` after which training stops; 0 never does.
        monitor: what is watched, one of `MEASURES`.
        keep_best: the weights of the best epoch come back instead of the last (only where ``monitor`` is measured).
        precision: ``float32``, ``bfloat16`` (mixed), or ``auto``, which measures both on this machine.
        seed: of order, dropout and augmentation.

    Raises:
        UserError: a value is out of its range, or a name is not known.
    """

    epochs: int | None = None
    rate: float | None = None
    batch_size: int | None = None
    optimizer: str = "adamw"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.01
    l2: float = 0.0
    schedule: str = "one-cycle"
    warmup: float = 0.25
    loss: str = "cross-entropy"
    smoothing: float = 0.0
    gamma: float = 2.0
    balance: str = "none"
    class_weights: tuple[float, ...] = ()
    clip: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    patience: int = 0
    monitor: str = "validation_loss"
    keep_best: bool = True
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in NUMBERS:
                _check_number(field.name, getattr(self, field.name), field.type)
        for name, known in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("loss", LOSSES),
            ("balance", BALANCES),
            ("monitor", MEASURES),
            ("precision", PRECISIONS),
        ):
            value = getattr(self, name)
            if value not in known:
                raise UserError(f"{name}={value!r} is not known", nearest(str(value), known))
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise UserError("nesterov=True needs momentum to look ahead along", "use optimizer='sgd' and momentum=0.9")
        if any(not math.isfinite(weight) or weight < 0 for weight in self.class_weights) or (
            self.class_weights and not any(self.class_weights)
        ):
            raise UserError(f"class_weights={self.class_weights} cannot weigh a loss", "give numbers above 0")
        if self.class_weights and self.balance != "none":
            raise UserError(f"class_weights and balance={self.balance!r} both weigh the classes", "leave one of them")

    def filled(self) -> Recipe:
        """The same with numbers where None stands."""
        return replace(
            self,
            epochs=EPOCHS if self.epochs is None else self.epochs,
            rate=RATE if self.rate is None else self.rate,
            batch_size=BATCH_SIZE if self.batch_size is None else self.batch_size,
        )


def _check_number(name: str, value: object, kind: object) -> None:
    least, included, bound, fix = NUMBERS[name]
    whole = "int" in str(kind)
    if value is None and "None" in str(kind):
        return
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise UserError(f"{name}={value!r} is not a {'whole ' if whole else ''}number", fix)
    assert isinstance(value, int | float)
    if not (least <= value < bound) or (value == least and not included):  # NaN fails the first comparison
        above = f"{least:g} or above" if included else f"above {least:g}"
        below = " and finite" if bound == math.inf else f" and below {bound:g}"
        raise UserError(f"{name}={value!r} is not {above}{below}", fix)
