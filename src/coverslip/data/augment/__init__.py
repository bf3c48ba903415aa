"""Training pictures are never shown twice alike: flips, motions, colors, and mixtures, seeded picture by picture.

This module loads no torch; `coverslip.data.augment.pipeline` does, and holds `augment`, `mix` and `picture_seeds`.
"""

from coverslip.data.augment.settings import PRESETS, Augmentation, augmentation
from coverslip.data.augment.views import VIEWS, view

__all__ = ["PRESETS", "VIEWS", "Augmentation", "augmentation", "view"]
