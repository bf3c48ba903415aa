"""What a reviewer asks, each line answered from the run, in a person's words, or openly not at all.

The questions are those of three lists that apply to an image classifier, in our own words: the model info sheet for
leakage (Kapoor & Narayanan, Patterns 4, 2023; its kinds of leakage are L1 to L3), CLAIM (Tejani et al., Radiology: AI
6, 2024) and TRIPOD+AI (Collins et al., BMJ 385, 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

from coverslip.reporting import leakage_answers as leak
from coverslip.reporting import run_answers as run
from coverslip.reporting.methods import (
    preparation_sentence,
    software_sentence,
)
from coverslip.reporting.run_files import RunFiles

By = Literal["run", "person", "nobody"]
NOT_ANSWERED = "not answered"


class Line(NamedTuple):
    """A question: under which heading, from which lists, and what answers it from the run (None: only a person can)."""

    key: str
    topic: str
    question: str
    source: str
    tell: Callable[[RunFiles], str] | None = None


DATA, LEAKAGE, MODEL, TRAINING = "The data", "The split, and leakage", "The model", "Training"
EVALUATION, USE = "Evaluation", "Use"
SHEET, CLAIM, TRIPOD = "leakage:", "CLAIM 2024:", "TRIPOD+AI:"

LINES = (
    Line("origin", DATA, "Who took the images, where, when, and with what?", f"{CLAIM} 7, 13; {TRIPOD} 5"),
    Line("eligibility", DATA, "By what rule was an image or a subject taken in or kept out?", f"{CLAIM} 8; {TRIPOD} 6"),
    Line("ethics", DATA, "Who approved it, who consented, and how were names removed?", f"{CLAIM} 11; {TRIPOD} 17"),
    Line(
        "labels",
        DATA,
        "Who named the classes, by what evidence, and how well do they agree?",
        f"{CLAIM} 14–18; {TRIPOD} 8",
    ),
    Line("label_errors", DATA, "How many labels look wrong?", "CLAIM 2024: reference standard", run.tell_label_errors),
    Line(
        "flow",
        DATA,
        "How many images were found, left out and used?",
        f"{CLAIM} 12, 35; {TRIPOD} 11, 20",
        run.tell_flow,
    ),
    Line(
        "classes",
        DATA,
        "What is told apart, and how many images are there of each?",
        f"{TRIPOD} 20, 21",
        run.tell_classes,
    ),
    Line(
        "quality", DATA, "Was the data looked at before training, and what was found?", f"{TRIPOD} 7", run.tell_quality
    ),
    Line("preparation", DATA, "How does an image become the input?", f"{CLAIM} 9; {TRIPOD} 7", preparation_sentence),
    Line("size", DATA, "Why so many images, and would more help?", f"{CLAIM} 21; {TRIPOD} 10", run.tell_size),
    Line(
        "partitions", LEAKAGE, "How did images come into the parts?", f"{CLAIM} 19; {TRIPOD} 12", leak.tell_partitions
    ),
    Line(
        "disjoint",
        LEAKAGE,
        "On what level have the parts nothing in common?",
        f"{SHEET} L3.2; {CLAIM} 20",
        leak.tell_disjoint,
    ),
    Line(
        "duplicates",
        LEAKAGE,
        "Can a copy of a test image be among the training images?",
        f"{SHEET} L1.4",
        leak.tell_duplicates,
    ),
    Line(
        "preprocessing",
        LEAKAGE,
        "Was anything taken from test images before the test?",
        f"{SHEET} L1.2, L1.3",
        leak.tell_preprocessing,
    ),
    Line(
        "test_once",
        LEAKAGE,
        "Was the test set held back, and how often was it opened?",
        f"{SHEET} L1.1",
        leak.tell_test_once,
    ),
    Line("shortcuts", LEAKAGE, "Can the class be told without the subject?", f"{SHEET} L2", leak.tell_shortcuts),
    Line(
        "time",
        LEAKAGE,
        "Are the test images later than those learned from, if the model is to foretell?",
        f"{SHEET} L3.1",
    ),
    Line("target", LEAKAGE, "Are the test images like those the model will meet?", f"{SHEET} L3.3; {TRIPOD} 16"),
    Line(
        "network",
        MODEL,
        "Which network, and with which first weights?",
        f"{CLAIM} 22, 24; {TRIPOD} 22",
        run.tell_network,
    ),
    Line("output", MODEL, "What does the model say of an image?", f"{TRIPOD} 15", run.tell_output),
    Line("software", MODEL, "With which software, on which machine?", f"{CLAIM} 23", software_sentence),
    Line(
        "training",
        TRAINING,
        "How was it trained, and what chose its settings?",
        f"{CLAIM} 25, 26; {TRIPOD} 12",
        run.tell_training,
    ),
    Line(
        "imbalance",
        TRAINING,
        "Which shares of the classes are assumed, and was anything re-balanced?",
        f"{TRIPOD} 13",
        run.tell_imbalance,
    ),
    Line(
        "repeats",
        TRAINING,
        "How much does the result change with other folds or seeds?",
        f"{CLAIM} 30",
        run.tell_repeats,
    ),
    Line(
        "performance",
        EVALUATION,
        "How good is it, how sure is that, and how was it found?",
        f"{CLAIM} 28, 29, 37; {TRIPOD} 12, 23",
        run.tell_performance,
    ),
    Line("class_scores", EVALUATION, "How good is it for each class?", f"{CLAIM} 38", run.tell_class_scores),
    Line("calibration", EVALUATION, "Does a confidence of 0.9 mean nine in ten?", f"{TRIPOD} 12", run.tell_calibration),
    Line("failures", EVALUATION, "Where does it fail?", f"{CLAIM} 39", run.tell_failures),
    Line(
        "subgroups",
        EVALUATION,
        "Is it as good in every subgroup (site, camera, people)?",
        f"{TRIPOD} 14, 23",
        run.tell_subgroups,
    ),
    Line("elsewhere", EVALUATION, "Was it tested on images from elsewhere?", f"{CLAIM} 33", run.tell_elsewhere),
    Line("intended_use", USE, "Who is to use it, for what, and for what not?", f"{CLAIM} 3, 41; {TRIPOD} 3"),
    Line(
        "unfamiliar",
        USE,
        "What happens with an image unlike any it learned from?",
        f"{TRIPOD} 27",
        run.tell_unfamiliar,
    ),
    Line("limits", USE, "What are the limits of this study?", f"{CLAIM} 40; {TRIPOD} 26"),
    Line("availability", USE, "Where are data, code, model and the plan of the study?", f"{CLAIM} 42, 43; {TRIPOD} 18"),
    Line("funding", USE, "Who paid, and who has an interest in the result?", f"{CLAIM} 44; {TRIPOD} 18"),
)
KEYS = tuple(line.key for line in LINES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One line of the checklist with its answer.

    Attributes:
        key: what ``answers.toml`` calls it.
        topic: the heading it stands under.
        question: in our words.
        source: the lists and items it comes from.
        answer: a sentence, or that there is none.
        by: who answers: the run, a person, or nobody.
        words: what a person adds to the run's answer; else "".
    """

    key: str
    topic: str
    question: str
    source: str
    answer: str
    by: By
    words: str = ""


