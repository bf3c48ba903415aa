"""Classes of each look, and specimens: the physical leaf or slide that several images show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.data.synthetic.diseases import DISEASES
from coverslip.data.synthetic.noise import stream
from coverslip.data.synthetic.species import SPECIES

LOOKS = ("leaf", "tissue")

# The most instructive classes come first, then all other combinations of species and condition.
_FIRST = (
    *("tomato_healthy", "tomato_early_blight", "potato_late_blight", "pepper_healthy", "pepper_bacterial_spot"),
    *("bean_healthy", "bean_rust", "grape_healthy", "grape_powdery_mildew", "tomato_mosaic"),
    *("potato_healthy", "potato_early_blight", "tomato_bacterial_spot", "bean_mosaic", "grape_rust"),
)
DEFAULT_CLASSES = {"leaf": len(_FIRST), "tissue": 2}


def class_names(look: str = "leaf", classes: int | None = None) -> tuple[str, ...]:
    """Return the first ``classes`` class names of a look, or all; they always include healthy and diseased ones.

    Raises:
        UserError: the look does not exist, or it does not have this many classes.

    >>> class_names("leaf", 2)
    ('tomato_healthy', 'tomato_early_blight')
    >>> class_names("tissue")
    ('healthy', 'tumor')
    """
    if look not in LOOKS:
        raise UserError(f"unknown look {look!r}", nearest(look, LOOKS))
    names: tuple[str, ...] = ("healthy", "tumor")
    if look == "leaf":
        pairs = [f"{species}_{condition}" for condition in ("healthy", *DISEASES) for species in SPECIES]
        names = (*_FIRST, *(pair for pair in pairs if pair not in _FIRST))
    if classes is None:
        return names
    if not 2 <= classes <= len(names):
        allowed = "2" if len(names) == 2 else f"2 to {len(names)}"
        raise UserError(f"classes={classes}, but the look {look!r} has {allowed} classes", f"try classes={len(names)}")
    return names[:classes]


@dataclass(frozen=True)
class Specimen:
    """One leaf or one slide, before anything is drawn.

    Attributes:
        look: ``leaf`` or ``tissue``.
        class_name: one of `class_names`.
        number: number of the specimen within its class, counted from 0.
        seed: random seed of the whole data set.
        size: side of its images in pixels.
    """

    look: str
    class_name: str
    number: int
    seed: int
    size: int

    def __post_init__(self) -> None:
        """Check that the look has this class."""
        names = class_names(self.look)
        if self.class_name not in names:
            raise UserError(f"the look {self.look!r} has no class {self.class_name!r}", nearest(self.class_name, names))

    @property
    def species(self) -> str:
        """Species: ``tomato`` for ``tomato_early_blight``, ``colon`` for tissue."""
        return self.class_name.partition("_")[0] if self.look == "leaf" else "colon"

    @property
    def condition(self) -> str:
        """Condition: ``early_blight`` for ``tomato_early_blight``."""
        return self.class_name.partition("_")[2] if self.look == "leaf" else self.class_name

    @property
    def name(self) -> str:
        """Name of the specimen, which is the group of its images.

        >>> Specimen("leaf", "bean_rust", 3, 0, 256).name
        'bean_rust_leaf003'
        """
        return f"{self.class_name}_{'leaf' if self.look == 'leaf' else 'slide'}{self.number:03d}"

    def rng(self, purpose: str, *more: int) -> np.random.Generator:
        """Return a random generator for one purpose, independent of everything else that is rendered."""
        return stream(self.seed, self.look, purpose, self.class_name, self.number, *more)
