"""The data: its properties, its split, and example images."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from coverslip.figures import histogram_figure, split_figure, svg_text
from coverslip.reporting.run_files import Row, RunFiles, as_number
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.reporting.wording import count_text, share_text, without_folders

SPLITS = ("train", "validation", "test")
MAX_CLASSES = 60  # a figure with more rows cannot be read
QUARTILES = 5  # numbers that delimit the quarters of a distribution
MAX_SKIPPED = 500
BINS = 20  # of the histogram of a target
MAX_EXAMPLES = 48
NO_LABEL = "none"


def data_section(files: RunFiles) -> dict[str, Any]:
    """Return properties of the images: counts, formats, sizes, preprocessing, skipped files, duplicates and notes."""
    audit, table = files.audit, files.table
    if audit is None and table is None:
        return {"missing": "Not available: there is neither an audit.json nor a table.csv in the run folder."}
    audit = audit or {}
    skipped = [(str(file.get("path", "")), str(file.get("reason", ""))) for file in audit.get("skipped") or []]
    if not skipped and table is not None:
        skipped = [(row["path"], row["status"]) for row in table if row.get("status", "ok") not in ("", "ok")]
    counts = Counter(row["label"] for row in _readable(table or [])) or Counter(audit.get("classes") or {})
    if files.task == "regression":
        counts = Counter()
    if files.task == "multilabel":
        counts = Counter(name for label, count in counts.items() for name in _names(label) for _ in range(count))
    # An evaluation does not search for duplicates; if there are findings, the duplicates are among them.
    duplicates = (audit.get("duplicates") or {}) if files.trained_here and "findings" not in audit else {}
    return {
        "facts": [
            *_source_facts(files, audit, counts),
            *_target_facts(audit),
            *_image_facts(audit),
            *_duplicate_facts(duplicates),
        ],
        "skipped": skipped[:MAX_SKIPPED],
        "skipped_count": len(skipped),
        "duplicate_pairs": [tuple(map(str, pair)) for pair in duplicates.get("examples") or []][:12],
        "notes": [str(note) for note in audit.get("notes") or []],
        "no_audit": files.audit is None,
        "histograms": _target_histograms(files),
    }


def _target_histograms(files: RunFiles) -> list[dict[str, str]]:
    """Return the distribution of each target of a regression over all images that were used."""
    cells = [row["label"].split(";") for row in _readable(files.table or []) if row.get("label")]
    found = []
    for index, name in enumerate(files.target_names):
        values = [number for cell in cells if index < len(cell) and (number := as_number(cell[index])) is not None]
        if len(set(values)) < 2:
            continue
        counts, edges = np.histogram(values, bins=BINS)
        figure = histogram_figure(edges.tolist(), counts.tolist(), name)
        svg = svg_text(figure, f"target-{index}", label=f"Distribution of {name} over {len(values):,} images")
        found.append({"name": name, "svg": svg, "images": count_text(len(values), "image")})
    return found


def _names(label: str) -> list[str]:
    """Return the labels in a cell of several labels; none for an image without labels."""
    return [] if label == NO_LABEL else label.split(";")


def _readable(table: list[Row]) -> list[Row]:
    return [row for row in table if row.get("status", "ok") in ("", "ok")]


def _source_facts(files: RunFiles, audit: dict[str, Any], counts: Counter[str]) -> list[tuple[str, str]]:
    facts = []
    if audit.get("source"):
        facts.append(("Source", without_folders(str(audit["source"]))))
    found = audit.get("images", len(files.table or []))
    read = audit.get("read", sum(counts.values()))
    text = f"{count_text(found, 'file')}, {read:,} of them readable" if found != read else f"{found:,} (all readable)"
    if audit.get("junk"):
        text += f"; {count_text(audit['junk'], 'other file')} ignored, such as system files"
    facts.append(("Images", text))
    if counts:
        (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
        text = count_text(len(counts), *WORDS[files.task].names)
        equal = f", each with {count_text(most, 'image')}"
        facts.append(
            (
                "Labels" if files.task == "multilabel" else "Classes",
                text + (equal if most == least else f", from {least:,} ({smallest}) to {most:,} ({largest}) images"),
            )
        )
    return facts


def _target_facts(audit: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the range of each target of a regression."""
    if audit.get("task") != "regression":
        return []
    facts = []
    for name, content in (audit.get("targets") or {}).items():
        low, first, median, third, high = (f"{value:.4g}" for value in content["quantiles"])
        facts.append((f"Target {name}", f"{low} to {high}, median {median}, middle half {first} to {third}"))
    return facts


def _number_first(name: str) -> tuple[float, str]:
    number = as_number(name.partition(" ")[0])
    return (0.0 if number is None else number, name)


def _value_range(value: str, edges: list[float]) -> str:
    """Return the range between quartiles in which a value of a regression lies."""
    number = as_number(value.partition(";")[0])
    if number is None or len(edges) != QUARTILES:
        return value
    at = min(max(bisect_right(edges[1:-1], number), 0), QUARTILES - 2)
    return f"{edges[at]:.4g} to {edges[at + 1]:.4g}"


