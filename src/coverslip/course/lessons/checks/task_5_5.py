# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/05_a_result_you_can_defend.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import re

HINTS = (
    "Use five numbers: value, lower and upper limit, number of test images, number of leaves.",
    "Accuracy 0.xxx [0.xxx, 0.xxx] on N images of M leaves that were not used in training.",
)
TOO_MUCH = ("proves", "proven", "always", "guarantee", "perfect", "outperform", "state-of-the-art", "state of the art")


def grade(sentence: str, run):
    """A sentence with value, confidence interval, number of images and number of leaves."""
    accuracy = run.read_json(run.test_file)["scores"]["accuracy"]
    text = sentence.replace(",", " ").replace("95 %", " ").replace("95%", " ")
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]
    fractions = [number / 100 if number > 1 else number for number in numbers]

    def contains(value):
        return value is not None and any(abs(fraction - value) < 0.0051 for fraction in fractions)

    for word in TOO_MUCH:
        if word in sentence.lower():
            return f"Omit {word!r}: a test set gives an estimate, it proves nothing. State what was measured."
    if not contains(accuracy["value"]):
        return f"The accuracy is missing: {accuracy['value']:.3f}."
    if accuracy["low"] is not None and not (contains(accuracy["low"]) and contains(accuracy["high"])):
        return "The confidence interval is missing: give both ends."
    if float(accuracy["images"]) not in numbers:
        return "The number of test images is missing."
    if accuracy["groups"] != accuracy["images"] and float(accuracy["groups"]) not in numbers:
        return "Of how many leaves? It makes a difference whether these images show many leaves or five."
    return Passed("A reader can judge this sentence. Add where the leaves came from, and it is a result.")
