"""Deal groups to parts so that every part has its share of every class: a greedy start, then local moves and swaps.

Which groups go where is a knapsack problem without a fast exact answer. Dealing from the largest group to the smallest
is nearly right where groups are many; where they are few, moving one group or swapping two mends what it left. No
solver is needed, and the same input gives the same parts on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SIZE_WEIGHT = 0.01  # that parts have the wanted size decides between divisions that are equal in their classes
FIRST_MISSING, MISSING = 100.0, 10.0  # a class missing in the first part, in another: worse than any imbalance
SMALL, RESTARTS = 100, 300  # so few groups are divided several times over: that many starts, shared by the groups
SHORTLIST = 32  # groups of each part that are tried in a swap
WORK = 1_000_000  # kinds of groups times parts times steps: a bound on time where groups are many and all different


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of the parts.

    Attributes:
        share: (P,) of each part, positive, adding up to 1.
        totals: (C,) images of each column: classes, then whatever else is to be balanced.
        weights: (C,) how much a column counts, 1 for a class.
        classes: how many of the columns, from the first, must be in every part wherever that is possible.
        target: (P, C) images wanted.
    """

    share: Floats
    totals: Floats
    weights: Floats
    classes: int
    target: Floats = field(init=False)
    _scale: Floats = field(init=False, repr=False)
    _price: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        there = self.totals > 0
        price = np.full(len(self.share), MISSING)
        price[0] = FIRST_MISSING
        scale = self.weights * there / np.maximum(self.totals, 1) / max(int(there.sum()), 1) / len(self.share)
        object.__setattr__(self, "target", np.outer(self.share, self.totals))
        object.__setattr__(self, "_scale", scale)
        object.__setattr__(self, "_price", there[: self.classes] * price[:, None])

    def cost(self, filled: Floats) -> Floats:
        """(..., P, C) images of parts -> (..., P), lower is better: mean absolute difference from the wanted share.

        What the parts cost adds up. A class that a part lacks costs more than any imbalance.
        """
        off = np.abs(filled - self.target) @ self._scale
        size = filled[..., : self.classes].sum(-1) / self.totals[: self.classes].sum()
        off += SIZE_WEIGHT / len(self.share) * np.abs(size - self.share)
        off += ((filled[..., : self.classes] <= 0) * self._price).sum(-1)
        return np.asarray(np.round(off, 12))


def deal(counts: Floats, wish: Wish, rng: np.random.Generator) -> Integers:
    """Give every group one part.

    Single images are dealt exactly as wanted by the greedy start alone.

    Args:
        counts: (G, C) images of each group in each column; the order of groups must not depend on that of images.
        wish: what is wanted.
        rng: decides the order among groups of one size.

    Returns:
        (G,) part numbers.
    """
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order, : wish.classes].sum(1), kind="stable")]
    chosen = _greedy(counts, wish, order)
    if len(wish.share) > 1 and (wish.classes < counts.shape[1] or counts.sum(1).max() > 1):
        kinds, kind = np.unique(counts, axis=0, return_inverse=True)
        kind = kind.reshape(-1)
        placed = np.zeros((len(kinds), len(wish.share)), np.int64)
        np.add.at(placed, (kind, chosen), 1)
        _carry_out(chosen, order, kind, _improve(placed, kinds, wish, len(counts), rng))
    return chosen


def _greedy(counts: Floats, wish: Wish, order: Integers) -> Integers:
    """Each group goes to the part that lacks the most of its classes."""
    target = wish.target
    filled = np.zeros_like(target)
    scale = wish.weights / np.maximum(wish.totals, 1)  # a rare class counts as much as a common one
    chosen = np.zeros(len(counts), np.int64)
    for group in order:
        has = np.flatnonzero(counts[group])
        lacking = (target[:, has] - filled[:, has]) / target[:, has]
        gain = (lacking * (counts[group, has] * scale[has])).sum(1)
        part = int(np.argmax(np.round(gain, 12)))
        chosen[group] = part
        filled[part] += counts[group]
    return chosen


