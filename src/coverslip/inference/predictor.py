"""One predictor for every door: decoded pictures in, labels and calibrated probabilities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from coverslip.config import from_mapping, to_mapping
from coverslip.data.decoding import FACTS, Chunk, PixelFormat, decode_all
from coverslip.data.inputs import InputSpec
from coverslip.data.table import READ, ImageTable
from coverslip.errors import UserError
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.trust import NO_TRUST, Trust
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_part
from coverslip.progress import SILENT, Progress, Stage
from coverslip.runs import Run
from coverslip.storage import writing
from coverslip.tasks.classification import Classification

BUNDLE = 2  # of model.json; raised when an older program could not read a newer bundle
TOGETHER = 512  # pictures that are decoded before they go through the network: bounds memory
FROZEN, TRUST, HEAD_WEIGHT, HEAD_BIAS, SEEN = "frozen.", "trust.", "head.weight", "head.bias", "seen"
TRUSTED = {"set": pl.String, "familiar": pl.Boolean, "nearest": pl.String}


@dataclass
class Predictor:
    """A trained network with everything that an answer needs.

    Attributes:
        design: of the network: its name in the catalog, and all that decides its shape.
        extractor: the frozen part with its input spec and its cache.
        weight: float32 (K, D), the head.
        bias: float32 (K,).
        task: classes and temperature.
        about: what else the bundle says, such as how many pictures it was trained on.
        seen: hashes of the prepared pictures that it was fitted or watched on, so that they can be told from new ones.
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
        """How pictures are prepared."""
        return self.extractor.spec

    def scores(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Features (N, D) -> scores (N, K), before the temperature."""
        return np.asarray(features.astype(np.float32) @ self.weight.T + self.bias)

    def probabilities(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Features (N, D) -> probabilities (N, K), rows sum to 1."""
        return self.task.probabilities(self.scores(features))

    def predict(self, table: ImageTable, progress: Progress = SILENT) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Decode, prepare and classify every picture of a table, with flat memory.

        Returns:
            The predictions (columns of `Classification.decode` and `Trust.columns`) and the facts of the files, a row
            a picture each.
        """
        form = PixelFormat(self.spec.channels, self.spec.depth)
        parts: list[npt.NDArray[np.float64]] = []
        trusted: list[pl.DataFrame] = []
        facts: list[dict[str, object]] = []
        with progress.stage("predicting", len(table)) as stage:
            chunks = decode_all(table.source, table.paths, form, self.spec.size, self.spec.fit, Stage(), widen=False)
            for batch in _together(chunks):
                probabilities, columns = self._classify(batch)
                parts.append(probabilities)
                trusted.append(columns)
                facts += batch.facts
                stage.advance(len(batch.facts))
        probabilities = np.concatenate(parts) if parts else np.zeros((0, len(self.task.classes)))
        frame = pl.DataFrame(facts, schema=FACTS)
        errors = [None if status == READ else status for status in frame["status"].to_list()]
        labels, groups = table.frame["label"].to_list(), table.frame["group"].to_list()
        decoded = self.task.decode(probabilities, table.paths, labels, groups, errors)
        return pl.concat([decoded, pl.concat(trusted)], how="horizontal") if trusted else decoded, frame

    def with_trust(
        self, predictions: pl.DataFrame, features: npt.NDArray[np.floating], probabilities: npt.NDArray[np.float64]
    ) -> pl.DataFrame:
        """Predictions of the same pictures with the columns of `Trust.columns`."""
        return pl.concat([predictions, self._trusted(features, probabilities)], how="horizontal")

    def _trusted(self, features: npt.NDArray[np.floating], probabilities: npt.NDArray[np.float64]) -> pl.DataFrame:
        return pl.DataFrame(self.trust.columns(features, probabilities, self.task.classes), schema=TRUSTED)

    def _classify(self, chunk: Chunk) -> tuple[npt.NDArray[np.float64], pl.DataFrame]:
        """Probabilities (NaN for a file that cannot be read) and the columns of `Trust.columns` (then null)."""
        result = np.full((len(chunk.facts), len(self.task.classes)), np.nan)
        rows = [row for row, fact in enumerate(chunk.facts) if fact["status"] == READ]
        if not rows:
            return result, pl.DataFrame({name: [None] * len(result) for name in TRUSTED}, schema=TRUSTED)
        keys = [str(fact["row_hash"]) for fact in chunk.facts]
        features = self.extractor.extract(chunk.pixels, rows, keys)
        result[rows] = self.probabilities(features)
        place = {row: number for number, row in enumerate(rows)}
        columns = self.trust.columns(features, result[rows], self.task.classes)
        spread = {
            name: [values[place[row]] if row in place else None for row in range(len(result))]
            for name, values in columns.items()
        }
        return result, pl.DataFrame(spread, schema=TRUSTED)

    def save(self, run: Run) -> None:
        """Write the bundle: weights without code, and all else as JSON."""
        tensors = {FROZEN + name: tensor.cpu().contiguous() for name, tensor in self.extractor.frozen.weights.items()}
        tensors |= {
            TRUST + name: torch.from_numpy(array).contiguous() for name, array in self.trust.to_arrays().items()
        }
        tensors |= {HEAD_WEIGHT: torch.from_numpy(self.weight), HEAD_BIAS: torch.from_numpy(self.bias)}
        if self.seen:
            hashes = np.frombuffer(bytes.fromhex("".join(sorted(self.seen))), np.uint8).reshape(len(self.seen), -1)
            tensors[SEEN] = torch.from_numpy(hashes.copy())
        with writing(run.weights_file) as temporary:
            temporary.write_bytes(save(tensors))  # safetensors' own writer would hide the file from colleagues (0600)
        content = {
            "bundle": BUNDLE,
            "network": self.design.network,
            "design": to_mapping(self.design),
            "classes": list(self.task.classes),
            "temperature": self.task.temperature,
            "input": to_mapping(self.spec),
            "weights": self.extractor.weights,
            "trust": self.trust.to_json(),
            **self.about,
        }
        run.write_json(run.model_file, content)

    @classmethod
    def load(cls, run: Run) -> Predictor:
        """Read a bundle; nothing in it can run code.

        Raises:
            UserError: no bundle there, one of a newer program, or files that do not belong together.
        """
        content = run.read_json(run.model_file)
        wrong = UserError(
            f"{str(run.model_folder)!r} is not a model of this program", "train again, or restore its files"
        )
        if content.get("bundle") != BUNDLE:
            raise wrong
        try:
            spec = from_mapping(InputSpec, content["input"], "input")
            if not isinstance(content["classes"], list):
                raise TypeError("classes")
            classes, temperature = tuple(map(str, content["classes"])), float(content["temperature"])
            design = from_mapping(Design, content["design"], "design")
            tensors = load_file(run.weights_file)
            weights = {name.removeprefix(FROZEN): each for name, each in tensors.items() if name.startswith(FROZEN)}
            frozen = frozen_part(design, weights)
            if frozen.key != content["weights"]:
                raise wrong
            weight, bias = tensors[HEAD_WEIGHT].numpy(), tensors[HEAD_BIAS].numpy()
            arrays = {
                name.removeprefix(TRUST): each.numpy() for name, each in tensors.items() if name.startswith(TRUST)
            }
            trust = Trust.from_bundle(content["trust"], arrays, len(classes)) if "trust" in content else NO_TRUST
            seen = frozenset(row.tobytes().hex() for row in tensors[SEEN].numpy()) if SEEN in tensors else frozenset()
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError) as error:
            raise wrong from error
        numbers = np.isfinite(weight).all() and np.isfinite(bias).all() and 0 < temperature < np.inf
        if not numbers or len(set(classes)) < len(classes):
            raise wrong
        if weight.ndim != 2 or len(weight) != len(classes) or bias.shape != (len(classes),):
            raise wrong
        if (design.channels, design.size) != (spec.channels, spec.size):
            raise wrong
        known = {"bundle", "network", "design", "classes", "temperature", "input", "weights", "trust"}
        about = {key: value for key, value in content.items() if key not in known}
        task = Classification(classes, temperature)
        return cls(design, FeatureExtractor(frozen, spec), weight, bias, task, about, seen, trust)


def _together(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Join small chunks to ones of about `TOGETHER` pictures."""
    waiting: list[Chunk] = []
    for chunk in chunks:
        waiting.append(chunk)
        if sum(len(each.facts) for each in waiting) >= TOGETHER:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(chunks: Sequence[Chunk]) -> Chunk:
    return Chunk(np.concatenate([each.pixels for each in chunks]), [fact for each in chunks for fact in each.facts])
