"""A guard: copies of one image are all alike; a chain of look-alikes, such as a film, is not one image."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

ALIKE = 0.5  # share of a set's pairs that must be copies of each other; two crops of one image may not be
CHECKED = 300  # pairs of a set that are compared for this, at most
LARGEST = 0.5  # share of all images: a set that holds more cannot be split, and is likelier an error of ours
FEW, PART = (
    20,
    0.05,
)  # a set of so many images, and of so small a part of all, is joined unseen: the safe side


class Comparer(Protocol):
    """What says which pairs of images are copies."""

    def __len__(self) -> int: ...

    def copies_among(self, pairs: Integers) -> tuple[Integers, Floats]:
        """Those of the pairs (m, 2) that are copies, with their similarity."""
        ...


def link_alike(pairs: Integers, similarity: Floats, album: Comparer) -> tuple[list[list[int]], list[list[int]]]:
    """Join copies to sets.

    Args:
        pairs: int64 (m, 2), images that are copies of each other.
        similarity: float32 (m,).
        album: compares pairs that were no candidates.

    Returns:
        Sets of images that are copies of one; and chains, which hold sets and images that were not joined.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(album)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label[pairs[:, 0]], kind="stable") if len(pairs) else np.zeros(0, np.int64)
    sets: list[list[int]] = []
    chains: list[list[int]] = []
    for some in np.split(order, np.flatnonzero(np.diff(label[pairs[order, 0]])) + 1) if len(pairs) else []:
        edges = pairs[some]
        members = np.unique(edges)
        few = len(members) <= max(3, min(FEW, PART * count))
        too_large = len(members) > max(FEW, LARGEST * count)
        if few or (not too_large and _share_alike(members, edges, album) >= ALIKE):
            sets.append(members.tolist())
            continue
        chains.append(members.tolist())
        if not too_large:
            sets += _tight_sets(edges, similarity[some])
    return sets, chains


def _share_alike(members: Integers, edges: Integers, album: Comparer) -> float:
    """The share of all pairs of some images that are copies; of large sets it is estimated from a sample."""
    size = len(members)
    if size * (size - 1) // 2 <= CHECKED:
        known = {(one, other) for one, other in edges.tolist()}
        every = [(int(one), int(other)) for at, one in enumerate(members) for other in members[at + 1 :]]
        unknown = np.array([pair for pair in every if pair not in known], np.int64).reshape(-1, 2)
        return (len(known) + len(album.copies_among(unknown)[0])) / len(every)
    rng = np.random.default_rng(size)
    drawn = np.sort(np.stack([rng.choice(members, 2, replace=False) for _ in range(CHECKED)]), axis=1)
    drawn = np.unique(drawn, axis=0)
    return len(album.copies_among(drawn)[0]) / len(drawn)


def _tight_sets(edges: Integers, similarity: Floats) -> list[list[int]]:
    """The most similar first: two sets are joined where at least half of the pairs between them are copies."""
    home = {number: [number] for number in np.unique(edges).tolist()}
    known = {(one, other) for one, other in edges.tolist()}
    for at in np.lexsort((edges[:, 1], edges[:, 0], -similarity)):
        one, other = home[int(edges[at, 0])], home[int(edges[at, 1])]
        if one is other:
            continue
        between = sum((min(a, b), max(a, b)) in known for a in one for b in other)
        if between >= ALIKE * len(one) * len(other) and (between > 1 or len(one) * len(other) == 1):
            one.extend(other)
            home.update(dict.fromkeys(other, one))
    return [sorted(some) for some in {id(each): each for each in home.values()}.values() if len(some) > 1]
