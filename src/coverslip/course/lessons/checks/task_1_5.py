# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/01_your_first_network.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from coverslip.training.outcome import Scores

HINTS = (
    "A claim must be true for every accuracy in the interval, also for its lower end.",
    "If the lower end is above guessing: yes. If guessing is inside the interval: no, this test cannot show it.",
)


def grade(answer: str, scores: Scores):
    """Yes if the whole confidence interval is above guessing, otherwise no."""
    word = answer.strip().lower().rstrip(".!")
    if word not in ("yes", "no"):
        return "Answer yes or no, in quotation marks."
    guessing = float(scores.confusion.sum(axis=1).max() / scores.confusion.sum())
    low, value = scores.accuracy["low"], scores.accuracy["value"]
    if low is None:
        no_claim = "There is no interval here, since there are too few leaves: nothing can be claimed."
        return Passed(no_claim) if word == "no" else no_claim
    better = low > guessing
    comparison = f"it is {low:.2f}, and guessing reaches {guessing:.2f}"
    if (word == "yes") == better:
        inside = f"This is inside the interval, however good {value:.2f} looks."
        conclusion = "The whole interval is above guessing." if better else inside
        return Passed(f"Right. Look at the lower end: {comparison}. {conclusion}")
    return f"Look at the lower end of the interval: {comparison}. Can you make the claim?"
