"""Can a heat map be trusted? Everything that can be asked of the maps of some images, with intervals and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from coverslip.evidence.intervals import Score, format_interval
from coverslip.explaining.maps.deletion import Curves, delete_and_insert
from coverslip.explaining.maps.placement import Masks, frame
from coverslip.explaining.maps.randomization import ALIKE, Explain, Randomization, randomize
from coverslip.explaining.maps.scores import Groups, Placement, mean_score, place_heat, plain_mean
from coverslip.explaining.maps.similarity import agreement, flat

BORDER_PROBES = ("border", "border-color")  # of the audit: what is told of the class by the border alone


@dataclass(frozen=True)
class Trust:
    """What was asked of the maps of N images by one method.

    Attributes:
        method: its name.
        maps: float32 (N, h, w), what was asked about.
        randomization: the same of the network with its weights in random order, part by part.
        similarity: mean structural similarity of the two after the step that changed the maps least.
        forgotten: the same where all weights are in random order.
        curves: probabilities while the hottest places are blurred away or brought back.
        deletion, insertion: mean areas under them.
        gain: mean of how much better the maps' order is than chance, -1 to 1.
        border: where the heat lies, for the frame along the border.
        agreement: other method -> mean rank correlation, -1 to 1.
        places: name of an area, such as "lesion" -> where the heat lies.
        off: the same for what is not the subject; None where nobody said what the subject is.
        flat: how many maps are flat.
        probes: what the audit found of the border, as in ``audit.json``.
    """

    method: str
    maps: npt.NDArray[np.float32]
    randomization: Randomization
    similarity: Score
    forgotten: Score
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
        """Whether the maps change whenever some of what was learned is forgotten: the least that can be asked."""
        value = self.similarity["value"]
        return value is not None and value < ALIKE

    def sentences(self) -> list[str]:
        """What to write under the figure: one plain sentence a check."""
        told = [self._about_weights(), _about_probability(self.gain)]
        if self.flat:
            told.append(f"{self.flat} of {len(self.maps)} maps are flat: the method found nothing to show there.")
        for name, score in self.agreement.items():
            if score["value"] is not None:
                told.append(f"Rank correlation with {name}: {_text(score)}; 0 is none, 1 is the same order.")
        told += [_about_place(name, place) for name, place in self.places.items()]
        told += [] if self.off is None else [about_background(self.off)]
        return [*told, about_border(self.border, self.probes)]

    def _about_weights(self) -> str:
        if self.similarity["value"] is None:
            return "The maps are flat, so nothing is said of what they depend on."
        parts, worst = self.randomization.parts, self.randomization.worst
        said = "in random order the maps keep a structural similarity of"
        if self.depends_on_weights:
            return (
                f"With weights {said} {_text(self.similarity)} at most, and of {_text(self.forgotten)} where all are "
                f"(under {ALIKE} is wanted): they depend on what was learned."
            )
        which = "all weights" if worst == len(parts) - 1 else f"the weights from {parts[worst]} on"
        return (
            f"With {which} {said} {_text(self.similarity)} (under {ALIKE} is wanted): "
            "they would look much the same had that not been learned, so they are no reason for the answer."
        )

    def as_json(self) -> dict[str, Any]:
        """Every number, as plain values: scores as in ``test.json``, no maps."""
        steps = self.randomization
        rows = zip(steps.parts, steps.similarity, steps.ranks, steps.flat, strict=True)
        return {
            "method": self.method,
            "images": len(self.maps),
            "flat": self.flat,
            "depends_on_weights": self.depends_on_weights,
            "similarity": self.similarity,
            "forgotten": self.forgotten,
            "draws": steps.draws,
            "parts": [
                {"part": part, "similarity": plain_mean(alike), "rank_correlation": plain_mean(ranks),
                 "flat": plain_mean(flats)}
                for part, alike, ranks, flats in rows
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
    explain: Explain,
    *,
    method: str,
    others: Mapping[str, Explain] | None = None,
    masks: Mapping[str, Masks] | None = None,
    subject: Masks | None = None,
    groups: Groups = None,
    probes: Sequence[Mapping[str, Any]] = (),
    draws: int = 3,
    layer_by_layer: bool = True,
    seed: int = 0,
) -> Trust:
    """Ask everything of the maps of some images. One image is enough; intervals need five groups.

    Args:
        network: prepared images -> scores (N, K).
        images: float32 (N, C, H, W), prepared.
        classes: the class that each map is about.
        explain: the method in question.
        method: its name.
        others: further methods, to be compared with.
        masks: name of an area -> bool (N, H, W), such as the lesions; an image without the area does not count.
        subject: bool (N, H, W), the whole leaf or cell; what lies off it is the background.
        groups: of each image; intervals are over groups.
        probes: of ``audit.json``; those of the border are looked for.
        draws: how often weights are put in random order.
        layer_by_layer: as for `randomize`.
        seed: of all that is random.

    Raises:
        UserError: what ``explain`` raises where the method does not suit the network or a class does not exist.
    """
    given = list(classes)
    maps = explain(network, images, given)
    random = randomize(network, images, given, explain, draws=draws, layer_by_layer=layer_by_layer, seed=seed)
    curves = delete_and_insert(network, images, given, maps, seed=seed)
    alike = {name: agreement({"": maps, name: other(network, images, given)}) for name, other in (others or {}).items()}
    border = np.broadcast_to(frame((int(images.shape[2]), int(images.shape[3]))), (len(maps), *images.shape[2:]))
    return Trust(
        method=method,
        maps=maps,
        randomization=random,
        similarity=mean_score(random.similarity[random.worst], groups, least=-1),
        forgotten=mean_score(random.similarity[-1], groups, least=-1),
        curves=curves,
        deletion=mean_score(curves.area("deletion"), groups),
        insertion=mean_score(curves.area("insertion"), groups),
        gain=mean_score(curves.gain, groups, least=-1),
        border=place_heat(maps, border, groups),
        agreement={name: mean_score(values[0, 1], groups, least=-1) for name, values in alike.items()},
        places={name: place_heat(maps, each, groups) for name, each in (masks or {}).items()},
        off=None if subject is None else place_heat(maps, ~subject, groups),
        flat=int(flat(maps).sum()),
        probes=[probe for probe in probes if probe.get("name") in BORDER_PROBES],
    )


def about_border(border: Placement, probes: Sequence[Mapping[str, Any]] = ()) -> str:
    """One sentence: whether the heat lies on the border, and what the audit's probes make of that."""
    said = _share(border, "lies on the border")
    hot = _more_than_chance(border)
    if any(probe.get("verdict") == "warns" for probe in probes):
        if hot:
            return f"{said}: the network looks where the audit found that the class can be told without the subject."
        return (
            f"{said}. The audit found that the border alone tells the class; these maps do not show that the network "
            "uses it, nor that it does not."
        )
    if hot:
        return f"{said}: more than chance, so look whether something there belongs to the class."
    return f"{said}."


