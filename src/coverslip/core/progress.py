"""Progress reporting: stages with remaining time, and notes.

Every function that can take longer than two seconds has an argument ``progress``. The base class prints nothing, so
that library calls are silent; the command line passes a `TerminalProgress`; a run adds its ``events.jsonl``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


class Stage:
    """A running stage; call `advance` as units are completed."""

    def advance(self, units: int = 1) -> None:
        """Count ``units`` more as completed."""


class Progress:
    """A silent reporter, and the base class of the others, which override `stage` and `note`."""

    @contextmanager
    def stage(self, name: str, total: int, unit: str = "images") -> Iterator[Stage]:
        """Report a stage of ``total`` units, for example ``with progress.stage("reading", 600) as stage:``.

        Args:
            name: what is done, such as ``reading images``.
            total: number of units.
            unit: what the units are, in the plural.
        """
        yield Stage()

    def note(self, text: str) -> None:
        """Report one line of text to the user (Rich markup is not interpreted)."""


SILENT = Progress()


class _BarStage(Stage):
    def __init__(self, bar: Any, task: Any) -> None:
        self.bar, self.task = bar, task

    def advance(self, units: int = 1) -> None:
        self.bar.advance(self.task, units)


class _LineStage(Stage):
    """Plain lines for output that is not a terminal: at most one per ``every`` seconds, and one at the end."""

    def __init__(self, out: IO[str], name: str, total: int, unit: str, every: float = 10.0) -> None:
        self.out, self.name, self.total, self.unit, self.every = out, name, total, unit, every
        self.done, self.start = 0, time.monotonic()
        self.last = self.start

    def advance(self, units: int = 1) -> None:
        self.done += units
        now = time.monotonic()
        if now - self.last >= self.every and 0 < self.done < self.total:
            left = (now - self.start) / self.done * (self.total - self.done)
            # The duration of the first step says little about the others, since it includes the warm-up.
            remaining = f", about {left:.0f} s left" if self.done > units else ""
            print(f"{self.name}: {self.done:,} of {self.total:,}{remaining}", file=self.out, flush=True)
            self.last = now

    def close(self) -> None:
        seconds = time.monotonic() - self.start
        print(f"{self.name}: {self.done:,} {self.unit} in {seconds:.1f} s", file=self.out, flush=True)


class TerminalProgress(Progress):
    """Progress bars with remaining time on a terminal, plain lines elsewhere; always on standard error."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)

    @contextmanager
    def stage(self, name: str, total: int, unit: str = "images") -> Iterator[Stage]:
        """See `Progress.stage`."""
        if not self.console.is_terminal:
            line = _LineStage(self.console.file, name, total, unit)
            yield line
            line.close()
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description:<26}"),
            BarColumn(complete_style="green"),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=self.console) as bars:
            yield _BarStage(bars, bars.add_task(name, total=total))

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self.console.print(text, markup=False, soft_wrap=True)


class _LoggedStage(Stage):
    """A stage that writes at most two events per second; `EventLog.stage` writes its end."""

    def __init__(self, log: EventLog, name: str, total: int, inner: Stage) -> None:
        self.log, self.name, self.total, self.inner = log, name, total, inner
        self.done, self.last = 0, time.monotonic()

    def advance(self, units: int = 1) -> None:
        self.inner.advance(units)
        self.done += units
        if time.monotonic() - self.last >= 0.5:
            self.last = time.monotonic()
            self.log.write("progress", stage=self.name, done=self.done, total=self.total)


class EventLog(Progress):
    """A reporter that appends every event to a file, one JSON object per line, and forwards it to ``inner``.

    Attributes:
        path: the file, created by the first event.
        inner: the reporter that shows the events.
        seconds: duration of every finished stage, by name.
    """

    def __init__(self, path: Path, inner: Progress) -> None:
        self.path, self.inner = path, inner
        self.seconds: dict[str, float] = {}

    def write(self, event: str, **values: object) -> None:
        """Append one event with its time in seconds since 1970."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **values}, ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    @contextmanager
    def stage(self, name: str, total: int, unit: str = "images") -> Iterator[Stage]:
        """See `Progress.stage`."""
        start = time.monotonic()
        self.write("start", stage=name, total=total, unit=unit)
        with self.inner.stage(name, total, unit) as inner:
            yield _LoggedStage(self, name, total, inner)
        seconds = round(time.monotonic() - start, 3)
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 3)
        self.write("end", stage=name, seconds=seconds)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self.inner.note(text)
        self.write("note", text=text)
