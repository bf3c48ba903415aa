"""OpenVINO's own form: two files for its runtime, the fastest on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from coverslip.core.devices import same_signal_stack
from coverslip.core.errors import UserError
from coverslip.data.image import Pixels
from coverslip.exporting.formats import FORMATS, Answer, Format, Opened, sample
from coverslip.exporting.instrument import INPUT, Instrument
from coverslip.exporting.torch_format import trace
from coverslip.inference.engine import import_openvino

FILE, WEIGHTS = "model.xml", "model.bin"


def runtime() -> Any:
    """OpenVINO, without its telemetry.

    Raises:
        UserError: it is not installed.
    """
    found = import_openvino()
    if found is None:
        raise UserError("this needs the package 'openvino'", "pip install openvino")
    return found


def write_openvino(instrument: Instrument, folder: Path, metadata: Mapping[str, str]) -> None:
    """Write ``model.xml`` and ``model.bin``: pixels (N, H, W, C) to every output, in 32-bit numbers.

    Raises:
        UserError: OpenVINO is not installed, or does not know what the network does.
    """
    openvino = runtime()
    spec = instrument.preparation.spec
    try:
        model = openvino.convert_model(
            trace(instrument),
            example_input=torch.from_numpy(sample(instrument)),
            input=[-1, -1, -1, spec.channels],
        )
    except openvino.frontend.OpConversionFailure as error:
        said = str(error).strip().splitlines()[0]
        raise UserError(f"OpenVINO cannot read this network: {said}", "use --format onnx or torch") from error
    _save(openvino, model, folder, instrument.outputs, metadata)


def convert_onnx(file: Path, folder: Path, outputs: tuple[str, ...], metadata: Mapping[str, str]) -> None:
    """The same from an ONNX file, such as a quantized one."""
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
    """OpenVINO's two files, on the CPU, 32-bit forced: its default on some processors is bfloat16."""

    def __init__(self, file: Path) -> None:
        openvino = runtime()
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        with same_signal_stack():
            self.compiled = openvino.Core().compile_model(file, "CPU", options)

    def __call__(self, pixels: Pixels) -> Answer:
        """See `Opened`."""
        found = self.compiled([pixels])
        return {output.get_any_name(): found[output] for output in self.compiled.outputs}


def open_openvino(folder: Path) -> Opened:
    """The model in a folder."""
    return OpenVinoModel(folder / FILE)


FORMATS.register("openvino")(Format("openvino", (FILE, WEIGHTS), write_openvino, open_openvino, ("openvino",)))
