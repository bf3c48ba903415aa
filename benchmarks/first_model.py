"""Measure seconds, memory and accuracy of a first model, compared with fastai and the bare engines.

    python benchmarks/first_model.py ../shared/data/plantvillage

runs all measurements in turn on an otherwise idle machine and writes `results/first_model.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from coverslip.core.devices import cores
from coverslip.core.runs import Run
from coverslip.data.cache import read_pixels
from coverslip.data.scan import scan
from coverslip.evidence import classification_evidence, format_interval
from measuring import Measured, circumstances, environment, keep_results, measure, peer_python, spread

HERE = Path(__file__).parent
PACKAGES = ("coverslip", "torch", "timm", "openvino", "numpy", "pillow", "scikit-learn")
BOUNDS = {"first run": 60.0, "second run": 15.0}  # required seconds for 3,000 images on two cores
SIZE = (224, 224)


def measure_ours(data: Path, work: Path, repeats: int) -> dict[str, Any]:
    """Measure `coverslip train` as a whole process: with an empty cache, then again with the filled cache."""
    train = str(Path(sysconfig.get_path("scripts")) / "coverslip")
    measured_runs: dict[str, list[Measured]] = {"first run": [], "second run": []}
    for repeat in range(repeats):
        cache = work / f"cache-{repeat}"
        for name, measured in measured_runs.items():
            out = work / f"{name.split()[0]}-{repeat}"
            measured.append(measure([train, "train", str(data), "--out", str(out)], work / f"{out.name}.log", cache))
            print(f"{name}: {measured[-1].seconds:.1f} s, {measured[-1].peak_mib:.0f} MiB", flush=True)
            assert Run(out).report_file.exists()
    test = json.loads(Run(last_run(work)).test_file.read_text(encoding="utf-8"))
    return {"accuracy": test["scores"]["accuracy"]} | {
        name: {"seconds": [m.seconds for m in measured], "peak_mib": [m.peak_mib for m in measured]}
        for name, measured in measured_runs.items()
    }


def last_run(work: Path) -> Path:
    """Return the latest run of `measure_ours`."""
    return max(work.glob("second-*[0-9]"))


def measure_peer(data: Path, table: Path, work: Path, epochs: int, repeats: int) -> dict[str, Any]:
    """Measure fastai's `fine_tune` with the same network, weights, preprocessing and split, from start to test."""
    python, measured, result = peer_python("fastai", HERE / "peer-constraints.txt"), [], work / "peer.npz"
    for repeat in range(repeats):
        command = [python, str(HERE / "peer_fastai.py"), data, table, result, "--epochs", epochs, "--seed", repeat]
        measured.append(measure([str(each) for each in command], work / "peer.log"))
        print(f"fastai: {measured[-1].seconds:.1f} s, {measured[-1].peak_mib:.0f} MiB", flush=True)
    with np.load(result) as file:
        about = json.loads(str(file["about"]))
        labels, probabilities, paths = file["labels"], file["probabilities"], file["paths"].tolist()
    rows = pl.DataFrame({"path": paths}).join(pl.read_csv(table, infer_schema=False), on="path", maintain_order="left")
    return {
        "seconds": [m.seconds for m in measured],
        "peak_mib": [m.peak_mib for m in measured],
        "accuracy": accuracy_of(rows, labels, probabilities, about["classes"]),
        "epochs": epochs,
        "versions": about["versions"],
    }


