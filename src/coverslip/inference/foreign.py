"""Models from elsewhere: an ONNX classifier and a small ``model.json`` become a `Predictor`, and so pass every door.

The ONNX file runs in ONNX Runtime, wrapped as the one stage of a network whose features are its answers. Features are
kept in 16 bits, which is too coarse for an answer that is to agree with the file's own to 1e-4. So each score is two
features, a coarse part and what is left of it, and the head adds them up again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.config import from_mapping
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.core.runs import ForeignRun
from coverslip.core.storage import digest
from coverslip.data.inputs import InputSpec
from coverslip.evidence.conformal import Thresholds
from coverslip.evidence.threshold import Threshold
from coverslip.inference.description import Description, Given, Taken, read_description, write_template
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.onnx_file import DTYPES, MAPS, OnnxFile, Port
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import NO_TRUST, Trust
from coverslip.models.design import Design
from coverslip.models.freeze import Frozen, Prefix
from coverslip.tasks.classification import Classification

LEAST = 1e-7  # of a probability that a file gives, so that it has a logarithm; Keras takes the same
FARTHEST = 200.0  # between scores, as e to that power is far beyond what a probability can show
SUM = 0.01  # that probabilities may lack to 1: files in half precision lose so much


def load_foreign(run: ForeignRun) -> Predictor:
    """An ONNX file as a predictor: temperature 1, no sets, no familiarity, nothing seen.

    A file that `coverslip export` wrote keeps its temperature, its sets and its threshold, which ``model.json`` names.

    Args:
        run: the file, and where its ``model.json`` should be.

    Raises:
        UserError: there is no ``model.json`` (one to fill in is then written), it is not filled in, it does not agree
            with the file, the file is refused by `OnnxFile`, or gives something else than one score a class.
    """
    file = OnnxFile(run.weights_file)
    if not run.model_file.exists():
        write_template(run.model_file, file)
    content = run.read_json(run.model_file)
    exported = "card" in content
    found = _exported(run, content) if exported else read_description(run.model_file, file, content)
    temperature, trust, threshold = _calibrated(run, content, found) if exported else (1.0, NO_TRUST, None)
    spec, classes = found.input.spec, len(found.classes)
    network = OnnxNetwork(file, found, _output(file, found))
    network.check()
    shape = (spec.channels, *spec.size)
    frozen = Frozen(lambda: Prefix(nn.Sequential(OrderedDict(network=network)), shape), {}, network.key)
    identity = temperature * np.eye(classes, dtype=np.float32)
    return Predictor(
        Design(network=f"{file.path.name} (an ONNX file)", channels=spec.channels, size=spec.size),
        FeatureExtractor(frozen, spec, engine_name="torch"),
        np.hstack([identity, identity]),
        np.zeros(classes, np.float32),
        Classification(found.classes, temperature, threshold),
        {"licence": found.licence or "not known", "notes": [_note(file, trust)]},
        trust=trust,
    )


class OnnxNetwork(nn.Module):
    """An ONNX classifier as a module without weights and without gradients.

    Args:
        file: opened.
        description: of what goes in and comes out.
        output: that is used.
    """

    def __init__(self, file: OnnxFile, description: Description, output: Port) -> None:
        super().__init__()
        self.file, self.description, self.output = file, description, output
        self._dtype = np.dtype(DTYPES[file.input.kind])
        self._batch = file.input.shape[0] if file.input.shape else None

    @property
    def key(self) -> str:
        """Names all that its numbers depend on."""
        return digest("onnx", self.file.key, self.description, self.output)

    def forward(self, images: Tensor) -> Tensor:
        """Prepared images, float32 (N, C, H, W) -> (N, 2 K): coarse and fine parts of scores, whose mean is 0.

        Probabilities become scores by their logarithm. A row for which the file gives NaN or infinity is NaN.
        """
        arrays = self.arranged(images.detach().cpu().numpy())
        size = self._batch or max(len(arrays), 1)
        scores = np.concatenate([self._scores(arrays[start : start + size]) for start in range(0, len(arrays), size)])
        coarse = scores.astype(np.float16).astype(np.float64)
        return torch.from_numpy(np.hstack([coarse, scores - coarse]).astype(np.float32)).to(images.device)

    def arranged(self, images: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Prepared images (N, C, H, W) in the file's own layout, order of colors and type."""
        taken = self.description.input
        if taken.channels == "BGR":
            images = images[:, ::-1]
        if taken.layout in ("NHWC", "flat"):
            images = images.transpose(0, 2, 3, 1)
        images = images.reshape(len(images), *taken.shape)
        return np.ascontiguousarray(np.rint(images) if self._dtype.kind in "iu" else images).astype(self._dtype)

    def check(self) -> None:
        """Try it with a blank image and one of noise.

        Raises:
            UserError: it cannot take them, or gives something else than one score a class.
        """
        spec = self.description.input.spec
        top = np.iinfo(spec.depth).max
        noise = np.random.default_rng(0).integers(0, top, (2, *spec.size, spec.channels)).astype(spec.depth)
        noise[0] = top // 2
        if not np.isfinite(self._scores(self.arranged(spec.prepare(noise)[: self._batch]))).all():
            raise UserError(
                f"{self.file.path.name} gives NaN or infinity for an image of one grey",
                "check range, mean and std in its model.json; if they are right, the model itself is broken",
            )

    def _scores(self, given: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """A batch as the file takes it -> (n, K); a batch of a fixed size is filled up."""
        lacking = (self._batch or len(given)) - len(given)
        filled = np.concatenate([given, np.repeat(given[-1:], lacking, axis=0)]) if lacking else given
        found = self.file.run(filled, self.output)
        values = self._from_maps(found) if isinstance(found, list) else found
        name, classes = self.file.path.name, self.description.classes
        if values.ndim > 2 and values.size == len(filled) * values.shape[1]:  # (N, K, 1, 1) of a last convolution
            values = values.reshape(len(filled), -1)
        if len(classes) == 2 and values.shape in ((len(filled),), (len(filled), 1)):
            values = self._of_one(values.reshape(-1, 1))
        if values.shape != (len(filled), len(classes)):
            shape = " x ".join(map(str, values.shape)) or "a single number"
            raise UserError(
                f"output {self.output.name!r} of {name} is {shape} for {len(filled)} images; model.json names "
                f"{len(classes)} classes",
                "name as many classes as there are scores, or another output (output.name)",
            )
        if self.description.output.kind == "scores":
            with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, as it should be
                return _centered(values[: len(given)])
        sums = values.sum(axis=1)
        if (values < -SUM).any() or (np.abs(sums - 1) > SUM).any():
            raise UserError(
                f"output {self.output.name!r} of {name} holds no probabilities: a row sums to "
                f"{sums[np.abs(sums - 1).argmax()]:.3g}, the least is {values.min():.3g}",
                "if it is before softmax, write output.kind 'scores'; labels that hold side by side cannot be used",
            )
        return _centered(np.log(np.maximum(values[: len(given)], LEAST)))

    def _of_one(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The one output of a network for two classes speaks for the second."""
        scores = self.description.output.kind == "scores"
        return np.hstack([0 * values if scores else 1 - values, values])

    def _from_maps(self, rows: list[dict[Any, float]]) -> npt.NDArray[np.float64]:
        """scikit-learn's rows of class -> share; classes by name, or by number."""
        classes = self.description.classes
        keys = list(rows[0])
        if isinstance(keys[0], str) and sorted(keys) != sorted(classes):
            raise UserError(
                f"{self.file.path.name} knows the classes {', '.join(map(repr, keys[:8]))}; model.json names others",
                "write its names into model.json",
            )
        order = list(classes) if isinstance(keys[0], str) else sorted(keys)
        return np.array([[row[key] for key in order] for row in rows], np.float64)


def _centered(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores (N, K) with a mean of 0 a row, none farther below the highest than can be told."""
    below = np.maximum(scores - scores.max(axis=1, keepdims=True), -FARTHEST)
    return np.asarray(below - below.mean(axis=1, keepdims=True))


def is_foreign(network: nn.Module) -> bool:
    """Whether a network runs in an ONNX file: then nobody can look into its layers."""
    return any(isinstance(each, OnnxNetwork) for each in network.modules())


def _output(file: OnnxFile, found: Description) -> Port:
    """The output that is meant: the one named, or the only one that can be."""
    usable = file.scored
    named, classes = found.output.name, len(found.classes)
    if named:
        known = {each.name: each for each in file.outputs}
        if named not in known:
            raise UserError(f"{file.path.name} has no output {named!r}", nearest(named, known))
        if known[named] not in usable:
            raise UserError(f"output {known[named]} holds no scores", "name another in output.name of model.json")
        return known[named]
    fitting = [each for each in usable if each.kind in MAPS or (each.shape and each.shape[-1] == classes)]
    some = fitting if len(usable) > 1 else usable
    if len(some) != 1:
        names = ", ".join(map(str, file.outputs))
        raise UserError(
            f"{file.path.name} gives {names}: which one holds the scores of {classes} classes is not clear",
            "name it in output.name of model.json",
        )
    return some[0]


def _exported(run: ForeignRun, card: Mapping[str, Any]) -> Description:
    """A file that `coverslip export` wrote: it prepares images itself, so it gets them as they are."""
    try:
        kept = ("size", "fit", "channels", "depth", "mean", "std")
        spec = from_mapping(InputSpec, {key: card["preparation"][key] for key in kept})
        licence = card["licence"]["weights"]
        return Description(
            classes=tuple(map(str, card["classes"])),
            input=Taken(
                size=spec.size,
                range=(0.0, float(np.iinfo(spec.depth).max)),
                fit=spec.fit,
                channels="RGB" if spec.channels == 3 else str(spec.channels),
                depth=spec.depth,
                layout="NHWC",
            ),
            output=Given(name="probabilities", kind="probabilities"),
            licence=str(licence),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _spoilt(run) from error


def _calibrated(run: ForeignRun, card: Mapping[str, Any], found: Description) -> tuple[float, Trust, Threshold | None]:
    """Temperature, sets and threshold of a file that `coverslip export` wrote; its probabilities are calibrated."""
    try:
        temperature, sets, threshold = float(card["calibration"]["temperature"]), card["sets"], card["threshold"]
        limits = None if sets is None else Thresholds.from_json(sets)
        if not 0 < temperature < np.inf or (limits is not None and len(limits.least) != len(found.classes)):
            raise _spoilt(run)
        named = None if threshold is None else Threshold.from_json(threshold, found.classes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _spoilt(run) from error
    return temperature, Trust(limits), named


def _spoilt(run: ForeignRun) -> UserError:
    return UserError(f"{str(run.model_file)!r} is not what 'coverslip export' wrote", "export the run again")


def _note(file: OnnxFile, trust: Trust) -> str:
    """What every door says beside the answers."""
    if trust.thresholds is not None:
        return (
            f"{file.path.name} is an exported file: what is unlike its training images is told by its own output "
            "'familiar', not here"
        )
    return (
        f"{file.path.name} was not trained by this program: its probabilities are as they come (temperature 1), there "
        "are no sets, and it cannot tell an image that is unlike its training images"
    )
