"""The reviewer checklist: questions of reporting guidelines, answered from the run, by its author, or marked as open.

The questions paraphrase the items of three lists that apply to an image classifier: the model info sheet for leakage
(Kapoor & Narayanan, Patterns 4, 2023; its types of leakage are L1 to L3), CLAIM (Tejani et al., Radiology: AI 6, 2024)
and TRIPOD+AI (Collins et al., BMJ 385, 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

from coverslip.reporting import leakage_answers as leak
from coverslip.reporting import run_answers as run
from coverslip.reporting.methods import preparation_sentence, software_sentence
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.task_words import WORDS

NOT_ANSWERED = "not answered"


class Question(NamedTuple):
    """A question of the checklist.

    Attributes:
        key: its name in ``answers.toml``.
        topic: the heading it belongs under.
        text: the question.
        source: the guidelines and their items.
        answer: returns the answer from the run's files, or "" if they do not contain it; None if only a person knows.
        of_values: the question about a regression; None if it does not apply there, "" if it is the same.
    """

    key: str
    topic: str
    text: str
    source: str
    answer: Callable[[RunFiles], str] | None = None
    of_values: str | None = ""


DATA, LEAKAGE, MODEL, TRAINING = "Data", "Split and leakage", "Model", "Training"
EVALUATION, USE = "Evaluation", "Use"
SHEET, CLAIM, TRIPOD = "leakage:", "CLAIM 2024:", "TRIPOD+AI:"

QUESTIONS = (
    Question(
        "origin", DATA, "Who acquired the images, where, when, and with which equipment?", f"{CLAIM} 7, 13; {TRIPOD} 5"
    ),
    Question(
        "eligibility",
        DATA,
        "What were the inclusion and exclusion criteria for images and subjects?",
        f"{CLAIM} 8; {TRIPOD} 6",
    ),
    Question(
        "ethics",
        DATA,
        "Who approved the study, was consent obtained, and how were the data de-identified?",
        f"{CLAIM} 11; {TRIPOD} 17",
    ),
    Question(
        "labels",
        DATA,
        "Who assigned the labels, by what reference standard, and what was the agreement between raters?",
        f"{CLAIM} 14–18; {TRIPOD} 8",
        of_values="Who measured the values, by what reference standard, and what was the agreement between raters?",
    ),
    Question(
        "label_errors",
        DATA,
        "How many labels are likely to be wrong?",
        "CLAIM 2024: reference standard",
        run.label_errors_answer,
        of_values="How many values are likely to be wrong?",
    ),
    Question(
        "flow",
        DATA,
        "How many images were found, excluded and used?",
        f"{CLAIM} 12, 35; {TRIPOD} 11, 20",
        run.flow_answer,
    ),
    Question(
        "classes",
        DATA,
        "Which classes are distinguished, and how many images does each have?",
        f"{TRIPOD} 20, 21",
        run.classes_answer,
        "Which values does the model predict, and in which range do they lie?",
    ),
    Question(
        "quality",
        DATA,
        "Were the data checked before training, and what was found?",
        f"{TRIPOD} 7",
        run.quality_answer,
    ),
    Question(
        "preparation",
        DATA,
        "How are images preprocessed for the model?",
        f"{CLAIM} 9; {TRIPOD} 7",
        preparation_sentence,
    ),
    Question(
        "size",
        DATA,
        "How was the sample size determined, and would more data help?",
        f"{CLAIM} 21; {TRIPOD} 10",
        run.size_answer,
    ),
    Question(
        "partitions",
        LEAKAGE,
        "How were images assigned to the training, validation and test sets?",
        f"{CLAIM} 19; {TRIPOD} 12",
        leak.partitions_answer,
    ),
    Question(
        "disjoint",
        LEAKAGE,
        "At which level are the sets disjoint (image, subject, site)?",
        f"{SHEET} L3.2; {CLAIM} 20",
        leak.disjoint_answer,
    ),
    Question(
        "duplicates",
        LEAKAGE,
        "Can a duplicate of a test image be in the training set?",
        f"{SHEET} L1.4",
        leak.duplicates_answer,
    ),
    Question(
        "preprocessing",
        LEAKAGE,
        "Was any preprocessing step fitted to test images?",
        f"{SHEET} L1.2, L1.3",
        leak.preprocessing_answer,
    ),
    Question(
        "test_once",
        LEAKAGE,
        "Was the test set held out, and how often was it used?",
        f"{SHEET} L1.1",
        leak.held_out_answer,
    ),
    Question(
        "shortcuts",
        LEAKAGE,
        "Can the class be predicted without the subject?",
        f"{SHEET} L2",
        leak.shortcuts_answer,
        "Can the value be predicted without the subject?",
    ),
    Question(
        "time",
        LEAKAGE,
        "For a prognostic model: were the test images acquired after the training images?",
        f"{SHEET} L3.1",
    ),
    Question(
        "target",
        LEAKAGE,
        "Does the test set represent the images on which the model will be used?",
        f"{SHEET} L3.3; {TRIPOD} 16",
    ),
    Question(
        "network",
        MODEL,
        "Which network was used, and how were its weights initialized?",
        f"{CLAIM} 22, 24; {TRIPOD} 22",
        run.network_answer,
    ),
    Question("output", MODEL, "What does the model output for an image?", f"{TRIPOD} 15", run.output_answer),
    Question("software", MODEL, "Which software and hardware were used?", f"{CLAIM} 23", software_sentence),
    Question(
        "training",
        TRAINING,
        "How was the model trained, and how were its hyperparameters selected?",
        f"{CLAIM} 25, 26; {TRIPOD} 12",
        run.training_answer,
    ),
    Question(
        "imbalance",
        TRAINING,
        "Which class frequencies are assumed, and was class imbalance corrected?",
        f"{TRIPOD} 13",
        run.imbalance_answer,
        None,
    ),
    Question(
        "repeats",
        TRAINING,
        "How much do the results vary between folds or seeds?",
        f"{CLAIM} 30",
        run.repeats_answer,
    ),
    Question(
        "performance",
        EVALUATION,
        "What is the performance, what is its uncertainty, and how were they estimated?",
        f"{CLAIM} 28, 29, 37; {TRIPOD} 12, 23",
        run.performance_answer,
    ),
    Question(
        "class_scores",
        EVALUATION,
        "What is the performance for each class?",
        f"{CLAIM} 38",
        run.class_scores_answer,
        None,
    ),
    Question(
        "calibration",
        EVALUATION,
        "Are the predicted probabilities calibrated?",
        f"{TRIPOD} 12",
        run.calibration_answer,
        "Do the prediction intervals contain the true values?",
    ),
    Question("failures", EVALUATION, "In which cases does the model fail?", f"{CLAIM} 39", run.failures_answer),
    Question(
        "subgroups",
        EVALUATION,
        "Is performance equal across subgroups (site, device, demographics)?",
        f"{TRIPOD} 14, 23",
        run.subgroups_answer,
    ),
    Question(
        "elsewhere",
        EVALUATION,
        "Was the model validated on external data?",
        f"{CLAIM} 33",
        run.external_answer,
    ),
    Question(
        "intended_use",
        USE,
        "Who are the intended users, what is the intended use, and what is out of scope?",
        f"{CLAIM} 3, 41; {TRIPOD} 3",
    ),
    Question(
        "unfamiliar",
        USE,
        "How are images that differ from the training data handled?",
        f"{TRIPOD} 27",
        run.unfamiliar_answer,
    ),
    Question("limits", USE, "What are the limitations of this study?", f"{CLAIM} 40; {TRIPOD} 26"),
    Question(
        "availability",
        USE,
        "Where are the data, code, model and study protocol available?",
        f"{CLAIM} 42, 43; {TRIPOD} 18",
    ),
    Question("funding", USE, "Who funded the study, and are there conflicts of interest?", f"{CLAIM} 44; {TRIPOD} 18"),
)
KEYS = tuple(question.key for question in QUESTIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecklistItem:
    """A question with its answer.

    Attributes:
        key: its name in ``answers.toml``.
        topic: the heading it belongs under.
        question: the question.
        source: the guidelines and their items.
        answer: the answer, or "not answered".
        by: where the answer comes from: "run", "author", or None if there is no answer.
        comment: what the author adds to an answer from the run; else "".
    """

    key: str
    topic: str
    question: str
    source: str
    answer: str
    by: Literal["run", "author"] | None
    comment: str = ""


def checklist(files: RunFiles, answers: dict[str, str] | None = None) -> list[ChecklistItem]:
    """Return every question with its answer.

    Args:
        files: a run's files; if one is missing, the questions that need it stay open.
        answers: key -> the author's answer, from `read_answers`.
    """
    return [
        _item(question, files, (answers or {}).get(question.key, ""))
        for question in QUESTIONS
        if _applies(question, files)
    ]


def _applies(question: Question, files: RunFiles) -> bool:
    return question.of_values is not None or files.task != "regression"


def checklist_section(files: RunFiles, answers: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the items by topic, and how many are answered by the run and by its author."""
    items = checklist(files, answers)
    by_run, by_author, unanswered = (sum(item.by == by for item in items) for by in ("run", "author", None))
    summary = f"{by_run} of {len(items)} questions are answered from the run"
    summary += f", {by_author} by the author" if by_author else ""
    summary += f"; {unanswered} {'is' if unanswered == 1 else 'are'} unanswered" if unanswered else ""
    topics = [(topic, list(members)) for topic, members in groupby(items, key=lambda item: item.topic)]
    model = WORDS[files.task].model
    unanswered_keys = [item.key for item in items if item.by is None]
    return {"topics": topics, "summary": f"{summary}.", "open": unanswered_keys, "model": model}


def _item(question: Question, files: RunFiles, by_author: str) -> ChecklistItem:
    by_run = question.answer(files) if question.answer is not None else ""
    return ChecklistItem(
        key=question.key,
        topic=question.topic,
        question=(files.task == "regression" and question.of_values) or question.text,
        source=question.source,
        answer=by_run or by_author or NOT_ANSWERED,
        by="run" if by_run else "author" if by_author else None,
        comment=by_author if by_run else "",
    )
