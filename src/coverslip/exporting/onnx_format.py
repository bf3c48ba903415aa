"""ONNX: one file for ONNX Runtime and whatever else reads ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from coverslip.core.errors import UserError, optional
from coverslip.data.image import Pixels
from coverslip.exporting.formats import FORMATS, Answer, Format, Opened, quiet, sample
from coverslip.exporting.instrument import ABOUT, INPUT, Instrument

FILE = "model.onnx"
OPSET = 20
MOST_BYTES = 2_000_000_000  # of one ONNX file, which is one protobuf message
LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")  # they tell developers much
AXES = ("images", "height", "width")


def write_onnx(instrument: Instrument, folder: Path, metadata: Mapping[str, str]) -> None:
    """Write ``model.onnx``: pixels (N, H, W, C) to every output of the instrument.

    Raises:
        UserError: the extra is missing; the network is too large for one file, or does what ONNX cannot say.
    """
    model = to_onnx(instrument)
    name_network(model)
    strip(model)
    add_metadata(model, metadata)
    (folder / FILE).write_bytes(model.SerializeToString())


def to_onnx(instrument: Instrument) -> Any:
    """The instrument as an ONNX model in memory (`onnx.ModelProto`), every node with the path of its module.

    Raises:
        UserError: see `write_onnx`.
    """
    for package in ("onnx", "onnxscript"):
        optional(package, "export")
    if instrument.bytes > MOST_BYTES:
        raise UserError(
            f"this model has {instrument.bytes / 1e9:.1f} GB of numbers; an ONNX file holds {MOST_BYTES / 1e9:.0f}",
            "use --format torch",
        )
    example = torch.from_numpy(sample(instrument))
    free = {axis: torch.export.Dim(name, min=1) for axis, name in enumerate(AXES)}
    with quiet(*LOGGERS):
        try:
            program = torch.onnx.export(
                instrument,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(instrument.outputs),
                dynamic_shapes=(free,),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            said = str(error.__cause__ or error).strip().splitlines()[0]
            raise UserError(f"this network cannot be written as ONNX: {said}", "use --format torch") from error
    assert program is not None
    return program.model_proto


def name_network(model: Any) -> None:
    """Name the nodes of the network ``network/...``, so that they can be told from preparation and judgment."""
    for node in model.graph.node:
        place = {each.key: each.value for each in node.metadata_props}.get("namespace", "")
        if ": " in place and "/network" in place.replace(".", "/"):
            node.name = f"network/{node.name}"


def strip(model: Any) -> None:
    """Remove what the exporter notes for developers: lines of source code, with paths of this machine."""
    model.graph.doc_string = model.doc_string = ""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for each in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        if hasattr(each, "metadata_props"):
            del each.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    for each in (*model.graph.input, *model.graph.output):
        each.doc_string = ABOUT.get(each.name, "")


def add_metadata(model: Any, metadata: Mapping[str, str]) -> None:
    """Write names and values into the file."""
    model.producer_name, model.producer_version = "coverslip", metadata.get("program", "").removeprefix("coverslip ")
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value


class OnnxModel:
    """An ONNX file in ONNX Runtime, on the CPU."""

    def __init__(self, file: Path) -> None:
        runtime = optional("onnxruntime", "export")
        self.session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self.names = [each.name for each in self.session.get_outputs()]

    def __call__(self, pixels: Pixels) -> Answer:
        """See `Opened`."""
        return dict(zip(self.names, self.session.run(None, {INPUT: pixels}), strict=True))


def open_onnx(folder: Path) -> Opened:
    """The model in a folder."""
    return OnnxModel(folder / FILE)


FORMATS.register("onnx")(Format("onnx", (FILE,), write_onnx, open_onnx, ("onnxruntime",)))
