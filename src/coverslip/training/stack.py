"""Many runs in one pass: linear softmax heads that differ only in numbers are fitted together, as lanes of one stack.

A lane is one head with its own strength of regularization and its own training rows (a fold, or all). All lanes share
one matrix product a step, which is where the time goes; each lane equals the head that would be fitted alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

ROWS = 4096  # a block of rows: temporary scores stay in the processor's cache and memory stays flat
MEMORY = 10  # pairs of steps that L-BFGS remembers
HALVINGS = 12  # of a step that does not descend


@dataclass(frozen=True, slots=True)
class Lanes:
    """Fitted heads.

    Attributes:
        weight: float32 (L, D, K).
        bias: float32 (L, K).
        losses: (steps + 1, L): the penalized training loss before each step and after the last.
        converged: bool (L,).
    """

    weight: Tensor
    bias: Tensor
    losses: Tensor
    converged: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """(N, D) -> (L, N, K)."""
        return torch.einsum("nd,ldk->lnk", features, self.weight) + self.bias[:, None]


def fit_lanes(
    features: Tensor,
    labels: Tensor,
    weights: Tensor,
    penalties: Tensor,
    classes: int,
    *,
    steps: int = 100,
    tolerance: float = 1e-3,
    step_done: Callable[[int, Tensor, Tensor], None] | None = None,
) -> Lanes:
    """Fit softmax regressions, one a lane, by L-BFGS with a backtracking line search of its own for each lane.

    Lane l minimizes sum_i w[i, l] * cross_entropy_i / sum_i w[i, l] + penalty[l] / 2 * |W_l|^2 (the bias is free).

    Args:
        features: float32 (N, D), better conditioned if its columns are decorrelated and of similar scale.
        labels: int64 (N,), 0..K-1.
        weights: float32 (N, L); 0 leaves a row out of a lane.
        penalties: float32 (L,), or (L, D) for a penalty of its own for each column.
        classes: K.
        steps: at most so many.
        tolerance: a lane is done when its gradient's norm is this fraction of the one at its start.
        step_done: called after every step with its number, weight (L, D, K) and bias (L, K).

    Reference: Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 3.1.
    """
    lanes, width = weights.shape[1], features.shape[1]
    share = weights / weights.sum(0)
    penalty = penalties.expand(lanes, width) if penalties.ndim == 2 else penalties[:, None].expand(lanes, width)
    x = torch.zeros(lanes, (width + 1) * classes)
    loss, gradient = _loss_and_gradient(x, features, labels, share, penalty, classes)
    start = gradient.norm(dim=1)
    memory = _Memory()
    result, losses, converged = x.clone(), [loss], torch.zeros(lanes, dtype=torch.bool)
    alive = torch.arange(lanes)  # lanes that are not done; only they are computed, so that the stack shrinks
    for step in range(steps):
        direction = -memory.multiply(gradient)
        slope = (gradient * direction).sum(1)
        # The first direction is a bare gradient, whose length means nothing.
        length = torch.ones(len(alive)) if step else 1 / gradient.norm(dim=1).clamp_min(1)
        stuck = torch.zeros(len(alive), dtype=torch.bool)
        for trial in range(HALVINGS + 1):
            moved = length[:, None] * direction
            new_loss, new_gradient = _loss_and_gradient(x + moved, features, labels, share, penalty, classes)
            worse = ~stuck & ~(new_loss <= loss + 1e-4 * length * slope + 1e-7 * loss.abs())
            if not worse.any():
                break
            if trial == HALVINGS - 1:  # no descent within float32: as good as it gets
                stuck, length = worse, torch.where(worse, 0.0, length)
            else:
                length = torch.where(worse, length * 0.4, length)
        memory.add(moved, new_gradient - gradient)
        x, loss, gradient = x + moved, new_loss, new_gradient
        result[alive] = x
        losses.append(losses[-1].clone().index_copy_(0, alive, loss))
        if step_done is not None:
            step_done(step + 1, *_unpack(result, width, classes))
        going = ~stuck & (gradient.norm(dim=1) > tolerance * start)
        converged[alive[~going]] = True
        if not going.any():
            break
        if not going.all():
            alive, x, loss, gradient, start = (each[going] for each in (alive, x, loss, gradient, start))
            share, penalty = share[:, going], penalty[going]
            memory.keep(going)
    weight, bias = _unpack(result, width, classes)
    return Lanes(weight.contiguous(), bias.contiguous(), torch.stack(losses), converged)


class _Memory:
    """The last pairs of (step, change of gradient) of every lane, and the inverse Hessian they stand for."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, moved: Tensor, change: Tensor) -> None:
        product = (moved * change).sum(1)
        inverse = torch.where(product > 1e-12, 1 / product.clamp_min(1e-12), 0.0)  # 0: this lane skips the pair
        self.pairs = [*self.pairs[-(MEMORY - 1) :], (moved, change, inverse)]

    def keep(self, lanes: Tensor) -> None:
        """Forget the lanes that are done."""
        self.pairs = [(moved[lanes], change[lanes], inverse[lanes]) for moved, change, inverse in self.pairs]

    def multiply(self, gradient: Tensor) -> Tensor:
        if not self.pairs:
            return gradient.clone()
        result = gradient.clone()
        factors: list[Tensor] = []
        for moved, change, inverse in reversed(self.pairs):
            factor = inverse * (moved * result).sum(1)
            result -= factor[:, None] * change
            factors.append(factor)
        scale = torch.ones(len(gradient))
        for _, change, inverse in self.pairs:  # the newest usable pair gives the scale
            squared = (change * change).sum(1)
            scale = torch.where(inverse > 0, 1 / (inverse * squared).clamp_min(1e-30), scale)
        result *= scale[:, None]
        for (moved, change, inverse), factor in zip(self.pairs, reversed(factors), strict=True):
            result += (factor - inverse * (change * result).sum(1))[:, None] * moved
        return result


