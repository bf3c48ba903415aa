"""TorchScript export: one file for PyTorch and LibTorch, without Python code.

Of PyTorch's two export formats, this is the one whose reader runs only PyTorch's own operations: it is written in C++
and never imports or unpickles Python. The newer format, ``.pt2``, reads some of its content with pickle and evaluates
size expressions as Python, so a file from an untrusted source could run code. C++, Java and Fiji plugins also read
TorchScript. It is no longer developed, and PyTorch warns that it may fail from Python 3.14 on: prefer ONNX for files
that have to last.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from coverslip.core.errors import UserError
from coverslip.data.image import Pixels
from coverslip.exporting.formats import FORMATS, ExportedModel, Format, Outputs, example_input, quiet
from coverslip.exporting.module import ExportModule

FILE = "model.pt"


def trace(module: ExportModule) -> torch.jit.ScriptModule:
    """Return the traced export module; it accepts any image size and batch size.

    Raises:
        UserError: the network contains operations that cannot be traced.
    """
    with quiet(), torch.no_grad():  # the tracer warns about constant shapes; inside the network they are intended
        try:
            traced = torch.jit.trace(module, torch.from_numpy(example_input(module)), check_trace=False)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"this network cannot be exported to TorchScript: {reason}", "use --format onnx") from error
    assert isinstance(traced, torch.jit.ScriptModule)
    return traced


def write_torch(module: ExportModule, folder: Path, metadata: Mapping[str, str]) -> None:
    """Write ``model.pt``, with the metadata as extra files inside.

    Raises:
        UserError: the network cannot be traced.
    """
    with quiet():
        traced = torch.jit.freeze(trace(module))
        # Through memory: on a full disk PyTorch's own writer raises an error that does not name the cause.
        data = traced.save_to_buffer(_extra_files={f"{key}.txt": value for key, value in metadata.items()})
    (folder / FILE).write_bytes(data)


class TorchModel:
    """A TorchScript model on the CPU."""

    def __init__(self, file: Path) -> None:
        extra = {"outputs.txt": ""}
        with quiet():
            self.module = torch.jit.load(str(file), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
        names = extra["outputs.txt"]
        self.names = (names if isinstance(names, str) else names.decode()).split()

    def __call__(self, pixels: Pixels) -> Outputs:
        """See `ExportedModel`."""
        # Without optimization: it costs more time on the first images of every size than it saves later.
        with torch.inference_mode(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            outputs = self.module(torch.from_numpy(np.require(pixels, requirements=["C", "W"])))
        return {name: output.numpy() for name, output in zip(self.names, outputs, strict=True)}


def open_torch(folder: Path) -> ExportedModel:
    """Open the model in a folder."""
    return TorchModel(folder / FILE)


FORMATS.register("torch")(Format("torch", (FILE,), write_torch, open_torch, ("torch",)))
