"""Measurement of whole processes: seconds from start to end, and peak of their private memory."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from coverslip.core.devices import machine


@dataclass(frozen=True)
class Measured:
    """Measurement of one process and its children from start to end."""

    seconds: float
    peak_mib: float


def measure(command: list[str], log: Path, cache: Path | None = None) -> Measured:
    """Run a command with its output in ``log`` and measure it; exit the benchmark if the command fails."""
    environment = os.environ | ({"COVERSLIP_CACHE": str(cache)} if cache else {})
    with log.open("wb") as file:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
        peak, ended = [0.0], threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peak, ended))
        watcher.start()
        code = process.wait()
        seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    if code != 0:
        sys.exit(f"{Path(command[0]).name} ended with {code}:\n{log.read_text(errors='replace')[-3000:]}")
    return Measured(seconds, peak[0] / 2**20)


def _watch(pid: int, peak: list[float], ended: threading.Event) -> None:
    """Record the highest sum of anonymous and shared memory over a process and its children.

    Mapped files do not count, since the system can reclaim their pages. A page that forked processes share counts
    proportionally if the system provides this (``Pss``). Reading the value of a process with several GB takes up to
    25 ms, during which the process is paused; so at most a fiftieth of the time is used for it.
    """
    family, listed, pause = [pid], 0.0, 0.1
    while not ended.wait(pause):
        now = time.perf_counter()
        if now - listed > 1.0:  # listing the children reads all processes of the machine
            try:
                family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
            except psutil.NoSuchProcess:
                return
            listed = now
        peak[0] = max(peak[0], sum(own_bytes(each) for each in family))
        pause = max(0.1, 50 * (time.perf_counter() - now))


def own_bytes(pid: int) -> float:
    """Return anonymous and shared memory of one process."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        fields = dict(line.split(":", 1) for line in text.splitlines()[1:])
        return sum(int(fields[name].split()[0]) * 1024.0 for name in ("Pss_Anon", "Pss_Shmem"))
    except (OSError, KeyError):
        return 0.0  # the process has ended, or the system does not provide it


def peer_python(name: str, requirements: Path) -> Path:
    """Return the interpreter of a peer's environment, which is created once for each list of versions.

    It can also import the packages of this environment, so that PyTorch is not installed twice.
    """
    key = hashlib.sha256(requirements.read_bytes() + sys.prefix.encode()).hexdigest()[:12]
    home = Path(platformdirs.user_cache_dir("coverslip-benchmarks")) / f"{name}-{key}"
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.exists():
        print(f"installing {name} for the comparison ({key}) ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        query = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        packages = Path(subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip())
        (packages / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)
        ready.touch()
    return python


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables temporarily."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def keep_results(file: Path, results: dict[str, Any], text: str) -> None:
    """Write the results as data (``.json``) and as a page (``.md``)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    file.with_suffix(".md").write_text(text, encoding="utf-8")


def circumstances(*packages: str) -> dict[str, Any]:
    """Return date, machine and versions of the measured packages; see `heading`."""
    versions = {name: version(name) for name in packages}
    return {"date": date.today().isoformat(), "machine": machine(), "versions": versions}


def heading(results: dict[str, Any]) -> str:
    """Return date, machine and versions as text, the second line of a page of results."""
    about = results["machine"]
    named = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"{results['date']}, {about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, "
        f"{about['system']}, Python {about['python']}. {named}."
    )


def spread(values: list[float], digits: int = 1) -> str:
    """Median [least, most], n."""
    low, middle, high = (f"{each:.{digits}f}" for each in (min(values), statistics.median(values), max(values)))
    return f"{middle} [{low}, {high}], n={len(values)}"