def checklist(files: RunFiles, answers: dict[str, str] | None = None) -> list[Item]:
    """Every line with its answer.

    Args:
        files: of the run; what is missing there makes a line "not answered", never an error.
        answers: key -> a person's words, as `read_answers` gives them.
    """
    return [_item(line, files, (answers or {}).get(line.key, "")) for line in LINES]


def checklist_section(files: RunFiles, answers: dict[str, str] | None = None) -> dict[str, Any]:
    """The lines under their headings, and how many are answered by whom."""
    items = checklist(files, answers)
    counts = {by: sum(item.by == by for item in items) for by in ("run", "person", "nobody")}
    said = f"{counts['run']} of {len(items)} are answered from the run"
    said += f", {counts['person']} by a person" if counts["person"] else ""
    said += f", {counts['nobody']} by nobody" if counts["nobody"] else ""
    topics = [(topic, list(some)) for topic, some in groupby(items, key=lambda item: item.topic)]
    return {"topics": topics, "says": f"{said}.", "open": [item.key for item in items if item.by == "nobody"]}


def _item(line: Line, files: RunFiles, words: str) -> Item:
    told = line.tell(files) if line.tell is not None else ""
    by: By = "run" if told else "person" if words else "nobody"
    return Item(
        key=line.key,
        topic=line.topic,
        question=line.question,
        source=line.source,
        answer=told or words or NOT_ANSWERED,
        by=by,
        words=words if told else "",
    )