def _improve(placed: Integers, kinds: Floats, wish: Wish, groups: int, rng: np.random.Generator) -> Integers:
    """Move and swap until nothing gets better; with few groups also from disturbed starts, and keep the best.

    Groups with the same images in each column are of one kind, and any of them will do: ``placed`` (U, P) says how
    many groups of each of the ``kinds`` (U, C) each part has.
    """
    best = _descend(placed, kinds, wish)
    if groups > SMALL:
        return best
    lowest = wish.cost(best.T @ kinds).sum()
    parts = placed.shape[1]
    for attempt in range(max(4, RESTARTS // groups)):
        tried = best.copy()
        # In turn somewhere near the best so far, to mend its last flaw, and far from it.
        for _ in range(max(2, groups // 4) if attempt % 2 else 2 * groups):
            # Every group is drawn with the same chance, wherever it lies.
            source = int(np.searchsorted(np.cumsum(tried.reshape(-1)), rng.integers(groups), side="right"))
            tried[source // parts, source % parts] -= 1
            tried[source // parts, rng.integers(parts)] += 1
        tried = _descend(tried, kinds, wish)
        cost = wish.cost(tried.T @ kinds).sum()
        if cost < lowest - 1e-9:
            best, lowest = tried, cost
    return best


def _descend(placed: Integers, kinds: Floats, wish: Wish) -> Integers:
    """The best single move, over and over; a swap where no move helps."""
    placed, filled = placed.copy(), placed.T @ kinds
    for _ in range(max(20, WORK // placed.size)):
        gains = _gains(placed, filled, kinds, wish)
        step = _best_move(gains) or _best_swap(gains, placed, filled, kinds, wish)
        if step is None:
            break
        for kind, source, to in step:
            placed[kind, source] -= 1
            placed[kind, to] += 1
            filled[source] -= kinds[kind]
            filled[to] += kinds[kind]
    return placed


Step = list[tuple[int, int, int]]  # groups of a kind that leave a part for another


def _best_move(gains: Floats) -> Step | None:
    kind, source, to = np.unravel_index(int(np.argmin(gains)), gains.shape)
    return [(int(kind), int(source), int(to))] if gains[kind, source, to] < -1e-9 else None


def _gains(placed: Integers, filled: Floats, kinds: Floats, wish: Wish) -> Floats:
    """(U, P, P): what it costs to move a group of a kind from a part to another; infinite where there is none."""
    now = wish.cost(filled)
    leaves = wish.cost(filled - kinds[:, None, :]) - now  # (U, P)
    comes = wish.cost(filled + kinds[:, None, :]) - now
    gains: Floats = np.round(leaves[:, :, None] + comes[:, None, :], 12)
    gains[placed == 0] = np.inf
    gains[:, range(len(filled)), range(len(filled))] = np.inf
    return gains


def _best_swap(gains: Floats, placed: Integers, filled: Floats, kinds: Floats, wish: Wish) -> Step | None:
    now = wish.cost(filled)
    best, step = -1e-9, None
    for one in range(len(filled)):
        for other in range(one + 1, len(filled)):
            there, here = (
                np.argsort(gains[:, source, to], kind="stable")[:SHORTLIST]
                for source, to in ((one, other), (other, one))
            )
            there, here = there[placed[there, one] > 0], here[placed[here, other] > 0]
            if not (len(there) and len(here)):
                continue
            change = kinds[here][None, :, :] - kinds[there][:, None, :]  # what `one` gets for what it gives
            after = np.repeat(filled[None, None], len(there), 0).repeat(len(here), 1)  # (there, here, P, C)
            after[:, :, one] += change
            after[:, :, other] -= change
            cost = np.round((wish.cost(after) - now).sum(-1), 12)
            first, second = np.unravel_index(int(np.argmin(cost)), cost.shape)
            if cost[first, second] < best:
                best = float(cost[first, second])
                step = [(int(there[first]), one, other), (int(here[second]), other, one)]
    return step


def _carry_out(chosen: Integers, order: Integers, kind: Integers, wanted: Integers) -> None:
    """Change ``chosen`` so that parts hold as many groups of each kind as wanted; the last that were dealt move."""
    placed = np.zeros_like(wanted)
    np.add.at(placed, (kind, chosen), 1)
    open_places = {
        each: list(np.repeat(np.arange(wanted.shape[1]), np.maximum(wanted[each] - placed[each], 0)))
        for each in np.flatnonzero((placed != wanted).any(1)).tolist()
    }
    for group in order[::-1].tolist():
        each, part = int(kind[group]), int(chosen[group])
        if each in open_places and placed[each, part] > wanted[each, part]:
            placed[each, part] -= 1
            chosen[group] = open_places[each].pop()
