"""The files that a trained model can become: how each is written, opened and run."""

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
from coverslip.exporting.instrument import Instrument

HOMES = ("onnx_format", "torch_format", "openvino_format")
Answer = Mapping[str, npt.NDArray[Any]]
"""Name of an output -> (N, ...)."""


class Opened(Protocol):
    """An exported file that answers."""

    def __call__(self, pixels: Pixels) -> Answer:
        """(N, H, W, C), decoded -> every output of the file."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file.

    Attributes:
        name: as the user writes it.
        files: that it consists of; the first is the one to be opened.
        write: (instrument, folder, metadata) -> the files in the folder.
        open: the folder -> the model in it, on the CPU, in full precision.
        needs: packages that using the file takes, besides numpy and pillow.
    """

    name: str
    files: tuple[str, ...]
    write: Callable[[Instrument, Path, Mapping[str, str]], None]
    open: Callable[[Path], Opened]
    needs: tuple[str, ...]

    @property
    def packages(self) -> str:
        """All that using the file takes, for ``pip install``."""
        return " ".join([*self.needs, "numpy", "pillow"])


FORMATS: Registry[Format] = Registry("format")


def formats() -> Registry[Format]:
    """Every format by name."""
    for home in HOMES:
        importlib.import_module(f"coverslip.exporting.{home}")
    return FORMATS


def sample(instrument: Instrument) -> Pixels:
    """Two made-up images of an odd size, to follow the instrument with; it takes any other size as well."""
    spec = instrument.preparation.spec
    shape = (2, spec.size[0] + 13, spec.size[1] + 29, spec.channels)
    return np.random.default_rng(0).integers(0, np.iinfo(spec.depth).max, shape).astype(spec.depth)


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Without the advice that libraries have for developers: of these loggers no more than errors, and no warnings."""
    loggers = [logging.getLogger(name) for name in names]
    before = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)
