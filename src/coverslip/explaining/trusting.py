"""The trust strip of an image: what was found of many maps at once, cut down to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from coverslip.explaining.maps.deletion import Curves
from coverslip.explaining.maps.heatmap import FloatArray
from coverslip.explaining.maps.placement import frame
from coverslip.explaining.maps.randomization import Explain
from coverslip.explaining.maps.scores import mean_score, place_heat
from coverslip.explaining.maps.similarity import flat
from coverslip.explaining.maps.trust import Trust, about_background, about_border, check_maps
from coverslip.explaining.methods import FEW, Method, other_methods
from coverslip.explaining.subjects import Subjects
from coverslip.figures.heatmaps import TrustStrip
from coverslip.models.stages import Staged

SHOWN_STEPS = 4  # of the maps with weights in random order
CURVES = {"deletion": "blurred", "insertion": "brought back"}


def ask_trust(
    network: Staged,
    subjects: Subjects,
    images: Tensor,
    classes: Sequence[int],
    method: Method,
    probes: Sequence[Mapping[str, Any]],
) -> tuple[Trust, dict[str, FloatArray]]:
    """What can be asked of all maps together, and the other methods' maps, which are drawn beside them."""
    kept: dict[str, FloatArray] = {}

    def keeping(name: str, explain: Explain) -> Explain:
        def call(network: Any, images: Tensor, classes: list[int]) -> FloatArray:
            kept[name] = explain(network, images, classes)
            return kept[name]

        return call

    others = {name: keeping(name, each) for name, each in other_methods(method, len(subjects)).items()}
    few = len(subjects) <= FEW
    found = check_maps(
        network,
        images,
        classes,
        method.explain,
        method=method.name,
        others=others,
        masks=subjects.areas.some(range(len(subjects))),
        subject=subjects.areas.subject(range(len(subjects))),
        groups=subjects.groups,
        probes=probes,
        draws=3 if few else 1,
        layer_by_layer=few,
    )
    return found, kept


def trust_of(trust: Trust, place: int, subjects: Subjects) -> Trust:
    """What was found of one of several images."""
    one = slice(place, place + 1)
    random, curves, maps = trust.randomization, trust.curves, trust.maps[one]
    random = replace(
        random,
        similarity=random.similarity[:, one],
        ranks=random.ranks[:, one],
        flat=random.flat[:, one],
        maps=random.maps[:, one],
    )
    lines = (curves.deletion, curves.insertion, curves.chance_deletion, curves.chance_insertion)
    curves = Curves(curves.shares, *(line[one] for line in lines))
    size = (int(subjects.pixels.shape[1]), int(subjects.pixels.shape[2]))
    whole = subjects.areas.subject([place])
    return replace(
        trust,
        maps=maps,
        randomization=random,
        similarity=mean_score(random.similarity[random.worst], least=-1),
        forgotten=mean_score(random.similarity[-1], least=-1),
        curves=curves,
        deletion=mean_score(curves.area("deletion")),
        insertion=mean_score(curves.area("insertion")),
        gain=mean_score(curves.gain, least=-1),
        agreement={},  # the strip shows it beside each map
        border=place_heat(maps, frame(size)[None]),
        places={name: place_heat(maps, each) for name, each in subjects.areas.some([place]).items()},
        off=None if trust.off is None or whole is None else place_heat(maps, ~whole),
        flat=int(flat(maps)[0]),
    )


def about_one(trust: Trust) -> list[str]:
    """What was found of one image, in sentences that do not speak of many."""
    gain = trust.gain["value"]
    told = trust.sentences()[:1]
    if gain is not None:
        told.append(
            "Blurring the hottest places first, and bringing them back first, changes the probability faster than a "
            f"random order by {gain:.2f} (0 is no better, 1 the most there could be)."
        )
    if trust.flat:
        told.append("The map is flat: the method found nothing to show.")
    for name, place in trust.places.items():
        heat, hit = place.heat["value"], place.hits["value"]
        if heat is None or hit is None or place.area is None or place.hits_by_chance is None:
            continue
        told.append(
            f"The hottest place lies {'in' if hit else 'outside'} the {name} (by chance it would be in it with "
            f"{place.hits_by_chance:.2f}); {heat:.2f} of the heat is in it, and {place.area:.2f} of the area."
        )
    told += [] if trust.off is None else [about_background(trust.off)]
    return [*told, about_border(trust.border, trust.probes)]


def trust_strip(
    trust: Trust, name: str, method: Method, others: Sequence[tuple[str, FloatArray, float]] = ()
) -> TrustStrip:
    """The strip of one image."""
    random, curves = trust.randomization, trust.curves
    steps = len(random.parts)
    shown = sorted({round(step) for step in np.linspace(0, steps - 1, min(steps, SHOWN_STEPS))})
    where = f" of {method.columns[-1]}" if method.taps else ""
    names = ["all weights" if step == steps - 1 else f"from {random.parts[step]} on" for step in shown]
    lines = {said: getattr(curves, kind)[0] for kind, said in CURVES.items()}
    lines |= {f"random, {said}": getattr(curves, f"chance_{kind}")[0] for kind, said in CURVES.items()}
    return TrustStrip(
        title=f"The map{where} for {name}: can it be trusted?",
        own=trust.maps[0],
        random=[
            (part, random.maps[step, 0], float(random.similarity[step, 0]))
            for part, step in zip(names, shown, strict=True)
        ],
        shares=curves.shares,
        curves=lines,
        others=others,
        sentences=about_one(trust),
        warning=method.warning,
    )
