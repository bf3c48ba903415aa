"""The loss of stacked networks and its gradient, each lane with its own smoothing, class weights and gamma.

Classes stand before images, (L, K, B): so a softmax runs along whole vectors of images (on this CPU 15 times as
fast as along 15 classes), and so the linear layers give their scores.
"""

from __future__ import annotations

import torch
from torch import Tensor


def target_table(smoothing: Tensor, factors: Tensor) -> Tensor:
    """What each class's negative log-probability is multiplied by in the loss of an image, by the image's label.

    Args:
        smoothing: float32 (L,), share of each label that is spread over all classes.
        factors: float32 (L, K), of the classes.

    Returns:
        float32 (L, K, K): lane, class, label.
    """
    return soften(torch.eye(factors.shape[1], device=factors.device)[None], smoothing, factors)


def soften(shares: Tensor, smoothing: Tensor, factors: Tensor) -> Tensor:
    """The same for images that are mixed.

    Args:
        shares: float32 (L or 1, K, B), of each class in an image; each column adds up to 1.
        smoothing: as for `target_table`.
        factors: likewise.

    Returns:
        float32 (L, K, B).
    """
    smoothed = shares * (1 - smoothing[:, None, None]) + (smoothing / shares.shape[1])[:, None, None]
    return smoothed * factors[:, :, None]


def loss_and_gradient(scores: Tensor, targets: Tensor, gamma: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The mean loss of each lane over the batch, and its gradient with regard to the scores.

    Args:
        scores: float32 (L, K, B), before softmax.
        targets: float32 (L, K, B), as `soften` gives them, or the columns of `target_table`.
        gamma: float32 (L,), above 0, of the focal loss (see `coverslip.training.losses`); None is cross-entropy.

    Returns:
        float32 (L,) and (L, K, B).

    >>> loss, gradient = loss_and_gradient(torch.zeros(1, 2, 1), torch.tensor([[[1.0], [0.0]]]))
    >>> round(float(loss), 4), gradient.flatten().tolist()
    (0.6931, [-0.5, 0.5])
    """
    wanted = targets / -scores.shape[2]
    if gamma is None:
        logs = torch.log_softmax(scores, 1)
        return (wanted * logs).sum((1, 2)), torch._log_softmax_backward_data(wanted, logs, 1, scores.dtype)
    with torch.enable_grad():
        leaf = scores.detach().requires_grad_()
        logs = torch.log_softmax(leaf, 1)
        losses = (wanted * (1 - logs.exp()).clamp_min(0) ** gamma[:, None, None] * logs).sum((1, 2))
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
    return losses.detach(), gradient
