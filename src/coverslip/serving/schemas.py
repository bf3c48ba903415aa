"""What goes in and out over HTTP: the schema that the page, programs and the OpenAPI description share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Every part of the schema: names as they stand, nothing unknown."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


class Problem(Shape):
    """What is wrong, and how to mend it."""

    problem: str = Field(examples=["it is text, not an image"])
    fix: str = Field(examples=["send JPEG, PNG, TIFF, BMP, WebP or HEIC"])


class Failure(Shape):
    """Every answer that is none."""

    error: Problem


class Interval(Shape):
    """A measured share with its interval; null where there is no honest one."""

    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    images: int | None = None
    groups: int | None = None


class NamedScore(Interval):
    """A score of the test set."""

    name: str = Field(examples=["accuracy"])


class Part(Shape):
    """Images, and the leaves, patients or slides that they are of (null where nobody said)."""

    images: int
    groups: int | None = None


class TestedOn(Part):
    """What the model was tested on."""

    seen: int | None = Field(description="how many of them it was trained on; null where nobody can tell")


class TrainedOn(Part):
    """What the model was trained on."""

    name: str = ""


class NamedFrom(Shape):
    """Of two classes: from which probability on an image gets the name that is looked for; else it gets the other."""

    class_name: str = Field(examples=["rust"])
    value: float = Field(examples=[0.3])


class Operating(NamedFrom):
    """The same, and what it finds and leaves alone."""

    sensitivity: Interval = Field(description="share of the images of this class that are named so")
    specificity: Interval = Field(description="share of the others that are not")
    measured_on: Literal["test", "fit", "validation"] | None = Field(
        description="`test`: on the test set. `fit`: on the images that the threshold was set with, which flatters "
        "it. `validation`: on images that neither trained the model nor set the threshold. null: not measured"
    )


class Bounds(Shape):
    """How much one request may hold."""

    bytes: int = Field(description="of all files of a request together")
    images: int = Field(description="files of a request")
    pixels: int = Field(description="of one image")


class Model(Shape):
    """What the model is, what it was tested on, and what it can say."""

    name: str
    network: str
    classes: list[str]
    task: Literal["classification"] = "classification"
    trained_on: TrainedOn
    tested_on: TestedOn | None
    score: NamedScore | None
    calibrated: bool = Field(description="whether probabilities were brought to agree with how often they are right")
    coverage: float | None = Field(description="how often sets hold the true class; null where there are no sets")
    threshold: Operating | None
    familiarity: bool = Field(description="whether it tells images that are unlike any it was trained on")
    maps: bool = Field(description="whether explain=true gives a map")
    examples: bool = Field(description="whether the nearest training images come with thumbnails")
    keeps: bool = Field(default=False, description="whether those who run this server keep the images and answers")
    limits: Bounds
    licence: str
    program: str
    date: str | None
    warnings: list[str]


class Neighbor(Shape):
    """A training image that is near to this one."""

    label: str
    distance: float | None = Field(description="in units of the spread within classes; 0 is the same image")
    thumbnail: str | None = Field(description="a data address, only where the server was started with examples")


class HeatMap(Shape):
    """Which places of the image spoke for the class, over the whole image as it stands upright."""

    values: str = Field(description="base64 of height * width bytes, row by row: 0 is none, 255 the most of this map")
    height: int
    width: int
    class_name: str = Field(serialization_alias="class")
    method: str
    layer: str
    trust: str = Field(description="one sentence on whether maps of this model were tested, and what was found")


class Answer(Shape):
    """What the model says of one image; ``error`` says why it says nothing."""

    file: str
    label: str | None = None
    confidence: float | None = Field(
        default=None, description="probability of the label; it can be under 0.5 where a `threshold` decides"
    )
    probabilities: dict[str, float] | None = None
    members: list[str] | None = Field(
        default=None,
        serialization_alias="set",
        description="classes that hold the true one as often as `coverage` of the model says",
    )
    familiar: bool | None = None
    unfamiliarity: float | None = Field(default=None, description="above 1 is unlike the training images")
    nearest: list[Neighbor] = []
    map: HeatMap | None = None
    width: int | None = None
    height: int | None = None
    notes: list[str] = []
    error: str | None = None


class Predictions(Shape):
    """Answers in the order of the files."""

    model: str
    threshold: NamedFrom | None = Field(
        default=None,
        description="what named the images where there are two classes: the `label` is `class_name` where its "
        "probability is at least `value`, else the other class, be it the less probable one; null: the `label` is the "
        "most probable class",
    )
    images: list[Answer]


class AllFailed(Failure):
    """Several files, of which none could be answered: why, file by file."""

    model: str | None = None
    images: list[Answer] | None = None


class Health(Shape):
    """Whether it takes images."""

    status: Literal["ok", "stopping"]


ANSWER: dict[str, Any] = {
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
