"""One predictor for every door: decoded pictures in, labels and calibrated probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from coverslip.config import from_mapping, to_mapping
from coverslip.data.decoding import FACTS, Chunk, PixelFormat, decode_all
from coverslip.data.inputs import InputSpec
from coverslip.data.sources.source import Source
from coverslip.data.table import READ, ImageTable
from coverslip.errors import UserError
from coverslip.evidence.threshold import Threshold
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.trust import NO_TRUST, Trust
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_part
from coverslip.models.stages import FROZEN
from coverslip.progress import SILENT, Progress, Stage
from coverslip.runs import ForeignRun, Run
from coverslip.storage import digest, writing
from coverslip.tasks.classification import Classification

BUNDLE = 2  # of model.json; raised when an older program could not read a newer bundle
PART = 256  # pictures that are answered together: bounds memory, and what a killed `predict` has to do again
KEPT = 10_000  # pictures; the features of more would push what training needs out of the cache
TRUST, HEAD_WEIGHT, HEAD_BIAS, SEEN = "trust.", "head.weight", "head.bias", "seen"
Read = TypeVar("Read")
TRUSTED = {"set": pl.String, "familiar": pl.Boolean, "nearest": pl.String}


@dataclass(frozen=True, slots=True)
class Answers:
    """What a predictor says of n pictures, in their order.

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

    @property
    def threshold(self) -> Threshold | None:
        """For two classes, from which probability on a picture is named as the one that is looked for."""
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
        """Decode, prepare and classify every picture of a table, with flat memory.

        Returns:
            The predictions (columns of `Classification.decode` and `Trust.columns`) and the facts of the files, a row
            a picture each.
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
        """Answers to pictures, `PART` at a time and in their order, while the next ones are decoded; memory stays flat.

        Up to `KEPT` pictures, what the frozen part makes of them is kept in the cache.

        Args:
            source: where the paths lead.
            paths: of the pictures.
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
        """Predictions of the same pictures with the columns of `Trust.columns`."""
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
            **({} if self.threshold is None else {"threshold": self.threshold.to_json()}),
            **self.about,
        }
        run.write_json(run.model_file, content)

    @classmethod
    def load(cls, run: Run) -> Predictor:
        """Read a bundle, or an ONNX model from elsewhere; nothing in it can run code.

        Raises:
            UserError: no bundle there, one of a newer program, or files that do not belong together.
        """
        if isinstance(run, ForeignRun):
            from coverslip.inference.foreign import load_foreign

            return load_foreign(run)
        content = run.read_json(run.model_file)
        bundle = content.get("bundle")
        if isinstance(bundle, int) and bundle > BUNDLE:
            raise UserError(
                f"a newer Coverslip wrote {str(run.model_file)!r}: a bundle {bundle}, and this one reads {BUNDLE}",
                "update Coverslip, or train again with this one",
            )

        def wrong(why: str) -> UserError:
            problem = f"{str(run.model_folder)!r} is not a model of this program: {why}"
            return UserError(problem, "train again, or restore its files")

        def field(name: str, read: Callable[[Any], Read]) -> Read:
            try:
                return read(content[name])
            except KeyError as error:
                where = run.model_file.name if error.args[0] == name else f"{name!r} in {run.model_file.name}"
                raise wrong(f"{where} lacks {error.args[0]!r}") from error
            except (TypeError, ValueError, AttributeError) as error:
                raise wrong(f"{name!r} in {run.model_file.name} makes no sense") from error

        if bundle != BUNDLE:
            raise wrong(f"'bundle' in {run.model_file.name} is {bundle!r}, not {BUNDLE}")
        apart = f"{run.weights_file.name} does not belong to {run.model_file.name}"
        spec = field("input", lambda found: from_mapping(InputSpec, found, "input"))
        classes, temperature = field("classes", _class_names), field("temperature", _temperature)
        design = field("design", lambda found: from_mapping(Design, found, "design"))
        made_of = field("weights", str)
        limit = (
            field("threshold", lambda found: Threshold.from_json(found, classes)) if "threshold" in content else None
        )
        try:
            tensors = load_file(run.weights_file)
        except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise wrong(f"{run.weights_file.name} cannot be read") from error
        try:
            weights = {name.removeprefix(FROZEN): each for name, each in tensors.items() if name.startswith(FROZEN)}
            frozen = frozen_part(design, weights)
            if frozen.key != made_of:
                raise wrong(apart)
            weight, bias = tensors[HEAD_WEIGHT].numpy(), tensors[HEAD_BIAS].numpy()
            arrays = {
                name.removeprefix(TRUST): each.numpy() for name, each in tensors.items() if name.startswith(TRUST)
            }
            trust = Trust.from_bundle(content["trust"], arrays, len(classes)) if "trust" in content else NO_TRUST
            seen = frozenset(row.tobytes().hex() for row in tensors[SEEN].numpy()) if SEEN in tensors else frozenset()
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise wrong(apart) from error
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise wrong(f"{run.weights_file.name} holds what is no number")
        if weight.ndim != 2 or len(weight) != len(classes) or bias.shape != (len(classes),):
            raise wrong(apart)
        if (design.channels, design.size) != (spec.channels, spec.size):
            raise wrong(f"'design' and 'input' in {run.model_file.name} differ in channels or size")
        known = {"bundle", "network", "design", "classes", "temperature", "input", "weights", "trust", "threshold"}
        about = {key: value for key, value in content.items() if key not in known}
        task = Classification(classes, temperature, limit)
        return cls(design, FeatureExtractor(frozen, spec), weight, bias, task, about, seen, trust)


def _class_names(found: Any) -> tuple[str, ...]:
    """Of ``model.json``."""
    names = tuple(map(str, found))
    if not isinstance(found, list) or len(set(names)) < len(names):
        raise ValueError("classes")
    return names


def _temperature(found: Any) -> float:
    """Of ``model.json``."""
    temperature = float(found)
    if not 0 < temperature < np.inf:
        raise ValueError("temperature")
    return temperature


def _together(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Join small chunks to ones of `PART` pictures."""
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
