# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/05_a_result_you_can_defend.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import re

HINTS = (
    "Value, lower and upper limit, number of test images, number of leaves: five numbers.",
    "Accuracy 0.xxx [0.xxx, 0.xxx] on N images of M leaves that were not trained on.",
)
TOO_MUCH = ("proves", "proven", "always", "guarantee", "perfect", "outperform", "state-of-the-art", "state of the art")


def judge(sentence: str, run):
    """A sentence with value, interval, images and leaves."""
    accuracy = run.read_json(run.test_file)["scores"]["accuracy"]
    said = [
        float(each)
        for each in re.findall(r"\d+(?:\.\d+)?", sentence.replace(",", " ").replace("95 %", " ").replace("95%", " "))
    ]
    shares = [each / 100 if each > 1 else each for each in said]

    def told(value):
        return value is not None and any(abs(each - value) < 0.0051 for each in shares)

    for word in TOO_MUCH:
        if word in sentence.lower():
            return f"Leave out {word!r}: a test set estimates, it proves nothing. Say what was measured."
    if not told(accuracy["value"]):
        return f"The accuracy is not in it: {accuracy['value']:.3f}."
    if accuracy["low"] is not None and not (told(accuracy["low"]) and told(accuracy["high"])):
        return "The number stands alone: give the interval, both ends."
    if float(accuracy["images"]) not in said:
        return "On how many test images? A reader wants to know."
    if accuracy["groups"] != accuracy["images"] and float(accuracy["groups"]) not in said:
        return "Of how many leaves? It makes a difference whether these images are of many leaves or of five."
    return Passed("A reader can judge that. Add where the leaves came from, and it is a result.")
