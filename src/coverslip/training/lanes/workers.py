"""Worker threads for lanes: lanes are independent, so each CPU core computes some of them.

With one core per thread, threads need not synchronize after every operation, as they do in parallel operations. PyTorch
releases the GIL while it computes.
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


def num_workers(device: torch.device) -> int:
    """Return the number of worker threads: as many as PyTorch uses on a CPU, one on any other device."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def run_parallel(tasks: Sequence[Task[T]], workers: int) -> list[T]:
    """Run tasks on worker threads, each of which computes on one core.

    Args:
        tasks: functions of an event. Once it is set (another task failed, or Ctrl+C), the task should return early.
        workers: number of threads; with 1, or with one task, tasks run in the calling thread, using all cores.

    Returns:
        The results, in order; the first exception of any task is raised.
    """
    stop = threading.Event()
    if workers == 1 or len(tasks) == 1:
        return [task(stop) for task in tasks]
    futures = [_pool(workers).submit(task, stop) for task in tasks]
    try:
        return [future.result() for future in futures]
    except BaseException:
        stop.set()
        wait(futures)
        raise


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Return the thread pool of the process; threads are reused, so each keeps its allocated memory."""
    num_threads = torch.get_num_threads()
    barrier = threading.Barrier(workers)

    def initialize() -> None:
        torch.set_num_threads(1)  # applies to this thread and to threads that have not computed yet
        barrier.wait()

    pool = ThreadPoolExecutor(workers, thread_name_prefix="lanes", initializer=initialize)
    for future in [pool.submit(int) for _ in range(workers)]:
        future.result()
    torch.set_num_threads(num_threads)
    return pool
