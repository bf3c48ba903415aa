"""The words in which reports speak of a task: what a class is called, which score comes first, what a head is."""

from __future__ import annotations

from dataclasses import dataclass

from coverslip.core.registry import Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskWords:
    """Words for one task.

    Attributes:
        names: what the names of the task are, in the singular and the plural.
        part: what a part of the data with one target is called, in the singular; splits balance these parts.
        answer: what is predicted, in the singular.
        model: the model, with its article.
        score: key of the score that stands for all others.
        subgroup: key of the score by subgroup.
        balanced: what a split is stratified by.
        head: the head of depth ``head``, a sentence without its verb.
        fitted: what was fitted to the training set.
        link: where outputs are not logits of a softmax, how they become predictions; empty otherwise.
    """

    names: tuple[str, str]
    part: str
    answer: str
    model: str
    score: str
    subgroup: str
    balanced: str
    head: str
    fitted: str
    link: str = ""


WORDS: Registry[TaskWords] = Registry("task")
WORDS.register("classification")(
    TaskWords(
        names=("class", "classes"),
        part="class",
        answer="class",
        model="an image classifier",
        score="accuracy",
        subgroup="accuracy",
        balanced="class",
        head="A softmax classifier (multinomial logistic regression) with an L2 penalty",
        fitted="The classifier, its penalty and its temperature were",
    )
)
WORDS.register("ordinal")(
    TaskWords(
        names=("ordered class", "ordered classes"),
        part="class",
        answer="class",
        model="an image classifier of ordered classes",
        score="quadratic_kappa",
        subgroup="accuracy",
        balanced="class",
        head="A cumulative-link classifier (proportional-odds logistic regression) with an L2 penalty",
        fitted="The classifier, its penalty and its temperature were",
        link="The median of the predicted distribution over the ordered classes was the prediction.",
    )
)
WORDS.register("multilabel")(
    TaskWords(
        names=("label", "labels"),
        part="label",
        answer="labels",
        model="an image classifier of several labels",
        score="macro_f1",
        subgroup="exact_match",
        balanced="the rarest label of each image",
        head="A logistic regression of each label, with one L2 penalty for all labels,",
        fitted="The classifiers, their penalty, temperatures and thresholds were",
        link="Each label was predicted where its probability reached a threshold of its own, which maximized the F1 "
        "score of held-out predictions.",
    )
)
WORDS.register("regression")(
    TaskWords(
        names=("value", "values"),
        part="quarter of the values",
        answer="value",
        model="a model of images",
        score="mae",
        subgroup="mae",
        balanced="quantiles of the target",
        head="A ridge regression",
        fitted="The regression and its penalty were",
    )
)
