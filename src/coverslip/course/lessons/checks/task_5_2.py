# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/05_a_result_you_can_defend.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Use two accuracies of the network that was trained with the split by image: claimed, and true.",
    'claimed_by_image.accuracy["value"] - true_by_image.accuracy["value"]',
)


def grade(inflation: float, claimed, true):
    """The claimed accuracy minus the true accuracy of the split by image."""
    expected = claimed.accuracy["value"] - true.accuracy["value"]
    if abs(inflation + expected) < 5e-4 < abs(expected):
        return "It is the other way round: the claimed accuracy minus the true accuracy."
    if abs(inflation - 100 * expected) < 1 < abs(inflation):
        return "This is in percent; here accuracies are numbers from 0 to 1, and so is their difference."
    if abs(inflation - expected) > 5e-3:
        return "This is another difference. Do not compare two ways to split, but one network on two sets of leaves."
    low, high = (f"{true.accuracy[end]:.2f}" for end in ("low", "high"))
    if expected > 0.02:
        accuracy = f"{true.accuracy['value']:.2f} [{low}, {high}]"
        return Passed(f"The score is {inflation:.2f} too high. On new leaves readers will find {accuracy}.")
    return Passed(f"{inflation:.2f}: no relevant leakage here, or too few leaves to show it.")
