"""What training makes small. A loss is summed over the images, so that batches of any size can be added up."""

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

    Targets are class ids, int64 (N,), or class shares, float (N, K), as mixed images have them.

    Args:
        name: one of `LOSSES`.
        class_weights: float32 (K,); None weights all classes equally.
        label_smoothing: fraction of each label that is spread over all classes, 0 to below 1.
        gamma: exponent of the focal loss.
    """
    return partial(LOSSES[name], weights=class_weights, smoothing=label_smoothing, gamma=gamma)


@LOSSES.register("cross-entropy")
def cross_entropy(
    scores: Tensor, targets: Tensor, *, weights: Tensor | None = None, smoothing: float = 0.0, gamma: float = 0.0
) -> Tensor:
    """-log of the probability of the true class, summed.

    Args:
        scores: float (N, K), before softmax.
        targets: int64 (N,) or float (N, K).
        weights: float (K,), a factor for each class. The sum is not divided by the weights of the batch, as PyTorch's
            mean does: with one image a batch they would cancel out.
        smoothing: this share of each label is spread over all classes.
        gamma: not used.
    """
    return functional.cross_entropy(scores, targets, weights, reduction="sum", label_smoothing=smoothing)


@LOSSES.register("focal")
def focal(
    scores: Tensor, targets: Tensor, *, weights: Tensor | None = None, smoothing: float = 0.0, gamma: float = 2.0
) -> Tensor:
    """Cross-entropy in which a class that is already probable counts less: -(1 - p)^gamma log p, summed.

    Arguments as for `cross_entropy`; ``gamma=0`` is cross-entropy.

    Reference: Lin et al., Focal loss for dense object detection, ICCV 2017.
    """
    logs = functional.log_softmax(scores, dim=1)
    losses = -((1 - logs.exp()).clamp_min(0) ** gamma) * logs if gamma else -logs
    if weights is not None:
        losses = losses * weights
    if targets.ndim == 1 and not smoothing:
        return losses.gather(1, targets[:, None]).sum()
    return (losses * soft_targets(targets, scores.shape[1], smoothing)).sum()


def soft_targets(targets: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """Class numbers (N,), or shares (N, K) -> float32 shares (N, K), each row adding up to 1.

    >>> soft_targets(Tensor([[1, 0]]), 2, 0.1)
    tensor([[0.9500, 0.0500]])
    """
    shares = functional.one_hot(targets, classes).float() if targets.ndim == 1 else targets
    return shares * (1 - smoothing) + smoothing / classes if smoothing else shares
