"""Study folders as `coverslip tune` writes them, with simulated trials whose loss has one optimum."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

EPOCHS = 20
CLASSES = [f"class {at}" for at in range(15)]
SPACE: dict[str, dict[str, Any]] = {
    "training.lr": {"name": "learning rate", "kind": "float", "log": True, "low": 1e-4, "high": 0.3},
    "training.batch_size": {"name": "batch size", "kind": "choice", "log": False, "choices": [16, 32, 64, 128]},
    "training.weight_decay": {"name": "weight decay", "kind": "float", "log": True, "low": 1e-6, "high": 0.1},
    "model.dropout": {"name": "dropout", "kind": "float", "log": False, "low": 0.0, "high": 0.6},
    "training.label_smoothing": {"name": "label smoothing", "kind": "float", "log": False, "low": 0.0, "high": 0.2},
    "training.optimizer": {"name": "optimizer", "kind": "choice", "log": False, "choices": ["adam", "adamw", "sgd"]},
}
DEFAULTS = {
    "training.lr": 1e-3, "training.batch_size": 32, "training.weight_decay": 1e-4, "model.dropout": 0.2,
    "training.label_smoothing": 0.0, "training.optimizer": "adamw", "training.epochs": 20, "model.hidden": "128,128",
    "model.activation": "relu",
}  # fmt: skip
COLUMNS = (
    "number", "state", "epochs", "validation_loss", "validation_accuracy", "best_epoch", "seconds", "stack", "why",
    "role",
)  # fmt: skip


def final_loss(values: Mapping[str, Any], rng: np.random.Generator) -> float:
    """Return the final loss: lowest near lr = 0.01 * batch / 32; infinite if the learning rate is far too high."""
    at = {**DEFAULTS, **values}
    best = math.log10(0.012 * at["training.batch_size"] / 32)
    off = math.log10(at["training.lr"]) - best
    if off > 1.45:
        return math.inf
    loss = (
        0.21 * 10 ** (0.16 * off**2)
        + 0.08 * (at["model.dropout"] - 0.25) ** 2
        + 0.5 * at["training.label_smoothing"] ** 2
    )
    loss += {"adam": 0.0, "adamw": 0.0, "sgd": 0.05}[at["training.optimizer"]] + 0.3 * at["training.weight_decay"]
    loss += {"relu": 0.0, "tanh": 0.02, "sigmoid": 0.1}[at["model.activation"]] + 0.02 * rng.random()
    return min(loss, 2.65)


def run_trial(number: int, values: Mapping[str, Any], rng: np.random.Generator, **more: Any) -> dict[str, Any]:
    """Return a row of trials.csv, with its learning curve under ``curve``."""
    end = final_loss(values, rng)
    epochs = int({**DEFAULTS, **values}["training.epochs"])
    e = np.arange(1, epochs + 1)
    row: dict[str, Any] = {"number": number, "state": "finished", "role": "search", "why": "", "stack": 0, **more}
    row |= dict(values)
    if not math.isfinite(end):
        row |= {"state": "failed", "epochs": 3, "seconds": 0.6, "why": "the loss became inf in epoch 3"}
        row["curve"] = [(1, 4.1, 5.2, 0.07), (2, 88.0, 230.0, 0.06), (3, math.inf, math.inf, 0.06)]
        return row
    slow = max(1.0, min(9.0, 3.5 * (end / 0.21) ** 0.8))
    loss = end + (2.6 - end) * np.exp(-e / slow) + 0.012 * rng.standard_normal(epochs) + 0.0012 * np.maximum(e - 12, 0)
    train = loss * 0.9 - 0.004 * e
    accuracy = np.clip(1.0 - 0.31 * loss + 0.01 * rng.standard_normal(epochs), 0.05, 0.99)
    best = int(loss.argmin())
    row |= {"epochs": epochs, "validation_loss": float(loss[best]), "validation_accuracy": float(accuracy[best])}
    row |= {"best_epoch": best + 1, "seconds": 0.21 * epochs}
    row["curve"] = [(int(a), float(b), float(c), float(d)) for a, b, c, d in zip(e, train, loss, accuracy, strict=True)]
    return row


def stop(row: dict[str, Any], epochs: int, state: str) -> dict[str, Any]:
    """Shorten a trial to some epochs, pruned or still running."""
    if row["state"] == "failed":
        return row
    row["curve"] = row["curve"][:epochs]
    best = min(row["curve"], key=lambda each: each[2])
    row |= {"state": state, "epochs": epochs, "validation_loss": best[2], "validation_accuracy": best[3]}
    row |= {"best_epoch": best[0], "seconds": 0.21 * epochs}
    row["why"] = "behind half of the trials" if state == "pruned" else ""
    return row


def draw(space: Mapping[str, Mapping[str, Any]], rng: np.random.Generator) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, each in space.items():
        if each["kind"] == "choice":
            values[key] = each["choices"][int(rng.integers(len(each["choices"])))]
        elif each["log"]:
            values[key] = float(np.exp(rng.uniform(math.log(each["low"]), math.log(each["high"]))))
        else:
            values[key] = float(rng.uniform(each["low"], each["high"]))
    return values


def search_rows(space: Mapping[str, Any], trials: int, seed: int = 3) -> list[dict[str, Any]]:
    """Simulate a search: trial 0 is the default, bad trials are pruned, later ones are closer to the best so far."""
    rng = np.random.default_rng(seed)
    rows = [run_trial(0, {key: DEFAULTS[key] for key in space}, rng, role="default")]
    for number in range(1, trials):
        values = draw(space, rng)
        finished = [row for row in rows if row["state"] == "finished"]
        if number > 12 and rng.random() < 0.8:  # between a new point and the best so far
            best = min(finished, key=lambda row: row["validation_loss"])
            for key, each in space.items():
                if each["kind"] == "choice":
                    values[key] = best[key] if rng.random() < 0.7 else values[key]
                elif each["log"]:
                    values[key] = float(best[key] ** 0.8 * values[key] ** 0.2)
                else:
                    values[key] = 0.75 * best[key] + 0.25 * values[key]
        row = run_trial(number, values, rng)
        if row["state"] == "finished" and number > 4:
            middle = float(np.median([each["validation_loss"] for each in finished]))
            if row["validation_loss"] > middle * 1.05:
                row = stop(row, int(rng.choice([2, 4, 7])), "pruned")
        rows.append(row)
    return rows


def sweep_rows(values: Mapping[str, Sequence[Any]], seed: int = 4) -> list[dict[str, Any]]:
    """Return a row for every combination of values."""
    rng = np.random.default_rng(seed)
    pairs: list[dict[str, Any]] = [{}]
    for key, some in values.items():
        pairs = [{**pair, key: value} for pair in pairs for value in some]
    return [run_trial(number, pair, rng, role="sweep") for number, pair in enumerate(pairs)]


def step_rows(steps: Mapping[str, Sequence[Any]], seed: int = 5) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Simulate one setting at a time, each step from the values chosen before; return rows, and study.json's steps."""
    rng = np.random.default_rng(seed)
    now: dict[str, Any] = {key: DEFAULTS[key] for key in steps}
    rows, decisions = [run_trial(0, now, rng, role="default")], []
    for key, values in steps.items():
        numbers, losses = [], []
        for value in values:
            same = next((row for row in rows if all(row[k] == v for k, v in {**now, key: value}.items())), None)
            if same is None:
                same = run_trial(len(rows), {**now, key: value}, rng, role="step")
                rows.append(same)
            numbers.append(same["number"])
            losses.append(same.get("validation_loss", math.inf))
        chosen = values[int(np.argmin(losses))]
        before, now = now[key], {**now, key: chosen}
        change = "stays" if chosen == before else f"moves from {before} to {chosen}"
        sentence = f"The {SPACE.get(key, {}).get('name', key.rpartition('.')[2])} {change}."
        decisions.append(
            {"key": key, "values": list(values), "numbers": numbers, "chosen": chosen, "sentence": sentence}
        )
    return rows, decisions


