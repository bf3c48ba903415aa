"""OpenVINO export: two files for the OpenVINO runtime, the fastest format on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from coverslip.core.devices import preserve_signal_stack
from coverslip.core.errors import UserError
from coverslip.data.image import Pixels
from coverslip.exporting.formats import FORMATS, ExportedModel, Format, Outputs, example_input
from coverslip.exporting.module import INPUT, ExportModule
from coverslip.exporting.torch_format import trace
from coverslip.inference.engine import import_openvino

FILE, WEIGHTS = "model.xml", "model.bin"


def runtime() -> Any:
    """Return the module ``openvino`` with its telemetry disabled.

    Raises:
        UserError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    if openvino is None:
        raise UserError("the package 'openvino' is required but not installed", "pip install openvino")
    return openvino


def write_openvino(module: ExportModule, folder: Path, metadata: Mapping[str, str]) -> None:
    """Write ``model.xml`` and ``model.bin``: pixels (N, H, W, C) to every output, in float32.

    Raises:
        UserError: OpenVINO is not installed, or does not support an operation of the network.
    """
    openvino = runtime()
    spec = module.preparation.spec
    try:
        model = openvino.convert_model(
            trace(module),
            example_input=torch.from_numpy(example_input(module)),
            input=[-1, -1, -1, spec.channels],
        )
    except openvino.frontend.OpConversionFailure as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"OpenVINO cannot convert this network: {reason}", "use --format onnx or torch") from error
    _save(openvino, model, folder, module.outputs, metadata)


def convert_onnx(file: Path, folder: Path, outputs: tuple[str, ...], metadata: Mapping[str, str]) -> None:
    """Write the same files from an ONNX file, such as a quantized one."""
    openvino = runtime()
    _save(openvino, openvino.convert_model(file), folder, outputs, metadata)


def _save(openvino: Any, model: Any, folder: Path, outputs: tuple[str, ...], metadata: Mapping[str, str]) -> None:
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, outputs, strict=True):
        output.get_tensor().set_names({name})
    for key, value in metadata.items():
        model.set_rt_info(value, ["coverslip", key])
    openvino.save_model(model, folder / FILE, compress_to_fp16=False)


class OpenVinoModel:
    """An OpenVINO model on the CPU, with float32 forced: on some processors the default is bfloat16."""

    def __init__(self, file: Path) -> None:
        openvino = runtime()
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        with preserve_signal_stack():
            self.compiled = openvino.Core().compile_model(file, "CPU", options)

    def __call__(self, pixels: Pixels) -> Outputs:
        """See `ExportedModel`."""
        outputs = self.compiled([pixels])
        return {port.get_any_name(): outputs[port] for port in self.compiled.outputs}


def open_openvino(folder: Path) -> ExportedModel:
    """Open the model in a folder."""
    return OpenVinoModel(folder / FILE)


FORMATS.register("openvino")(Format("openvino", (FILE, WEIGHTS), write_openvino, open_openvino, ("openvino",)))
