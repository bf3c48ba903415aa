"""The predictor that every entry point uses: decoded images in, predictions of the task out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.forks import refuse_forked
from coverslip.core.progress import SILENT, Progress, Stage
from coverslip.core.storage import digest
from coverslip.data.agreement import ImageFormats
from coverslip.data.decoding import Chunk, PixelFormat, decode_all
from coverslip.data.inputs import InputSpec
from coverslip.data.sources.source import Source
from coverslip.data.table import STATUS_OK, ImageTable
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.trust import NO_TRUST, Trust
from coverslip.models.design import Design
from coverslip.tasks.task import Task

CHUNK = 256  # images per prediction batch; bounds memory, and the work that is lost if `predict` is killed
CACHE_LIMIT = 10_000  # images; the features of more images would evict the features that training needs
TRUST_COLUMNS = {"familiar": pl.Boolean, "nearest": pl.String}


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """Predictions for n images, in their order.

    Attributes:
        outputs: float32 (n, num_outputs); NaN if the file cannot be read.
        trust: n rows with the columns of `Trust.columns`; null if the file cannot be read.
        facts: one dict per file with the keys of `FACTS`; ``status`` states why a file cannot be read.
    """

    outputs: npt.NDArray[np.float32]
    trust: pl.DataFrame
    facts: list[dict[str, object]]

    def take(self, rows: Sequence[int]) -> PredictionBatch:
        """Return the predictions for some of the images."""
        return PredictionBatch(self.outputs[list(rows)], self.trust[list(rows)], [self.facts[row] for row in rows])


@dataclass
class Predictor:
    """A trained model: network, image preparation, task and familiarity check.

    Attributes:
        design: name and shape parameters of the network.
        extractor: the frozen stages with their input spec and feature cache.
        weight: weights of the linear head, float32 (num_outputs, D).
        bias: biases of the linear head, float32 (num_outputs,).
        task: what the outputs mean: names, calibration and thresholds.
        metadata: further content of ``model.json``, such as the number of training images.
        known_hashes: content hashes of the training and validation images, to recognize images that are not new.
        trust: familiarity.
    """

    design: Design
    extractor: FeatureExtractor
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    task: Task
    metadata: dict[str, Any]
    known_hashes: frozenset[str] = frozenset()
    trust: Trust = NO_TRUST

    @property
    def spec(self) -> InputSpec:
        """The input specification: how images are prepared."""
        return self.extractor.spec

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes that every entry point shows with the predictions; usually empty."""
        notes = self.metadata.get("notes")
        return tuple(map(str, notes)) if isinstance(notes, list) else ()

    def image_notes(self, formats: ImageFormats) -> list[str]:
        """Return notes on images whose channels, depth or range differ from those that the model was trained on."""
        trained = self.metadata.get("images")
        return formats.notes(self.spec, trained if isinstance(trained, dict) else None)

    @property
    def key(self) -> str:
        """A digest of everything that predictions depend on: models with equal keys predict the same."""
        head = (self.weight.tobytes(), self.bias.tobytes())
        return digest("predictor", self.extractor.weights, self.spec, *head, *self.task.identity)

    def outputs(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Return outputs (N, num_outputs) of features (N, D), before calibration."""
        return np.asarray(features.astype(np.float32) @ self.weight.T + self.bias)

    def predict(self, table: ImageTable, progress: Progress = SILENT) -> PredictionBatch:
        """Decode, prepare and predict every image of a table, with constant memory apart from the result."""
        empty = PredictionBatch(
            np.zeros((0, self.task.num_outputs), np.float32), pl.DataFrame(schema=TRUST_COLUMNS), []
        )
        batches = [empty, *self.stream(table.source, table.paths, progress, statistics=True)]
        return PredictionBatch(
            np.concatenate([batch.outputs for batch in batches]),
            pl.concat([batch.trust for batch in batches]),
            [fact for batch in batches for fact in batch.facts],
        )

    def stream(
        self,
        source: Source,
        paths: Sequence[str],
        progress: Progress = SILENT,
        *,
        statistics: bool = False,
        skip: int = 0,
    ) -> Iterator[PredictionBatch]:
        """Yield predictions for `CHUNK` images at a time, in order, while the next images are decoded.

        Memory stays constant. For up to `CACHE_LIMIT` images, the features are stored in the cache.

        Args:
            source: the source that opens the paths.
            paths: paths of the images.
            progress: receives one event per batch.
            statistics: also compute the facts that only an audit needs.
            skip: number of images to skip at the start, a multiple of `CHUNK`, so that batches are the same as without
                skipping.
        """
        refuse_forked()
        spec, keep = self.spec, len(paths) <= CACHE_LIMIT
        form, remaining = PixelFormat(spec.channels, spec.depth), paths[skip:] if skip else paths
        with progress.stage("predicting", len(remaining)) as stage:
            chunks = decode_all(
                source,
                remaining,
                form,
                spec.size,
                spec.fit,
                Stage(),
                widen=False,
                statistics=statistics,
                prefetch=CHUNK,
            )
            formats = ImageFormats()
            for chunk in _merge_chunks(chunks):
                formats.add(chunk.facts)
                yield self._predict_chunk(chunk, keep)
                stage.advance(len(chunk.facts))
        for note in self.image_notes(formats):
            progress.note(f"note: {note}")

    def to_frame(
        self,
        batch: PredictionBatch,
        paths: Sequence[str],
        labels: Sequence[str | None] | None = None,
        groups: Sequence[str | None] | None = None,
    ) -> pl.DataFrame:
        """Return the table that every entry point shows, one row per image.

        Args:
            batch: predictions for the images.
            paths: paths of the images.
            labels: the truth, as in the column ``label`` of a table; None if unknown.
            groups: group of each image; None if unknown.

        Returns:
            Columns path, label (or target), group, those of the task's prediction, error, and those of
            `Trust.columns`. Unreadable images have nulls in place of predictions.
        """
        errors = [None if fact["status"] == STATUS_OK else str(fact["status"]) for fact in batch.facts]
        unknown = [None] * len(paths)
        prediction = self.task.predict(batch.outputs)
        columns = {
            "path": pl.Series(list(paths), dtype=pl.String),
            **self.task.labels(labels or unknown),
            "group": pl.Series(list(groups or unknown), dtype=pl.String),
            **prediction.columns(),
            "error": pl.Series(errors, dtype=pl.String),
            **prediction.trailing_columns(),
        }
        return pl.concat([pl.DataFrame(columns), batch.trust], how="horizontal")

    def batch_of(
        self, features: npt.NDArray[np.floating], outputs: npt.NDArray[np.float32], facts: list[dict[str, object]]
    ) -> PredictionBatch:
        """Return the predictions for readable images whose features, (N, D), and outputs are known already."""
        return PredictionBatch(outputs, pl.DataFrame(self.trust.columns(features), schema=TRUST_COLUMNS), facts)

    def _predict_chunk(self, chunk: Chunk, keep: bool) -> PredictionBatch:
        number = len(chunk.facts)
        outputs = np.full((number, self.task.num_outputs), np.nan, np.float32)
        rows = [row for row, fact in enumerate(chunk.facts) if fact["status"] == STATUS_OK]
        if not rows:
            empty = pl.DataFrame({name: [None] * number for name in TRUST_COLUMNS}, schema=TRUST_COLUMNS)
            return PredictionBatch(outputs, empty, chunk.facts)
        keys = [str(fact["row_hash"]) for fact in chunk.facts]
        features = self.extractor.extract(chunk.pixels, rows, keys, keep=keep)
        outputs[rows] = self.outputs(features)
        position = {row: index for index, row in enumerate(rows)}
        aligned = {
            name: [values[position[row]] if row in position else None for row in range(number)]
            for name, values in self.trust.columns(features).items()
        }
        return PredictionBatch(outputs, pl.DataFrame(aligned, schema=TRUST_COLUMNS), chunk.facts)


def _merge_chunks(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Merge small decoded chunks into chunks of `CHUNK` images."""
    pending: list[Chunk] = []
    for chunk in chunks:
        pending.append(chunk)
        if sum(len(chunk.facts) for chunk in pending) >= CHUNK:
            yield _concatenate(pending)
            pending = []
    if pending:
        yield _concatenate(pending)


def _concatenate(chunks: Sequence[Chunk]) -> Chunk:
    facts = [fact for chunk in chunks for fact in chunk.facts]
    return Chunk(np.concatenate([chunk.pixels for chunk in chunks]), facts)
