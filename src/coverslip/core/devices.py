"""Properties of this machine: cores, device, precision, and the memory allocator."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
KEEP_BYTES = 512 * 2**20
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def cores() -> int:
    """Return the number of processor cores this process may use (can be fewer than exist in a job or container)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pick_device() -> torch.device:
    """Return the fastest available device: CUDA, then Apple's GPU, then the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@cache
def tune_allocator() -> bool:
    """Configure glibc to keep freed large blocks for reuse, and return whether that was possible.

    Training frees and allocates the same large blocks in every step. By default glibc returns each of them to the
    system at once, which costs thousands of page faults (a small CNN trains about 1.4 times faster with this). Linux
    with glibc only; elsewhere nothing is done and False is returned.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)) and bool(libc.mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))


class _SignalStack(ctypes.Structure):
    """``stack_t`` of Linux's signal.h."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def preserve_signal_stack() -> Iterator[None]:
    """Restore the alternate signal stack of this thread when the block ends.

    OpenVINO sets a signal stack of its own when it opens a network, and restores the previous one when it closes the
    network. If two networks are closed in the order in which they were opened, the second restores the first one's
    stack, which is already freed: the next Ctrl+C crashes. Linux only; elsewhere nothing is done.
    """
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


def machine() -> dict[str, object]:
    """Return the facts about this machine that a result should be reported with.

    Returns:
        ``system``, ``processor``, ``cores``, ``memory_gib`` (None if unknown) and ``python``.
    """
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": _memory_gib(),
        "python": platform.python_version(),
    }


def native_bfloat16() -> bool | None:
    """Return whether the processor has bfloat16 instructions, so that PyTorch need not emulate them; None if unknown.

    Linux lists them among the processor's flags (x86) or features (ARM).
    """
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return None if not flags else not BFLOAT16_FLAGS.isdisjoint(flags.split())


def _processor() -> str:
    # Outside Linux only the platform module knows it.
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(name: str) -> str:
    """Return the value of this field of /proc/cpuinfo for the first core; "" if there is none."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "")
    except OSError:
        return ""


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