def validation_arrays(rows: Sequence[Mapping[str, Any]], images: int, groups: int) -> dict[str, Any]:
    """Return the content of validation.npz: the loss of each image for each finished trial."""
    rng = np.random.default_rng(8)
    done = [row for row in rows if row["state"] == "finished"]
    hard = rng.gamma(0.5, 2.0, groups)[np.arange(images) % groups]
    losses = np.array([row["validation_loss"] * hard * rng.gamma(3, 1 / 3, images) for row in done], np.float32)
    return {
        "numbers": np.array([row["number"] for row in done], np.int64),
        "losses": losses.reshape(len(done), images),
        "right": losses.reshape(len(done), images) < 1.2,
        "groups": np.arange(images) % groups,
    }


def trial_summary(row: Mapping[str, Any] | None, keys: Sequence[str]) -> dict[str, Any] | None:
    """Return the best trial, or the default, as in study.json."""
    if row is None or row["state"] != "finished":
        return None
    value = row["validation_accuracy"]
    accuracy = {"value": value, "low": value - 0.03, "high": value + 0.02, "level": 0.95, "images": 412, "groups": 96}
    values = {key: row[key] for key in keys}
    return {"number": row["number"], "values": values, "validation_loss": row["validation_loss"], "accuracy": accuracy}


