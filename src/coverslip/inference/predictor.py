"""One predictor for every door: decoded images in, labels and calibrated probabilities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.progress import SILENT, Progress, Stage
from coverslip.core.storage import digest
from coverslip.data.decoding import FACTS, Chunk, PixelFormat, decode_all
from coverslip.data.inputs import InputSpec
from coverslip.data.sources.source import Source
from coverslip.data.table import READ, ImageTable
from coverslip.evidence.threshold import Threshold
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.trust import NO_TRUST, Trust
from coverslip.models.design import Design
from coverslip.tasks.classification import Classification

PART = 256  # images that are answered together: bounds memory, and what a killed `predict` has to do again
KEPT = 10_000  # images; the features of more would push what training needs out of the cache
TRUSTED = {"set": pl.String, "familiar": pl.Boolean, "nearest": pl.String}


@dataclass(frozen=True, slots=True)
class Answers:
    """What a predictor says of n images, in their order.

    Attributes:
        probabilities: float64 (n, K), rows sum to 1; NaN for a file that cannot be read.
        trusted: n rows, the columns of `Trust.columns`; null for a file that cannot be read.
        facts: a dict for each file, keys of `FACTS`; its ``status`` says why it cannot be read.
    """

    probabilities: npt.NDArray[np.float64]
    trusted: pl.DataFrame
    facts: list[dict[str, object]]


@dataclass
class Predictor:
    """A trained network with everything that an answer needs.

    Attributes:
        design: of the network: its name in the catalog, and all that decides its shape.
        extractor: the frozen part with its input spec and its cache.
        weight: float32 (K, D), the head.
        bias: float32 (K,).
        task: classes, temperature, threshold.
        about: what else the bundle says, such as how many images it was trained on.
        seen: hashes of the prepared images that it was fitted or watched on, so that they can be told from new ones.
        trust: sets and familiarity.
    """

    design: Design
    extractor: FeatureExtractor
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    task: Classification
    about: dict[str, Any]
    seen: frozenset[str] = frozenset()
    trust: Trust = NO_TRUST

    @property
    def spec(self) -> InputSpec:
        """How images are prepared."""
        return self.extractor.spec

    @property
    def threshold(self) -> Threshold | None:
        """For two classes, from which probability on an image is named as the one that is looked for."""
        return self.task.threshold

    @property
    def notes(self) -> tuple[str, ...]:
        """What every door has to say beside the answers; mostly nothing."""
        notes = self.about.get("notes")
        return tuple(map(str, notes)) if isinstance(notes, list) else ()

    @property
    def key(self) -> str:
        """Names all that its probabilities and labels depend on: two models of one key answer alike."""
        named = None if self.threshold is None else (self.threshold.class_name, float(self.threshold.value))
        head = (self.weight.tobytes(), self.bias.tobytes(), float(self.task.temperature))
        return digest("predictor", self.extractor.weights, self.spec, *head, self.task.classes, named)

    def scores(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Features (N, D) -> scores (N, K), before the temperature."""
        return np.asarray(features.astype(np.float32) @ self.weight.T + self.bias)

    def probabilities(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Features (N, D) -> probabilities (N, K), rows sum to 1."""
        return self.task.probabilities(self.scores(features))

    def predict(self, table: ImageTable, progress: Progress = SILENT) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Decode, prepare and classify every image of a table, with flat memory.

        Returns:
            The predictions (columns of `Classification.decode` and `Trust.columns`) and the facts of the files, a row
            an image each.
        """
        nothing = Answers(np.zeros((0, len(self.task.classes))), pl.DataFrame(schema=TRUSTED), [])
        parts = [nothing, *self.stream(table.source, table.paths, progress, looks=True)]
        facts = [fact for part in parts for fact in part.facts]
        everything = Answers(
            np.concatenate([part.probabilities for part in parts]), pl.concat([part.trusted for part in parts]), facts
        )
        labels, groups = table.frame["label"].to_list(), table.frame["group"].to_list()
        return self.told(everything, table.paths, labels, groups), pl.DataFrame(facts, schema=FACTS)

    def stream(
        self,
        source: Source,
        paths: Sequence[str],
        progress: Progress = SILENT,
        *,
        looks: bool = False,
        skip: int = 0,
    ) -> Iterator[Answers]:
        """Answers to images, `PART` at a time and in their order, while the next ones are decoded; memory stays flat.

        Up to `KEPT` images, what the frozen part makes of them is kept in the cache.

        Args:
            source: where the paths lead.
            paths: of the images.
            progress: told of the stage.
            looks: also note in the facts what only an audit asks for.
            skip: leave out so many of the first, a multiple of `PART`: answers do not depend on where one begins.
        """
        spec, keep = self.spec, len(paths) <= KEPT
        form, left = PixelFormat(spec.channels, spec.depth), paths[skip:] if skip else paths
        with progress.stage("predicting", len(left)) as stage:
            chunks = decode_all(source, left, form, spec.size, spec.fit, Stage(), widen=False, looks=looks, ahead=PART)
            for chunk in _together(chunks):
                yield self._answers(chunk, keep)
                stage.advance(len(chunk.facts))

    def told(
        self,
        answers: Answers,
        paths: Sequence[str],
        labels: Sequence[str | None] | None = None,
        groups: Sequence[str | None] | None = None,
    ) -> pl.DataFrame:
        """Answers as the table that every door shows: columns of `Classification.decode` and `Trust.columns`."""
        errors = [None if fact["status"] == READ else str(fact["status"]) for fact in answers.facts]
        unknown = [None] * len(paths)
        decoded = self.task.decode(answers.probabilities, paths, labels or unknown, groups or unknown, errors)
        return pl.concat([decoded, answers.trusted], how="horizontal")

    def with_trust(
        self, predictions: pl.DataFrame, features: npt.NDArray[np.floating], probabilities: npt.NDArray[np.float64]
    ) -> pl.DataFrame:
        """Predictions of the same images with the columns of `Trust.columns`."""
        trusted = pl.DataFrame(self.trust.columns(features, probabilities, self.task.classes), schema=TRUSTED)
        return pl.concat([predictions, trusted], how="horizontal")

    def _answers(self, chunk: Chunk, keep: bool) -> Answers:
        result = np.full((len(chunk.facts), len(self.task.classes)), np.nan)
        rows = [row for row, fact in enumerate(chunk.facts) if fact["status"] == READ]
        if not rows:
            nothing = pl.DataFrame({name: [None] * len(result) for name in TRUSTED}, schema=TRUSTED)
            return Answers(result, nothing, chunk.facts)
        keys = [str(fact["row_hash"]) for fact in chunk.facts]
        features = self.extractor.extract(chunk.pixels, rows, keys, keep=keep)
        result[rows] = self.probabilities(features)
        place = {row: number for number, row in enumerate(rows)}
        columns = self.trust.columns(features, result[rows], self.task.classes)
        spread = {
            name: [values[place[row]] if row in place else None for row in range(len(result))]
            for name, values in columns.items()
        }
        return Answers(result, pl.DataFrame(spread, schema=TRUSTED), chunk.facts)


def _together(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Join small chunks to ones of `PART` images."""
    waiting: list[Chunk] = []
    for chunk in chunks:
        waiting.append(chunk)
        if sum(len(each.facts) for each in waiting) >= PART:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(chunks: Sequence[Chunk]) -> Chunk:
    return Chunk(np.concatenate([each.pixels for each in chunks]), [fact for each in chunks for fact in each.facts])
