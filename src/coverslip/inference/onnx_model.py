"""Load ONNX classifiers of other programs as a `Predictor`, described by a small ``model.json``.

The ONNX file runs in ONNX Runtime, wrapped as the only stage of a network whose features are its logits. The feature
cache stores float16, which is too coarse to reproduce the logits to 1e-4. So each logit becomes two features, its
float16 value and the remainder, and the head adds them.
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
from coverslip.core.runs import OnnxRun
from coverslip.core.storage import digest
from coverslip.data.inputs import InputSpec
from coverslip.inference.description import (
    InputDescription,
    ModelDescription,
    OutputDescription,
    read_description,
    write_template,
)
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.onnx_file import DTYPES, MAPS, OnnxFile, Port
from coverslip.inference.predictor import Predictor
from coverslip.models.design import Design
from coverslip.models.freeze import FrozenModule, FrozenStages
from coverslip.tasks.classification import Classification

MIN_PROBABILITY = 1e-7  # probabilities are clipped to it before the logarithm; Keras uses the same value
MAX_LOGIT_RANGE = 200.0  # below the largest logit; exp(-200) is far below the smallest visible probability
SUM_TOLERANCE = 0.01  # deviation of the sum of probabilities from 1; models in half precision need this much


def load_onnx(run: OnnxRun) -> Predictor:
    """Return an ONNX file as a predictor with temperature 1, and without prediction sets and familiarity.

    A file written by `coverslip export` keeps the temperature, the thresholds of prediction sets and the decision
    threshold that its ``model.json`` contains.

    Args:
        run: paths of the ONNX file and of its ``model.json``.

    Raises:
        UserError: ``model.json`` does not exist (a template is then written), is incomplete, or disagrees with the
            file; `OnnxFile` rejects the file; or its output is not one logit or probability per class.
    """
    file = OnnxFile(run.weights_file)
    if not run.model_file.exists():
        write_template(run.model_file, file)
    content = run.read_json(run.model_file)
    exported = "card" in content
    description = _exported(run, content) if exported else read_description(run.model_file, file, content)
    task = _exported_task(run, content, description) if exported else Classification(description.classes)
    spec, classes = description.input.spec, len(description.classes)
    network = OnnxNetwork(file, description, _select_output(file, description))
    network.check()
    shape = (spec.channels, *spec.size)
    frozen = FrozenStages(lambda: FrozenModule(nn.Sequential(OrderedDict(network=network)), shape), {}, network.key)
    identity = task.temperature * np.eye(classes, dtype=np.float32)
    return Predictor(
        Design(network=f"{file.path.name} (an ONNX file)", channels=spec.channels, size=spec.size),
        FeatureExtractor(frozen, spec, engine_name="torch"),
        np.hstack([identity, identity]),  # adds the coarse and the fine part of each logit
        np.zeros(classes, np.float32),
        task,
        {"licence": description.licence or "not known", "notes": [_note(file, task)]},
    )


class OnnxNetwork(nn.Module):
    """An ONNX classifier as a module without parameters and without gradients.

    Args:
        file: the opened ONNX file.
        description: description of its input and output.
        output: the output to use.
    """

    def __init__(self, file: OnnxFile, description: ModelDescription, output: Port) -> None:
        super().__init__()
        self.file, self.description, self.output = file, description, output
        self._dtype = np.dtype(DTYPES[file.input.kind])
        self._batch = file.input.shape[0] if file.input.shape else None

    @property
    def key(self) -> str:
        """A digest of everything that the logits depend on."""
        return digest("onnx", self.file.key, self.description, self.output)

    def forward(self, images: Tensor) -> Tensor:
        """Return the coarse and fine parts of the logits (N, 2 K) of prepared images, float32 (N, C, H, W).

        Logits have mean 0 over the classes; those of probabilities are their logarithms. A row is NaN if the model
        returns NaN or infinity.
        """
        arrays = self.to_input_layout(images.detach().cpu().numpy())
        size = self._batch or max(len(arrays), 1)
        logits = np.concatenate([self._logits(arrays[start : start + size]) for start in range(0, len(arrays), size)])
        coarse = logits.astype(np.float16).astype(np.float64)
        return torch.from_numpy(np.hstack([coarse, logits - coarse]).astype(np.float32)).to(images.device)

    def to_input_layout(self, images: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Convert prepared images (N, C, H, W) to the layout, color order and dtype of the model's input."""
        inputs = self.description.input
        if inputs.channels == "BGR":
            images = images[:, ::-1]
        if inputs.layout in ("NHWC", "flat"):
            images = images.transpose(0, 2, 3, 1)
        images = images.reshape(len(images), *inputs.shape)
        return np.ascontiguousarray(np.rint(images) if self._dtype.kind in "iu" else images).astype(self._dtype)

    def check(self) -> None:
        """Run the model on a uniform image and a noise image.

        Raises:
            UserError: the model rejects them, or its output is not one finite logit or probability per class.
        """
        spec = self.description.input.spec
        largest = np.iinfo(spec.depth).max
        images = np.random.default_rng(0).integers(0, largest, (2, *spec.size, spec.channels)).astype(spec.depth)
        images[0] = largest // 2
        if not np.isfinite(self._logits(self.to_input_layout(spec.prepare(images)[: self._batch]))).all():
            raise UserError(
                f"{self.file.path.name} returns NaN or infinity for a uniform gray image",
                "check range, mean and std in its model.json; if they are right, the model itself is broken",
            )

    def _logits(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the logits (n, K) of a batch in the model's layout; pad it if the batch size of the model is fixed."""
        missing = (self._batch or len(batch)) - len(batch)
        padded = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing else batch
        result = self.file.run(padded, self.output)
        values = self._from_maps(result) if isinstance(result, list) else result
        name, classes = self.file.path.name, self.description.classes
        if values.ndim > 2 and values.size == len(padded) * values.shape[1]:  # (N, K, 1, 1) of a final convolution
            values = values.reshape(len(padded), -1)
        if len(classes) == 2 and values.shape in ((len(padded),), (len(padded), 1)):
            values = self._expand_binary(values.reshape(-1, 1))
        if values.shape != (len(padded), len(classes)):
            shape = f"shape {' x '.join(map(str, values.shape))}" if values.shape else "a single number"
            raise UserError(
                f"output {self.output.name!r} of {name} has {shape} for {len(padded)} images, but model.json has "
                f"{len(classes)} classes",
                "give one class name per output value, or another output (output.name)",
            )
        if self.description.output.kind == "logits":
            with np.errstate(invalid="ignore"):  # inf - inf is NaN, which marks the row as invalid
                return _center(values[: len(batch)])
        sums = values.sum(axis=1)
        if (values < -SUM_TOLERANCE).any() or (np.abs(sums - 1) > SUM_TOLERANCE).any():
            raise UserError(
                f"output {self.output.name!r} of {name} does not contain probabilities: a row sums to "
                f"{sums[np.abs(sums - 1).argmax()]:.3g}, the smallest value is {values.min():.3g}",
                "set output.kind to 'logits' if it is before softmax; multi-label models are not supported",
            )
        return _center(np.log(np.maximum(values[: len(batch)], MIN_PROBABILITY)))

    def _expand_binary(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Expand the single output (n, 1) of a binary classifier, which refers to the second class, to two."""
        logits = self.description.output.kind == "logits"
        return np.hstack([0 * values if logits else 1 - values, values])

    def _from_maps(self, rows: list[dict[Any, float]]) -> npt.NDArray[np.float64]:
        """Convert the dicts class -> probability of scikit-learn to an array; keys are class names or class ids."""
        classes = self.description.classes
        keys = list(rows[0])
        if isinstance(keys[0], str) and sorted(keys) != sorted(classes):
            raise UserError(
                f"{self.file.path.name} has the classes {', '.join(map(repr, keys[:8]))}, but model.json has others",
                "use the same class names in model.json",
            )
        order = list(classes) if isinstance(keys[0], str) else sorted(keys)
        return np.array([[row[key] for key in order] for row in rows], np.float64)


def _center(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Shift logits (N, K) to mean 0 per row, and clip them to `MAX_LOGIT_RANGE` below the largest.

    Softmax ignores a shift; without it large logits would lose precision in float16.
    """
    clipped = np.maximum(logits - logits.max(axis=1, keepdims=True), -MAX_LOGIT_RANGE)
    return np.asarray(clipped - clipped.mean(axis=1, keepdims=True))


def is_onnx(network: nn.Module) -> bool:
    """Return whether a network runs in an ONNX file, so that its inner layers and gradients are not available."""
    return any(isinstance(module, OnnxNetwork) for module in network.modules())


def _select_output(file: OnnxFile, description: ModelDescription) -> Port:
    """Return the output named in the description, or the only one that qualifies."""
    usable = file.usable_outputs
    name, classes = description.output.name, len(description.classes)
    if name:
        known = {port.name: port for port in file.outputs}
        if name not in known:
            raise UserError(f"{file.path.name} has no output {name!r}", nearest(name, known))
        if known[name] not in usable:
            problem = f"output {known[name]} does not have a type for logits or probabilities"
            raise UserError(problem, "set output.name in model.json to another output")
        return known[name]
    matching = [port for port in usable if port.kind in MAPS or (port.shape and port.shape[-1] == classes)]
    candidates = matching if len(usable) > 1 else usable
    if len(candidates) != 1:
        names = ", ".join(map(str, file.outputs))
        raise UserError(
            f"{file.path.name} has the outputs {names}, and {len(candidates)} of them qualify for {classes} classes",
            "set output.name in model.json",
        )
    return candidates[0]


def _exported(run: OnnxRun, card: Mapping[str, Any]) -> ModelDescription:
    """Return the description of a file written by `coverslip export`, which contains the image preparation."""
    try:
        keys = ("size", "fit", "channels", "depth", "mean", "std")
        spec = from_mapping(InputSpec, {key: card["preparation"][key] for key in keys})
        licence = card["licence"]["weights"]
        return ModelDescription(
            classes=tuple(map(str, card["classes"])),
            input=InputDescription(
                size=spec.size,
                range=(0.0, float(np.iinfo(spec.depth).max)),
                fit=spec.fit,
                channels="RGB" if spec.channels == 3 else str(spec.channels),
                depth=spec.depth,
                layout="NHWC",
            ),
            output=OutputDescription(name="probabilities", kind="probabilities"),
            licence=str(licence),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _invalid_card(run) from error


def _exported_task(run: OnnxRun, card: Mapping[str, Any], description: ModelDescription) -> Classification:
    """Return the task of a file written by `coverslip export`, whose probabilities are already calibrated."""
    try:
        content = {"classes": list(description.classes), "temperature": card["calibration"]["temperature"]}
        content |= {"sets": card["sets"], **({} if card["threshold"] is None else {"threshold": card["threshold"]})}
        return Classification.from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _invalid_card(run) from error


def _invalid_card(run: OnnxRun) -> UserError:
    return UserError(f"{str(run.model_file)!r} was changed after 'coverslip export' wrote it", "export the run again")


def _note(file: OnnxFile, task: Classification) -> str:
    """Return the note that every entry point shows with the predictions."""
    if task.sets is not None:
        return (
            f"{file.path.name} is an exported model: images unlike its training images are flagged by its own output "
            "'familiar', not here"
        )
    return (
        f"{file.path.name} was not trained with Coverslip: its probabilities are not calibrated (temperature 1), it "
        "has no prediction sets, and images unlike its training images are not detected"
    )
