"""Plant species whose leaves are rendered. To add a species, register one function in this file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from coverslip.core.registry import Registry
from coverslip.data.synthetic.outlines import Outline, Pinnate, Vein, bend_randomly, palmate, pinnate

Grow = Callable[[np.random.Generator], Outline]
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Species:
    """Characteristics of a species: its outline, and the appearance of its blade under white light.

    Attributes:
        outline: function of a random generator that returns the outline of one leaf.
        green: color of a mature blade, 0..1.
        vein: color of the main veins and the stalk, 0..1.
        gloss: specular reflection, 0..1.
    """

    outline: Grow
    green: Color
    vein: Color
    gloss: float


SPECIES: Registry[Species] = Registry("species")


def species(name: str, *, green: Color, vein: Color, gloss: float) -> Callable[[Grow], Grow]:
    """Return a decorator that registers an outline together with its colors."""

    def add(outline: Grow) -> Grow:
        SPECIES.register(name)(Species(outline, green, vein, gloss))
        return outline

    return add


@species("tomato", green=(0.27, 0.395, 0.175), vein=(0.53, 0.61, 0.36), gloss=0.1)
def tomato(rng: np.random.Generator) -> Outline:
    """Return a lobed, toothed terminal leaflet with two small leaflets below it."""
    shape = Pinnate(
        width=0.80,
        base=0.60,
        tip=0.92,
        heart=0.04,
        drip=0.05,
        lobes=4,
        lobe_depth=0.44,
        teeth=15,
        tooth=0.022,
        pairs=6,
        rise=0.26,
    )
    leaf = pinnate(shape, rng)
    blades, veins = list(leaf.blades), list(leaf.veins)
    for side in (-1.0, 1.0):
        size = 0.36 * (1 + 0.15 * rng.standard_normal())
        turn = side * np.radians(62 + 9 * rng.standard_normal())
        low = -0.14 - 0.04 * rng.random()
        small = pinnate(replace(shape, pairs=5, teeth=8, lobes=3, lobe_depth=0.35, width=0.62), rng)
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        small = bend_randomly(small, rng).map_points(lambda p, s=size, m=spin, y=low: (p * s + [0, 0.04]) @ m + [0, y])  # type: ignore[misc]
        blades += small.blades
        stalk = Vein(np.array([[0.0, low], small.petiole.points[0]]), 0.02, 0.02, 1)
        veins += [*small.scale_widths(0.55).veins, stalk]
    below = np.stack([np.zeros(14), np.linspace(0.01, -0.33, 14)], axis=1)
    return bend_randomly(Outline(tuple(blades), tuple(veins), Vein(below, 0.019, 0.025, 1)), rng)


@species("potato", green=(0.285, 0.43, 0.19), vein=(0.51, 0.61, 0.35), gloss=0.13)
def potato(rng: np.random.Generator) -> Outline:
    """Return a simple oval with a round base and a short point."""
    return bend_randomly(
        pinnate(Pinnate(width=0.66, base=0.60, tip=0.76, heart=0.07, drip=0.06, pairs=7, rise=0.27), rng), rng
    )


@species("pepper", green=(0.195, 0.37, 0.145), vein=(0.48, 0.61, 0.32), gloss=0.26)
def pepper(rng: np.random.Generator) -> Outline:
    """Return a long, smooth blade, tapered at both ends."""
    return bend_randomly(pinnate(Pinnate(width=0.44, base=0.80, tip=1.05, drip=0.12, pairs=6, rise=0.33), rng), rng)


@species("bean", green=(0.33, 0.465, 0.185), vein=(0.56, 0.66, 0.38), gloss=0.1)
def bean(rng: np.random.Generator) -> Outline:
    """Return a broad heart with a tapered tip."""
    return bend_randomly(
        pinnate(Pinnate(width=0.88, base=0.74, tip=0.84, heart=0.27, drip=0.13, pairs=6, rise=0.30), rng), rng
    )


@species("grape", green=(0.31, 0.435, 0.19), vein=(0.62, 0.68, 0.42), gloss=0.16)
def grape(rng: np.random.Generator) -> Outline:
    """Return five toothed lobes around the petiole."""
    angles = np.array([-1.98, -0.98, 0.0, 0.98, 1.98])
    return bend_randomly(palmate(rng, angles, np.array([0.66, 0.86, 1.0, 0.86, 0.66]), breadth=0.74, tooth=0.06), rng)
