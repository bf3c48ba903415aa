"""A synthetic audit.json as `coverslip audit --out` writes it; its images need not exist."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def finding(name: str, severity: str, images: Sequence[Sequence[str]] = (), **more: Any) -> dict[str, Any]:
    """Return a finding; ``more`` replaces any of its keys."""
    return {
        "name": name,
        "severity": severity,
        "accepted": more.get("decision") == "accepted",
        "decision": "",
        "title": f"{len(images)} sets of {name}",
        "meaning": "The result would be too good.",
        "remedy": "Look at them.",
        "count": len({path for each in images for path in each}),
        "images": [list(each) for each in images],
        "numbers": {},
        **more,
    }


def probe(name: str, value: float | None, verdict: str = "silent", chance: float = 0.25, **more: Any) -> dict[str, Any]:
    """Return a shortcut probe."""
    return {
        "name": name,
        "title": name.replace("-", " ").capitalize(),
        "sees": f"The probe is given the {name.replace('-', ' ')} only.",
        "value": value,
        "low": None if value is None else value - 0.04,
        "high": None if value is None else value + 0.05,
        "chance": chance,
        "verdict": verdict,
        "says": "" if value is None else f"The class can be predicted from it in {value:.0%} of cases.",
        **({"reason": "every file has the same"} if value is None else {}),
        **more,
    }


def price(splits: int = 10) -> dict[str, Any]:
    """Return an estimate of the inflation by leakage over synthetic splits."""
    rng = np.random.default_rng(3)
    each = [[0.98 + 0.006 * float(rng.normal()), 0.943 + 0.01 * float(rng.normal())] for _ in range(splits)]
    random, grouped = (float(np.mean([pair[side] for pair in each])) for side in (0, 1))
    says = f"random split {random:.3f}, by leaf {grouped:.3f}: {random - grouped:.3f} of the score was leakage"
    return {
        "by": "leaf",
        "splits": splits,
        "random": random,
        "grouped": grouped,
        "difference": random - grouped,
        "low": min(a - b for a, b in each),
        "high": max(a - b for a, b in each),
        "each": each,
        "train": 1200,
        "test": 400,
        "groups": 310,
        "says": says + " (spread over ten splits 0.021 to 0.055)",
    }


def histogram(low: float, high: float, seed: int = 0) -> dict[str, Any]:
    """Return a histogram of synthetic values with twenty bins."""
    counts, edges = np.histogram(np.random.default_rng(seed).normal((low + high) / 2, (high - low) / 6, 500), 20)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def write_fake_audit(
    folder: Path,
    *,
    root: str = "../leaves",
    source: str = "leaves",
    labels: Mapping[str, str] | None = None,
    table: bool = True,
    **keys: Any,
) -> Path:
    """Write ``audit.json`` and ``table.csv`` into a new folder; their content is determined by the arguments.

    Args:
        folder: the folder to write.
        root: folder of the images, relative to ``folder``.
        source: name of the audited folder.
        labels: path -> class of every image.
        table: whether to write table.csv.
        keys: replacements for keys of audit.json; by default there are no findings and no probes.
    """
    labels = labels or {}
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "source": source,
        "root": root,
        "images": len(labels),
        "read": len(labels),
        "skipped": [],
        "junk": 0,
        "modes": {"RGB": len(labels)},
        "formats": {"JPEG": len(labels)},
        "sizes": [{"width": 112, "height": 96, "count": len(labels)}],
        "sizes_more": 0,
        "turned": 0,
        "fit": "pad",
        "size": [224, 224],
        "survives": {"mean": 1.0, "min": 1.0},
        "duplicates": {"images": 0, "sets": 0, "conflicts": 0, "near": 0, "examples": []},
        "grouped_by": None,
        "notes": [],
        "classes": dict(sorted(Counter(labels.values()).items())),
        "findings": [],
        "distributions": {},
        "groups": {"by": None, "count": None, "sizes": None, "proposals": []},
        "shortcuts": None,
        "price": None,
        **keys,
    }
    (folder / "audit.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    if table:
        with (folder / "table.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["path", "label", "group", "split", "status"])
            writer.writerows([path, label, "", "train", "ok"] for path, label in labels.items())
    return folder
