"""Loss functions. Losses are summed over images, so that batches of different sizes can be added."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from coverslip.core.registry import Registry

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: Registry[Callable[..., Tensor]] = Registry("loss")


def build_loss(
    name: str, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0, gamma: float = 2.0
) -> Loss:
    """Return a loss by name: (logits (N, K), targets) -> the sum over N images, a scalar tensor.

    Targets are class ids, int64 (N,), or class fractions, float (N, K), as for mixed images.

    Args:
        name: one of `LOSSES`.
        class_weights: float32 (K,); None weights all classes equally.
        label_smoothing: fraction of each label that is spread over all classes, 0 to below 1.
        gamma: exponent of the focal loss.
    """
    return partial(LOSSES[name], weights=class_weights, smoothing=label_smoothing, gamma=gamma)


@LOSSES.register("cross-entropy")
def cross_entropy(
    logits: Tensor, targets: Tensor, *, weights: Tensor | None = None, smoothing: float = 0.0, gamma: float = 0.0
) -> Tensor:
    """Return the cross-entropy, -log p of the true class, summed over images.

    Args:
        logits: float (N, K).
        targets: class ids, int64 (N,), or class fractions, float (N, K).
        weights: class weights, float (K,). The sum is not divided by the total weight of the batch as in PyTorch's
            mean, since in batches of one image the weights would cancel out.
        smoothing: fraction of each label that is spread over all classes.
        gamma: not used.
    """
    return functional.cross_entropy(logits, targets, weights, reduction="sum", label_smoothing=smoothing)


@LOSSES.register("focal")
def focal(
    logits: Tensor, targets: Tensor, *, weights: Tensor | None = None, smoothing: float = 0.0, gamma: float = 2.0
) -> Tensor:
    """Return the focal loss, -(1 - p)^gamma log p, summed: cross-entropy with less weight on well-classified images.

    Arguments as for `cross_entropy`; ``gamma=0`` is cross-entropy.

    Reference: Lin et al., Focal loss for dense object detection, ICCV 2017.
    """
    logs = functional.log_softmax(logits, dim=1)
    losses = -((1 - logs.exp()).clamp_min(0) ** gamma) * logs if gamma else -logs  # rounding can make 1 - p negative
    if weights is not None:
        losses = losses * weights
    if targets.ndim == 1 and not smoothing:
        return losses.gather(1, targets[:, None]).sum()
    return (losses * soft_targets(targets, logits.shape[1], smoothing)).sum()


def binary_loss(name: str, *, label_smoothing: float = 0.0, gamma: float = 2.0) -> Loss:
    """Return a loss of yes-or-no decisions: (logits (N, L), targets (N, L)) -> the sum over images of the mean over L.

    Args:
        name: ``cross-entropy`` or ``focal``.
        label_smoothing: fraction of each target that is replaced by 0.5, 0 to below 1.
        gamma: exponent of the focal loss.
    """

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        smoothed = targets * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else targets
        losses = functional.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")
        if name == "focal" and gamma:
            probabilities = logits.sigmoid()
            losses = losses * (targets * (1 - probabilities) + (1 - targets) * probabilities) ** gamma
        return losses.mean(dim=1).sum()

    return loss


VALUE_LOSSES: Registry[Callable[..., Tensor]] = Registry("loss of a regression")
VALUE_LOSSES.register("mse")(functional.mse_loss)
VALUE_LOSSES.register("huber")(functional.huber_loss)
VALUE_LOSSES.register("absolute")(functional.l1_loss)


def value_loss(name: str) -> Loss:
    """Return a loss of values: (outputs (N, T), targets (N, T)) -> the sum over images of the mean over targets.

    Args:
        name: one of `VALUE_LOSSES`: ``mse`` (predicts the mean), ``huber`` (quadratic up to one standard deviation,
            then linear) or ``absolute`` (predicts the median).
    """
    own = VALUE_LOSSES[name]

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return own(outputs, targets, reduction="none").mean(dim=1).sum()

    return loss


def soft_targets(targets: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """Convert class ids (N,) or class fractions (N, K) to smoothed class fractions, float32 (N, K); rows sum to 1.

    >>> soft_targets(Tensor([[1, 0]]), 2, 0.1)
    tensor([[0.9500, 0.0500]])
    """
    fractions = functional.one_hot(targets, classes).float() if targets.ndim == 1 else targets
    return fractions * (1 - smoothing) + smoothing / classes if smoothing else fractions
