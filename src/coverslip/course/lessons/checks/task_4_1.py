# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/04_improving.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import numpy as np

HINTS = (
    "Divide by 255 first. Then average over images, rows and columns, but not over colors.",
    "mean = (train.x / 255).mean(axis=(0, 1, 2)), and the same with .std",
)


def judge(mean, spread, train, tissue):
    """Three means and three standard deviations of the training images' colors, 0 to 1."""
    mean, spread = np.asarray(mean, float), np.asarray(spread, float)
    if mean.size == 1:
        return "That is one number for all three colors together. Stains differ in color: keep the last axis."
    if mean.shape != (3,) or spread.shape != (3,):
        return f"Three numbers each are wanted; these are of shape {mean.shape} and {spread.shape}."
    if mean.max() > 1:
        return "Those are on the scale 0 to 255; the network sees numbers from 0 to 1. Divide by 255."
    x, whole = train.x / 255, tissue.x / 255
    axes = (0, 1, 2)
    if np.allclose(mean, x.mean(axis=axes), atol=1e-3):
        if np.allclose(spread, x.var(axis=axes), atol=1e-4):
            return "The means are right. The spread is the variance: take its square root, or .std."
        if not np.allclose(spread, x.std(axis=axes), atol=1e-3):
            return "The means are right, the spreads are not: the standard deviation of each color, .std."
        if np.array_equal(mean, whole.mean(axis=axes)) and len(train.x) < len(whole):
            return "Those are of all images, the test images too."
        return Passed("Right. From now on these six numbers belong to the network, whatever images it is shown.")
    if np.allclose(mean, whole.mean(axis=axes), atol=1e-6):
        return "Those were measured on all images, the test images too. A small leak, but a leak: use train.x only."
    return "The means are not those of the training images' colors."
