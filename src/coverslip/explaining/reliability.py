"""Sanity checks of the maps of several images, restricted to one image for its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from coverslip.explaining.image_set import ImageSet
from coverslip.explaining.maps.deletion import Curves
from coverslip.explaining.maps.heatmap import FloatArray
from coverslip.explaining.maps.placement import border_frame
from coverslip.explaining.maps.randomization import MapFunction
from coverslip.explaining.maps.sanity import SanityChecks, background_sentence, border_sentence, check_maps
from coverslip.explaining.maps.scores import mean_score, measure_placement
from coverslip.explaining.maps.similarity import flat
from coverslip.explaining.methods import FEW_IMAGES, Method, other_methods
from coverslip.figures.heatmaps import SanityStrip
from coverslip.models.stages import Staged

SHOWN_STEPS = 4  # randomization steps that are drawn
CURVES = {"deletion": "blurred", "insertion": "restored"}  # the figure reads "blurred" and "random" in these names
MIN_GAIN = 0.05  # a single image has no interval; below this gain a map is hardly better than a random order


def run_checks(
    network: Staged,
    image_set: ImageSet,
    images: Tensor,
    classes: Sequence[int],
    method: Method,
    probes: Sequence[Mapping[str, Any]],
) -> tuple[SanityChecks, dict[str, FloatArray]]:
    """Run the sanity checks for all maps together.

    Args:
        network: the whole network, which maps prepared images to logits.
        image_set: the images with masks and groups.
        images: the same images, prepared, float32 (N, C, H, W).
        classes: class id that each map is about, length N.
        method: the method to check.
        probes: shortcut probes of the run's audit.

    Returns:
        The checks, and the maps of other methods by name, which are drawn for comparison.
    """
    other_maps: dict[str, FloatArray] = {}

    def recording(name: str, explain: MapFunction) -> MapFunction:
        def call(network: Any, images: Tensor, classes: list[int]) -> FloatArray:
            other_maps[name] = explain(network, images, classes)
            return other_maps[name]

        return call

    others = {name: recording(name, explain) for name, explain in other_methods(method, len(image_set)).items()}
    few = len(image_set) <= FEW_IMAGES
    checks = check_maps(
        network,
        images,
        classes,
        method.explain,
        method=method.name,
        others=others,
        masks=image_set.areas.of_images(range(len(image_set))),
        subject=image_set.areas.subject(range(len(image_set))),
        groups=image_set.groups,
        probes=probes,
        draws=3 if few else 1,
        layer_by_layer=few,
    )
    return checks, other_maps


def checks_of_image(checks: SanityChecks, place: int, image_set: ImageSet) -> SanityChecks:
    """Restrict the checks of several images to the image at one position."""
    one = slice(place, place + 1)
    random, curves, maps = checks.randomization, checks.curves, checks.maps[one]
    random = replace(
        random,
        similarity=random.similarity[:, one],
        ranks=random.ranks[:, one],
        flat=random.flat[:, one],
        maps=random.maps[:, one],
    )
    values = (curves.deletion, curves.insertion, curves.chance_deletion, curves.chance_insertion)
    curves = Curves(curves.shares, *(curve[one] for curve in values))
    size = (int(image_set.pixels.shape[1]), int(image_set.pixels.shape[2]))
    subject = image_set.areas.subject([place])
    return replace(
        checks,
        maps=maps,
        randomization=random,
        similarity=mean_score(random.similarity[random.worst], least=-1),
        similarity_all=mean_score(random.similarity[-1], least=-1),
        curves=curves,
        deletion=mean_score(curves.area("deletion")),
        insertion=mean_score(curves.area("insertion")),
        gain=mean_score(curves.gain, least=-1),
        agreement={},  # the figure shows it next to each map
        border=measure_placement(maps, border_frame(size)[None]),
        places={name: measure_placement(maps, mask) for name, mask in image_set.areas.of_images([place]).items()},
        off=None if checks.off is None or subject is None else measure_placement(maps, ~subject),
        flat=int(flat(maps)[0]),
    )


def image_sentences(checks: SanityChecks) -> list[str]:
    """Return one plain sentence per check of a single image."""
    gain = checks.gain["value"]
    sentences = checks.sentences()[:1]
    if gain is not None:
        verdict = "better than random" if gain >= MIN_GAIN else "no better than random: do not rely on this map"
        sentences.append(f"Deletion and insertion test (gain over a random order {gain:.2f}, maximum 1): {verdict}.")
    if checks.flat:
        sentences.append("The map is flat: the method highlights nothing.")
    for name, place in checks.places.items():
        heat, hit = place.heat["value"], place.hits["value"]
        if heat is None or hit is None or place.area is None or place.hits_by_chance is None:
            continue
        sentences.append(
            f"Pointing game: the hottest pixel is {'in' if hit else 'outside'} the {name} (probability of a hit by "
            f"chance: {place.hits_by_chance:.2f}). {heat:.2f} of the heat is in the {name}, which covers "
            f"{place.area:.2f} of the image."
        )
    sentences += [] if checks.off is None else [background_sentence(checks.off)]
    return [*sentences, border_sentence(checks.border, checks.probes)]


def reliability_strip(
    checks: SanityChecks, name: str, method: Method, others: Sequence[tuple[str, FloatArray, float]] = ()
) -> SanityStrip:
    """Return the sanity checks of one image as the lower part of its figure.

    Args:
        checks: checks of this image.
        name: name of the class that the map is about.
        method: the checked method.
        others: name, map and rank correlation of other methods.
    """
    random, curves = checks.randomization, checks.curves
    steps = len(random.parts)
    shown = sorted({round(step) for step in np.linspace(0, steps - 1, min(steps, SHOWN_STEPS))})
    where = f" of {method.columns[-1]}" if method.taps else ""
    titles = ["all weights" if step == steps - 1 else f"from {random.parts[step]} on" for step in shown]
    lines = {label: getattr(curves, kind)[0] for kind, label in CURVES.items()}
    lines |= {f"random, {label}": getattr(curves, f"chance_{kind}")[0] for kind, label in CURVES.items()}
    return SanityStrip(
        title=f"Sanity checks of the map{where} for {name}",
        own=checks.maps[0],
        random=[
            (part, random.maps[step, 0], float(random.similarity[step, 0]))
            for part, step in zip(titles, shown, strict=True)
        ],
        shares=curves.shares,
        curves=lines,
        others=others,
        sentences=image_sentences(checks),
        warning=method.warning,
    )
