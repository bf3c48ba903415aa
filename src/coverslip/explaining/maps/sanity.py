"""Sanity checks of heat maps: randomization, deletion and insertion, agreement, and location of the heat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from coverslip.evidence.intervals import Score, format_interval
from coverslip.explaining.maps.deletion import Curves, delete_and_insert
from coverslip.explaining.maps.placement import Masks, border_frame
from coverslip.explaining.maps.randomization import MAX_SIMILARITY, MapFunction, Randomization, randomize
from coverslip.explaining.maps.scores import Groups, Placement, mean_score, measure_placement, plain_mean
from coverslip.explaining.maps.similarity import agreement, flat

BORDER_PROBES = ("border", "border-color")  # probes of the audit that predict the class from the border alone


@dataclass(frozen=True)
class SanityChecks:
    """Results of the sanity checks for the heat maps of N images by one method.

    Attributes:
        method: name of the method.
        maps: the checked maps, float32 (N, h, w).
        randomization: maps of the same network with more and more of its weights randomized.
        similarity: mean structural similarity after the randomization step that changed the maps least.
        similarity_all: mean structural similarity with all weights randomized.
        curves: class probabilities while the hottest pixels are blurred (deletion) or restored (insertion).
        deletion, insertion: mean areas under the curves.
        gain: mean advantage over a random order of the pixels, -1 to 1.
        border: heat on a frame along the border of the image.
        agreement: name of another method -> mean rank correlation with its maps, -1 to 1.
        places: name of an area, such as "lesion" -> heat in that area.
        off: heat outside the subject; None if there are no masks of the subject.
        flat: number of flat maps.
        probes: results of the audit's border probes, as in ``audit.json``.
    """

    method: str
    maps: npt.NDArray[np.float32]
    randomization: Randomization
    similarity: Score
    similarity_all: Score
    curves: Curves
    deletion: Score
    insertion: Score
    gain: Score
    border: Placement
    agreement: dict[str, Score] = field(default_factory=dict)
    places: dict[str, Placement] = field(default_factory=dict)
    off: Placement | None = None
    flat: int = 0
    probes: Sequence[Mapping[str, Any]] = ()

    @property
    def depends_on_weights(self) -> bool:
        """Whether the maps change in every randomization step: the minimum requirement for any explanation."""
        value = self.similarity["value"]
        return value is not None and value < MAX_SIMILARITY

    def sentences(self) -> list[str]:
        """Return one plain sentence per check, for the text below the figure."""
        sentences = [self._randomization_sentence(), _deletion_sentence(self.gain)]
        if self.flat:
            sentences.append(f"{self.flat} of {len(self.maps)} maps are flat: the method highlights nothing there.")
        for name, score in self.agreement.items():
            if score["value"] is not None:
                sentences.append(f"Rank correlation with {name}: {score_text(score)} (0: unrelated, 1: same ranking).")
        sentences += [_placement_sentence(name, place) for name, place in self.places.items()]
        sentences += [] if self.off is None else [background_sentence(self.off)]
        return [*sentences, border_sentence(self.border, self.probes)]

    def _randomization_sentence(self) -> str:
        if self.similarity["value"] is None:
            return "Randomization test: cannot be evaluated, because the maps are flat."
        parts, worst = self.randomization.parts, self.randomization.worst
        if self.depends_on_weights:
            return (
                "Randomization test: passed. With randomized weights, the structural similarity to the original maps "
                f"is at most {score_text(self.similarity)}, and {score_text(self.similarity_all)} with all weights "
                f"randomized (required: below {MAX_SIMILARITY}). The maps depend on what the network has learned."
            )
        which = "all weights" if worst == len(parts) - 1 else f"the weights from {parts[worst]} on"
        return (
            f"Randomization test: failed. With {which} randomized, the structural similarity to the original maps is "
            f"{score_text(self.similarity)} (required: below {MAX_SIMILARITY}). The maps would look much the same "
            "without these weights: do not rely on them."
        )

    def as_json(self) -> dict[str, Any]:
        """Return all numbers as values for JSON: scores as in ``test.json``, without maps."""
        steps = self.randomization
        rows = zip(steps.parts, steps.similarity, steps.ranks, steps.flat, strict=True)
        return {
            "method": self.method,
            "images": len(self.maps),
            "flat": self.flat,
            "depends_on_weights": self.depends_on_weights,
            "similarity": self.similarity,
            "forgotten": self.similarity_all,
            "draws": steps.draws,
            "parts": [
                {"part": part, "similarity": plain_mean(similarities), "rank_correlation": plain_mean(ranks),
                 "flat": plain_mean(flats)}
                for part, similarities, ranks, flats in rows
            ],
            "deletion": self.deletion,
            "insertion": self.insertion,
            "gain": self.gain,
            "curves": {name: np.atleast_2d(curve).mean(axis=0).tolist() for name, curve in vars(self.curves).items()},
            "agreement": dict(self.agreement),
            "border": vars(self.border),
            "places": {name: vars(place) for name, place in self.places.items()},
            "off": None if self.off is None else vars(self.off),
            "sentences": self.sentences(),
        }  # fmt: skip


def check_maps(
    network: nn.Module,
    images: Tensor,
    classes: Sequence[int],
    explain: MapFunction,
    *,
    method: str,
    others: Mapping[str, MapFunction] | None = None,
    masks: Mapping[str, Masks] | None = None,
    subject: Masks | None = None,
    groups: Groups = None,
    probes: Sequence[Mapping[str, Any]] = (),
    draws: int = 3,
    layer_by_layer: bool = True,
    seed: int = 0,
) -> SanityChecks:
    """Run all sanity checks on the heat maps of some images. Confidence intervals need at least five groups.

    Args:
        network: maps prepared images to logits (N, K).
        images: prepared images, float32 (N, C, H, W).
        classes: class id that each map is about, length N.
        explain: function that computes the maps.
        method: name of the method.
        others: further methods to compare with, by name.
        masks: name of an area, such as "lesion" -> bool (N, H, W); images without this area do not count.
        subject: the whole leaf or cell, bool (N, H, W); everything else is background.
        groups: group of each image; intervals are computed over groups.
        probes: probes from ``audit.json``; only those of the border are used.
        draws: number of random permutations of the weights.
        layer_by_layer: as for `randomize`.
        seed: seed of all random numbers.

    Raises:
        UserError: the method does not support the network, or a class does not exist (raised by ``explain``).
    """
    class_ids = list(classes)
    maps = explain(network, images, class_ids)
    random = randomize(network, images, class_ids, explain, draws=draws, layer_by_layer=layer_by_layer, seed=seed)
    curves = delete_and_insert(network, images, class_ids, maps, seed=seed)
    correlations = {
        name: agreement({"": maps, name: other(network, images, class_ids)}) for name, other in (others or {}).items()
    }
    border = np.broadcast_to(border_frame((int(images.shape[2]), int(images.shape[3]))), (len(maps), *images.shape[2:]))
    return SanityChecks(
        method=method,
        maps=maps,
        randomization=random,
        similarity=mean_score(random.similarity[random.worst], groups, least=-1),
        similarity_all=mean_score(random.similarity[-1], groups, least=-1),
        curves=curves,
        deletion=mean_score(curves.area("deletion"), groups),
        insertion=mean_score(curves.area("insertion"), groups),
        gain=mean_score(curves.gain, groups, least=-1),
        border=measure_placement(maps, border, groups),
        agreement={name: mean_score(values[0, 1], groups, least=-1) for name, values in correlations.items()},
        places={name: measure_placement(maps, mask, groups) for name, mask in (masks or {}).items()},
        off=None if subject is None else measure_placement(maps, ~subject, groups),
        flat=int(flat(maps).sum()),
        probes=[probe for probe in probes if probe.get("name") in BORDER_PROBES],
    )


def border_sentence(border: Placement, probes: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return a sentence on the heat on the border, in relation to the result of the audit's border probes."""
    text = _heat_text(border, "on the border")
    hot = _more_than_chance(border)
    if any(probe.get("verdict") == "warns" for probe in probes):
        if hot:
            return (
                f"{text}: more than expected by chance, and the audit found that the border alone predicts the class."
            )
        return (
            f"{text}. The audit found that the border alone predicts the class; these maps do not show whether the "
            "network uses it."
        )
    if hot:
        return f"{text}: more than expected by chance. Check whether something at the border is related to the class."
    return f"{text}."


