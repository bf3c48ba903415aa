"""Processes that stay ready, so that what they do can be measured in turn: one line of JSON asks, one answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Worker:
    """A script in its own process, and perhaps its own environment; between questions it waits and computes nothing."""

    def __init__(self, name: str, command: list[str], **variables: str) -> None:
        self.name = name
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

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.log.close()


def serve(answer: Callable[..., dict[str, Any]]) -> None:
    """The other side: answer each question until there are no more."""
    for line in sys.stdin:
        print("answer " + json.dumps(answer(**json.loads(line))), flush=True)


def script(python: str | Path, name: str, *arguments: object) -> list[str]:
    """The command of a script that lies beside this one."""
    return [str(python), str(Path(__file__).parent / name), *map(str, arguments)]
