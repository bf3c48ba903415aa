"""Predict images that are in memory, with the same decoding, preparation and engine as every other entry point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.core.devices import cores, pick_device
from coverslip.data.agreement import ImageFormats
from coverslip.data.decoding import PixelFormat, decode_one, used_range
from coverslip.data.image import Decoded, Pixels, UnreadableError
from coverslip.evidence.familiarity import FamiliarityScorer
from coverslip.inference.engine import Engine, open_engine
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import NEAREST
from coverslip.serving.image_headers import read_header
from coverslip.serving.request_errors import RequestError, unreadable
from coverslip.serving.schemas import AnyAnswer, Neighbor
from coverslip.serving.task_answers import ANSWERS, answer_fields
from coverslip.serving.uploads import Upload

ReferenceLookup = Callable[[int], tuple[str, str | None]]
"""Function of the index of a reference image that returns its class and its thumbnail, or None without thumbnail."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """One decoded and resized image.

    Attributes:
        name: file name for display.
        pixels: pixels resized to the network's input size, shape (H, W, C).
        width: width of the original image in pixels, EXIF orientation applied.
        height: height of the original image in pixels, EXIF orientation applied.
        notes: remarks for the sender.
    """

    name: str
    pixels: Pixels
    width: int
    height: int
    notes: tuple[str, ...] = ()


class ImagePredictor:
    """A predictor with low latency for single images.

    Args:
        predictor: the trained model.
        references: returns class and thumbnail of a reference image; None: the nearest images are not reported.
        max_pixels: largest number of pixels of an image.
    """

    def __init__(self, predictor: Predictor, references: ReferenceLookup | None, max_pixels: int) -> None:
        self.predictor, self._references, self._max_pixels = predictor, references, max_pixels
        self._form = PixelFormat(predictor.spec.channels, predictor.spec.depth)
        familiarity = predictor.trust.familiarity
        self._familiarity_scorer = None if familiarity is None else FamiliarityScorer(familiarity)
        self._engines = open_engines(predictor)

    @property
    def batch_size(self) -> int:
        """Largest number of images in one batch."""
        return max(self._engines)

    @property
    def max_concurrent_batches(self) -> int:
        """Number of batches that may run at the same time: one on a GPU, two per core on a CPU.

        With one per core, a core is idle while its thread waits for the interpreter lock, an eighth of the time.
        """
        return 2 * cores() if pick_device().type == "cpu" else 1

    def prepare(self, upload: Upload) -> PreparedImage:
        """Check the header of a file, then decode and resize the image.

        Raises:
            RequestError: 413, 415 or 422; the image is too large, its format is unsupported, or it cannot be decoded.
        """
        read_header(upload.data, self._max_pixels)
        try:
            spec = self.predictor.spec
            decoded, row = decode_one(upload.data, self._form, spec.size, spec.fit)
        except UnreadableError as error:
            raise _request_error(str(error)) from error
        return PreparedImage(upload.name, row, decoded.width, decoded.height, self._notes(decoded, row))

    def _notes(self, decoded: Decoded, row: Pixels) -> tuple[str, ...]:
        """Return remarks on an image for its sender; all pixels of ``row`` are in the model's depth."""
        low, high = used_range(row)
        formats = ImageFormats(Counter([decoded.pixels.shape[2]]), Counter([decoded.pixels.dtype.name]), [(low, high)])
        notes = image_notes(decoded.pages, row)
        return notes if low == high else (*notes, *self.predictor.image_notes(formats))

    def make_answer_function(self) -> Callable[[Sequence[PreparedImage]], list[AnyAnswer]]:
        """Return a function that answers 1 to ``batch_size`` images.

        The function must be used by one thread only; see `coverslip.inference.engine.Engine.batch_function`.
        """
        functions = {size: engine.batch_function() for size, engine in self._engines.items()}
        prepare = self.predictor.spec.prepare

        def answer(images: Sequence[PreparedImage]) -> list[AnyAnswer]:
            size = min(size for size in functions if size >= len(images))
            features = functions[size](prepare(np.stack([image.pixels for image in images]))).astype(np.float16)
            return self.answers_from_features(images, features)

        return answer

    def answers_from_features(
        self, images: Sequence[PreparedImage], features: npt.NDArray[np.float16]
    ) -> list[AnyAnswer]:
        """Return the answers for N images from their features, shape (N, D)."""
        predictor = self.predictor
        outputs = predictor.outputs(features)
        predicted = answer_fields(predictor.task, outputs)
        answers = []
        for index, image in enumerate(images):
            if not np.isfinite(features[index]).all() or not np.isfinite(outputs[index]).all():
                reason = "the network returned NaN or infinity for this image"
                answers.append(failed_answer(predictor.task.name, image.name, reason))
                continue
            answer = ANSWERS[predictor.task.name](
                file=image.name,
                task=predictor.task.name,
                width=image.width,
                height=image.height,
                notes=list(image.notes),
                **predicted[index],
            )
            if self._familiarity_scorer is not None:
                self._add_familiarity(answer, features[index : index + 1])
            answers.append(answer)
        return answers

    def _add_familiarity(self, answer: AnyAnswer, features: npt.NDArray[np.float16]) -> None:
        """Add familiarity and the nearest training images for one image; batches of two would take longer."""
        assert self._familiarity_scorer is not None
        result = self._familiarity_scorer.evaluate(features, NEAREST)
        threshold = self._familiarity_scorer.familiarity.threshold
        answer.familiar = bool(result.score[0] <= threshold)
        answer.unfamiliarity = float(result.score[0] / threshold)
        if self._references is None:
            return
        for number, distance in zip(result.nearest[0].tolist(), result.distance[0].tolist(), strict=True):
            label, thumbnail = self._references(number)
            answer.nearest.append(Neighbor(label=label, distance=distance, thumbnail=thumbnail))


def open_engines(predictor: Predictor) -> dict[int, Engine]:
    """Return engines by batch size.

    OpenVINO compiles a network for a fixed batch size, and a single image in a batch of two takes twice as long.
    """
    batched = predictor.extractor.engine
    if batched.name != "openvino":
        return {batched.batch: batched}
    single = open_engine(predictor.extractor.frozen, predictor.spec, "openvino", 1)
    return {1: single, batched.batch: batched}


def _request_error(message: str) -> RequestError:
    """Return the error for a message of the decoder, which may contain a fix after a semicolon."""
    problem, _, fix = message.partition("; ")
    if problem.startswith("too large"):
        return RequestError(413, problem, fix or "save it with fewer pixels")
    if "16 bits" in problem:
        return unreadable(problem, "convert it to 8 bits per channel")
    return unreadable(problem, fix) if fix else unreadable(problem)


def failed_answer(task: str, name: str, reason: str) -> AnyAnswer:
    """Return an answer of a task without prediction, with the reason."""
    return ANSWERS[task](file=name, task=task, error=reason)


def image_notes(pages: int, pixels: Pixels) -> tuple[str, ...]:
    """Return remarks on an image for its sender."""
    notes = []
    if pages > 1:
        notes.append(f"the file has {pages:,} pages or planes; only the first was used")
    if int(pixels.max()) == int(pixels.min()):
        notes.append("all pixels of the image have the same color")
    return tuple(notes)
