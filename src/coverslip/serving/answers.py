"""What the model says of images from memory, by the same decoding, preparation and engine as at every other door."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.core.devices import cores, pick_device
from coverslip.data.decoding import PixelFormat, decode_one
from coverslip.data.image import Pixels, UnreadableError
from coverslip.evidence.familiarity import Looker
from coverslip.inference.engine import Engine, open_engine
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import NEAREST
from coverslip.serving.kinds import kind_of
from coverslip.serving.refusals import Refused, unreadable
from coverslip.serving.schemas import Answer, Neighbor
from coverslip.serving.uploads import Upload

Known = Callable[[int], tuple[str, str | None]]
"""Number of a reference image -> its class, and its thumbnail where there is one."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image, ready for the network.

    Attributes:
        name: of the file, to be shown.
        row: (H, W, C), resized as the network takes it.
        width: of the image upright, pixels.
        height: likewise.
        notes: what its sender should know.
    """

    name: str
    row: Pixels
    width: int
    height: int
    notes: tuple[str, ...] = ()


class Instrument:
    """A predictor that answers single images quickly.

    Args:
        predictor: the trained model.
        known: what may be told of the training images that are kept as reference; None tells nothing.
        most_pixels: of an image.
    """

    def __init__(self, predictor: Predictor, known: Known | None, most_pixels: int) -> None:
        self.predictor, self._known, self._most_pixels = predictor, known, most_pixels
        self._form = PixelFormat(predictor.spec.channels, predictor.spec.depth)
        familiarity = predictor.trust.familiarity
        self._looker = None if familiarity is None else Looker(familiarity)
        self._engines = open_engines(predictor)

    @property
    def batch(self) -> int:
        """Images that are answered together at most."""
        return max(self._engines)

    @property
    def at_once(self) -> int:
        """Batches that may be under way at the same time: on a GPU one, on a CPU two a core.

        With one a core, a core has nothing to do while its thread waits for the interpreter: an eighth of the time.
        """
        return 2 * cores() if pick_device().type == "cpu" else 1

    def prepare(self, upload: Upload) -> Image:
        """Decode a file, if its first bytes say that this is safe, and resize it.

        Raises:
            Refused: 413, 415 or 422, with what is wrong.
        """
        kind_of(upload.data, self._most_pixels)
        try:
            spec = self.predictor.spec
            decoded, row = decode_one(upload.data, self._form, spec.size, spec.fit)
        except UnreadableError as error:
            raise _refusal(str(error)) from error
        return Image(upload.name, row, decoded.width, decoded.height, notes_of(decoded.pages, row))

    def answers(self) -> Callable[[Sequence[Image]], list[Answer]]:
        """A function of 1 to `batch` images, for one thread: see `coverslip.inference.engine.Engine.way_in`."""
        ways = {size: engine.way_in() for size, engine in self._engines.items()}
        prepare = self.predictor.spec.prepare

        def call(images: Sequence[Image]) -> list[Answer]:
            size = min(each for each in ways if each >= len(images))
            features = ways[size](prepare(np.stack([image.row for image in images]))).astype(np.float16)
            return self.words(images, features)

        return call

    def words(self, images: Sequence[Image], features: npt.NDArray[np.float16]) -> list[Answer]:
        """What features (N, D) say of N images."""
        predictor = self.predictor
        classes = predictor.task.classes
        probabilities = predictor.probabilities(features)
        named = predictor.task.named(probabilities)
        members = predictor.trust.members(probabilities)
        found = []
        for place, image in enumerate(images):
            row = probabilities[place].tolist()
            if not np.isfinite(features[place]).all() or not all(map(np.isfinite, row)):
                found.append(failed(image.name, "the network gives no numbers for this image"))
                continue
            inside = None if members is None else np.flatnonzero(members[place]).tolist()
            answer = Answer(
                file=image.name,
                label=classes[named[place]],
                confidence=row[named[place]],
                probabilities=dict(zip(classes, row, strict=True)),
                members=None if inside is None else [classes[number] for number in inside],
                width=image.width,
                height=image.height,
                notes=list(image.notes),
            )
            if self._looker is not None:
                self._look(answer, features[place : place + 1])
            found.append(answer)
        return found

    def _look(self, answer: Answer, features: npt.NDArray[np.float16]) -> None:
        """Familiarity and the nearest training images, one image at a time: two at once would take longer."""
        assert self._looker is not None
        looked, limit = self._looker.look(features, NEAREST), self._looker.familiarity.threshold
        answer.familiar = bool(looked.score[0] <= limit)
        answer.unfamiliarity = float(looked.score[0] / limit)
        if self._known is None:
            return
        for number, distance in zip(looked.nearest[0].tolist(), looked.distance[0].tolist(), strict=True):
            label, thumbnail = self._known(number)
            answer.nearest.append(Neighbor(label=label, distance=distance, thumbnail=thumbnail))


def open_engines(predictor: Predictor) -> dict[int, Engine]:
    """Engines by the number of images that they take at once.

    OpenVINO compiles a network for one size of batch, and a single image in a batch of two takes twice its time.
    """
    together = predictor.extractor.engine
    if together.name != "openvino":
        return {together.batch: together}
    alone = open_engine(predictor.extractor.frozen, predictor.spec, "openvino", 1)
    return {1: alone, together.batch: together}


def _refusal(said: str) -> Refused:
    """What the decoder says, as a problem and its fix: it names some fixes itself."""
    problem, _, fix = said.partition("; ")
    if problem.startswith("too large"):
        return Refused(413, problem, fix or "save it smaller")
    if "16 bits a channel" in problem:
        return unreadable(problem, "convert it to 8 bits a channel")
    return unreadable(problem, fix) if fix else unreadable(problem)


def failed(name: str, why: str) -> Answer:
    """An answer that says only why there is none."""
    return Answer(file=name, error=why)


def notes_of(pages: int, row: Pixels) -> tuple[str, ...]:
    """What the sender of an image should know of it."""
    notes = []
    if pages > 1:
        notes.append(f"the file has {pages:,} pages or planes; the first was used")
    if int(row.max()) == int(row.min()):
        notes.append("the image is of one color only")
    return tuple(notes)
