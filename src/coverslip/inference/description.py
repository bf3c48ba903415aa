"""``model.json`` next to an ONNX file: the facts about the model that the ONNX file does not contain."""

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
from coverslip.inference.onnx_file import FLOATS, MAPS, OnnxFile

LAYOUTS = {
    "NCHW": "channels first, as in PyTorch",
    "NHWC": "channels last, as in Keras and TensorFlow",
    "NHW": "grayscale images without a channel axis",
    "flat": "one row of numbers per image, as NumPy's reshape(len(x), -1) makes of (N, H, W, C) or (N, H, W)",
    "flat-CHW": "one row of numbers per image, channel after channel, as PyTorch flattens (N, C, H, W)",
}
COLORS = {"RGB": 3, "BGR": 3, "grey": 1}
KINDS = {
    "logits": "before softmax; for a single output and two classes, before the sigmoid",
    "probabilities": "after softmax or sigmoid, or scikit-learn's predict_proba",
}
OLD_KINDS = {"scores": "logits"}  # the name in files written for version 0.1
PLACEHOLDER = "?"  # marks a value that the user has to fill in
HELP = {
    "classes": "class names in the order of the outputs. Keras and scikit-learn sort them by name by default",
    "size": "[height, width] of the network's input in pixels",
    "fit": "how images of another shape were brought to that size: squash (stretched), pad, or crop",
    "range": "the range to which gray values 0 to 255 were scaled before the network: [0, 1], [-1, 1], or [0, 255] for "
    "no scaling (also if the network's first layer rescales)",
    "mean": "subtracted after that, one value per channel; [] for none. ImageNet: [0.485, 0.456, 0.406]",
    "std": "divides after that, one value per channel; [] for none. ImageNet: [0.229, 0.224, 0.225]",
    "channels": "RGB, BGR (as OpenCV reads), grey, or the number of channels, such as '5'",
    "depth": "data type of the files: uint8 or uint16; for uint16, range is what 0 to 65535 were scaled to",
    "layout": "; ".join(f"{name}: {meaning}" for name, meaning in LAYOUTS.items()),
    "output.name": "name of the output to use; '' if only one output qualifies",
    "output.kind": "; ".join(f"{name}: {meaning}" for name, meaning in KINDS.items()),
    "licence": "licence of the model, shown where it is served",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class InputDescription:
    """Size, value range and layout of the images that an ONNX file expects; `HELP` explains each field."""

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
                raise UserError(f"unknown {name} {value!r}", nearest(value, known))
        if self.channels not in COLORS and not (self.channels.isdecimal() and 0 < int(self.channels) < 1000):
            raise UserError(f"unknown channels {self.channels!r}", nearest(self.channels, COLORS))
        if not (all(map(math.isfinite, self.range)) and self.range[0] < self.range[1]):
            raise UserError(
                f"range {list(self.range)} is not [low, high] with low < high",
                "use one of the usual ranges: [0, 1], [-1, 1], [0, 255]",
            )
        if self.layout == "NHW" and self.num_channels != 1:
            raise UserError("layout 'NHW' has no channel axis", "set channels to 'grey', or use another layout")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, self.num_channels) or not all(map(math.isfinite, values)):
                raise UserError(
                    f"{name} has {len(values)} values for {self.num_channels} channels", "give one value per channel"
                )

    @property
    def num_channels(self) -> int:
        """The number of channels."""
        return COLORS.get(self.channels) or int(self.channels)

    @property
    def spec(self) -> InputSpec:
        """The equivalent `InputSpec`, whose mean and std refer to gray values scaled to 0 to 1."""
        low, width = self.range[0], self.range[1] - self.range[0]
        mean = (self.mean or (0.0,)) * (1 if len(self.mean) == self.num_channels else self.num_channels)
        std = (self.std or (1.0,)) * (1 if len(self.std) == self.num_channels else self.num_channels)
        # (low + width * x - mean) / std == (x - (mean - low) / width) / (std / width)
        return InputSpec(
            size=self.size,
            fit=self.fit,
            channels=self.num_channels,
            depth=self.depth,
            mean=tuple((value - low) / width for value in mean),
            std=tuple(value / width for value in std),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image in the layout of the file."""
        height, width = self.size
        channels = self.num_channels
        shapes = {"NCHW": (channels, height, width), "NHWC": (height, width, channels), "NHW": (height, width)}
        return shapes.get(self.layout, (height * width * channels,))


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputDescription:
    """Name and meaning of the output to use; `HELP` explains each field."""

    kind: str
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"unknown output.kind {self.kind!r}", nearest(self.kind, KINDS))


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDescription:
    """The content of a ``model.json`` that a user writes for an ONNX file.

    >>> InputDescription(size=(8, 8), range=(-1.0, 1.0), channels="grey").spec.mean
    (0.5,)
    """

    classes: tuple[str, ...]
    input: InputDescription
    output: OutputDescription
    licence: str = ""

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise UserError(
                f"'classes' has {len(self.classes)} names", "name two or more classes, in the order of the outputs"
            )
        invalid = [name for name in self.classes if self.classes.count(name) > 1 or not name.strip()]
        if invalid:
            raise UserError(
                f"'classes' contains {invalid[0]!r}, which is duplicated or empty", "give each class a unique name"
            )


def read_description(path: Path, file: OnnxFile, content: Mapping[str, Any]) -> ModelDescription:
    """Return the user's description of an ONNX file.

    Args:
        path: path of ``model.json``, for error messages.
        file: the ONNX file that it describes.
        content: parsed content of ``model.json``.

    Raises:
        UserError: a value is still a placeholder, is unknown, or disagrees with the input of the file.
    """
    missing = _placeholders(content)
    if missing:
        raise UserError(
            f"{str(path)!r} is incomplete: {', '.join(missing)}",
            f"replace every {PLACEHOLDER!r}; 'help' in the file describes the values",
        )
    values = {key: value for key, value in content.items() if key != "help"}
    inputs, outputs = values.get("input"), values.get("output")
    if isinstance(inputs, dict) and isinstance(inputs.get("channels"), int):
        values["input"] = {**inputs, "channels": str(inputs["channels"])}
    if isinstance(outputs, dict) and outputs.get("kind") in OLD_KINDS:
        values["output"] = {**outputs, "kind": OLD_KINDS[outputs["kind"]]}
    description = from_mapping(ModelDescription, values, path.name)
    expected = description.input.shape
    actual = file.input.shape[1:] or (None,) * len(expected)
    if len(actual) != len(expected) or any(a not in (None, b) for a, b in zip(actual, expected, strict=True)):
        raise UserError(
            f"{file.path.name} takes {file.input}; {path.name} describes {' x '.join(map(str, expected))} per image "
            f"(layout {description.input.layout!r}, size {list(description.input.size)}, "
            f"channels {description.input.channels!r})",
            f"correct these values in {path.name}",
        )
    return description


def write_template(path: Path, file: OnnxFile) -> NoReturn:
    """Write a ``model.json`` with everything that can be inferred from the file, and placeholders for the rest.

    Raises:
        UserError: always; the user has to fill in the placeholders.
    """
    size, channels, layout = _inferred_input(file)
    usable = file.usable_outputs
    count = usable[0].shape[-1] if usable and usable[0].shape and usable[0].kind in FLOATS else None
    integer = file.input.kind not in FLOATS
    normalized = file.last_operator in ("Softmax", "Sigmoid", "TreeEnsembleClassifier", "SVMClassifier", "Normalizer")
    content = {
        "classes": [PLACEHOLDER] * max(count or 2, 2),
        "input": {
            "size": size,
            "fit": PLACEHOLDER,
            "range": [0, 255] if integer else PLACEHOLDER,
            "mean": [],
            "std": [],
            "channels": channels,
            "layout": layout,
        },
        "output": {
            "name": usable[0].name if len(usable) > 1 else "",
            "kind": "probabilities" if normalized or (usable and usable[0].kind in MAPS) else PLACEHOLDER,
        },
        "licence": "",
        "help": HELP,
    }
    missing = f"{file.path.name} has no description: {str(path)!r} does not exist"
    try:
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        text = json.dumps({key: value for key, value in content.items() if key != "help"})
        problem = f"{missing}, and a template could not be written ({error.strerror})"
        raise UserError(problem, f"create it with this content: {text}") from error
    raise UserError(
        f"{missing}; a template was written there",
        f"replace every {PLACEHOLDER!r} in it ({', '.join(_placeholders(content))}), check the other values, and run "
        "this again",
    )


def _placeholders(content: object, name: str = "") -> list[str]:
    """Return the dotted names of the values that are still placeholders."""
    if isinstance(content, Mapping):
        nested = [_placeholders(value, f"{name}.{key}".lstrip(".")) for key, value in content.items() if key != "help"]
        return [found for names in nested for found in names]
    values = content if isinstance(content, list) else [content]
    return [name] if PLACEHOLDER in values else []


def _inferred_input(file: OnnxFile) -> tuple[Any, str, str]:
    """Return size, channels and layout as far as the shape of the input determines them."""
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
    return PLACEHOLDER, PLACEHOLDER, "flat" if len(shape) == 1 else PLACEHOLDER


def _size(shape: tuple[int | None, ...]) -> Any:
    return PLACEHOLDER if None in shape else list(shape)


def _color(count: int | None) -> str:
    return PLACEHOLDER if count is None else "grey" if count == 1 else "RGB" if count == 3 else str(count)