def _image_facts(audit: dict[str, Any]) -> list[tuple[str, str]]:
    facts = []
    for title, key in (("Formats", "formats"), ("Color", "modes")):
        if audit.get(key):
            facts.append((title, ", ".join(f"{name} ({number:,})" for name, number in audit[key].items())))
    sizes = [
        f"{size['width']:,} × {size['height']:,} pixels ({size['count']:,})" for size in (audit.get("sizes") or [])[:6]
    ]
    if sizes:
        more = len(audit["sizes"]) - len(sizes) + int(audit.get("sizes_more") or 0)
        facts.append(("Sizes", ", ".join(sizes) + (f", and {more:,} other sizes" if more else "")))
    if audit.get("turned"):
        facts.append(("Orientation", f"EXIF orientation applied to {count_text(audit['turned'], 'image')}"))
    if audit.get("size"):
        height, width = audit["size"]
        text = f"{width} × {height} pixels" + (f" ({audit['fit']})" if audit.get("fit") else "")
        survives = audit.get("survives") or {}
        if survives.get("min") is not None:
            mean, least = survives.get("mean", survives["min"]), survives["min"]
            kept = f"on average {share_text(mean)} of an image's area is kept, at least {share_text(least)}"
            text += "; " + ("nothing is cropped" if least >= 1 else kept)
        facts.append(("Input of the model", text))
    return facts


def _duplicate_facts(duplicates: dict[str, Any]) -> list[tuple[str, str]]:
    if not duplicates:
        return []
    images, conflicts = int(duplicates.get("images") or 0), int(duplicates.get("conflicts") or 0)
    if not images:
        return [("Exact duplicates", "none")]
    text = count_text(images, "image")
    if duplicates.get("sets"):
        text += f" in {count_text(int(duplicates['sets']), 'set')}"
    return [("Exact duplicates", text + (f"; {conflicts:,} of them with conflicting labels" if conflicts else ""))]


def split_section(files: RunFiles) -> dict[str, Any]:
    """Return images and groups of each class in each split, and how groups were defined."""
    if files.table is None:
        return {"missing": "Not available: there is no table.csv in the run folder."}
    if not files.trained_here:
        return {"missing": "There is no split: all images are test images."}
    rows = [row for row in _readable(files.table) if row.get("split")]
    if files.task == "regression":  # the quartiles of the first target take the place of classes
        targets = (files.audit or {}).get("targets") or {}
        edges = next((list(map(float, each["quantiles"])) for each in targets.values()), [])
        rows = [{**row, "label": _value_range(row["label"], edges)} for row in rows]
    if files.task == "multilabel":  # an image counts for each of its labels
        rows = [{**row, "label": name} for row in rows for name in row["label"].split(";")]
    splits = [*SPLITS, *sorted({row["split"] for row in rows} - set(SPLITS))]
    names = files.class_names + sorted({row["label"] for row in rows} - set(files.class_names), key=_number_first)
    images = Counter((row["label"], row["split"]) for row in rows)
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    splits_of: dict[str, set[str]] = defaultdict(set)
    paths: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        paths[row["split"]].add(row["path"])
        group = row.get("group") or f"\0{row['path']}"  # an image without a group is a group of one
        groups[row["label"], row["split"]].add(group)
        groups["", row["split"]].add(group)
        splits_of[group].add(row["split"])
    shown = (
        names
        if len(names) <= MAX_CLASSES
        else sorted(names, key=lambda name: -sum(images[name, split] for split in splits))
    )
    shown = shown[:MAX_CLASSES]
    cells = [[(images[name, split], len(groups[name, split])) for split in splits] for name in names]
    part = WORDS[files.task].part
    figure = split_figure(shown, {split: [images[name, split] for name in shown] for split in splits})
    return {
        "splits": splits,
        "rows": list(zip(names, cells, strict=True)),
        "totals": [(len(paths[split]), len(groups["", split])) for split in splits],
        "grouped": files.grouped,
        "grouped_by": (files.audit or {}).get("grouped_by"),
        "duplicates": any(row.get("group") for row in rows),  # without specified groups, only duplicates share one
        "shared_groups": sum(len(members) > 1 for members in splits_of.values()),
        "left_out": len(names) - len(shown),
        "part": part,
        "svg": svg_text(figure, "split", label=f"Images of each {part} in each split; see the table below"),
    }


def examples_section(files: RunFiles, thumbnails: Thumbnails, *, training_images: bool = False) -> dict[str, Any]:
    """Return a few images of each class, evenly spaced in its sorted files; of the test set only by default."""
    table = files.table if files.table is not None else files.predictions
    if table is None:
        return {"missing": "Not available: there is neither a table.csv nor a predictions.csv in the run folder."}
    rows = _readable(table)
    if not training_images:
        rows = [row for row in rows if row.get("split", "test") == "test"]  # predictions.csv contains the test set only
    paths: dict[str, list[str]] = {name: [] for name in files.class_names}
    for row in sorted(rows, key=lambda row: row["path"]):
        paths.setdefault(row["label"], []).append(row["path"])
    per_class = max(1, min(6, MAX_EXAMPLES // max(len(paths), 1)))
    classes = [(name, _evenly(members, per_class)) for name, members in paths.items()][:MAX_EXAMPLES]
    return {
        "classes": [(name, [thumbnails.image(path) for path in members]) for name, members in classes],
        "per_class": per_class,
        "left_out": len(paths) - len(classes),
        "training_images": training_images,
    }


def _evenly(items: list[str], count: int) -> list[str]:
    if len(items) <= count:
        return items
    return [items[(2 * index + 1) * len(items) // (2 * count)] for index in range(count)]
