"""A run folder as `coverslip train` writes it, with small drawn images and synthetic predictions."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

HOSTILE = '<b>"x", y</b>'
NAMES = (
    "Pepper,_bell___Bacterial_spot",
    "Pepper,_bell___healthy",
    "Tomato___Spider_mites Two-spotted_spider_mite",
    "Tomato___Tomato_Yellow_Leaf_Curl_Virus",
    "Grapevine___Plasmopara_viticola_(downy_mildew)_late",
    "Blé_tendre – rouille",
    "健康的叶子",
    HOSTILE,
    *(f"Class {index}" for index in range(7)),
)
METHOD = "bootstrap over groups, 2,000 resamples"


def score(value: float | None, images: int, groups: int, *, reason: str = "", spread: float = 0.05) -> dict[str, Any]:
    """Return one score as in test.json; if a reason is given, it has no interval."""
    has = value is not None and not reason
    return {
        "value": value,
        "low": max(0.0, value - spread) if has and value is not None else None,
        "high": min(1.0, value + spread) if has and value is not None else None,
        "level": 0.95,
        "method": METHOD if has else "",
        "images": images,
        "groups": groups,
        **({} if has else {"reason": reason or "no image of this class was predicted"}),
    }


def draw_image(file: Path, rng: np.random.Generator, side: int = 96) -> None:
    """Draw a leaf-like ellipse on a plain background."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (side + 16, side), tuple(rng.integers(180, 240, 3).tolist()))
    draw = ImageDraw.Draw(image)
    draw.ellipse((12, 20, side, side - 18), fill=tuple(rng.integers(30, 150, 3).tolist()))
    image.save(file, quality=80)


def write_fake_run(
    folder: Path,
    *,
    names: Sequence[str] = NAMES,
    source: Path | None = None,
    listing: Sequence[tuple[str, str, str]] | None = None,
    grouped: bool = True,
    skill: float = 0.85,
    images: bool = True,
) -> Path:
    """Write a complete run folder; its content is determined by the arguments.

    Args:
        folder: the run folder to write.
        names: the classes.
        source: folder or file of the images; default: next to the run folder.
        listing: (path, label, group) of existing images; without it, small ones are drawn.
        grouped: whether groups are specified.
        skill: approximate accuracy of the predictions.
        images: without a listing, also draw the images.
    """
    rng = np.random.default_rng(7)
    source = source or folder.parent / "leaves"
    if listing is None:
        listing = [
            (f"class_{k}/leaf {i}, {'é' if i % 2 else 'e'}.jpg", name, f"plant {k}-{i // 2}")
            for k, name in enumerate(names)
            for i in range(10 + k % 4)
        ]
        for path, _, _ in listing if images else []:
            draw_image(source / path, rng)
    folder.mkdir(parents=True, exist_ok=True)
    splits = _splits(listing, rng)
    rows = [
        {"path": path, "label": label, "group": group if grouped else "", "split": splits[group], "status": "ok"}
        for path, label, group in listing
    ]
    skipped = [
        {"path": "class_0/broken <i>.jpg", "reason": "truncated: 20 bytes are missing"},
        {"path": "class_1/notes, old.png", "reason": "not an image"},
    ]
    skipped_rows = [
        {"path": each["path"], "label": names[0], "group": "", "split": "", "status": each["reason"]}
        for each in skipped
    ]
    _write_csv(folder / "table.csv", [*rows, *skipped_rows])
    test = [row for row in rows if row["split"] == "test"]
    counts, predictions = _predict(test, names, rng, skill)
    _write_csv(folder / "predictions.csv", predictions)
    groups = len({row["group"] or row["path"] for row in test})
    _write_json(folder / "test.json", _test(names, counts, len(test), groups, grouped))
    _write_json(folder / "audit.json", _audit(source, len(rows), skipped, grouped))
    _write_json(
        folder / "environment.json",
        {
            "versions": {"coverslip": "0.1.0", "torch": "2.8.0", "python": "3.12.3"},
            "machine": {"cpu": "2 cores", "memory": "8 GB", "gpu": None},
            "seconds": {"reading images": 2.1, "features": 14.92, "training": 3.4, "testing": 0.31},
        },
    )
    history = [
        {
            "step": step,
            "train_loss": round(2.6 / (1 + step / 8) + 0.04 * rng.random(), 4),
            "validation_loss": round(2.6 / (1 + step / 9) + 0.22, 4) if step % 5 == 0 else "",
            "validation_accuracy": round(0.86 - 0.8 / (1 + step / 4), 4) if step % 5 == 0 else "",
        }
        for step in range(61)
    ]
    _write_csv(folder / "history.csv", history)
    (folder / "experiment.toml").write_text(
        f'format = 2\n[data]\nsource = "{source}"\ngroup = "{"plant" if grouped else ""}"\nname = "leaves"\n\n'
        '[split]\nseed = 1\nfractions = [0.7, 0.15, 0.15]\n\n[input]\nsize = [224, 224]\nfit = "pad"\n\n'
        '[model]\nname = "lite0"\ndepth = "head"\nviews = 1\n\n[head]\nsolver = "exact"\n\n[training]\nseed = 1\n',
        encoding="utf-8",
    )
    return folder


