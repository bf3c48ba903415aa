"""What this machine computes with: cores, device, precision, and the allocator."""

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
    """Processor cores this process may use (fewer than the machine has, in a job or a container)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pick_device() -> torch.device:
    """The fastest device that is there: CUDA, else Apple's GPU, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@cache
def keep_big_blocks() -> bool:
    """Tell glibc to keep big blocks instead of giving each back to the system at once.

    Training frees and asks for the same large blocks every step; without this each costs thousands of page faults (a
    small CNN trains about 1.4 times faster with it). Linux with glibc only; elsewhere it does nothing and says False.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(M_MMAP_THRESHOLD, KEEP_BYTES)) and bool(libc.mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))


class _SignalStack(ctypes.Structure):
    """``stack_t`` of Linux's signal.h."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def same_signal_stack() -> Iterator[None]:
    """Undo what the block does to the stack that signals are handled on.

    OpenVINO gives the thread that opens a network a stack of its own for signals, and when the network is closed gives
    back what was there before. Of two networks that are closed in the order in which they were opened the second gives
    back the first one's, which is gone by then: the next Ctrl+C is a crash. Linux only; elsewhere nothing is done.
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
    """What a reader of a result needs to know of the machine: system, processor, cores, memory, Python."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": _memory_gib(),
        "python": platform.python_version(),
    }


def native_bfloat16() -> bool | None:
    """Whether the processor multiplies bfloat16 itself, so that PyTorch need not widen it; None where nobody can tell.

    Linux lists it among the processor's flags (x86) or features (ARM).
    """
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return None if not flags else not BFLOAT16_FLAGS.isdisjoint(flags.split())


def _processor() -> str:
    # not Linux: the platform module's answer is the best there is
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(name: str) -> str:
    """What Linux says under this name of the first core; empty where it says nothing."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "")
    except OSError:
        return ""


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
