"""Registry of export formats: how each file is written, opened and run."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from coverslip.core.registry import Registry
from coverslip.data.image import Pixels
from coverslip.exporting.module import ExportModule

FORMAT_MODULES = ("onnx_format", "torch_format", "openvino_format")
Outputs = Mapping[str, npt.NDArray[Any]]
"""Output name -> array of shape (N, ...)."""


class ExportedModel(Protocol):
    """An opened exported file that can be run."""

    def __call__(self, pixels: Pixels) -> Outputs:
        """Return every output of the file for decoded pixels of shape (N, H, W, C)."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One export format.

    Attributes:
        name: name of the format, as used for ``--format``.
        files: names of its files; the first is the one to open.
        write: function (module, folder, metadata) that writes the files into the folder.
        open: function that opens the model in a folder, on the CPU, in float32.
        needs: packages required to use the file, in addition to numpy and pillow.
    """

    name: str
    files: tuple[str, ...]
    write: Callable[[ExportModule, Path, Mapping[str, str]], None]
    open: Callable[[Path], ExportedModel]
    needs: tuple[str, ...]

    @property
    def packages(self) -> str:
        """All packages required to use the file, as arguments of ``pip install``."""
        return " ".join([*self.needs, "numpy", "pillow"])


FORMATS: Registry[Format] = Registry("format")


def formats() -> Registry[Format]:
    """Return the registry of all formats."""
    for name in FORMAT_MODULES:
        importlib.import_module(f"coverslip.exporting.{name}")
    return FORMATS


def example_input(module: ExportModule) -> Pixels:
    """Return two random images to trace the module with, (2, H, W, C); their size differs from the network's input."""
    spec = module.preparation.spec
    shape = (2, spec.size[0] + 13, spec.size[1] + 29, spec.channels)
    return np.random.default_rng(0).integers(0, np.iinfo(spec.depth).max, shape).astype(spec.depth)


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Suppress warnings, and messages below errors of the named loggers: they are advice for library developers."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
