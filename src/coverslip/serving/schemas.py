"""Schemas of the REST API, shared by the web page, client programs and the OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

TaskName = Literal["classification", "ordinal", "multilabel", "regression"]


class Schema(BaseModel):
    """Base of all schemas: unknown fields are errors, and aliases are used in JSON."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


class ErrorDetail(Schema):
    """A problem and how to fix it."""

    problem: str = Field(description="What is wrong and what was found.", examples=["the file is text, not an image"])
    fix: str = Field(description="How to fix it.", examples=["send a JPEG, PNG, TIFF, BMP, WebP or HEIC file"])


class ErrorResponse(Schema):
    """An error response."""

    error: ErrorDetail


class Interval(Schema):
    """A score with its confidence interval."""

    value: float | None = Field(description="The score; null if it was not measured.")
    low: float | None = Field(
        default=None, description="Lower bound of the confidence interval; null if there is no valid interval."
    )
    high: float | None = Field(
        default=None, description="Upper bound of the confidence interval; null if there is no valid interval."
    )
    level: float = Field(default=0.95, description="Confidence level.")
    images: int | None = Field(default=None, description="Number of images.")
    groups: int | None = Field(default=None, description="Number of groups, for example leaves, patients or slides.")


class NamedScore(Interval):
    """A score on the test set."""

    name: str = Field(description="Name of the metric.", examples=["accuracy"])
    title: str = Field(default="", description="Title of the metric for readers.", examples=["Accuracy"])


class SampleSize(Schema):
    """Number of images and groups."""

    images: int = Field(description="Number of images.")
    groups: int | None = Field(
        default=None, description="Number of groups, for example leaves, patients or slides; null if unknown."
    )


class TestedOn(SampleSize):
    """The test set of the model."""

    seen: int | None = Field(description="Number of these images that the model was trained on; null if unknown.")


class TrainedOn(SampleSize):
    """The training set of the model."""

    name: str = Field(default="", description="Name of the data set.")


class DecisionThreshold(Schema):
    """Decision threshold of a model with two classes.

    `class_name` is predicted if its probability is at least `value`; otherwise the other class is predicted.
    """

    class_name: str = Field(description="The class to which the threshold applies.", examples=["rust"])
    value: float = Field(description="Smallest probability at which the class is predicted.", examples=[0.3])


class OperatingPoint(DecisionThreshold):
    """Decision threshold with its sensitivity and specificity."""

    sensitivity: Interval = Field(description="Fraction of the images of `class_name` that are predicted as such.")
    specificity: Interval = Field(
        description="Fraction of the images of the other class that are not predicted as `class_name`."
    )
    measured_on: Literal["test", "fit", "validation"] | None = Field(
        description="Images used for sensitivity and specificity. `test`: the test set. `fit`: the images that the "
        "threshold was chosen on, so the values are too optimistic. `validation`: images used neither for training nor "
        "for choosing the threshold. null: not measured."
    )


class RequestLimits(Schema):
    """Limits of one request."""

    bytes: int = Field(description="Total size of all files in bytes.")
    images: int = Field(description="Number of files.")
    pixels: int = Field(description="Number of pixels of one image.")


class TargetRange(Schema):
    """A target of a regression."""

    name: str = Field(description="Name of the target.", examples=["severity"])
    low: float | None = Field(default=None, description="Smallest value in the training set; null if unknown.")
    high: float | None = Field(default=None, description="Largest value in the training set; null if unknown.")


class Model(Schema):
    """Description of the model and of its test result."""

    name: str = Field(description="Name of the model.")
    network: str = Field(description="Name of the network architecture.")
    classes: list[str] = Field(
        description="Names of the classes, of ordered classes the lowest first; of several labels, their names; empty "
        "for a regression."
    )
    task: TaskName = Field(
        default="classification", description="Task of the model, which decides the form of answers."
    )
    targets: list[TargetRange] = Field(default=[], description="The targets of a regression.")
    thresholds: dict[str, float] | None = Field(
        default=None, description="Probability from which each label is predicted; null unless several labels."
    )
    trained_on: TrainedOn
    tested_on: TestedOn | None = Field(description="The test set; null if the model was not tested.")
    score: NamedScore | None = Field(description="Score on the test set; null if the model was not tested.")
    calibrated: bool = Field(description="Whether the probabilities are calibrated.")
    coverage: float | None = Field(
        description="Probability that a prediction set contains the true class, or an interval the true value; of "
        "several labels, the expected share of the true labels in the set. null without sets or intervals."
    )
    threshold: OperatingPoint | None = Field(
        description="Decision threshold; null if the most probable class is predicted."
    )
    familiarity: bool = Field(description="Whether the model can detect images that are unlike its training images.")
    maps: bool = Field(description="Whether `explain=true` returns a heat map.")
    examples: bool = Field(description="Whether the nearest training images are returned with thumbnails.")
    keeps: bool = Field(default=False, description="Whether this server stores received images and answers.")
    limits: RequestLimits
    licence: str = Field(description="Licence of the pretrained weights.")
    program: str = Field(description="Program and version of this server.")
    date: str | None = Field(description="Date on which the model was written, ISO 8601; null if unknown.")
    warnings: list[str] = Field(description="What users of the model should know.")


class Neighbor(Schema):
    """A training image that is similar to the received image."""

    label: str = Field(description="Class, labels or values of the training image.")
    distance: float | None = Field(
        description="Distance in units of the standard deviation within classes; 0 is the same image."
    )
    thumbnail: str | None = Field(
        description="Thumbnail as a data URL; null unless the model or the server provides example images."
    )


