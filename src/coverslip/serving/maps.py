"""Where the network looks in one image, as a small map over the whole of it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from coverslip.core.devices import pick_device
from coverslip.core.errors import UserError
from coverslip.core.runs import Explained, Run
from coverslip.data.inputs import InputSpec, content_box
from coverslip.explaining.maps.heatmap import resize_maps
from coverslip.explaining.maps.similarity import flat
from coverslip.explaining.methods import choose_method
from coverslip.inference.foreign import is_foreign
from coverslip.inference.predictor import Predictor
from coverslip.inference.whole import whole_network
from coverslip.serving.answers import Image
from coverslip.serving.schemas import HeatMap

SIDE = 64  # of a map that is sent; what is finer no layer knows
TOGETHER = 8
UNTESTED = "Whether maps of this model can be believed was not tested; 'coverslip explain RUN --test' does it."
FOREIGN = "Whether maps of this ONNX file can be believed was not tested: its weights cannot be put in random order."
BLANK = "The map is flat: the method found nothing to show in this image."


class Mapper:
    """Draws maps of a predictor; only one thread may use it at a time.

    Args:
        predictor: the trained model.
        run: its run, which may hold a test of its maps.

    Raises:
        UserError: this network allows no map.
    """

    def __init__(self, predictor: Predictor, run: Run) -> None:
        self.spec, self.classes = predictor.spec, predictor.task.classes
        self._device = pick_device()
        self._network = whole_network(predictor).to(self._device).to(memory_format=torch.channels_last)
        self.method = choose_method(self._network, (self.spec.channels, *self.spec.size))
        self.layer = self.method.taps[-1].name if self.method.taps else ""
        foreign = is_foreign(self._network)
        self.trust = FOREIGN if foreign else tested_maps(run, self.method.name, self.layer)

    def draw(self, images: Sequence[Image], labels: Sequence[str]) -> list[HeatMap]:
        """A map of each image for the class that it was named as."""
        found: list[HeatMap] = []
        for start in range(0, len(images), TOGETHER):
            some = images[start : start + TOGETHER]
            numbers = [self.classes.index(label) for label in labels[start : start + TOGETHER]]
            inputs = torch.from_numpy(self.spec.prepare(np.stack([each.row for each in some]))).to(self._device)
            maps = self.method.explain(self._network, inputs.contiguous(memory_format=torch.channels_last), numbers)
            found += [self._map(each, heat, number) for each, heat, number in zip(some, maps, numbers, strict=True)]
        return found

    def _map(self, image: Image, heat: npt.NDArray[np.float32], number: int) -> HeatMap:
        values = over_image(heat, image.width, image.height, self.spec)
        return HeatMap(
            values=base64.b64encode(values.tobytes()).decode("ascii"),
            height=values.shape[0],
            width=values.shape[1],
            class_name=self.classes[number],
            method=self.method.name,
            layer=self.layer,
            trust=self.trust if values.any() else BLANK,
        )


def over_image(
    heat: npt.NDArray[np.float32], width: int, height: int, spec: InputSpec, side: int = SIDE
) -> npt.NDArray[np.uint8]:
    """A map on the network's frame -> the same over the whole image, whatever was filled in or cut off.

    Args:
        heat: (h, w), 0 or more, over the frame.
        width: of the image upright, pixels.
        height: likewise.
        spec: how the image came into the frame.
        side: pixels of the longer side of the result.

    Returns:
        uint8 (h', w') in the proportions of the image, 255 the most; zeros where there is no heat, and outside of
        what the network saw.
    """
    frame = resize_maps(heat, spec.size)
    tall, wide = (max(1, round(side * each / max(width, height))) for each in (height, width))
    if spec.fit == "crop":
        scale = max(spec.size[0] / height, spec.size[1] / width)
        seen = [min(1.0, whole / (each * scale)) for whole, each in zip(spec.size, (height, width), strict=True)]
        inner = max(1, round(tall * seen[0])), max(1, round(wide * seen[1]))
        values = np.zeros((tall, wide), np.float32)
        top, left = (tall - inner[0]) // 2, (wide - inner[1]) // 2
        values[top : top + inner[0], left : left + inner[1]] = resize_maps(frame, inner)
    else:
        top, left, inner_height, inner_width = content_box(width, height, spec.size, spec.fit)
        values = resize_maps(frame[top : top + inner_height, left : left + inner_width], (tall, wide))
    if flat(values[None])[0]:
        return np.zeros(values.shape, np.uint8)
    return np.asarray(np.rint(values / values.max() * 255), np.uint8)


def open_mapper(predictor: Predictor, run: Run) -> tuple[Mapper | None, str]:
    """A mapper, or why there is none."""
    try:
        return Mapper(predictor, run), ""
    except UserError as error:
        return None, f"no maps: {error.problem}"


def tested_maps(run: Run, method: str, layer: str) -> str:
    """What the run's own test of its maps found, in one sentence; `UNTESTED` where there is none of this method."""
    file: Path = Explained(run.explained_test_folder).numbers_file
    try:
        found: Any = run.read_json(file)
        trust = found["review"]["trust"]
        same = trust["method"] == method and (not layer or found["layer"] == layer)
        sentence = str(trust["sentences"][0])
    except (UserError, KeyError, TypeError, IndexError):
        return UNTESTED
    return f"On the test images: {sentence}" if same else UNTESTED