def background_sentence(off: Placement) -> str:
    """Return a sentence on the heat outside the subject."""
    text = _heat_text(off, "outside the subject")
    if _more_than_chance(off):
        return f"{text}: more than expected by chance. The network attends to the background."
    low, high = off.gain["low"], off.gain["high"]
    if low is None or high is None:
        return f"{text}."
    return f"{text}: {'less than expected by chance' if high < 0 else 'about as much as expected by chance'}."


def _heat_text(place: Placement, where: str) -> str:
    if place.heat["value"] is None or place.area is None:
        return f"The maps have no heat, so none of it is {where}"
    return f"{score_text(place.heat)} of the heat is {where}, which covers {place.area:.2f} of the image"


def _more_than_chance(place: Placement) -> bool:
    """Return whether the heat significantly exceeds the area; without an interval this cannot be claimed."""
    return place.gain["low"] is not None and place.gain["low"] > 0


def _deletion_sentence(gain: Score) -> str:
    text = f"Deletion and insertion test (gain over a random order {score_text(gain)}, maximum 1)"
    if gain["low"] is None:
        return f"{text}: too few groups for a verdict."
    if gain["low"] > 0:
        return f"{text}: better than random. The highlighted regions matter to the network."
    return f"{text}: not shown to be better than random. Do not rely on these maps."


def _placement_sentence(name: str, place: Placement) -> str:
    if place.hits["value"] is None:
        return f"No image has the area {name!r}, so it was not checked."
    text = (
        f"Pointing game: the hottest pixel is in the {name} in {score_text(place.hits)} of the images "
        f"(chance: {place.hits_by_chance:.2f})"
    )
    return f"{text}. {_heat_text(place, f'in the {name}')}." if place.area is not None else f"{text}; no map has heat."


def score_text(score: Score) -> str:
    """Return a score with its interval, or the value alone if there is no interval."""
    no_interval = score["value"] is not None and score["low"] is None
    return f"{score['value']:.2f}" if no_interval else format_interval(score, 2)
