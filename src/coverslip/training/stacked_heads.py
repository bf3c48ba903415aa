"""Fit many linear softmax heads in one pass: L-BFGS over a stack of heads with different penalties and training rows.

The heads share one matrix product per step, which dominates the time. Each head equals the one that a separate fit
would return.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

ROWS = 4096  # rows per block; keeps intermediate logits in the CPU cache, and memory constant
HISTORY = 10  # pairs of steps that L-BFGS uses to approximate the inverse Hessian
MAX_TRIALS = 12  # step lengths that the line search tries
ARMIJO = 1e-4  # required fraction of the linear decrease (Nocedal & Wright, eq. 3.4)
ROUNDING = 1e-7  # relative increase of the loss that float32 rounding can cause; accepted by the line search
BACKTRACK = 0.4  # factor of the step length after a rejected trial


@dataclass(frozen=True, slots=True)
class StackedHeads:
    """L fitted linear heads.

    Attributes:
        weight: weights, float32 (L, D, K).
        bias: biases, float32 (L, K).
        losses: penalized training loss before each step and after the last one, float32 (steps + 1, L).
        converged: whether each head has converged, bool (L,).
    """

    weight: Tensor
    bias: Tensor
    losses: Tensor
    converged: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Return logits (L, N, K) of features (N, D)."""
        return torch.einsum("nd,ldk->lnk", features, self.weight) + self.bias[:, None]


def fit_stacked_heads(
    features: Tensor,
    labels: Tensor,
    weights: Tensor,
    penalties: Tensor,
    classes: int,
    *,
    steps: int = 100,
    tolerance: float = 1e-3,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
) -> StackedHeads:
    """Fit L softmax regressions by L-BFGS; each has its own backtracking line search.

    Head l minimizes sum_i w[i, l] * cross_entropy_i / sum_i w[i, l] + penalty[l] / 2 * |W_l|^2. Biases are not
    penalized.

    A head has converged when its gradient norm falls below ``tolerance`` times the norm at the start, or when no step
    along its search direction decreases the loss within float32 precision. Converged heads leave the stack.

    Args:
        features: float32 (N, D). Decorrelated columns of similar scale speed up convergence.
        labels: class ids, int64 (N,), values in 0..K-1; or (N, L), if each head has its own labels.
        weights: sample weights, float32 (N, L); 0 excludes a row from a head.
        penalties: L2 penalties, float32 (L,), or (L, D) for one penalty per column.
        classes: number of classes K.
        steps: maximum number of steps.
        tolerance: relative gradient norm for convergence.
        callback: called after every step with its number (from 1), weight (L, D, K) and bias (L, K).

    Reference: Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 3.1.
    """
    heads, width = weights.shape[1], features.shape[1]
    normalized = weights / weights.sum(0)
    penalty = penalties.expand(heads, width) if penalties.ndim == 2 else penalties[:, None].expand(heads, width)
    x = torch.zeros(heads, (width + 1) * classes)  # convex problem: the start does not matter
    loss, gradient = _loss_and_gradient(x, features, labels, normalized, penalty, classes)
    start_norm = gradient.norm(dim=1)
    own_labels = labels.ndim == 2
    memory = _LbfgsMemory()
    result, losses, converged = x.clone(), [loss], torch.zeros(heads, dtype=torch.bool)
    active = torch.arange(heads)  # heads that have not converged; only these are computed
    for step in range(steps):
        direction = -memory.multiply(gradient)
        slope = (gradient * direction).sum(1)
        # Without curvature pairs the first direction is the plain gradient, whose length carries no information.
        length = torch.ones(len(active)) if step else 1 / gradient.norm(dim=1).clamp_min(1)
        stuck = torch.zeros(len(active), dtype=torch.bool)
        for trial in range(MAX_TRIALS + 1):
            moved = length[:, None] * direction
            new_loss, new_gradient = _loss_and_gradient(x + moved, features, labels, normalized, penalty, classes)
            rejected = ~stuck & ~(new_loss <= loss + ARMIJO * length * slope + ROUNDING * loss.abs())
            if not rejected.any():
                break
            if trial == MAX_TRIALS - 1:  # no descent within float32 precision: keep the current solution
                stuck, length = rejected, torch.where(rejected, 0.0, length)
            else:
                length = torch.where(rejected, length * BACKTRACK, length)
        memory.add(moved, new_gradient - gradient)
        x, loss, gradient = x + moved, new_loss, new_gradient
        result[active] = x
        losses.append(losses[-1].clone().index_copy_(0, active, loss))
        if callback is not None:
            callback(step + 1, *_unpack(result, width, classes))
        remaining = ~stuck & (gradient.norm(dim=1) > tolerance * start_norm)
        converged[active[~remaining]] = True
        if not remaining.any():
            break
        if not remaining.all():
            active, x, loss, gradient, start_norm = (
                values[remaining] for values in (active, x, loss, gradient, start_norm)
            )
            normalized, penalty = normalized[:, remaining], penalty[remaining]
            labels = labels[:, remaining] if own_labels else labels
            memory.keep(remaining)
    weight, bias = _unpack(result, width, classes)
    return StackedHeads(weight.contiguous(), bias.contiguous(), torch.stack(losses), converged)


