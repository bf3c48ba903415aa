# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/04_improving.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import numpy as np

HINTS = (
    "Divide by 255 first. Then average over images, rows and columns, but not over colors.",
    "mean = (train.x / 255).mean(axis=(0, 1, 2)), and the same with .std",
)


def grade(mean, spread, train, tissue):
    """Three means and three standard deviations of the training images' colors, 0 to 1."""
    mean, spread = np.asarray(mean, float), np.asarray(spread, float)
    if mean.size == 1:
        return "This is one number for all three colors together. The stains differ in color: keep the last axis."
    if mean.shape != (3,) or spread.shape != (3,):
        return f"Both need three numbers; their shapes are {mean.shape} and {spread.shape}."
    if mean.max() > 1:
        return "These are on the scale 0 to 255; the network's inputs are numbers from 0 to 1. Divide by 255."
    x, all_x = train.x / 255, tissue.x / 255
    axes = (0, 1, 2)
    if np.allclose(mean, x.mean(axis=axes), atol=1e-3):
        if np.allclose(spread, x.var(axis=axes), atol=1e-4):
            return "The means are right. The spread is the variance: use its square root, or .std."
        if not np.allclose(spread, x.std(axis=axes), atol=1e-3):
            return "The means are right, but the spreads are not: use .std, the standard deviation of each color."
        if np.array_equal(mean, all_x.mean(axis=axes)) and len(train.x) < len(all_x):
            return "These are the means of all images, including the test images."
        return Passed("Right. From now on these six numbers are part of the network, for all images.")
    if np.allclose(mean, all_x.mean(axis=axes), atol=1e-6):
        return "These are measured on all images, including the test images. This is a small leak: use only train.x."
    return "These are not the means of the training images' colors."
