"""An ONNX file from anywhere, opened so that nothing in it can run code or read what lies outside its folder."""

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

OWN_OPERATORS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")  # that ONNX Runtime brings
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
SCORES = ("tensor(float)", "tensor(double)", "tensor(float16)")
MAPS = ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")  # scikit-learn's: a class and its share
SAID = "made by Keras, PyTorch, TensorFlow (tf2onnx) or scikit-learn (skl2onnx)"


@dataclass(frozen=True, slots=True)
class Port:
    """What goes in, or comes out.

    Attributes:
        name: in the file.
        kind: ONNX Runtime's word for it, such as ``tensor(float)``.
        shape: None for a length that is free.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        lengths = " x ".join("any" if each is None else str(each) for each in self.shape)
        return f"{self.name!r} ({DTYPES.get(self.kind, self.kind)}, {lengths or 'of any shape'})"


class OnnxFile:
    """An ONNX model in ONNX Runtime, on the CPU; several threads may run it at once.

    Args:
        path: of the file; large weights may lie in files beside it or below.

    Attributes:
        path: of the file.
        input: the one thing that it takes.
        outputs: all that it gives, in order.
        last: the operator that gives the last of its tensors, such as ``Softmax``; "" where there is none.
        key: names the content of the file and of the weights beside it.

    Raises:
        UserError: the extra is missing; it is not ONNX; weights lie outside its folder or are missing; it has operators
            that ONNX Runtime does not bring; it takes several inputs.
    """

    def __init__(self, path: Path) -> None:
        onnx, runtime = optional("onnx", "export"), optional("onnxruntime", "export")
        self.path = path
        try:
            model = onnx.load(str(path), load_external_data=False)
        except Exception as error:  # protobuf's error has no public name; a file that is no ONNX raises several kinds
            raise UserError(f"{str(path)!r} is not an ONNX file", f"export it again ({SAID})") from error
        if not model.graph.node:
            raise UserError(f"{str(path)!r} is not an ONNX file, or an empty one", f"export it again ({SAID})")
        beside = _weights_beside(path, model)
        _refuse_custom(path, model)
        self.last = next((node.op_type for node in reversed(model.graph.node) if node.op_type != "ZipMap"), "")
        self.key = digest_of_files(path, *beside)
        del model
        options = runtime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.log_severity_level = 4  # what is wrong is told by ours
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own errors have no common class but this
            raise UserError(
                f"ONNX Runtime cannot open {str(path)!r}: {_reason(error)}",
                f"export it again with a lower opset, or with a newer onnxruntime here (it is {runtime.__version__})",
            ) from error
        taken = [_port(each) for each in self._session.get_inputs()]
        self.outputs = [_port(each) for each in self._session.get_outputs()]
        if len(taken) != 1:
            names = ", ".join(map(str, taken)) or "none"
            raise UserError(f"{path.name} takes {len(taken)} inputs ({names}), not one image", "export one with one")
        self.input = taken[0]
        if self.input.kind not in DTYPES:
            kinds = ", ".join(DTYPES.values())
            raise UserError(f"{path.name} takes {self.input.kind}, which no image is", f"export it for {kinds}")

    @property
    def scored(self) -> list[Port]:
        """The outputs that can hold scores."""
        return [each for each in self.outputs if each.kind in SCORES + MAPS]

    def run(self, given: npt.NDArray[Any], output: Port) -> npt.NDArray[np.float64] | list[dict[Any, float]]:
        """One output for one batch.

        Args:
            given: of the input's type and shape.
            output: one of ``outputs``.

        Returns:
            Float64 of any shape; for scikit-learn's maps a list of class -> share.

        Raises:
            UserError: the file cannot take it.
        """
        try:
            found: Any = self._session.run([output.name], {self.input.name: given})[0]
        except Exception as error:  # as above
            raise UserError(
                f"{self.path.name} cannot take a batch of {' x '.join(map(str, given.shape))}: {_reason(error)}",
                "check size, channels and layout in its model.json",
            ) from error
        return found if output.kind in MAPS else np.asarray(found, np.float64)


def _port(given: Any) -> Port:
    return Port(given.name, given.type, tuple(each if isinstance(each, int) else None for each in given.shape or ()))


def _reason(error: Exception) -> str:
    """The sentence in an error of ONNX Runtime, without its codes and the lines after it."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.rpartition(" : ")[2].strip() or line


def _weights_beside(path: Path, model: Any) -> list[Path]:
    """Files that hold the large weights: in the folder of the file or below it, and there.

    Raises:
        UserError: one is outside, or missing. A file from a stranger could otherwise have any file of this machine read
            as weights.
    """
    home = path.parent.resolve()
    found = dict[Path, None]()
    for tensor in _tensors(model):
        if tensor.data_location != tensor.EXTERNAL:
            continue
        name = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        there = (home / name).resolve()
        if not name or "\\" in name or Path(name).is_absolute() or not there.is_relative_to(home):
            raise UserError(
                f"{str(path)!r} wants its weights from {name!r}, which is outside its folder",
                "do not use it unless you know who made it; export it again with its weights beside it",
            )
        if not there.is_file():
            raise UserError(
                f"the weights of {str(path)!r} are in {name!r}, which is not beside it", f"copy {name!r} there too"
            )
        found[there] = None
    return list(found)


def _nodes(model: Any) -> Iterator[Any]:
    """Every node of a model, those inside of loops, branches and functions too."""
    nodes = [*model.graph.node, *(node for each in model.functions for node in each.node)]
    while nodes:
        node = nodes.pop()
        yield node
        nodes += [inner for graph in _inside(node) for inner in graph.node]


def _inside(node: Any) -> list[Any]:
    """The graphs of a loop or a branch."""
    return [graph for each in node.attribute for graph in (each.g, *each.graphs)]


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor of a model, wherever it stands."""
    graphs = [model.graph]
    for node in _nodes(model):
        graphs += _inside(node)
        for each in node.attribute:
            yield from (each.t, *each.tensors)
            for sparse in (each.sparse_tensor, *each.sparse_tensors):
                yield from (sparse.values, sparse.indices)
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)


def _refuse_custom(path: Path, model: Any) -> None:
    """Operators that need a library of their own are refused: it would be code from a stranger."""
    inside = {(each.domain, each.name) for each in model.functions}
    custom = {
        f"{node.domain}.{node.op_type}"
        for node in _nodes(model)
        if node.domain not in OWN_OPERATORS and (node.domain, node.op_type) not in inside
    }
    if custom:
        raise UserError(
            f"{str(path)!r} has operators of its own: {', '.join(sorted(custom)[:5])}",
            "export it with standard ONNX operators only; libraries of operators are code, and are not loaded",
        )
