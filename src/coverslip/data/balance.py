"""Assignment of groups to splits such that every split gets its fraction of every class.

This is a knapsack problem without a fast exact solution. A greedy assignment from the largest group to the smallest is
nearly optimal if there are many groups. If there are few, local moves and swaps improve it. No solver is needed, and
the same input gives the same splits on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SIZE_WEIGHT = 0.01  # weight of the sizes of the splits: decides between assignments whose classes are equally balanced
FIRST_MISSING, MISSING = 100.0, 10.0  # cost of a class missing in the first or another split: above any imbalance
SMALL, RESTARTS = 100, 300  # up to SMALL groups the search is restarted, RESTARTS times divided by the number of groups
SHORTLIST = 32  # groups of each split that are tried in a swap
WORK = 1_000_000  # profiles times splits times steps: bounds the time for many groups that all differ


@dataclass(frozen=True, slots=True)
class SplitTarget:
    """The target of the assignment and its cost function.

    Attributes:
        share: target fraction of each split, shape (S,), positive, sum 1.
        totals: number of images in each column, shape (C,): classes, then whatever else is balanced.
        weights: weight of each column in the cost, shape (C,), 1 for a class.
        classes: number of leading columns that must occur in every split if that is possible.
        target: target number of images, shape (S, C).
    """

    share: Floats
    totals: Floats
    weights: Floats
    classes: int
    target: Floats = field(init=False)
    _scale: Floats = field(init=False, repr=False)
    _missing_cost: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        present = self.totals > 0
        missing_cost = np.full(len(self.share), MISSING)
        missing_cost[0] = FIRST_MISSING
        scale = self.weights * present / np.maximum(self.totals, 1) / max(int(present.sum()), 1) / len(self.share)
        object.__setattr__(self, "target", np.outer(self.share, self.totals))
        object.__setattr__(self, "_scale", scale)
        object.__setattr__(self, "_missing_cost", present[: self.classes] * missing_cost[:, None])

    def cost(self, filled: Floats) -> Floats:
        """Return the cost of each split: its mean absolute deviation from the target fractions.

        A missing class costs more than any imbalance. The total cost is the sum over splits.

        Args:
            filled: number of images, shape (..., S, C).

        Returns:
            Costs, shape (..., S); lower is better.
        """
        cost = np.abs(filled - self.target) @ self._scale
        size = filled[..., : self.classes].sum(-1) / self.totals[: self.classes].sum()
        cost += SIZE_WEIGHT / len(self.share) * np.abs(size - self.share)
        cost += ((filled[..., : self.classes] <= 0) * self._missing_cost).sum(-1)
        return np.asarray(np.round(cost, 12))  # rounded, so that ties are ties on every machine


def assign_balanced(counts: Floats, target: SplitTarget, rng: np.random.Generator) -> Integers:
    """Assign every group to one split.

    For groups of one image the greedy assignment is exact, and the search is skipped.

    Args:
        counts: number of images of each group in each column, shape (G, C); the order of groups must not depend on the
            order of images.
        target: the target of the assignment.
        rng: draws the order among groups of equal size.

    Returns:
        Split numbers, shape (G,).
    """
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order, : target.classes].sum(1), kind="stable")]
    splits = _greedy(counts, target, order)
    if len(target.share) > 1 and (target.classes < counts.shape[1] or counts.sum(1).max() > 1):
        profiles, profile = np.unique(counts, axis=0, return_inverse=True)
        profile = profile.reshape(-1)
        assigned = np.zeros((len(profiles), len(target.share)), np.int64)
        np.add.at(assigned, (profile, splits), 1)
        _apply(splits, order, profile, _improve(assigned, profiles, target, len(counts), rng))
    return splits


def _greedy(counts: Floats, target: SplitTarget, order: Integers) -> Integers:
    """Assign each group to the split that lacks the largest fraction of its classes."""
    images = target.target
    filled = np.zeros_like(images)
    scale = target.weights / np.maximum(target.totals, 1)  # a rare class counts as much as a common one
    splits = np.zeros(len(counts), np.int64)
    for group in order:
        columns = np.flatnonzero(counts[group])
        lacking = (images[:, columns] - filled[:, columns]) / images[:, columns]
        gain = (lacking * (counts[group, columns] * scale[columns])).sum(1)
        split = int(np.argmax(np.round(gain, 12)))
        splits[group] = split
        filled[split] += counts[group]
    return splits


def _improve(
    assigned: Integers, profiles: Floats, target: SplitTarget, num_groups: int, rng: np.random.Generator
) -> Integers:
    """Return a locally optimal assignment; for few groups the best of several restarts.

    Groups with the same number of images in each column have the same profile and are interchangeable.

    Args:
        assigned: number of groups of each profile in each split, shape (U, S).
        profiles: number of images in each column of one group of each profile, shape (U, C).
        target: the target of the assignment.
        num_groups: number of groups G.
        rng: draws the restarts.

    Returns:
        Number of groups, shape (U, S).
    """
    best = _descend(assigned, profiles, target)
    if num_groups > SMALL:
        return best
    lowest = target.cost(best.T @ profiles).sum()
    num_splits = assigned.shape[1]
    for attempt in range(max(4, RESTARTS // num_groups)):
        candidate = best.copy()
        # Alternate between small perturbations of the best assignment and nearly random ones.
        for _ in range(max(2, num_groups // 4) if attempt % 2 else 2 * num_groups):
            # Every group is drawn with the same probability.
            source = int(np.searchsorted(np.cumsum(candidate.reshape(-1)), rng.integers(num_groups), side="right"))
            candidate[source // num_splits, source % num_splits] -= 1
            candidate[source // num_splits, rng.integers(num_splits)] += 1
        candidate = _descend(candidate, profiles, target)
        cost = target.cost(candidate.T @ profiles).sum()
        if cost < lowest - 1e-9:
            best, lowest = candidate, cost
    return best


def _descend(assigned: Integers, profiles: Floats, target: SplitTarget) -> Integers:
    """Apply the best single move repeatedly, and the best swap if no move helps, until neither does."""
    assigned, filled = assigned.copy(), assigned.T @ profiles
    for _ in range(max(20, WORK // assigned.size)):
        changes = _move_costs(assigned, filled, profiles, target)
        moves = _best_move(changes) or _best_swap(changes, assigned, filled, profiles, target)
        if moves is None:
            break
        for profile, source, destination in moves:
            assigned[profile, source] -= 1
            assigned[profile, destination] += 1
            filled[source] -= profiles[profile]
            filled[destination] += profiles[profile]
    return assigned


Moves = list[tuple[int, int, int]]  # (profile, source split, destination split) of single groups


def _best_move(changes: Floats) -> Moves | None:
    profile, source, destination = np.unravel_index(int(np.argmin(changes)), changes.shape)
    if changes[profile, source, destination] >= -1e-9:
        return None
    return [(int(profile), int(source), int(destination))]


def _move_costs(assigned: Integers, filled: Floats, profiles: Floats, target: SplitTarget) -> Floats:
    """Return the change in cost when a group of a profile moves between two splits, shape (U, S, S).

    It is infinite if the split has no such group.
    """
    current = target.cost(filled)
    removed = target.cost(filled - profiles[:, None, :]) - current  # (U, S)
    added = target.cost(filled + profiles[:, None, :]) - current
    changes: Floats = np.round(removed[:, :, None] + added[:, None, :], 12)
    changes[assigned == 0] = np.inf
    changes[:, range(len(filled)), range(len(filled))] = np.inf
    return changes


def _best_swap(
    changes: Floats, assigned: Integers, filled: Floats, profiles: Floats, target: SplitTarget
) -> Moves | None:
    current = target.cost(filled)
    best, moves = -1e-9, None
    for first in range(len(filled)):
        for second in range(first + 1, len(filled)):
            outgoing, incoming = (
                np.argsort(changes[:, source, destination], kind="stable")[:SHORTLIST]
                for source, destination in ((first, second), (second, first))
            )
            outgoing = outgoing[assigned[outgoing, first] > 0]
            incoming = incoming[assigned[incoming, second] > 0]
            if not (len(outgoing) and len(incoming)):
                continue
            difference = profiles[incoming][None, :, :] - profiles[outgoing][:, None, :]  # net change of `first`
            # (outgoing, incoming, S, C)
            after = np.repeat(filled[None, None], len(outgoing), 0).repeat(len(incoming), 1)
            after[:, :, first] += difference
            after[:, :, second] -= difference
            cost = np.round((target.cost(after) - current).sum(-1), 12)
            row, column = np.unravel_index(int(np.argmin(cost)), cost.shape)
            if cost[row, column] < best:
                best = float(cost[row, column])
                moves = [(int(outgoing[row]), first, second), (int(incoming[column]), second, first)]
    return moves


def _apply(splits: Integers, order: Integers, profile: Integers, assigned: Integers) -> None:
    """Change ``splits`` in place to the numbers of groups in ``assigned``; the last groups in ``order`` move first."""
    current = np.zeros_like(assigned)
    np.add.at(current, (profile, splits), 1)
    open_places = {
        number: list(np.repeat(np.arange(assigned.shape[1]), np.maximum(assigned[number] - current[number], 0)))
        for number in np.flatnonzero((current != assigned).any(1)).tolist()
    }
    for group in order[::-1].tolist():
        number, split = int(profile[group]), int(splits[group])
        if number in open_places and current[number, split] > assigned[number, split]:
            current[number, split] -= 1
            splits[group] = open_places[number].pop()
