"""Processes that stay ready, so that what they do can be measured in turn: one line of JSON asks, one answers.

What else runs on the machine spoils a measurement: two programs of several threads each, on the same cores, slow each
other down far more than twofold. So the time that other processes took is measured beside, and a measurement is made
again where that was too much; this can neither see nor change the number that was measured.
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

OTHERS, TRIES = 0.1, 20  # cores that others may take on average; how often a measurement is made again


class Worker:
    """A script in its own process, and perhaps its own environment; between questions it waits and computes nothing."""

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
        """The answer; ends the benchmark where the process fails."""
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
        """The answer, asked again as long as other processes took more than a tenth of a core meanwhile."""
        for _ in range(TRIES):
            wait_until_idle()
            others, start = Others(self.process.pid), time.perf_counter()
            answer = self.ask(**question)
            if others.seconds() <= OTHERS * (time.perf_counter() - start) + 0.02:
                return answer
            self.again += 1
        sys.exit(f"{self.name}: this machine never was idle for long enough to measure anything")

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.log.close()


def run_alone(name: str, command: list[str], again: bool = True) -> dict[str, Any]:
    """What a script answers, run from start to end; again as long as other processes took too much meanwhile.

    The answer has the cores that others took, on average, as ``others``; without ``again`` it is given back as it is.
    """
    for _ in range(TRIES):
        if again:
            wait_until_idle()
        start, others = time.perf_counter(), _busy() - _children()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        said = [line for line in done.stdout.splitlines() if line.startswith("answer ")]
        if done.returncode or not said:
            sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
        share = (_busy() - _children() - others) / (time.perf_counter() - start)
        if share <= OTHERS or not again:
            answer: dict[str, Any] = json.loads(said[0].removeprefix("answer "))
            return answer | {"others": round(max(share, 0.0), 3)}
        print(f"{name}: other programs took {share:.2f} cores; once more", flush=True)
    sys.exit(f"{name}: this machine never was idle for long enough to measure anything")


def _busy() -> float:
    whole = psutil.cpu_times()
    return float(whole.user + whole.nice + whole.system + getattr(whole, "steal", 0.0))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Others:
    """Seconds of processor time that all processes but one (and its children) took since this was made."""

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
    """Until nothing takes more than a tenth of a core; ends the benchmark after half an hour."""
    end = time.monotonic() + longest
    while psutil.cpu_percent(0.5) * (psutil.cpu_count() or 1) / 100 > OTHERS:
        if time.monotonic() > end:
            sys.exit("this machine is busy; measure when nothing else runs on it")


def serve(answer: Callable[..., dict[str, Any]]) -> None:
    """The other side: answer each question until there are no more."""
    for line in sys.stdin:
        print("answer " + json.dumps(answer(**json.loads(line))), flush=True)


def script(python: str | Path, name: str, *arguments: object) -> list[str]:
    """The command of a script that lies beside this one."""
    return [str(python), str(Path(__file__).parent / name), *map(str, arguments)]
