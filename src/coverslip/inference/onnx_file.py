"""Open ONNX files from untrusted sources: without running their code or reading files outside their folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.devices import cores
from coverslip.core.errors import UserError, optional
from coverslip.core.storage import digest_of_files

BUILTIN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")  # included in ONNX Runtime
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
FLOATS = ("tensor(float)", "tensor(double)", "tensor(float16)")
MAPS = ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")  # scikit-learn: class -> probability
EXPORTERS = "Keras, PyTorch, TensorFlow (tf2onnx) or scikit-learn (skl2onnx)"


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of an ONNX model.

    Attributes:
        name: name in the file.
        kind: type in the notation of ONNX Runtime, such as ``tensor(float)``.
        shape: length of each axis; None if the length is dynamic.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        lengths = " x ".join("any" if length is None else str(length) for length in self.shape)
        return f"{self.name!r} ({DTYPES.get(self.kind, self.kind)}, {lengths or 'of any shape'})"


class OnnxFile:
    """An ONNX model in ONNX Runtime on the CPU; `run` is thread-safe.

    Args:
        path: path of the file; external weights must be in the same folder or below.

    Attributes:
        path: path of the file.
        input: the only input.
        outputs: all outputs, in order.
        last_operator: operator type of the last node, such as ``Softmax``; "" if there is none.
        key: digest of the file and its external weights.

    Raises:
        UserError: the extra ``export`` is not installed; the file is not ONNX; external weights are missing or outside
            its folder; it uses custom operators; or it has several inputs.
    """

    def __init__(self, path: Path) -> None:
        onnx, runtime = optional("onnx", "export"), optional("onnxruntime", "export")
        self.path = path
        try:
            model = onnx.load(str(path), load_external_data=False)
        except Exception as error:  # protobuf's error class is not public, and invalid files raise various errors
            raise UserError(f"{str(path)!r} is not an ONNX file", f"export it again from {EXPORTERS}") from error
        if not model.graph.node:
            raise UserError(f"{str(path)!r} is not an ONNX file, or empty", f"export it again from {EXPORTERS}")
        external = _external_weights(path, model)
        _refuse_custom_operators(path, model)
        self.last_operator = next((node.op_type for node in reversed(model.graph.node) if node.op_type != "ZipMap"), "")
        self.key = digest_of_files(path, *external)
        del model
        options = runtime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.log_severity_level = 4  # only fatal messages; errors are reported as UserError below
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the errors of ONNX Runtime have no common base class
            raise UserError(
                f"ONNX Runtime {runtime.__version__} cannot open {str(path)!r}: {_reason(error)}",
                "export the model again with a lower opset, or install a newer onnxruntime",
            ) from error
        inputs = [_port(node) for node in self._session.get_inputs()]
        self.outputs = [_port(node) for node in self._session.get_outputs()]
        if len(inputs) != 1:
            names = ", ".join(map(str, inputs)) or "none"
            raise UserError(
                f"{path.name} has {len(inputs)} inputs ({names}); exactly one is supported",
                "export a model with one image input",
            )
        self.input = inputs[0]
        if self.input.kind not in DTYPES:
            kinds = ", ".join(DTYPES.values())
            raise UserError(
                f"{path.name} has an input of type {self.input.kind}, which is not an image type",
                f"export it with an input of type {kinds}",
            )

    @property
    def usable_outputs(self) -> list[Port]:
        """The outputs whose type can hold logits or probabilities."""
        return [port for port in self.outputs if port.kind in FLOATS + MAPS]

    def run(self, batch: npt.NDArray[Any], output: Port) -> npt.NDArray[np.float64] | list[dict[Any, float]]:
        """Return one output for one batch.

        Args:
            batch: images with the type and shape of the input.
            output: one of ``outputs``.

        Returns:
            A float64 array of any shape; for the maps of scikit-learn, a list of dicts class -> probability.

        Raises:
            UserError: the model rejects the batch.
        """
        try:
            result: Any = self._session.run([output.name], {self.input.name: batch})[0]
        except Exception as error:  # the errors of ONNX Runtime have no common base class
            raise UserError(
                f"{self.path.name} rejects a batch of shape {' x '.join(map(str, batch.shape))}: {_reason(error)}",
                "check size, channels and layout in its model.json",
            ) from error
        return result if output.kind in MAPS else np.asarray(result, np.float64)


def _port(node: Any) -> Port:
    shape = tuple(length if isinstance(length, int) else None for length in node.shape or ())
    return Port(node.name, node.type, shape)


def _reason(error: Exception) -> str:
    """Return the message of an ONNX Runtime error without error codes and further lines."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.rpartition(" : ")[2].strip() or line


def _external_weights(path: Path, model: Any) -> list[Path]:
    """Return the files with external weights, which must be in the folder of the model or below.

    Raises:
        UserError: a file is missing or outside the folder. Without this check, an untrusted model could read any file
            of this machine as weights.
    """
    home = path.parent.resolve()
    files = dict[Path, None]()
    for tensor in _tensors(model):
        if tensor.data_location != tensor.EXTERNAL:
            continue
        name = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        file = (home / name).resolve()
        if not name or "\\" in name or Path(name).is_absolute() or not file.is_relative_to(home):
            raise UserError(
                f"{str(path)!r} refers to weights in {name!r}, which is outside its folder",
                "do not use this model unless you trust its source; export it again with the weights in its folder",
            )
        if not file.is_file():
            raise UserError(
                f"{str(path)!r} needs the weights file {name!r}, which does not exist",
                f"copy {name!r} into the same folder",
            )
        files[file] = None
    return list(files)


def _nodes(model: Any) -> Iterator[Any]:
    """Yield every node of a model, including those in loops, branches and functions."""
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while nodes:
        node = nodes.pop()
        yield node
        nodes += [inner for graph in _subgraphs(node) for inner in graph.node]


def _subgraphs(node: Any) -> list[Any]:
    """Return the graphs of a loop or a branch."""
    return [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]


def _tensors(model: Any) -> Iterator[Any]:
    """Yield every tensor of a model, including those in subgraphs and attributes."""
    graphs = [model.graph]
    for node in _nodes(model):
        graphs += _subgraphs(node)
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)


def _refuse_custom_operators(path: Path, model: Any) -> None:
    """Raise UserError if a model uses custom operators, since their libraries are untrusted code."""
    functions = {(function.domain, function.name) for function in model.functions}
    custom = {
        f"{node.domain}.{node.op_type}"
        for node in _nodes(model)
        if node.domain not in BUILTIN_DOMAINS and (node.domain, node.op_type) not in functions
    }
    if custom:
        raise UserError(
            f"{str(path)!r} uses custom operators: {', '.join(sorted(custom)[:5])}",
            "export it with standard ONNX operators only; operator libraries are code and are not loaded",
        )
