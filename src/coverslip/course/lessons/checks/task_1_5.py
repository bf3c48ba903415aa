# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/01_your_first_network.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from coverslip.training.outcome import Scores

HINTS = (
    "A claim holds for every accuracy in the interval, also for its lower end.",
    "If the lower end lies above guessing: yes. If guessing lies inside the interval: no, nobody can tell yet.",
)


def judge(answer: str, scores: Scores):
    """Yes where the whole interval lies above guessing, else no."""
    word = answer.strip().lower().rstrip(".!")
    if word not in ("yes", "no"):
        return "Answer yes or no, in quotation marks."
    guessing = float(scores.confusion.sum(axis=1).max() / scores.confusion.sum())
    low, value = scores.accuracy["low"], scores.accuracy["value"]
    if low is None:
        nothing = "There is no interval here, since there are too few leaves: nothing can be claimed."
        return Passed(nothing) if word == "no" else nothing
    holds = low > guessing
    said = f"it is {low:.2f}, and guessing reaches {guessing:.2f}"
    if (word == "yes") == holds:
        inside = f"That is inside the interval, however good {value:.2f} looks."
        end = "The whole interval lies above it." if holds else inside
        return Passed(f"Right. Look at the lower end: {said}. {end}")
    return f"Look at the lower end of the interval: {said}. Does that leave room for a claim?"
