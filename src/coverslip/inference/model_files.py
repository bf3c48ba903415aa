"""Save and load a model: ``model.json`` and ``weights.safetensors`` in a run folder.

Neither format can contain executable code.
"""

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
from coverslip.core.runs import OnnxRun, Run
from coverslip.core.storage import atomic_write
from coverslip.data.inputs import InputSpec
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.onnx_model import load_onnx
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import NO_TRUST, Trust
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_stages
from coverslip.models.stages import FROZEN_PREFIX, without_prefix
from coverslip.tasks import TASKS
from coverslip.tasks.fields import InvalidFieldError

FORMAT = 4  # format number of model.json; raised when older versions could not read newer files
OLD_FORMATS = (2, 3)  # 2: written by version 0.1 under the key "bundle"; 3: without tasks
TRUST_PREFIX, HEAD_WEIGHT, HEAD_BIAS, KNOWN_HASHES = "trust.", "head.weight", "head.bias", "seen"
FIELDS = {"format", "task", "network", "design", "input", "weights", "trust"}
T = TypeVar("T")


def save_predictor(predictor: Predictor, run: Run) -> None:
    """Write a model to its run folder: tensors as safetensors, everything else as JSON."""
    tensors = {
        FROZEN_PREFIX + name: tensor.cpu().contiguous() for name, tensor in predictor.extractor.frozen.weights.items()
    }
    tensors |= {
        TRUST_PREFIX + name: torch.from_numpy(array).contiguous() for name, array in predictor.trust.to_arrays().items()
    }
    tensors |= {HEAD_WEIGHT: torch.from_numpy(predictor.weight), HEAD_BIAS: torch.from_numpy(predictor.bias)}
    if predictor.known_hashes:
        hashes = np.frombuffer(bytes.fromhex("".join(sorted(predictor.known_hashes))), np.uint8)
        tensors[KNOWN_HASHES] = torch.from_numpy(hashes.reshape(len(predictor.known_hashes), -1).copy())
    with atomic_write(run.weights_file) as temporary:
        temporary.write_bytes(save(tensors))  # not `save_file`: it creates files that only their owner can read (0600)
    content = {
        "format": FORMAT,
        "network": predictor.design.network,
        "design": to_mapping(predictor.design),
        "task": predictor.task.name,
        **predictor.task.to_json(),
        "input": to_mapping(predictor.spec),
        "weights": predictor.extractor.weights,
        "trust": predictor.trust.to_json(),
        **predictor.metadata,
    }
    run.write_json(run.model_file, content)


def load_predictor(run: Run) -> Predictor:
    """Load the model of a run, or an ONNX model of another program.

    Raises:
        UserError: the model does not exist, is damaged, or was written by a newer version of Coverslip; or its files do
            not belong together.
    """
    if isinstance(run, OnnxRun):
        return load_onnx(run)
    content = _upgraded(run, run.read_json(run.model_file))

    def invalid(why: str) -> UserError:
        problem = f"{str(run.model_folder)!r} is not a valid model: {why}"
        return UserError(problem, "train again, or restore its files")

    def field(name: str, read: Callable[[Any], T]) -> T:
        try:
            return read(content[name])
        except KeyError as error:
            where = run.model_file.name if error.args[0] == name else f"{name!r} in {run.model_file.name}"
            raise invalid(f"{where} lacks {error.args[0]!r}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise invalid(f"{name!r} in {run.model_file.name} is invalid") from error

    if content.get("format") != FORMAT:
        raise invalid(f"'format' in {run.model_file.name} is {content.get('format')!r}, not {FORMAT}")
    mismatch = f"{run.weights_file.name} does not belong to {run.model_file.name}"
    spec = field("input", lambda value: from_mapping(InputSpec, value, "input"))
    kind = field("task", lambda name: TASKS[str(name)])
    try:
        task = kind.from_json(content)
    except KeyError as error:
        raise invalid(f"{run.model_file.name} lacks {error.args[0]!r}") from error
    except InvalidFieldError as error:
        raise invalid(f"{str(error)!r} in {run.model_file.name} is invalid") from error
    design = field("design", lambda value: from_mapping(Design, value, "design"))
    weights_key = field("weights", str)
    try:
        tensors = load_file(run.weights_file)
    except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise invalid(f"{run.weights_file.name} cannot be read") from error
    try:
        frozen = frozen_stages(design, without_prefix(tensors, FROZEN_PREFIX))
        if frozen.key != weights_key:
            raise invalid(mismatch)
        weight, bias = tensors[HEAD_WEIGHT].numpy(), tensors[HEAD_BIAS].numpy()
        arrays = {name: tensor.numpy() for name, tensor in without_prefix(tensors, TRUST_PREFIX).items()}
        trust = Trust.from_saved(content["trust"], arrays) if "trust" in content else NO_TRUST
        hashes = tensors[KNOWN_HASHES].numpy() if KNOWN_HASHES in tensors else ()
        known_hashes = frozenset(row.tobytes().hex() for row in hashes)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise invalid(mismatch) from error
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise invalid(f"{run.weights_file.name} contains NaN or infinity")
    if weight.ndim != 2 or len(weight) != task.num_outputs or bias.shape != (task.num_outputs,):
        raise invalid(mismatch)
    if (design.channels, design.size) != (spec.channels, spec.size):
        raise invalid(f"'design' and 'input' in {run.model_file.name} differ in channels or size")
    metadata = {key: value for key, value in content.items() if key not in FIELDS | set(task.to_json())}
    return Predictor(design, FeatureExtractor(frozen, spec), weight, bias, task, metadata, known_hashes, trust)


def _upgraded(run: Run, content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of ``model.json`` in the current format.

    Raises:
        UserError: the format number is higher than `FORMAT`, so a newer version wrote the file.
    """
    number = content.get("format", content.get("bundle"))
    if isinstance(number, int) and number > FORMAT:
        raise UserError(
            f"{str(run.model_file)!r} has format {number}, and this version of Coverslip reads up to {FORMAT}",
            "update Coverslip, or train again with this version",
        )
    if number not in OLD_FORMATS:
        return content
    if "format" not in content:
        content = upgrade_json("model.json", content)
        content.pop("bundle")
    trust = dict(content.get("trust") or {})
    sets = trust.pop("sets", None)
    trusted = {"trust": trust} if "trust" in content else {}
    return content | {"format": FORMAT, "task": "classification", "sets": sets} | trusted