def accuracy_of(rows: pl.DataFrame, labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> Any:
    """Return the accuracy over the groups of some rows of a table, as in `test.json`."""
    has_groups = rows["group"].is_not_null().any()
    groups = np.unique(rows.select(pl.coalesce("group", "path")).to_series().to_numpy(), return_inverse=True)[1]
    return classification_evidence(labels, probabilities, groups if has_groups else None, classes)["scores"]["accuracy"]


def features_of_run(folder: Path, cache: Path) -> tuple[np.ndarray, pl.DataFrame]:
    """Return the features that the head of a run was trained and tested on, float32 (N, D), and their rows.

    Each training image has one row per view, each test image one row; columns path, label, group, split.
    """
    from coverslip.api import load, plan

    model, settings = load(folder), plan(Run(folder).experiment_file)
    table = pl.read_csv(Run(folder).table_file, infer_schema=False)
    with environment(COVERSLIP_CACHE=str(cache)):
        pixels = read_pixels(scan(settings.data.source), model.spec.size, model.spec.fit)
        keys = pixels.facts["row_hash"].to_list()
        parts, rows = [], []
        for part, views in (("train", settings.model.views), ("test", 1)):
            split_rows = table.with_row_index("row").filter(split=part)
            parts.append(model.extractor.extract(pixels.pixels, split_rows["row"].to_list(), keys, views))
            rows += [split_rows.drop("row", "status")] * views
    assert model.extractor.computed == 0, "the features of the run are not in its cache"
    return np.concatenate(parts).astype(np.float32), pl.concat(rows)


def measure_baseline(run: Path, cache: Path) -> dict[str, Any]:
    """Measure scikit-learn's logistic regression on our features and split; choose C by grouped cross-validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, rows = features_of_run(run, cache)
    part = rows["split"].to_numpy()
    labels, groups = rows["label"].to_numpy(), rows.select(pl.coalesce("group", "path")).to_series().to_numpy()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        {"logisticregression__C": np.logspace(-5, 1, 7)},
        cv=StratifiedGroupKFold(5, shuffle=True, random_state=0),
        n_jobs=cores(),
    )
    start = time.perf_counter()
    train, test = part == "train", part == "test"
    search.fit(features[train], labels[train], groups=groups[train])
    seconds = time.perf_counter() - start
    theirs = dict(zip(rows["path"].to_numpy()[test], search.predict(features[test]) == labels[test], strict=True))
    predictions = pl.read_csv(Run(run).predictions_file, infer_schema=False)
    ours = dict(predictions.select("path", pl.col("predicted") == pl.col("label")).iter_rows())
    classes = [str(name) for name in search.classes_]
    numbers = np.array([classes.index(label) for label in labels[test]])
    return {
        "accuracy": accuracy_of(rows.filter(test), numbers, search.predict_proba(features[test]), classes),
        "strength": float(search.best_params_["logisticregression__C"]),
        "seconds": seconds,
        "only_ours_right": sum(bool(ours[path] and not right) for path, right in theirs.items()),
        "only_theirs_right": sum(bool(right and not ours[path]) for path, right in theirs.items()),
    }


def decode_ratio(data: Path, work: Path, repeats: int) -> dict[str, Any]:
    """Compare our first pass (read, hash, decode, resize, write) with Pillow alone on all cores (open, to array)."""
    from PIL import Image

    table = scan(data)

    def theirs() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(decode, table.paths):
                pass

    def decode(path: str) -> np.ndarray:
        with Image.open(data / path) as image:
            return np.asarray(image.convert("RGB"))

    def ours() -> None:
        with fresh_cache(work):
            assert read_pixels(table, SIZE).decoded == len(table)

    return compared(len(table), ours, theirs, repeats)


def engine_ratio(data: Path, work: Path, repeats: int, images: int = 1024) -> dict[str, Any]:
    """Compare our frozen pass (prepare, run, store) with the throughput of OpenVINO on one prepared batch."""
    import torch

    from coverslip.data.inputs import InputSpec
    from coverslip.inference.engine import CPU_BATCH
    from coverslip.inference.features import FeatureExtractor
    from coverslip.models.catalog import network_entry
    from coverslip.models.design import DEFAULT_NETWORK
    from coverslip.models.weights import pretrained

    entry = network_entry(DEFAULT_NETWORK)
    spec = InputSpec(size=entry.size, mean=(entry.mean,) * 3, std=(entry.std,) * 3)
    with fresh_cache(work):
        cached = read_pixels(scan(data), entry.size)
        rows, keys = range(min(images, len(cached.pixels))), cached.facts["row_hash"].to_list()
        network = pretrained(DEFAULT_NETWORK, 3)
        opened = FeatureExtractor(network, spec, "openvino")
        opened.extract(cached.pixels, rows[:CPU_BATCH], keys)  # the engine is opened before the clock starts
        import openvino  # imported only now: the engine imports it without telemetry

        example = torch.zeros(CPU_BATCH, 3, *entry.size)
        plain = openvino.convert_model(network.module(), example_input=example, input=list(example.shape))
        options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        queue = openvino.AsyncInferQueue(openvino.Core().compile_model(plain, "CPU", options))
        batch = spec.prepare(cached.pixels[:CPU_BATCH])

        def theirs() -> None:
            for _ in range(0, len(rows), CPU_BATCH):
                queue.start_async({0: batch})
            queue.wait_all()

        def ours() -> None:
            with fresh_cache(work):
                # with the open engine, but without its cached results
                forgetful = replace(opened, _store=None, computed=0)
                forgetful.extract(cached.pixels, rows, keys)
                assert forgetful.computed == len({keys[row] for row in rows})

        theirs()
        return compared(len(rows), ours, theirs, repeats)


def compared(number: int, ours: Callable[[], None], theirs: Callable[[], None], repeats: int) -> dict[str, Any]:
    """Return the images per second of both in turns, after a warm-up; ratios are of consecutive measurements."""
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    for repeat in range(repeats + 1):
        for name, call in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            call()
            if repeat > 0:
                rates[name].append(number / (time.perf_counter() - start))
    ratios = [own / other for own, other in zip(rates["ours"], rates["theirs"], strict=True)]
    return {"number": number, **rates, "ratio": ratios}


@contextmanager
def fresh_cache(work: Path) -> Iterator[None]:
    """Use an empty cache folder; it is deleted at the end, as deleting half a gigabyte is not part of any pass."""
    with environment(COVERSLIP_CACHE=tempfile.mkdtemp(prefix="fresh-", dir=work)):
        yield


def subset(data: Path, number: int, folder: Path) -> Path:
    """Copy about ``number`` images, equally many of each class, for testing this script."""
    table = scan(data)
    for name in table.classes:
        for path in table.frame.filter(pl.col("label") == name)["path"][: -(-number // len(table.classes))]:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(data / path, folder / path)
    return folder


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page: every number with its spread or confidence interval."""
    about, host = results["data"], results["machine"]
    lines = [
        "# A first model",
        "",
        f"Measured on {results['date']}: {about['name']}, {about['images']:,} images, {about['classes']} classes.",
        f"Machine: {host['processor']}, {host['cores']} cores, {host['memory_gib']} GiB, {host['system']}, "
        f"Python {host['python']}.",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in results["versions"].items()) + ".",
        "",
        "Seconds are of a whole process, as median [min, max]; the files were in the page cache before the first run.",
        "Memory is the highest sum over a process and its children, without mapped files. Accuracy is on the same test",
        "set, with its 95 % confidence interval.",
        "",
        "| program | seconds | peak memory, MiB | accuracy |",
        "| --- | --- | --- | --- |",
    ]
    for name, bound in BOUNDS.items() if "ours" in results else ():
        run = results["ours"][name]
        accuracy = format_interval(results["ours"]["accuracy"], counts=True)
        lines.append(
            f"| coverslip train, {name} (at most {bound:.0f}) | {spread(run['seconds'])} "
            f"| {spread(run['peak_mib'], 0)} | {accuracy} |"
        )
    if peer := results.get("peer"):
        lines.append(
            f"| fastai {peer['versions']['fastai']}, fine_tune({peer['epochs']}) | {spread(peer['seconds'])} "
            f"| {spread(peer['peak_mib'], 0)} | {format_interval(peer['accuracy'], counts=True)} |"
        )
    if base := results.get("baseline"):
        accuracy = format_interval(base["accuracy"], counts=True)
        lines.append(f"| logistic regression on our features (fit only) | {base['seconds']:.1f} | | {accuracy} |")
        lines += ["", f"Of the test images {base['only_ours_right']} are right only with our head, "]
        lines[-1] += f"{base['only_theirs_right']} only with the logistic regression."
    if {"ours", "peer"} <= results.keys():
        peer_time = statistics.median(results["peer"]["seconds"])
        for name in BOUNDS:
            ours_time = statistics.median(results["ours"][name]["seconds"])
            lines += ["", f"fastai takes {peer_time / ours_time:.1f} times as long as our {name}."]
    if {"decode", "engine"} & results.keys():
        lines += ["", "| pass | ours, images/s | bare, images/s | ratio |", "| --- | --- | --- | --- |"]
    for key, name in (
        ("decode", "decoding, compared with Pillow alone"),
        ("engine", "frozen pass, compared with OpenVINO alone"),
    ):
        if each := results.get(key):
            parts = (spread(each["ours"], 0), spread(each["theirs"], 0), spread(each["ratio"], 2))
            lines.append(f"| {name} ({each['number']:,} images) | {' | '.join(parts)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of class folders")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-epochs", type=int, default=2)
    parser.add_argument("--peer-repeats", type=int, default=1, help="each takes a quarter of an hour on two cores")
    parser.add_argument("--images", type=int, default=0, help="use about this many images, for testing the script")
    parser.add_argument("--skip-peer", action="store_true")
    parser.add_argument("--peer-only", action="store_true", help="keep the other existing results")
    parser.add_argument(
        "--ratios-only", action="store_true", help="measure only decoding and engine; keep the other results"
    )
    parser.add_argument("--run", type=Path, help="with --peer-only: the run whose table.csv gives the split")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for first_model.json and .md")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="first-model-") as folder:
        work = Path(folder)
        data = subset(options.data, options.images, work / options.data.name) if options.images else options.data
        data = data.absolute()
        table = scan(data)
        results: dict[str, Any] = {
            **circumstances(*PACKAGES),
            "data": {"name": data.name, "images": len(table), "classes": len(table.classes)},
        }
        file = options.out / "first_model.json"
        if file.exists() and (options.peer_only or options.ratios_only):
            before = json.loads(file.read_text(encoding="utf-8"))
            if any(before[name] != results[name] for name in ("machine", "versions", "data")):
                sys.exit(f"{file.name} is of another machine, version or folder; measure everything again")
            results = before | results
        for path in table.paths:  # otherwise the first run would measure the disk
            (data / path).read_bytes()
        run = options.run
        if not options.ratios_only and not (options.peer_only and run):
            ours = measure_ours(data, work, 1 if options.peer_only else options.repeats)
            run = last_run(work)
            if not options.peer_only:
                results["ours"] = ours
                results["baseline"] = measure_baseline(run, max(work.glob("cache-*")))
        if not options.peer_only:
            results["decode"] = decode_ratio(data, work, options.repeats)
            results["engine"] = engine_ratio(data, work, options.repeats)
        if not options.skip_peer and not options.ratios_only:
            table_file = Run(run).table_file.absolute()
            results["peer"] = measure_peer(data, table_file, work, options.peer_epochs, options.peer_repeats)

    keep_results(file, results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
