# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/02_knobs_and_dials.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Look for rules below which every sentence says that the rule's choice is better.",
    "'... is better than ...' counts for the rule if its own choice stands first; 'not distinguishable' does not.",
)


def judge(held, tested: dict):
    """The names of the rules whose choice is better than all others that were tried."""
    given = [held] if isinstance(held, str) else list(held)
    right = [rule for rule, (result, choice) in tested.items() if result.wins(choice)]
    for rule in given:
        if rule not in tested:
            return f"No rule is called {rule!r}; the names are those printed above, in quotation marks."
    for rule in given:
        if rule not in right:
            return f"{rule!r}: against one of the others it is not distinguishable, or worse. Read the sentences again."
    missing = [rule for rule in right if rule not in given]
    if missing:
        return f"One that held is missing (of {len(right)}). Look for rules with no 'not distinguishable' below them."
    if not right:
        return Passed("None held against all others on these images. Then none can be claimed.")
    return Passed(
        f"{len(right)} of {len(tested)} held here. The others may be true all the same; a few dozen leaves cannot "
        "tell, and the sentences say how many could."
    )
