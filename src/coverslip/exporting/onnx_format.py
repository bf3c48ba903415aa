"""ONNX export: one file for ONNX Runtime and every other program that reads ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from coverslip.core.errors import UserError, optional
from coverslip.data.image import Pixels
from coverslip.exporting.formats import FORMATS, ExportedModel, Format, Outputs, example_input, quiet
from coverslip.exporting.module import DESCRIPTIONS, INPUT, ExportModule

FILE = "model.onnx"
OPSET = 20
MAX_BYTES = 2_000_000_000  # an ONNX file is one protobuf message, which is limited to 2 GB
LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")  # their messages are for developers of exporters
AXES = ("images", "height", "width")


def write_onnx(module: ExportModule, folder: Path, metadata: Mapping[str, str]) -> None:
    """Write ``model.onnx``: pixels (N, H, W, C) to every output of the module.

    Raises:
        UserError: the extra is not installed, the network is too large for one file, or ONNX has no equivalent of an
            operation.
    """
    model = to_onnx(module)
    name_network(model)
    strip(model)
    add_metadata(model, metadata)
    (folder / FILE).write_bytes(model.SerializeToString())


def to_onnx(module: ExportModule) -> Any:
    """Return the module as an `onnx.ModelProto`; the metadata of each node contains the path of its module.

    Raises:
        UserError: see `write_onnx`.
    """
    for package in ("onnx", "onnxscript"):
        optional(package, "export")
    if module.num_bytes > MAX_BYTES:
        raise UserError(
            f"the weights of this model take {module.num_bytes / 1e9:.1f} GB; an ONNX file is limited to "
            f"{MAX_BYTES / 1e9:.0f} GB",
            "use --format torch",
        )
    example = torch.from_numpy(example_input(module))
    dynamic = {axis: torch.export.Dim(name, min=1) for axis, name in enumerate(AXES)}
    with quiet(*LOGGERS):
        try:
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(module.outputs),
                dynamic_shapes=(dynamic,),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise UserError(f"this network cannot be exported to ONNX: {reason}", "use --format torch") from error
    assert program is not None
    return program.model_proto


def name_network(model: Any) -> None:
    """Prefix the names of the network's nodes with ``network/``, to separate them from pre- and post-processing.

    Quantization (`coverslip.exporting.quantize`) selects nodes by this prefix.
    """
    for node in model.graph.node:
        namespace = {entry.key: entry.value for entry in node.metadata_props}.get("namespace", "")
        if ": " in namespace and "/network" in namespace.replace(".", "/"):
            node.name = f"network/{node.name}"


def strip(model: Any) -> None:
    """Remove the exporter's debugging information: lines of source code, and file paths of this machine."""
    model.graph.doc_string = model.doc_string = ""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for item in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        if hasattr(item, "metadata_props"):
            del item.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = DESCRIPTIONS.get(value.name, "")


def add_metadata(model: Any, metadata: Mapping[str, str]) -> None:
    """Write the metadata into the file, one property per entry."""
    model.producer_name, model.producer_version = "coverslip", metadata.get("program", "").removeprefix("coverslip ")
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value


class OnnxModel:
    """An ONNX model in ONNX Runtime, on the CPU."""

    def __init__(self, file: Path) -> None:
        runtime = optional("onnxruntime", "export")
        self.session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def __call__(self, pixels: Pixels) -> Outputs:
        """See `ExportedModel`."""
        return dict(zip(self.names, self.session.run(None, {INPUT: pixels}), strict=True))


def open_onnx(folder: Path) -> ExportedModel:
    """Open the model in a folder."""
    return OnnxModel(folder / FILE)


FORMATS.register("onnx")(Format("onnx", (FILE,), write_onnx, open_onnx, ("onnxruntime",)))
