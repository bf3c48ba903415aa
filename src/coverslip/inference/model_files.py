"""Save and load a model: ``model.json`` and ``weights.safetensors`` in a run folder. No file can execute code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from coverslip.core.config import from_mapping, to_mapping
from coverslip.core.errors import UserError
from coverslip.core.renamed import upgrade_json
from coverslip.core.runs import ForeignRun, Run
from coverslip.core.storage import writing
from coverslip.data.inputs import InputSpec
from coverslip.evidence.threshold import Threshold
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.foreign import load_foreign
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import NO_TRUST, Trust
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_part
from coverslip.models.stages import FROZEN
from coverslip.tasks.classification import Classification

FORMAT = 3  # of model.json; raised when older programs could not read newer files
OLD_FORMAT = 2  # of version 0.1, which calls it "bundle"
TRUST, HEAD_WEIGHT, HEAD_BIAS, SEEN = "trust.", "head.weight", "head.bias", "seen"
FIELDS = {"format", "network", "design", "classes", "temperature", "input", "weights", "trust", "threshold"}
Read = TypeVar("Read")


def save_predictor(predictor: Predictor, run: Run) -> None:
    """Write a model to its run folder: weights as safetensors, everything else as JSON."""
    tensors = {FROZEN + name: tensor.cpu().contiguous() for name, tensor in predictor.extractor.frozen.weights.items()}
    tensors |= {
        TRUST + name: torch.from_numpy(array).contiguous() for name, array in predictor.trust.to_arrays().items()
    }
    tensors |= {HEAD_WEIGHT: torch.from_numpy(predictor.weight), HEAD_BIAS: torch.from_numpy(predictor.bias)}
    if predictor.seen:
        hashes = np.frombuffer(bytes.fromhex("".join(sorted(predictor.seen))), np.uint8)
        tensors[SEEN] = torch.from_numpy(hashes.reshape(len(predictor.seen), -1).copy())
    with writing(run.weights_file) as temporary:
        temporary.write_bytes(save(tensors))  # safetensors' own writer makes files that colleagues cannot read (0600)
    content = {
        "format": FORMAT,
        "network": predictor.design.network,
        "design": to_mapping(predictor.design),
        "classes": list(predictor.task.classes),
        "temperature": predictor.task.temperature,
        "input": to_mapping(predictor.spec),
        "weights": predictor.extractor.weights,
        "trust": predictor.trust.to_json(),
        **({} if predictor.threshold is None else {"threshold": predictor.threshold.to_json()}),
        **predictor.about,
    }
    run.write_json(run.model_file, content)


def load_predictor(run: Run) -> Predictor:
    """Load the model of a run, or an ONNX model from elsewhere.

    Raises:
        UserError: there is no model, a newer version of Coverslip wrote it, or its files do not belong together.
    """
    if isinstance(run, ForeignRun):
        return load_foreign(run)
    content = _upgraded(run, run.read_json(run.model_file))

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
            raise wrong(f"{name!r} in {run.model_file.name} is invalid") from error

    if content.get("format") != FORMAT:
        raise wrong(f"'format' in {run.model_file.name} is {content.get('format')!r}, not {FORMAT}")
    mismatch = f"{run.weights_file.name} does not belong to {run.model_file.name}"
    spec = field("input", lambda found: from_mapping(InputSpec, found, "input"))
    classes, temperature = field("classes", _class_names), field("temperature", _temperature)
    design = field("design", lambda found: from_mapping(Design, found, "design"))
    weights_key = field("weights", str)
    limit = field("threshold", lambda found: Threshold.from_json(found, classes)) if "threshold" in content else None
    try:
        tensors = load_file(run.weights_file)
    except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise wrong(f"{run.weights_file.name} cannot be read") from error
    try:
        weights = {name.removeprefix(FROZEN): each for name, each in tensors.items() if name.startswith(FROZEN)}
        frozen = frozen_part(design, weights)
        if frozen.key != weights_key:
            raise wrong(mismatch)
        weight, bias = tensors[HEAD_WEIGHT].numpy(), tensors[HEAD_BIAS].numpy()
        arrays = {name.removeprefix(TRUST): each.numpy() for name, each in tensors.items() if name.startswith(TRUST)}
        trust = Trust.from_bundle(content["trust"], arrays, len(classes)) if "trust" in content else NO_TRUST
        seen = frozenset(row.tobytes().hex() for row in tensors[SEEN].numpy()) if SEEN in tensors else frozenset()
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise wrong(mismatch) from error
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise wrong(f"{run.weights_file.name} holds NaN or infinity")
    if weight.ndim != 2 or len(weight) != len(classes) or bias.shape != (len(classes),):
        raise wrong(mismatch)
    if (design.channels, design.size) != (spec.channels, spec.size):
        raise wrong(f"'design' and 'input' in {run.model_file.name} differ in channels or size")
    about = {key: value for key, value in content.items() if key not in FIELDS}
    task = Classification(classes, temperature, limit)
    return Predictor(design, FeatureExtractor(frozen, spec), weight, bias, task, about, seen, trust)


def _upgraded(run: Run, content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of ``model.json`` in the current format.

    Raises:
        UserError: a newer version wrote it.
    """
    number = content.get("format", content.get("bundle"))
    if isinstance(number, int) and number > FORMAT:
        raise UserError(
            f"{str(run.model_file)!r} has format {number}, and this version of Coverslip reads up to {FORMAT}",
            "update Coverslip, or train again with this version",
        )
    if "format" not in content and number == OLD_FORMAT:
        content = upgrade_json("model.json", content) | {"format": FORMAT}
        content.pop("bundle")
    return content


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
