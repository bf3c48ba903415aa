"""Worker processes that are measured in turns: each reads requests and writes answers, one line of JSON each.

Other programs on the machine distort a measurement: two programs with several threads each on the same cores slow each
other down by much more than a factor of two. Therefore the processor time of other processes is measured as well, and a
measurement is repeated if it was too high. This does not depend on the measured value.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

OTHERS, TRIES = 0.1, 20  # cores that other programs may use on average; number of repetitions of a measurement


class Worker:
    """A script in a separate process, possibly with its own environment, which is idle between requests."""

    def __init__(self, name: str, command: list[str], **variables: str) -> None:
        self.name, self.again = name, 0
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the process)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=os.environ | variables,
            text=True,
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        """Send a request and return the answer; exit the benchmark if the process fails."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        for line in self.process.stdout:
            if line.startswith("answer "):
                answer: dict[str, Any] = json.loads(line.removeprefix("answer "))
                return answer
        self.log.seek(0)
        sys.exit(f"{self.name} failed:\n{self.log.read()[-3000:]}")

    def measure(self, **question: Any) -> dict[str, Any]:
        """Return the answer; repeat the request if other processes used more than a tenth of a core."""
        for _ in range(TRIES):
            wait_until_idle()
            others, start = Others(self.process.pid), time.perf_counter()
            answer = self.ask(**question)
            if others.seconds() <= OTHERS * (time.perf_counter() - start) + 0.02:
                return answer
            self.again += 1
        sys.exit(f"{self.name}: this machine was never idle for long enough")

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.log.close()


def run_alone(name: str, command: list[str], again: bool = True) -> dict[str, Any]:
    """Run a script from start to end and return its answer; repeat it if other processes used too much time.

    The answer contains the average number of cores used by other programs as ``others``; without ``again`` the script
    is not repeated.
    """
    for _ in range(TRIES):
        if again:
            wait_until_idle()
        start, others = time.perf_counter(), _busy() - _children()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        answers = [line for line in done.stdout.splitlines() if line.startswith("answer ")]
        if done.returncode or not answers:
            sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
        load = (_busy() - _children() - others) / (time.perf_counter() - start)
        if load <= OTHERS or not again:
            answer: dict[str, Any] = json.loads(answers[0].removeprefix("answer "))
            return answer | {"others": round(max(load, 0.0), 3)}
        print(f"{name}: other programs used {load:.2f} cores; repeating", flush=True)
    sys.exit(f"{name}: this machine was never idle for long enough")


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + getattr(times, "steal", 0.0))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Others:
    """Processor seconds of all processes except one (and its children) since the object was created."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.start = self._now()

    def seconds(self) -> float:
        """Until now."""
        return self._now() - self.start

    def _now(self) -> float:
        own = self.process.cpu_times()
        return _busy() - own.user - own.system


def wait_until_idle(longest: float = 1800.0) -> None:
    """Wait until other programs use less than a tenth of a core; exit the benchmark after half an hour."""
    end = time.monotonic() + longest
    while psutil.cpu_percent(0.5) * (psutil.cpu_count() or 1) / 100 > OTHERS:
        if time.monotonic() > end:
            sys.exit("this machine is busy; stop other programs, or measure later")


def serve(answer: Callable[..., dict[str, Any]]) -> None:
    """Answer requests until there are no more (the other side)."""
    for line in sys.stdin:
        print("answer " + json.dumps(answer(**json.loads(line))), flush=True)


def script(python: str | Path, name: str, *arguments: object) -> list[str]:
    """Return the command of a script in this folder."""
    return [str(python), str(Path(__file__).parent / name), *map(str, arguments)]
