"""Random augmentation of training images: geometry, color, corruptions and mixing, seeded image by image.

This package imports no torch. `coverslip.data.augment.pipeline` does, and contains `augment`, `mix` and `image_seeds`.
"""

from coverslip.data.augment.settings import PRESETS, Augmentation, augmentation
from coverslip.data.augment.views import VIEWS, view

__all__ = ["PRESETS", "VIEWS", "Augmentation", "augmentation", "view"]