class HeatMap(Schema):
    """Heat map of the evidence for a class, over the whole image with EXIF orientation applied."""

    values: str = Field(
        description="height * width bytes in base64, row by row: 0 is no evidence, 255 is the maximum of this map."
    )
    height: int = Field(description="Number of rows of the map.")
    width: int = Field(description="Number of columns of the map.")
    class_name: str = Field(serialization_alias="class", description="The class that the map explains.")
    method: str = Field(description="Method, for example `grad-cam`.")
    layer: str = Field(description="Layer of the network; empty if the method uses no layer.")
    trust: str = Field(description="Reliability of the maps of this model: one sentence with the result of its test.")


class BaseAnswer(Schema):
    """What answers of all tasks have in common."""

    file: str = Field(description="File name.")
    familiar: bool | None = Field(
        default=None, description="Whether the image is like the training images; null if the model cannot tell."
    )
    unfamiliarity: float | None = Field(
        default=None, description="Distance from the training images; above 1 the image is unlike them."
    )
    nearest: list[Neighbor] = Field(default=[], description="The most similar training images.")
    map: HeatMap | None = Field(default=None, description="Heat map, if `explain=true` was sent.")
    width: int | None = Field(default=None, description="Width of the image in pixels, EXIF orientation applied.")
    height: int | None = Field(default=None, description="Height of the image in pixels, EXIF orientation applied.")
    notes: list[str] = Field(default=[], description="Remarks on the image.")
    error: str | None = Field(default=None, description="Why there is no prediction; null on success.")


class Answer(BaseAnswer):
    """Predicted class of one image; if `error` is set, there is no prediction."""

    task: Literal["classification", "ordinal"] = Field(default="classification", description="Task of the model.")
    label: str | None = Field(default=None, description="Predicted class.")
    confidence: float | None = Field(
        default=None,
        description="Probability of the predicted class. It can be below 0.5 if the model has a `threshold`.",
    )
    probabilities: dict[str, float] | None = Field(default=None, description="Probability of each class.")
    members: list[str] | None = Field(
        default=None,
        serialization_alias="set",
        description="Prediction set: classes that together contain the true class with the model's `coverage`.",
    )


class LabelAnswer(BaseAnswer):
    """Predicted labels of one image; if `error` is set, there is no prediction."""

    task: Literal["multilabel"] = Field(default="multilabel", description="Task of the model.")
    labels: list[str] | None = Field(default=None, description="Predicted labels; empty if none is predicted.")
    probabilities: dict[str, float] | None = Field(default=None, description="Probability of each label.")
    members: list[str] | None = Field(
        default=None, serialization_alias="set", description="Labels that cannot be excluded; see `coverage`."
    )


class PredictedValue(Schema):
    """A predicted value with its prediction interval."""

    name: str = Field(description="Name of the target.")
    value: float = Field(description="Predicted value, in the unit of the target.")
    low: float | None = Field(default=None, description="Lower end of the prediction interval; null without intervals.")
    high: float | None = Field(default=None, description="Upper end of the prediction interval.")
    outside: bool = Field(default=False, description="Whether the value lies outside the range of the training set.")


class ValueAnswer(BaseAnswer):
    """Predicted values of one image; if `error` is set, there is no prediction."""

    task: Literal["regression"] = Field(default="regression", description="Task of the model.")
    values: list[PredictedValue] | None = Field(default=None, description="One value for each target of the model.")


AnyAnswer = Answer | LabelAnswer | ValueAnswer
TaskAnswer = Annotated[AnyAnswer, Field(discriminator="task")]
"""An answer of any task; ``task`` says which."""


class Predictions(Schema):
    """Predictions in the order of the files."""

    model: str = Field(description="Name of the model.")
    threshold: DecisionThreshold | None = Field(
        default=None,
        description="Decision threshold of a model with two classes: `class_name` is predicted if its probability is "
        "at least `value`, otherwise the other class, even if it is less probable. null: the most probable class is "
        "predicted.",
    )
    images: list[TaskAnswer] = Field(description="One answer per file.")


class AllFailedResponse(ErrorResponse):
    """An error response: none of several files could be predicted. `images` contains the reason for each file."""

    model: str | None = Field(default=None, description="Name of the model.")
    images: list[TaskAnswer] | None = Field(default=None, description="One answer per file, each with its `error`.")


class Health(Schema):
    """State of the server."""

    status: Literal["ok", "stopping"] = Field(description="`ok`: accepts images. `stopping`: accepts no more images.")


ANSWER: dict[str, Any] = {
    "task": "classification",
    "file": "leaf.jpg",
    "label": "rust",
    "confidence": 0.83,
    "probabilities": {"healthy": 0.14, "rust": 0.83, "scab": 0.03},
    "set": ["rust", "healthy"],
    "familiar": True,
    "unfamiliarity": 0.61,
    "nearest": [{"label": "rust", "distance": 12.4, "thumbnail": None}],
    "map": None,
    "width": 256,
    "height": 256,
    "notes": [],
    "error": None,
}
PREDICTIONS: dict[str, Any] = {"model": "leaves", "threshold": None, "images": [ANSWER]}
CSV_SAMPLE = (
    "path,predicted,confidence,p:healthy,p:rust,p:scab,set,familiar,unfamiliarity,nearest_labels,error\n"
    "leaf.jpg,rust,0.830000,0.140000,0.830000,0.030000,rust | healthy,true,0.610000,rust | rust | healthy,\n"
)
