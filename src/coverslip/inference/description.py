"""``model.json`` beside an ONNX file: what the file does not say of itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from coverslip.core.config import from_mapping
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.storage import write_text
from coverslip.data.inputs import FITS, InputSpec
from coverslip.inference.onnx_file import MAPS, SCORES, OnnxFile

LAYOUTS = {
    "NCHW": "as PyTorch has images, channels first",
    "NHWC": "as Keras and TensorFlow have them, channels last",
    "NHW": "grey images without an axis of channels",
    "flat": "one row of numbers an image, as NumPy's reshape(len(x), -1) gives of (N, H, W, C) or (N, H, W)",
    "flat-CHW": "one row of numbers, channel after channel, as PyTorch flattens an image",
}
COLORS = {"RGB": 3, "BGR": 3, "grey": 1}
KINDS = {
    "scores": "before softmax (often called logits); of one output for two classes, before the sigmoid",
    "probabilities": "after softmax or sigmoid, or scikit-learn's predict_proba",
}
OPEN = "?"  # what a person has to fill in
HELP = {
    "classes": "names in the order of the outputs. Keras and scikit-learn sort them by name, unless told otherwise",
    "size": "[height, width] of the network's input, pixels",
    "fit": "how an image of another shape was brought to that size: squash (stretched), pad (filled up), or crop",
    "range": "what the grey values 0 to 255 were made before the network: [0, 1], [-1, 1], or [0, 255] as they are "
    "(also where the network's first layer rescales)",
    "mean": "then this is subtracted, a value a channel; [] for none. ImageNet's: [0.485, 0.456, 0.406]",
    "std": "then it is divided by this; [] for none. ImageNet's: [0.229, 0.224, 0.225]",
    "channels": "RGB, BGR (as OpenCV reads), grey, or how many there are, such as '5'",
    "depth": "of the files: uint8 or uint16; for uint16, range is what 0 to 65535 were made",
    "layout": "; ".join(f"{name}: {about}" for name, about in LAYOUTS.items()),
    "output.name": "which output it is; '' where there is one only that can be meant",
    "output.kind": "; ".join(f"{name}: {about}" for name, about in KINDS.items()),
    "licence": "what you may do with the model, shown where it is served",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What goes into the file; see `HELP`."""

    size: tuple[int, int]
    range: tuple[float, float]
    fit: str = "squash"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: str = "RGB"
    depth: str = "uint8"
    layout: str = "NCHW"

    def __post_init__(self) -> None:
        for name, value, known in (("fit", self.fit, FITS), ("layout", self.layout, LAYOUTS)):
            if value not in known:
                raise UserError(f"{name} is {value!r}, which is not known", nearest(value, known))
        if self.channels not in COLORS and not (self.channels.isdecimal() and 0 < int(self.channels) < 1000):
            raise UserError(f"channels is {self.channels!r}, which is not known", nearest(self.channels, COLORS))
        if not (all(map(math.isfinite, self.range)) and self.range[0] < self.range[1]):
            raise UserError(f"range is {list(self.range)}, which does not rise", "usual are [0, 1], [-1, 1], [0, 255]")
        if self.layout == "NHW" and self.count != 1:
            raise UserError("layout 'NHW' has no axis for channels", "give channels 'grey', or another layout")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, self.count) or not all(map(math.isfinite, values)):
                raise UserError(f"{name} has {len(values)} values for {self.count} channels", "give one a channel")

    @property
    def count(self) -> int:
        """Channels."""
        return COLORS.get(self.channels) or int(self.channels)

    @property
    def spec(self) -> InputSpec:
        """The same as every door prepares images; its numbers are on the scale 0 to 1."""
        low, width = self.range[0], self.range[1] - self.range[0]
        mean = (self.mean or (0.0,)) * (1 if len(self.mean) == self.count else self.count)
        std = (self.std or (1.0,)) * (1 if len(self.std) == self.count else self.count)
        return InputSpec(
            size=self.size,
            fit=self.fit,
            channels=self.count,
            depth=self.depth,
            mean=tuple((each - low) / width for each in mean),
            std=tuple(each / width for each in std),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image as the file takes it."""
        height, width = self.size
        shapes = {"NCHW": (self.count, height, width), "NHWC": (height, width, self.count), "NHW": (height, width)}
        return shapes.get(self.layout, (height * width * self.count,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What comes out of it; see `HELP`."""

    kind: str
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"output.kind is {self.kind!r}, which is not known", nearest(self.kind, KINDS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """All of a ``model.json`` that a person writes.

    >>> Taken(size=(8, 8), range=(-1.0, 1.0), channels="grey").spec.mean
    (0.5,)
    """

    classes: tuple[str, ...]
    input: Taken
    output: Given
    licence: str = ""

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise UserError(f"it names {len(self.classes)} classes", "name two or more, in the order of the outputs")
        twice = [name for name in self.classes if self.classes.count(name) > 1 or not name.strip()]
        if twice:
            raise UserError(f"it names the class {twice[0]!r} twice, or without a name", "give each its own name")


def read_description(path: Path, file: OnnxFile, content: Mapping[str, Any]) -> Description:
    """What a person wrote of an ONNX file.

    Args:
        path: of ``model.json``.
        file: that it describes.
        content: of it.

    Raises:
        UserError: something was left open, is not known, or does not agree with the file.
    """
    left = _left_open(content)
    if left:
        raise UserError(
            f"{str(path)!r} is not filled in: {', '.join(left)}", f"replace every {OPEN!r}; 'help' in it says by what"
        )
    given = {key: value for key, value in content.items() if key != "help"}
    taken = given.get("input")
    if isinstance(taken, dict) and isinstance(taken.get("channels"), int):
        given["input"] = {**taken, "channels": str(taken["channels"])}
    found = from_mapping(Description, given, path.name)
    free = file.input.shape[1:] or (None,) * len(found.input.shape)
    wanted = found.input.shape
    if len(free) != len(wanted) or any(a not in (None, b) for a, b in zip(free, wanted, strict=True)):
        raise UserError(
            f"{file.path.name} takes {file.input}; {path.name} says {' x '.join(map(str, wanted))} an image "
            f"(layout {found.input.layout!r}, size {list(found.input.size)}, channels {found.input.channels!r})",
            f"mend them in {path.name}",
        )
    return found


def write_template(path: Path, file: OnnxFile) -> NoReturn:
    """Write a ``model.json`` with what the file says of itself; what it does not say is a question mark.

    Raises:
        UserError: always: it has to be filled in.
    """
    size, channels, layout = _guessed(file)
    scored = file.scored
    count = scored[0].shape[-1] if scored and scored[0].shape and scored[0].kind in SCORES else None
    whole = file.input.kind not in SCORES
    shares = file.last in ("Softmax", "Sigmoid", "TreeEnsembleClassifier", "SVMClassifier", "Normalizer")
    content = {
        "classes": [OPEN] * max(count or 2, 2),
        "input": {
            "size": size,
            "fit": OPEN,
            "range": [0, 255] if whole else OPEN,
            "mean": [],
            "std": [],
            "channels": channels,
            "layout": layout,
        },
        "output": {
            "name": scored[0].name if len(scored) > 1 else "",
            "kind": "probabilities" if shares or (scored and scored[0].kind in MAPS) else OPEN,
        },
        "licence": "",
        "help": HELP,
    }
    missing = f"{file.path.name} does not say what its outputs mean: there was no {str(path)!r}"
    try:
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        text = json.dumps({key: value for key, value in content.items() if key != "help"})
        raise UserError(f"{missing}, and none could be written there ({error.strerror})", f"write {text}") from error
    raise UserError(
        f"{missing}; one to fill in was written",
        f"replace in it every {OPEN!r} ({', '.join(_left_open(content))}) and check the rest, then run this again",
    )


def _left_open(content: object, name: str = "") -> list[str]:
    """Names of what is still a question mark."""
    if isinstance(content, Mapping):
        each = [_left_open(value, f"{name}.{key}".lstrip(".")) for key, value in content.items() if key != "help"]
        return [found for some in each for found in some]
    inside = content if isinstance(content, list) else [content]
    return [name] if OPEN in inside else []


def _guessed(file: OnnxFile) -> tuple[Any, str, str]:
    """Size, channels and layout, as far as the input's shape tells."""
    shape = file.input.shape[1:]
    if len(shape) == 3:
        last = shape[2] in (1, 3, 4) and shape[0] not in (1, 3, 4)
        size, count = (shape[:2], shape[2]) if last else (shape[1:], shape[0])
        return _size(size), _color(count), "NHWC" if last else "NCHW"
    if len(shape) == 2:
        return _size(shape), "grey", "NHW"
    if len(shape) == 1 and shape[0]:
        for count in (3, 1):
            side = math.isqrt(shape[0] // count)
            if side * side * count == shape[0]:
                return [side, side], _color(count), "flat"
    return OPEN, OPEN, "flat" if len(shape) == 1 else OPEN


def _size(found: tuple[int | None, ...]) -> Any:
    return OPEN if None in found else list(found)


def _color(count: int | None) -> str:
    return OPEN if count is None else "grey" if count == 1 else "RGB" if count == 3 else str(count)