def about_background(off: Placement) -> str:
    """One sentence: whether the network looks at the subject or beside it."""
    said = _share(off, "lies off the subject")
    if _more_than_chance(off):
        return f"{said}: the network looks at the background."
    low, high = off.gain["low"], off.gain["high"]
    if low is None or high is None:
        return f"{said}."
    return f"{said}: {'less than chance gives' if high < 0 else 'about what chance gives'}."


def _share(place: Placement, where: str) -> str:
    if place.heat["value"] is None or place.area is None:
        return f"The maps have no heat, so nothing {where}"
    return f"{_text(place.heat)} of the heat {where}, which is {place.area:.2f} of the area"


def _more_than_chance(place: Placement) -> bool:
    """Beyond doubt: without an interval nothing is said."""
    return place.gain["low"] is not None and place.gain["low"] > 0


def _about_probability(gain: Score) -> str:
    said = f"Blurring the hottest places first changes the probability faster than a random order by {_text(gain)}"
    if gain["low"] is None:
        return f"{said}; 0 is no better than chance."
    if gain["low"] > 0:
        return f"{said}: what is hot matters to the network."
    return f"{said}: not shown to be better than chance."


def _about_place(name: str, place: Placement) -> str:
    if place.hits["value"] is None:
        return f"No image has an area {name!r}, so nothing is said of it."
    said = (
        f"The hottest place lies in the {name} in {_text(place.hits)} of the images, by chance in "
        f"{place.hits_by_chance:.2f}"
    )
    return f"{said}; {_share(place, 'is there')}." if place.area is not None else f"{said}; the maps have no heat."


def _text(score: Score) -> str:
    alone = score["value"] is not None and score["low"] is None
    return f"{score['value']:.2f}" if alone else format_interval(score, 2)