def write_fake_study(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    keys: Mapping[str, Mapping[str, Any]],
    *,
    kind: str = "search",
    state: str = "finished",
    planned: int | None = None,
    steps: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> Path:
    """Write trials.csv, curves.csv, validation.npz and study.json; ``more`` goes into study.json as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "trials.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, (*COLUMNS, *keys), extrasaction="ignore", restval="")
        table.writeheader()
        table.writerows(rows)
    with (folder / "curves.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("number", "epoch", "lr", "train_loss", "validation_loss", "validation_accuracy"))
        for row in rows:
            lines.writerows((row["number"], epoch, 1e-3, *rest) for epoch, *rest in row["curve"])
    np.savez(folder / "validation.npz", **validation_arrays(rows, 412, 96))
    done = [row for row in rows if row["state"] == "finished"]
    best = trial_summary(min(done, key=lambda row: row["validation_loss"], default=None), list(keys))
    default = trial_summary(next((row for row in rows if row["role"] == "default"), None), list(keys))
    counts = {name: sum(row["state"] == name for row in rows) for name in ("finished", "pruned", "failed", "running")}
    content: dict[str, Any] = {
        "kind": kind, "state": state, "name": folder.name, "network": "efficientnet-lite0", "depth": "head",
        "images": {"train": 2002, "choose": 412, "groups": 96}, "classes": CLASSES, "keys": keys,
        "trials": {"planned": planned or len(rows), **counts}, "seconds": sum(row.get("seconds", 0) for row in rows),
        "seconds_left": None if state == "finished" else 95.0, "best": best, "default": default, "luck": None,
        "compared": None, "importance": [], "next": f"coverslip train {folder.name}/best.toml", "steps": list(steps),
        "nested": None, "notes": [],
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(content | more), encoding="utf-8")
    return folder


def write_search(folder: Path, trials: int = 50, keys: Sequence[str] = tuple(SPACE), **more: Any) -> Path:
    """Write a finished search with comparison, selection bias and importance."""
    space = {key: SPACE[key] for key in keys}
    rows = search_rows(space, trials)
    weights = [0.61, 0.17, 0.08, 0.07, 0.04, 0.03]
    importance = [
        {"key": key, "value": weight, "low": max(weight - 0.1, 0), "high": min(weight + 0.1, 1)}
        for key, weight in zip(keys, weights, strict=False)
    ]
    best = min((row for row in rows if row["state"] == "finished"), key=lambda row: row["validation_loss"])
    sentence = f"trial {best['number']} is not distinguishable from the default: +0.011 [−0.006, +0.028]"
    compared = {"sentence": sentence, "difference": 0.011, "low": -0.006, "high": 0.028}
    value = best["validation_accuracy"] - 0.012
    corrected = {
        "value": value,
        "low": value - 0.034,
        "high": value + 0.024,
        "level": 0.95,
        "images": 412,
        "groups": 96,
    }
    luck = {
        "number": best["number"], "trials": sum(row["state"] == "finished" for row in rows), "luck": 0.012,
        "accuracy": {"value": value + 0.012, "low": None, "high": None, "images": 412, "groups": 96},
        "corrected": corrected, "chosen": [{"number": best["number"], "share": 0.41}, {"number": 2, "share": 0.22}],
        "sentence": f"validation says {value + 0.012:.3f} for trial {best['number']}, the best of {trials}; "
        f"expected on new images {value:.3f}, with a selection bias of about 0.012",
    }  # fmt: skip
    return write_fake_study(
        folder, rows, space, **{"importance": importance, "compared": compared, "luck": luck} | more
    )


def write_sweep(folder: Path, rates: int = 16, batches: Sequence[int] = (8, 32, 128), **more: Any) -> Path:
    """Write a sweep of learning rate and batch size."""
    values: dict[str, list[Any]] = {"training.lr": [float(f"{x:.6g}") for x in np.geomspace(1e-5, 1, rates)]}
    keys = {"training.lr": SPACE["training.lr"] | {"low": 1e-5, "high": 1.0, "choices": values["training.lr"]}}
    if batches:
        values["training.batch_size"] = list(batches)
        keys["training.batch_size"] = SPACE["training.batch_size"] | {"choices": list(batches)}
    return write_fake_study(folder, sweep_rows(values), keys, kind="sweep", **more)


def write_steps(folder: Path, **more: Any) -> Path:
    """Write a study of one setting at a time, as in the course."""
    steps: dict[str, Sequence[Any]] = {
        "training.lr": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        "training.batch_size": (8, 32, 128),
        "model.activation": ("relu", "tanh", "sigmoid"),
        "model.hidden": ("64", "128,128", "256,128,64"),
        "training.optimizer": ("adam", "sgd"),
    }
    rows, decisions = step_rows(steps)
    keys = {
        key: {
            "low": None,
            "high": None,
            **SPACE.get(key, {"name": "", "kind": "choice", "log": False}),
            "choices": list(values),
        }
        for key, values in steps.items()
    }
    keys["model.hidden"]["name"], keys["model.activation"]["name"] = "hidden layers", "activation"
    return write_fake_study(folder, rows, keys, kind="one-at-a-time", steps=decisions, **more)


def write_running(folder: Path) -> Path:
    """Write a search in its first seconds: the default has finished, two trials are running."""
    rows = search_rows(SPACE, 3)
    rows[1:] = [
        stop(run_trial(row["number"], {key: row[key] for key in SPACE}, np.random.default_rng(1)), 4, "running")
        for row in rows[1:]
    ]
    for row in rows[1:]:
        row["state"] = "running"
    return write_fake_study(folder, rows, SPACE, state="running", planned=50)


def write_failed(folder: Path) -> Path:
    """Write a sweep in which every trial diverged."""
    values = {"training.lr": [3.0, 10.0, 30.0, 100.0], "training.batch_size": [8, 32]}
    keys = {
        "training.lr": SPACE["training.lr"] | {"low": 3.0, "high": 100.0},
        "training.batch_size": SPACE["training.batch_size"],
    }
    return write_fake_study(folder, sweep_rows(values), keys, kind="sweep")
