# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from coverslip.course.image_set import Images

HINTS = (
    "Look at the figure: move the line to where most of the first class is to its right and most of the second to "
    "its left.",
    "max(red, key=accuracy) tries the number of every image as a cut and gives back the best one.",
)


def judge(cut: float, red, train: Images):
    """A cut whose accuracy on the training images is within 0.01 of the best there is."""
    first = train.y == 0

    def share(at):
        return float(((red >= at) == first).mean())

    best = max(share(at) for at in red)
    if share(cut) >= best - 0.01:
        return Passed(
            f"Accuracy {share(cut):.3f}, and no cut reaches more than {best:.3f}. You have just trained a learner: "
            "one knob, turned until the examples come out as right as they can."
        )
    if abs(cut - best) < 1e-9:
        return (
            f"{cut:.3f}: that is an accuracy, not a cut. The cut is the place on the line under the figure where it "
            "is reached."
        )
    return (
        f"A cut at {cut:.1f} is right for {share(cut):.3f} of the images; there are better cuts (up to {best:.3f})."
    )
