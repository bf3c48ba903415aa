"""Grouping of pairs of copies into sets; a chain of similar images, such as a video, is not one image."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

MIN_COPIES = 0.5  # fraction of a set's pairs that must be copies of each other; two crops of one image may not be
SAMPLED_PAIRS = 300  # at most this many pairs of a set are compared for this
LARGEST = 0.5  # fraction of all images; a larger set cannot be split, and is more likely to be a false match
# A set with at most this many images, and at most this fraction of all images, is joined without a check: joining too
# much costs little, while a missed duplicate is leakage.
SMALL_SET, SMALL_FRACTION = 20, 0.05


class Matcher(Protocol):
    """Confirms which pairs of images are copies."""

    def __len__(self) -> int: ...

    def confirm_copies(self, pairs: Integers) -> tuple[Integers, Floats]:
        """Return those of the pairs, int64 (m, 2), that are copies, and their similarity."""
        ...


def link_copies(pairs: Integers, similarity: Floats, matcher: Matcher) -> tuple[list[list[int]], list[list[int]]]:
    """Join pairs of copies into sets.

    Args:
        pairs: int64 (m, 2), numbers of images that are copies of each other.
        similarity: float32 (m,).
        matcher: compares pairs that were not among the candidates.

    Returns:
        sets: numbers of images that are copies of one image.
        chains: numbers of images that are linked, but were not joined as a whole.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(matcher)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label[pairs[:, 0]], kind="stable") if len(pairs) else np.zeros(0, np.int64)
    sets: list[list[int]] = []
    chains: list[list[int]] = []
    for component in np.split(order, np.flatnonzero(np.diff(label[pairs[order, 0]])) + 1) if len(pairs) else []:
        edges = pairs[component]
        members = np.unique(edges)
        small = len(members) <= max(3, min(SMALL_SET, SMALL_FRACTION * count))
        too_large = len(members) > max(SMALL_SET, LARGEST * count)
        if small or (not too_large and _fraction_of_copies(members, edges, matcher) >= MIN_COPIES):
            sets.append(members.tolist())
            continue
        chains.append(members.tolist())
        if not too_large:
            sets += _tight_sets(edges, similarity[component])
    return sets, chains


def _fraction_of_copies(members: Integers, edges: Integers, matcher: Matcher) -> float:
    """Return the fraction of all pairs of images that are copies; for large sets it is estimated from a sample."""
    size = len(members)
    if size * (size - 1) // 2 <= SAMPLED_PAIRS:
        known = {(one, other) for one, other in edges.tolist()}
        every = [(int(one), int(other)) for at, one in enumerate(members) for other in members[at + 1 :]]
        unknown = np.array([pair for pair in every if pair not in known], np.int64).reshape(-1, 2)
        return (len(known) + len(matcher.confirm_copies(unknown)[0])) / len(every)
    rng = np.random.default_rng(size)
    drawn = np.sort(np.stack([rng.choice(members, 2, replace=False) for _ in range(SAMPLED_PAIRS)]), axis=1)
    drawn = np.unique(drawn, axis=0)
    return len(matcher.confirm_copies(drawn)[0]) / len(drawn)


def _tight_sets(edges: Integers, similarity: Floats) -> list[list[int]]:
    """Join sets, the most similar pairs first, where at least half of the pairs between two sets are copies."""
    set_of = {number: [number] for number in np.unique(edges).tolist()}
    known = {(one, other) for one, other in edges.tolist()}
    for at in np.lexsort((edges[:, 1], edges[:, 0], -similarity)):
        one, other = set_of[int(edges[at, 0])], set_of[int(edges[at, 1])]
        if one is other:
            continue
        between = sum((min(a, b), max(a, b)) in known for a in one for b in other)
        if between >= MIN_COPIES * len(one) * len(other) and (between > 1 or len(one) * len(other) == 1):
            one.extend(other)
            set_of.update(dict.fromkeys(other, one))
    return [
        sorted(numbers)
        for numbers in {id(numbers): numbers for numbers in set_of.values()}.values()
        if len(numbers) > 1
    ]
