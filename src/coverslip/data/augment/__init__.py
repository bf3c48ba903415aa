"""Training images are never shown twice alike: flips, motions, colors, and mixtures, seeded image by image.

This module loads no torch; `coverslip.data.augment.pipeline` does, and holds `augment`, `mix` and `image_seeds`.
"""

from coverslip.data.augment.settings import PRESETS, Augmentation, augmentation
from coverslip.data.augment.views import VIEWS, view

__all__ = ["PRESETS", "VIEWS", "Augmentation", "augmentation", "view"]
