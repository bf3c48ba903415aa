"""Measure serving: latency and throughput compared with the bare engine and other servers, and a soak test.

    python benchmarks/serving.py ../shared/data/plantvillage
    python benchmarks/serving.py ../shared/data/plantvillage --soak-only --minutes 10

Server and clients share the cores of the machine, over the loopback interface. All servers take turns, round by round.
Writes `results/serving.json` and `.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil

import coverslip
from loads import Connection, Tally, many_clients, one_by_one, request
from measuring import circumstances, heading, own_bytes, peer_python, spread
from serving_images import hostile_uploads, read_images
from workers import run_alone, script, wait_until_idle

HERE = Path(__file__).parent
CLIENTS, HOSTILE = 16, 0.05
SERVERS = {
    "coverslip": "coverslip serve",
    "fastapi": "FastAPI and PyTorch, as documented",
    "litserve": "LitServe with batches, as documented",
}
PATHS = {"coverslip": ("/v1/predict", "files"), "fastapi": ("/predict", "file"), "litserve": ("/predict", "file")}
SETTLED = 0.3  # of the soak test, after which the memory is measured


@contextlib.contextmanager
def running(name: str, run: Path, python: Path, log: Path) -> Iterator[tuple[int, int]]:
    """Run a server; yield its process and port."""
    port = free_port()
    command = script(python, "peer_serving.py", name, run, port)
    if name == "coverslip":
        command = [sys.executable, "-m", "coverslip", "serve", str(run), "--port", str(port)]
    ours = os.environ | {
        "PYTHONPATH": str(Path(coverslip.__file__).parents[1])
    }  # an editable install would not be found
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=ours,
            start_new_session=True,  # its child processes end with it
        )
        try:
            wait_for(port, process, log)
            yield process.pid, port
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(40)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    async def answers() -> bool:
        try:
            await Connection(port).ask(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        except (OSError, EOFError):
            return False
        return True

    end = time.monotonic() + 120
    while not asyncio.run(answers()):
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.2)


def latency(port: int, name: str, files: list[tuple[str, bytes]], count: int) -> list[float]:
    """Return the milliseconds of single images, one after the other, without other load."""
    path, field = PATHS[name]
    requests = [request([each], path, field) for each in files]
    asyncio.run(one_by_one(port, islice(cycle(requests), 30)))
    tally = asyncio.run(one_by_one(port, islice(cycle(requests), count)))
    if set(tally.counts) != {200}:
        sys.exit(f"{name} answered {tally.counts}: {tally.first_words}")
    return [1000 * each for each in tally.seconds[200]]


def throughput(pid: int, port: int, name: str, files: list[tuple[str, bytes]], seconds: float) -> tuple[Tally, float]:
    """Return images per second with sixteen clients and one image per request, and processor milliseconds per image."""
    path, field = PATHS[name]
    requests = cycle([(request([each], path, field), 1) for each in files])
    asyncio.run(many_clients(port, CLIENTS, 2.0, lambda: next(requests)))
    before = processor_seconds(pid)
    tally = asyncio.run(many_clients(port, CLIENTS, seconds, lambda: next(requests)))
    return tally, 1000 * (processor_seconds(pid) - before) / max(1, sum(tally.counts.values()))


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and its children."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in family)


def mixed_load(files: list[tuple[str, bytes]], seed: int) -> Callable[[], tuple[bytes, int]]:
    """Return requests with one or several images, some with maps, some as CSV; one in twenty is hostile."""
    rng, hostile = random.Random(seed), hostile_uploads()
    paths = ["/v1/predict"] * 8 + ["/v1/predict?format=csv", "/v1/predict?explain=true"]
    good = [(request([each], path), 1) for each in files[:40] for path in paths]
    good += [(request(files[start : start + 8], "/v1/predict"), 8) for start in range(0, 40, 8)]
    bad = [(request([each], "/v1/predict"), 1) for each in hostile]
    bad += [(request([each, files[0]], "/v1/predict"), 1) for each in hostile]
    bad += [(request([files[0]] * 80, "/v1/predict"), 0), (request([files[0]], "/v1/predict", "file"), 0)]
    bad += [(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nnot a form", 0)]
    bad += [(b"GET /static/../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 0)]
    bad += [(b"GET /v1/model HTTP/1.1\r\nHost: evil.example\r\n\r\n", 0)]
    return lambda: rng.choice(bad) if rng.random() < HOSTILE else rng.choice(good)


async def soak(pid: int, port: int, files: list[tuple[str, bytes]], minutes: float) -> dict[str, Any]:
    """Run a mixed load; return the answers and the anonymous memory over time."""
    memory: list[tuple[float, float]] = []
    start = time.perf_counter()

    async def watch() -> None:
        while True:
            memory.append((time.perf_counter() - start, own_bytes(pid) / 2**20))
            await asyncio.sleep(1.0)

    watcher = asyncio.create_task(watch())
    tally = await many_clients(port, CLIENTS, 60 * minutes, mixed_load(files, 0))
    watcher.cancel()
    resolve_config = [mib for at, mib in memory if at > SETTLED * 60 * minutes]
    third = max(len(resolve_config) // 3, 1)
    early, late = statistics.median(resolve_config[:third]), statistics.median(resolve_config[-third:])
    return {
        "date": date.today().isoformat(),
        "minutes": minutes,
        "statuses": {str(status): count for status, count in tally.counts.items()},
        "words": {str(status): words for status, words in tally.first_words.items()},
        "lost": tally.lost,
        "images": tally.images,
        "seconds_p99": percentile(tally.seconds.get(200, [0.0]), 0.99),
        "memory": [(round(at), round(mib, 1)) for at, mib in memory[:: max(1, len(memory) // 200)]],
        "early_mib": early,
        "late_mib": late,
        "peak_mib": max(mib for _, mib in memory),
    }


def in_turn(
    options: argparse.Namespace, run: Path, files: list[tuple[str, bytes]], peers: Path, folder: Path
) -> dict[str, Any]:
    """Measure the engine alone and every server, in rounds."""
    own = Path(sys.executable)
    measured: dict[str, Any] = {"engine": [], "servers": {name: [] for name in options.servers}, "images": len(files)}
    for number in range(options.rounds):
        command = script(own, "own_serving.py", run, options.source, options.images, options.seconds)
        alone = run_alone("the engine", command, again=not options.now)
        measured["engine"].append(alone["rate"])
        print(f"round {number + 1}, the engine: {alone['rate']:.1f}/s, {alone['processor_ms']:.1f} ms each", flush=True)
        for name in options.servers:
            with running(name, run, own if name == "coverslip" else peers, folder / f"{name}.log") as (pid, port):
                if not options.now:
                    wait_until_idle()
                times = latency(port, name, files, options.requests)
                tally, used = throughput(pid, port, name, files, options.seconds)
                if name == "coverslip" and not number:
                    measured |= {"difference": agreement(run, port, files[:64], folder), "compared": len(files[:64])}
            if set(tally.counts) != {200} or tally.lost:
                sys.exit(f"{name} answered {tally.counts}, lost {tally.lost}: {tally.first_words}")
            rate = tally.counts[200] / options.seconds
            measured["servers"][name].append({"latency": times, "rate": rate, "processor_ms": used})
            summary = f"p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms, {rate:.1f}/s"
            print(f"round {number + 1}, {name}: {summary}, {used:.1f} ms each", flush=True)
    return measured


def agreement(run: Path, port: int, files: list[tuple[str, bytes]], folder: Path) -> float:
    """Return the largest difference of any probability from ``coverslip predict``."""
    from coverslip import api

    images = folder / "images"
    images.mkdir()
    for name, data in files:
        (images / name).write_bytes(data)
    table = api.predict(run, [images])
    offline = {Path(path).name: row for path, row in zip(table["path"], table.iter_rows(named=True), strict=True)}
    worst = 0.0

    async def ask() -> None:
        nonlocal worst
        connection = Connection(port)
        for start in range(0, len(files), 16):
            status, body = await connection.ask(request(files[start : start + 16], "/v1/predict"))
            assert status == 200, body
            for each in json.loads(body)["images"]:
                row = offline[each["file"]]
                assert row["predicted"] == each["label"] and row["familiar"] == each["familiar"], (row, each)
                worst = max(worst, *(abs(row[f"p:{name}"] - p) for name, p in each["probabilities"].items()))
        connection.close()

    asyncio.run(ask())
    return worst


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    lines = ["# A model served", "", heading(results), ""]
    if "engine" in results:
        engine = statistics.median(results["engine"])
        lines += [
            f"EfficientNet-Lite0 at 224 pixels on {results['images']} JPEGs of 256 pixels from {results['source']}.",
            "Servers and clients share the cores and use the loopback interface; all take turns, and each round",
            "restarts every server. Median [min, max] of the rounds.",
            "",
            "| server | latency p50, ms | p99, ms | images per second, 16 clients | relative to the engine alone |",
            "| --- | --- | --- | --- | --- |",
            f"| engine alone: decoding and inference, no server | | | {spread(results['engine'])} | |",
        ]
        for name, title in SERVERS.items():
            rounds = results["servers"].get(name)
            if not rounds:
                continue
            p50, p99 = ([percentile(each["latency"], fraction) for each in rounds] for fraction in (0.5, 0.99))
            rates = [each["rate"] for each in rounds]
            fraction = statistics.median(rate / alone for rate, alone in zip(rates, results["engine"], strict=True))
            lines.append(f"| {title} | {spread(p50)} | {spread(p99)} | {spread(rates)} | {fraction:.2f} |")
        own = statistics.median(each["rate"] for each in results["servers"]["coverslip"])
        others = [name for name in SERVERS if name != "coverslip" and results["servers"].get(name)]
        times = [
            f"{own / statistics.median(each['rate'] for each in results['servers'][name]):.1f} times {SERVERS[name]}"
            for name in others
        ]
        lines += ["", f"Coverslip answers {', '.join(times)}." if times else ""]
        lines += [
            f"The largest difference of any probability from `coverslip predict`: {results['difference']:.1e} "
            f"({results['compared']} images).",
            f"The engine alone: {engine:.0f} images per second.",
        ]
    if "soak" in results:
        measured = results["soak"]
        change = 100 * (measured["late_mib"] / measured["early_mib"] - 1)
        summary = ", ".join(f"{status}: {count:,}" for status, count in measured["statuses"].items())
        lines += [
            "",
            "## Soak",
            "",
            f"{measured['date']}, {CLIENTS} clients for {measured['minutes']:g} minutes: single images, eight at once,",
            f"CSV, maps, and {HOSTILE:.0%} hostile (bombs, truncated, archives, pages and pickles under the name of",
            "an image, paths, broken forms).",
            f"{measured['images']:,} images answered. Statuses: {summary}. "
            f"Requests without an answer: {measured['lost']}.",
            f"The slowest of 100 took {measured['seconds_p99']:.2f} s. Anonymous memory:",
            f"{measured['early_mib']:.0f} MiB early, {measured['late_mib']:.0f} MiB late ({change:+.1f} %), at most",
            f"{measured['peak_mib']:.0f} MiB.",
        ]
    return "\n".join(lines) + "\n"


def percentile(values: list[float], fraction: float) -> float:
    return sorted(values)[round(fraction * (len(values) - 1))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--run", type=Path, help="run to serve; by default a head is trained on the folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=500, help="for the latency")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--minutes", type=float, default=0.0, help="of the soak")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--servers", nargs="*", default=list(SERVERS))
    parser.add_argument("--soak-only", action="store_true")
    parser.add_argument("--now", action="store_true", help="do not wait until the machine is idle")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    file = options.out / "serving.json"
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    results |= circumstances("coverslip", "torch", "openvino", "fastapi", "uvicorn") | {"source": options.source.name}
    files = read_images(options.source, options.images)
    with tempfile.TemporaryDirectory(prefix="serving-") as temporary:
        folder = Path(temporary)
        run = options.run or trained(options.source, folder)
        own = Path(sys.executable)
        if not options.soak_only:
            peers = peer_python("serving", HERE / "peer-serving.txt") if set(options.servers) - {"coverslip"} else own
            results |= in_turn(options, run, files, peers, folder)
        if options.minutes:
            with running("coverslip", run, own, folder / "soak.log") as (pid, port):
                results["soak"] = asyncio.run(soak(pid, port, files, options.minutes))
            log = (folder / "soak.log").read_text(errors="replace")
            results["soak"]["log"] = re.sub(r"http\S+", "", log)[-2000:]
            print(log[-500:])
    options.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results) + "\n", encoding="utf-8")
    (options.out / "serving.md").write_text(page(results), encoding="utf-8")
    print(page(results))


def trained(source: Path, folder: Path) -> Path:
    """Train a head on frozen features."""
    run = folder / "run"
    subprocess.run([sys.executable, "-m", "coverslip", "train", str(source), "--out", str(run)], check=True)
    return run


if __name__ == "__main__":
    main()
