# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/02_knobs_and_dials.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Look for rules below which every sentence says that the rule's choice is better.",
    "'... is better than ...' confirms the rule if its choice is named first; 'not distinguishable' does not.",
)


def grade(confirmed, tested: dict):
    """The names of the rules whose choice is better than all other choices that were tried."""
    answer = [confirmed] if isinstance(confirmed, str) else list(confirmed)
    correct = [rule for rule, (result, choice) in tested.items() if result.wins(choice)]
    for rule in answer:
        if rule not in tested:
            return f"There is no rule {rule!r}; use the names printed above, in quotation marks."
    for rule in answer:
        if rule not in correct:
            return f"{rule!r}: it is not distinguishable from another choice, or worse. Read the sentences again."
    missing = [rule for rule in correct if rule not in answer]
    if missing:
        return (
            f"A confirmed rule is missing (there are {len(correct)}). Look for rules without 'not distinguishable' "
            "below them."
        )
    if not correct:
        return Passed("No rule was confirmed against all other choices on these images. So none can be claimed.")
    return Passed(
        f"{len(correct)} of {len(tested)} rules were confirmed here. The others may still be true: a few dozen leaves "
        "cannot show it, and the sentences say how many could."
    )
