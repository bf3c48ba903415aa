# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/05_a_result_you_can_defend.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Two accuracies of the same network, the one trained after the split by image: claimed, and true.",
    'claimed_by_image.accuracy["value"] - true_by_image.accuracy["value"]',
)


def judge(price: float, claimed, true):
    """Claimed accuracy less true accuracy of the split by image."""
    wanted = claimed.accuracy["value"] - true.accuracy["value"]
    if abs(price + wanted) < 5e-4 < abs(wanted):
        return "It is the other way round: what was claimed, less what was true."
    if abs(price - 100 * wanted) < 1 < abs(price):
        return "That is in percent; accuracies are shares from 0 to 1 here, and so is their difference."
    if abs(price - wanted) > 5e-3:
        return "Not that one. If you compared two ways to split: here it is one network, on two sets of leaves."
    low, high = (f"{true.accuracy[end]:.2f}" for end in ("low", "high"))
    if wanted > 0.02:
        found = f"{true.accuracy['value']:.2f} [{low}, {high}]"
        return Passed(f"{price:.2f} too much. On new leaves {found} is what readers will find.")
    return Passed(f"{price:.2f}: no leak to speak of here, or none that this many leaves can show.")
