"""Lanes are independent of each other, so each core takes some of them.

Threads with a core each need not wait for one another after every operation, as the threads within an operation must;
PyTorch lets go of Python's lock while it computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")
Task = Callable[[threading.Event], T]


def crew_size(device: torch.device) -> int:
    """How many threads share the lanes: as many as PyTorch would use on a CPU, one for any other device."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def run_together(tasks: Sequence[Task[T]], size: int) -> list[T]:
    """Run tasks on so many threads, each of which computes on one core.

    Args:
        tasks: called with an event; once it is set (another task failed, or Ctrl+C) the rest is not wanted.
        size: of the crew; with 1, or one task, all run here, and operations use all cores.

    Returns:
        What the tasks gave, in order; the first error of any is raised.
    """
    ending = threading.Event()
    if size == 1 or len(tasks) == 1:
        return [task(ending) for task in tasks]
    futures = [_crew(size).submit(task, ending) for task in tasks]
    try:
        return [future.result() for future in futures]
    except BaseException:
        ending.set()
        wait(futures)
        raise


@cache
def _crew(size: int) -> ThreadPoolExecutor:
    """One crew for the whole program: threads stay, so that each keeps its memory."""
    own = torch.get_num_threads()
    together = threading.Barrier(size)

    def join() -> None:
        torch.set_num_threads(1)  # of this thread, and of threads that have not computed yet
        together.wait()

    crew = ThreadPoolExecutor(size, thread_name_prefix="lanes", initializer=join)
    for started in [crew.submit(int) for _ in range(size)]:
        started.result()
    torch.set_num_threads(own)
    return crew
