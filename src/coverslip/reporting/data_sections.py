"""What the run learned from: the data, its split, and example images."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from coverslip.figures import split_figure, svg_text
from coverslip.reporting.run_files import Row, RunFiles
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.reporting.wording import count_text, share_text, without_folders

PARTS = ("train", "validation", "test")
MOST_CLASSES = 60  # a figure with more rows than this is no longer read
MOST_SKIPPED = 500
MOST_EXAMPLES = 48


def data_section(files: RunFiles) -> dict[str, Any]:
    """What was found in the source: counts, formats, sizes, what was skipped, what survives the fit, twins, notes."""
    audit, table = files.audit, files.table
    if audit is None and table is None:
        return {"missing": "There is neither an audit.json nor a table.csv in the run folder."}
    audit = audit or {}
    skipped = [(str(each.get("path", "")), str(each.get("reason", ""))) for each in audit.get("skipped") or []]
    if not skipped and table is not None:
        skipped = [(row["path"], row["status"]) for row in table if row.get("status", "ok") not in ("", "ok")]
    counts = Counter(row["label"] for row in _read_rows(table or [])) or Counter(audit.get("classes") or {})
    # An evaluation does not look for copies, and where there are findings they tell of them.
    twins = (audit.get("twins") or {}) if files.trained_here and "findings" not in audit else {}
    return {
        "facts": [*_source_facts(files, audit, counts), *_image_facts(audit), *_twin_facts(twins)],
        "skipped": skipped[:MOST_SKIPPED],
        "skipped_count": len(skipped),
        "twin_pairs": [tuple(map(str, pair)) for pair in twins.get("examples") or []][:12],
        "notes": [str(note) for note in audit.get("notes") or []],
        "no_audit": files.audit is None,
    }


def _read_rows(table: list[Row]) -> list[Row]:
    return [row for row in table if row.get("status", "ok") in ("", "ok")]


def _source_facts(files: RunFiles, audit: dict[str, Any], counts: Counter[str]) -> list[tuple[str, str]]:
    facts = []
    if audit.get("source"):
        facts.append(("Source", without_folders(str(audit["source"]))))
    found = audit.get("images", len(files.table or []))
    read = audit.get("read", sum(counts.values()))
    text = f"{count_text(found, 'file')}, of which {read:,} could be read" if found != read else f"{found:,}, all read"
    if audit.get("junk"):
        text += f"; {count_text(audit['junk'], 'other file')}, such as system files, passed over"
    facts.append(("Images", text))
    if counts:
        (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
        text = count_text(len(counts), "class", "classes")
        same = f", each with {count_text(most, 'image')}"
        facts.append(
            (
                "Classes",
                text + (same if most == least else f", from {least:,} ({smallest}) to {most:,} ({largest}) images"),
            )
        )
    return facts


def _image_facts(audit: dict[str, Any]) -> list[tuple[str, str]]:
    facts = []
    for title, key in (("Formats", "formats"), ("Color", "modes")):
        if audit.get(key):
            facts.append((title, ", ".join(f"{name} ({number:,})" for name, number in audit[key].items())))
    sizes = [
        f"{each['width']:,} × {each['height']:,} pixels ({each['count']:,})" for each in (audit.get("sizes") or [])[:6]
    ]
    if sizes:
        more = len(audit["sizes"]) - len(sizes) + int(audit.get("sizes_more") or 0)
        facts.append(("Sizes", ", ".join(sizes) + (f", and {more:,} other sizes" if more else "")))
    if audit.get("turned"):
        facts.append(("Turned", f"{count_text(audit['turned'], 'image')} set upright, as the camera noted"))
    if audit.get("size"):
        height, width = audit["size"]
        text = f"{width} × {height} pixels" + (f", by “{audit['fit']}”" if audit.get("fit") else "")
        survives = audit.get("survives") or {}
        if survives.get("min") is not None:
            mean, least = survives.get("mean", survives["min"]), survives["min"]
            kept = f"on average {share_text(mean)} of an image's area survives, at least {share_text(least)}"
            text += "; " + ("nothing is cut off" if least >= 1 else kept)
        facts.append(("Seen by the model as", text))
    return facts


def _twin_facts(twins: dict[str, Any]) -> list[tuple[str, str]]:
    if not twins:
        return []
    images, conflicts = int(twins.get("images") or 0), int(twins.get("conflicts") or 0)
    if not images:
        return [("Twins", "no image is an exact copy of another")]
    text = f"{count_text(images, 'image')} that are exact copies of one another"
    if twins.get("sets"):
        text += f", in {count_text(int(twins['sets']), 'set')}"
    return [("Twins", text + (f"; {conflicts:,} of them with contradicting labels" if conflicts else ""))]


def split_section(files: RunFiles) -> dict[str, Any]:
    """Images and groups of each class in each part, and what kept groups whole."""
    if files.table is None:
        return {"missing": "There is no table.csv in the run folder."}
    if not files.trained_here:
        return {"missing": "Nothing was divided: every image here is a test image."}
    rows = [row for row in _read_rows(files.table) if row.get("split")]
    parts = [*PARTS, *sorted({row["split"] for row in rows} - set(PARTS))]
    names = files.class_names + sorted({row["label"] for row in rows} - set(files.class_names))
    images = Counter((row["label"], row["split"]) for row in rows)
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    places: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        group = row.get("group") or f"\0{row['path']}"  # an image without a group is its own
        groups[row["label"], row["split"]].add(group)
        groups["", row["split"]].add(group)
        places[group].add(row["split"])
    shown = names if len(names) <= MOST_CLASSES else sorted(names, key=lambda n: -sum(images[n, p] for p in parts))
    shown = shown[:MOST_CLASSES]
    cells = [[(images[name, part], len(groups[name, part])) for part in parts] for name in names]
    figure = split_figure(shown, {part: [images[name, part] for name in shown] for part in parts})
    return {
        "parts": parts,
        "rows": list(zip(names, cells, strict=True)),
        "totals": [(sum(images[name, part] for name in names), len(groups["", part])) for part in parts],
        "grouped": files.grouped,
        "grouped_by": (files.audit or {}).get("grouped_by"),
        "copies": any(row.get("group") for row in rows),  # without named groups, only copies share one
        "straddling": sum(len(where) > 1 for where in places.values()),
        "left_out": len(names) - len(shown),
        "svg": svg_text(figure, "split", label="Images of each class in each part; the table below has the numbers"),
    }


def examples_section(files: RunFiles, thumbnails: Thumbnails, *, training_images: bool = False) -> dict[str, Any]:
    """A few images of each class, taken at even distances from its sorted files; test set only unless asked."""
    table = files.table if files.table is not None else files.predictions
    if table is None:
        return {"missing": "There is neither a table.csv nor a predictions.csv in the run folder."}
    rows = _read_rows(table)
    if not training_images:
        rows = [row for row in rows if row.get("split", "test") == "test"]  # predictions.csv is the test set
    paths: dict[str, list[str]] = {name: [] for name in files.class_names}
    for row in sorted(rows, key=lambda row: row["path"]):
        paths.setdefault(row["label"], []).append(row["path"])
    each = max(1, min(6, MOST_EXAMPLES // max(len(paths), 1)))
    classes = [(name, _evenly(found, each)) for name, found in paths.items()][:MOST_EXAMPLES]
    return {
        "classes": [(name, [thumbnails.image(path) for path in found]) for name, found in classes],
        "each": each,
        "left_out": len(paths) - len(classes),
        "training_images": training_images,
    }


def _evenly(items: list[str], count: int) -> list[str]:
    if len(items) <= count:
        return items
    return [items[(2 * index + 1) * len(items) // (2 * count)] for index in range(count)]
