"""The classes of each look, and the one physical thing that several images show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.synthetic.diseases import DISEASES
from coverslip.data.synthetic.noise import stream
from coverslip.data.synthetic.species import SPECIES

LOOKS = ("leaf", "tissue")

# The first of these teach most; every other pair of species and condition follows them.
_FIRST = (
    *("tomato_healthy", "tomato_early_blight", "potato_late_blight", "pepper_healthy", "pepper_bacterial_spot"),
    *("bean_healthy", "bean_rust", "grape_healthy", "grape_powdery_mildew", "tomato_mosaic"),
    *("potato_healthy", "potato_early_blight", "tomato_bacterial_spot", "bean_mosaic", "grape_rust"),
)
DEFAULT_CLASSES = {"leaf": len(_FIRST), "tissue": 2}


def class_names(look: str = "leaf", classes: int | None = None) -> tuple[str, ...]:
    """The first ``classes`` class names of a look, or all; from two on there are healthy and diseased ones.

    >>> class_names("leaf", 2)
    ('tomato_healthy', 'tomato_early_blight')
    >>> class_names("tissue")
    ('healthy', 'tumor')
    """
    if look not in LOOKS:
        raise UserError(f"there is no look {look!r}", nearest(look, LOOKS))
    names: tuple[str, ...] = ("healthy", "tumor")
    if look == "leaf":
        pairs = [f"{species}_{condition}" for condition in ("healthy", *DISEASES) for species in SPECIES]
        names = (*_FIRST, *(pair for pair in pairs if pair not in _FIRST))
    if classes is None:
        return names
    if not 2 <= classes <= len(names):
        fewer = "2" if len(names) == 2 else f"2 to {len(names)}"
        raise UserError(f"classes={classes}, but the look {look!r} has {fewer}", f"try classes={len(names)}")
    return names[:classes]


@dataclass(frozen=True)
class Specimen:
    """One leaf or one slide, before anything is drawn.

    Attributes:
        look: ``leaf`` or ``tissue``.
        class_name: one of `class_names`.
        number: which of the class, from 0.
        seed: of the whole data set.
        size: pixels along the side of its images.
    """

    look: str
    class_name: str
    number: int
    seed: int
    size: int

    def __post_init__(self) -> None:
        """Refuse a class that the look does not have."""
        names = class_names(self.look)
        if self.class_name not in names:
            raise UserError(f"the look {self.look!r} has no class {self.class_name!r}", nearest(self.class_name, names))

    @property
    def species(self) -> str:
        """``tomato`` of ``tomato_early_blight``; ``colon`` for tissue."""
        return self.class_name.partition("_")[0] if self.look == "leaf" else "colon"

    @property
    def condition(self) -> str:
        """``early_blight`` of ``tomato_early_blight``."""
        return self.class_name.partition("_")[2] if self.look == "leaf" else self.class_name

    @property
    def name(self) -> str:
        """What all its images share: their group.

        >>> Specimen("leaf", "bean_rust", 3, 0, 256).name
        'bean_rust_leaf003'
        """
        return f"{self.class_name}_{'leaf' if self.look == 'leaf' else 'slide'}{self.number:03d}"

    def chance(self, purpose: str, *more: int) -> np.random.Generator:
        """Random numbers for one purpose, the same whatever else is rendered."""
        return stream(self.seed, self.look, purpose, self.class_name, self.number, *more)
