"""Heat maps of single images for the REST API."""

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
from coverslip.core.runs import ExplanationFolder, Run
from coverslip.data.inputs import InputSpec, content_box
from coverslip.explaining.maps.heatmap import resize_maps
from coverslip.explaining.maps.similarity import flat
from coverslip.explaining.methods import choose_method
from coverslip.inference.full_network import full_network
from coverslip.inference.onnx_model import is_onnx
from coverslip.inference.predictor import Predictor
from coverslip.serving.answers import PreparedImage
from coverslip.serving.schemas import HeatMap

SIDE = 64  # pixels of the longer side of a map; no layer has a finer resolution
BATCH_SIZE = 8
UNTESTED = "The reliability of this model's maps was not tested; to test it, run 'coverslip explain RUN --test'."
ONNX_UNTESTED = (
    "The reliability of this model's maps cannot be tested: the test needs to shuffle the weights of the ONNX file."
)
BLANK = "The map is flat: the method found no evidence in this image."


class MapRenderer:
    """Computes heat maps of a predictor; not safe for use by several threads at the same time.

    Args:
        predictor: the trained model.
        run: its run, which may contain a test of the reliability of its maps.

    Raises:
        UserError: no method supports this network.
    """

    def __init__(self, predictor: Predictor, run: Run) -> None:
        self.spec, self.classes = predictor.spec, predictor.task.names
        self._device = pick_device()
        self._network = full_network(predictor).to(self._device).to(memory_format=torch.channels_last)
        self.method = choose_method(self._network, (self.spec.channels, *self.spec.size))
        self.layer = self.method.taps[-1].name if self.method.taps else ""
        onnx = is_onnx(self._network)
        self.reliability = ONNX_UNTESTED if onnx else map_reliability(run, self.method.name, self.layer)

    def render(self, images: Sequence[PreparedImage], labels: Sequence[str]) -> list[HeatMap]:
        """Return one map per image, for its predicted class.

        Args:
            images: N images.
            labels: N class names.
        """
        results: list[HeatMap] = []
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE]
            classes = [self.classes.index(label) for label in labels[start : start + BATCH_SIZE]]
            inputs = torch.from_numpy(self.spec.prepare(np.stack([image.pixels for image in batch]))).to(self._device)
            maps = self.method.explain(self._network, inputs.contiguous(memory_format=torch.channels_last), classes)
            results += [self._map(*arguments) for arguments in zip(batch, maps, classes, strict=True)]
        return results

    def _map(self, image: PreparedImage, heat: npt.NDArray[np.float32], number: int) -> HeatMap:
        values = map_over_image(heat, image.width, image.height, self.spec)
        return HeatMap(
            values=base64.b64encode(values.tobytes()).decode("ascii"),
            height=values.shape[0],
            width=values.shape[1],
            class_name=self.classes[number],
            method=self.method.name,
            layer=self.layer,
            trust=self.reliability if values.any() else BLANK,
        )


def map_over_image(
    heat: npt.NDArray[np.float32], width: int, height: int, spec: InputSpec, side: int = SIDE
) -> npt.NDArray[np.uint8]:
    """Transform a map over the network's input to a map over the whole image, removing padding or restoring crops.

    Args:
        heat: map over the network's input, shape (h, w), values of 0 or more.
        width: width of the image in pixels, EXIF orientation applied.
        height: height of the image in pixels, EXIF orientation applied.
        spec: input spec, which states how the image was fitted to the input size.
        side: pixels of the longer side of the result.

    Returns:
        uint8 map (h', w') with the aspect ratio of the image and a maximum of 255; all zeros for a flat map. Areas
        that were cropped are zero.
    """
    frame = resize_maps(heat, spec.size)
    rows, columns = (max(1, round(side * length / max(width, height))) for length in (height, width))
    if spec.fit == "crop":
        scale = max(spec.size[0] / height, spec.size[1] / width)
        visible = [min(1.0, size / (length * scale)) for size, length in zip(spec.size, (height, width), strict=True)]
        inner = max(1, round(rows * visible[0])), max(1, round(columns * visible[1]))
        values = np.zeros((rows, columns), np.float32)
        top, left = (rows - inner[0]) // 2, (columns - inner[1]) // 2
        values[top : top + inner[0], left : left + inner[1]] = resize_maps(frame, inner)
    else:
        top, left, inner_height, inner_width = content_box(width, height, spec.size, spec.fit)
        values = resize_maps(frame[top : top + inner_height, left : left + inner_width], (rows, columns))
    if flat(values[None])[0]:
        return np.zeros(values.shape, np.uint8)
    return np.asarray(np.rint(values / values.max() * 255), np.uint8)


def open_map_renderer(predictor: Predictor, run: Run) -> tuple[MapRenderer | None, str]:
    """Return a map renderer and an empty string, or None and the reason."""
    try:
        return MapRenderer(predictor, run), ""
    except UserError as error:
        return None, f"no maps: {error.problem}"


def map_reliability(run: Run, method: str, layer: str) -> str:
    """Return the result of the run's reliability test of its maps as one sentence; `UNTESTED` for other methods."""
    file: Path = ExplanationFolder(run.explained_test_folder).numbers_file
    try:
        content: Any = run.read_json(file)
        trust = content["review"]["trust"]
        same = trust["method"] == method and (not layer or content["layer"] == layer)
        sentence = str(trust["sentences"][0])
    except (UserError, KeyError, TypeError, IndexError):
        return UNTESTED
    return f"On the test images: {sentence}" if same else UNTESTED
