"""TorchScript: one file for PyTorch and LibTorch, without any Python code in it.

Of PyTorch's two forms this is the one whose reader runs nothing but PyTorch's own operations: it is written in C++ and
never imports or unpickles Python. The newer form, ``.pt2``, opens parts with pickle and evaluates size expressions as
Python, so a file from a stranger could run code there. TorchScript is also what C++, Java and Fiji plugins read. It is
no longer developed: PyTorch warns that it may fail from Python 3.14 on, so ONNX is the form that will last.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from coverslip.core.errors import UserError
from coverslip.data.image import Pixels
from coverslip.exporting.formats import FORMATS, Answer, Format, Opened, quiet, sample
from coverslip.exporting.instrument import Instrument

FILE = "model.pt"


def trace(instrument: Instrument) -> torch.jit.ScriptModule:
    """The instrument followed over two made-up images; it takes any size and number all the same.

    Raises:
        UserError: it does what cannot be followed.
    """
    with quiet(), torch.no_grad():  # shapes within the network are fixed, and should be
        try:
            traced = torch.jit.trace(instrument, torch.from_numpy(sample(instrument)), check_trace=False)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            said = str(error).strip().splitlines()[0]
            raise UserError(f"this network cannot be written as TorchScript: {said}", "use --format onnx") from error
    assert isinstance(traced, torch.jit.ScriptModule)
    return traced


def write_torch(instrument: Instrument, folder: Path, metadata: Mapping[str, str]) -> None:
    """Write ``model.pt``, with the metadata as further files inside.

    Raises:
        UserError: the network cannot be followed.
    """
    with quiet():
        traced = torch.jit.freeze(trace(instrument))
        # Through memory: PyTorch's own writer says of a full disk no more than that something failed.
        data = traced.save_to_buffer(_extra_files={f"{key}.txt": value for key, value in metadata.items()})
    (folder / FILE).write_bytes(data)


class TorchModel:
    """A TorchScript file, on the CPU."""

    def __init__(self, file: Path) -> None:
        extra = {"outputs.txt": ""}
        with quiet():
            self.module = torch.jit.load(str(file), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
        said = extra["outputs.txt"]
        self.names = (said if isinstance(said, str) else said.decode()).split()

    def __call__(self, pixels: Pixels) -> Answer:
        """See `Opened`."""
        # Unoptimized: what the optimizer gains, it spends on the first images of every size.
        with torch.inference_mode(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            found = self.module(torch.from_numpy(np.require(pixels, requirements=["C", "W"])))
        return {name: each.numpy() for name, each in zip(self.names, found, strict=True)}


def open_torch(folder: Path) -> Opened:
    """The model in a folder."""
    return TorchModel(folder / FILE)


FORMATS.register("torch")(Format("torch", (FILE,), write_torch, open_torch, ("torch",)))