def _unpack(x: Tensor, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """(L, (D + 1) * K) -> weight (L, D, K), bias (L, K)."""
    parameters = x.view(len(x), width + 1, classes)
    return parameters[:, :width], parameters[:, width]


def _loss_and_gradient(
    x: Tensor, features: Tensor, labels: Tensor, share: Tensor, penalty: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    lanes, width = len(x), features.shape[1]
    weight, bias = _unpack(x, width, classes)
    wide = weight.permute(1, 0, 2).reshape(width, lanes * classes)  # (D, L*K): one product serves all lanes
    loss = torch.zeros(lanes)
    weight_gradient = torch.zeros(width, lanes * classes)
    bias_gradient = torch.zeros(lanes, classes)
    for begin in range(0, len(features), ROWS):
        block, truth, mine = (each[begin : begin + ROWS] for each in (features, labels, share))
        scores = (block @ wide).view(len(block), lanes, classes).add_(bias)
        scores -= scores.amax(2, keepdim=True)
        right = scores.gather(2, truth[:, None, None].expand(-1, lanes, 1)).squeeze(2)
        powers = scores.exp_()
        total = powers.sum(2, keepdim=True)
        loss += (mine * (total.squeeze(2).log() - right)).sum(0)
        error = powers.div_(total)
        error.scatter_add_(2, truth[:, None, None].expand(-1, lanes, 1), torch.full((len(block), lanes, 1), -1.0))
        error.mul_(mine[:, :, None])
        weight_gradient.addmm_(block.T, error.view(len(block), -1))
        bias_gradient += error.sum(0)
    loss = loss + 0.5 * (penalty[:, :, None] * weight.square()).sum((1, 2))
    gradient = weight_gradient.view(width, lanes, classes).permute(1, 0, 2) + penalty[:, :, None] * weight
    return loss, torch.cat([gradient, bias_gradient[:, None]], 1).reshape(lanes, -1)