class _LbfgsMemory:
    """The last pairs (step, change of gradient) of every head, and the inverse Hessian that they approximate."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, moved: Tensor, change: Tensor) -> None:
        product = (moved * change).sum(1)
        # Only positive curvature keeps the approximation positive definite; 0 makes a head skip this pair.
        inverse = torch.where(product > 1e-12, 1 / product.clamp_min(1e-12), 0.0)
        self.pairs = [*self.pairs[-(HISTORY - 1) :], (moved, change, inverse)]

    def keep(self, heads: Tensor) -> None:
        """Discard the pairs of converged heads; ``heads`` is a mask of the others."""
        self.pairs = [(moved[heads], change[heads], inverse[heads]) for moved, change, inverse in self.pairs]

    def multiply(self, gradient: Tensor) -> Tensor:
        """Return inverse Hessian times gradient by the two-loop recursion (algorithm 7.4)."""
        if not self.pairs:
            return gradient.clone()
        result = gradient.clone()
        factors: list[Tensor] = []
        for moved, change, inverse in reversed(self.pairs):
            factor = inverse * (moved * result).sum(1)
            result -= factor[:, None] * change
            factors.append(factor)
        scale = torch.ones(len(gradient))
        for _, change, inverse in self.pairs:  # the newest pair that was not skipped determines the scale
            squared = (change * change).sum(1)
            scale = torch.where(inverse > 0, 1 / (inverse * squared).clamp_min(1e-30), scale)
        result *= scale[:, None]
        for (moved, change, inverse), factor in zip(self.pairs, reversed(factors), strict=True):
            result += (factor - inverse * (change * result).sum(1))[:, None] * moved
        return result


def _unpack(x: Tensor, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Split parameters (L, (D + 1) * K) into weight (L, D, K) and bias (L, K)."""
    parameters = x.view(len(x), width + 1, classes)
    return parameters[:, :width], parameters[:, width]


def _loss_and_gradient(
    x: Tensor, features: Tensor, labels: Tensor, weights: Tensor, penalty: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """Return the penalized loss (L,) and its gradient (L, (D + 1) * K); columns of ``weights`` (N, L) sum to 1."""
    heads, width = len(x), features.shape[1]
    weight, bias = _unpack(x, width, classes)
    stacked = weight.permute(1, 0, 2).reshape(width, heads * classes)  # (D, L*K): one product serves all heads
    loss = torch.zeros(heads)
    weight_gradient = torch.zeros(width, heads * classes)
    bias_gradient = torch.zeros(heads, classes)
    for start in range(0, len(features), ROWS):
        block, targets, block_weights = (values[start : start + ROWS] for values in (features, labels, weights))
        logits = (block @ stacked).view(len(block), heads, classes).add_(bias)
        logits -= logits.amax(2, keepdim=True)  # log-sum-exp without overflow
        index = targets[:, :, None] if targets.ndim == 2 else targets[:, None, None].expand(-1, heads, 1)
        true_logits = logits.gather(2, index).squeeze(2)
        powers = logits.exp_()
        total = powers.sum(2, keepdim=True)
        loss += (block_weights * (total.squeeze(2).log() - true_logits)).sum(0)
        error = powers.div_(total)  # probabilities; minus the one-hot labels they are the gradient of the logits
        error.scatter_add_(2, index, torch.full((len(block), heads, 1), -1.0))
        error.mul_(block_weights[:, :, None])
        weight_gradient.addmm_(block.T, error.view(len(block), -1))
        bias_gradient += error.sum(0)
    loss = loss + 0.5 * (penalty[:, :, None] * weight.square()).sum((1, 2))
    gradient = weight_gradient.view(width, heads, classes).permute(1, 0, 2) + penalty[:, :, None] * weight
    return loss, torch.cat([gradient, bias_gradient[:, None]], 1).reshape(heads, -1)