def deepen(folder: Path, depth: str = "tail", *, epochs: int = 12, best: int = 9, **about: Any) -> Path:
    """Turn a fake run into one that trained more than the head: history by epoch, settings, and model.json."""
    history = [
        {
            "epoch": epoch,
            "step": epoch * 40,
            "lr": round(0.002 * (1 - abs(2 * epoch / epochs - 0.6) / 1.5), 6),
            "train_loss": round(2.4 / (1 + 0.6 * epoch), 4),
            "train_accuracy": round(1 - 0.9 / (1 + 0.7 * epoch), 4),
            "validation_loss": round(2.2 / (1 + 0.5 * min(epoch, best)) + 0.02 * max(epoch - best, 0), 4),
            "validation_accuracy": round(0.97 - 0.8 / (1 + 0.7 * epoch), 4),
            "seconds": round(epoch * 6.25, 2),
        }
        for epoch in range(1, epochs + 1)
    ]
    _write_csv(folder / "history.csv", history)
    (folder / "model").mkdir(exist_ok=True)
    model = {
        "network": "efficientnet-lite0",
        "origin": "ImageNet",
        "depth": depth,
        "stage": {"tail": "blocks4", "all": "stem"}.get(depth, depth),
        "epochs": epochs,
        "best_epoch": best,
        "temperature": 1.234,
        "from_scratch": False,
        **about,
    }
    _write_json(folder / "model" / "model.json", model)
    settings = (folder / "experiment.toml").read_text("utf-8").partition("\n[training]")[0]
    views = f'depth = "{depth}"\nviews = {1 if depth == "all" else 4}\nfold = true'
    settings = re.sub(r'depth = ".*"\nviews = \d+(\nfold = true)?', views, settings)
    settings += (
        '\n[training]\nepochs = 30\nlr = 0.002\nbatch_size = 32\noptimizer = "adamw"\nweight_decay = 0.01\n'
        'schedule = "one-cycle"\nwarmup = 0.25\nloss = "cross-entropy"\nlabel_smoothing = 0.1\nbalance = "none"\n'
        'patience = 3\nmonitor = "validation_loss"\nkeep_best = true\n'
        "\n[augment]\nflip = true\nrotate = 15.0\ncrop = 1.0\njpeg = 0\ncutmix = 0.3\n"
    )
    (folder / "experiment.toml").write_text(settings, encoding="utf-8")
    return folder


def _splits(listing: Sequence[tuple[str, str, str]], rng: np.random.Generator) -> dict[str, str]:
    groups = sorted({(label, group) for _, label, group in listing})
    labels: dict[str, int] = {}
    splits = {}
    for index in rng.permutation(len(groups)).tolist():
        label, group = groups[index]
        labels[label] = labels.get(label, -1) + 1
        splits[group] = ("test", "train", "validation", "train", "train", "train")[labels[label] % 6]
    return splits


def _predict(
    test: list[dict[str, str]], names: Sequence[str], rng: np.random.Generator, skill: float
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    counts, predictions = np.zeros((len(names), len(names)), int), []
    for row in test:
        true = names.index(row["label"])
        correct = rng.random() < skill
        predicted = true if correct else (true + int(rng.integers(1, 4))) % len(names)
        confidence = float(rng.uniform(0.6, 0.99) if correct else rng.uniform(0.35, 0.98))
        rest = rng.dirichlet(np.ones(len(names))) * (1 - confidence)
        rest[predicted] = confidence + rest[predicted]
        counts[true, predicted] += 1
        predictions.append(
            {
                "path": row["path"],
                "label": row["label"],
                "group": row["group"],
                "predicted": names[predicted],
                "confidence": round(confidence, 4),
                **{f"p:{name}": round(float(p), 4) for name, p in zip(names, rest, strict=True)},
                "error": "",
            }
        )
    return counts, predictions


def _test(names: Sequence[str], counts: np.ndarray, images: int, groups: int, grouped: bool) -> dict[str, Any]:
    accuracy = float(np.trace(counts) / images)
    classes = {}
    for index, name in enumerate(names):
        n, predicted, correct = int(counts[index].sum()), int(counts[:, index].sum()), int(counts[index, index])
        few = "fewer than 3 groups" if index == 3 else ""
        recall, precision = (correct / n if n else None), (correct / predicted if predicted else None)
        f1 = 2 * correct / (n + predicted) if n + predicted else None
        classes[name] = {
            "recall": score(recall, n, n, reason=few, spread=0.12),
            "precision": score(precision, n, n, reason=few, spread=0.1),
            "f1": score(f1, n, n, reason=few, spread=0.11),
            "auroc": score(0.97, n, n, reason=few, spread=0.02),
            "images": n,
            "groups": n,
        }
    return {
        "images": images,
        "groups": groups,
        "grouped": grouped,
        "level": 0.95,
        "scores": {
            "accuracy": score(accuracy, images, groups),
            "balanced_accuracy": score(accuracy - 0.01, images, groups),
            "macro_f1": score(accuracy - 0.012, images, groups),
            "macro_auroc": score(0.981, images, groups, reason="a class has only one test image"),
            "log_loss": score(0.514, images, groups, spread=0.09),
        },
        "classes": classes,
        "confusion": counts.tolist(),
        "class_names": list(names),
        "warnings": [f"class {names[-1]!r} has 2 test images: its scores say little"],
    }


def _audit(source: Path, read: int, skipped: list[dict[str, str]], grouped: bool) -> dict[str, Any]:
    return {
        "source": str(source),
        "root": str(source.absolute()),
        "images": read + len(skipped),
        "read": read,
        "skipped": skipped,
        "junk": 3,
        "modes": {"RGB": read - 1, "RGBA": 1},
        "formats": {"JPEG": read - 1, "PNG": 1},
        "sizes": [{"width": 112, "height": 96, "count": read}],
        "sizes_more": 0,
        "fit": "pad",
        "size": [224, 224],
        "survives": {"mean": 1.0, "min": 1.0},
        "duplicates": {"images": 4, "conflicts": 0, "examples": [["class_0/leaf 0, e.jpg", "class_0/leaf 2, e.jpg"]]},
        "grouped_by": "column plant" if grouped else None,
        "notes": ["1 image has transparency; it was laid on white."],
    }


def _write_csv(file: Path, rows: list[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
