"""What is written of an exported file: ``model.json`` for programs, ``README.md`` for people, both from one mapping."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import coverslip
from coverslip.core.config import to_mapping
from coverslip.exporting.formats import Format
from coverslip.exporting.instrument import ABOUT, INPUT, Instrument
from coverslip.exporting.parity import Parity
from coverslip.inference.predictor import Predictor
from coverslip.models.catalog import network_entry

JSON_FILE, README_FILE = "model.json", "README.md"
FULL_PRECISION = "What follows was measured of the run in full precision, not of this file.\n\n"
CARD = 1  # of model.json beside an exported file
FITS = {
    "pad": "the whole image keeps its proportions; the rest of the frame is filled with its mean color",
    "squash": "the whole image is stretched to the frame",
    "crop": "the image fills the frame; what is too long is cut off on both sides",
}


def describe(
    predictor: Predictor, instrument: Instrument, format_: Format, name: str, run: Mapping[str, Any], quantize: str
) -> dict[str, Any]:
    """All that is known of a file before it is written; plain JSON values.

    Args:
        predictor: the model.
        instrument: what the file is made of.
        format_: of the file.
        name: of the run.
        run: what else is said of the run: its card, its scores.
        quantize: "int8" or "".
    """
    spec, trust = predictor.spec, predictor.trust
    shapes = {"label": ["N"], "unfamiliarity": ["N"], "familiar": ["N"], "seen": ["N", *spec.size, spec.channels]}
    kinds = {"label": "int64", "set": "bool", "familiar": "bool", "seen": spec.depth}
    grid = list(instrument.tap.grid) if instrument.tap else []
    shapes |= {"map": ["N", len(predictor.task.classes), *grid]}
    outputs = [
        {
            "name": each,
            "dtype": kinds.get(each, "float32"),
            "shape": shapes.get(each, ["N", len(predictor.task.classes)]),
            "about": ABOUT[each] + (_named_by(predictor) if each == "label" else ""),
        }
        for each in instrument.outputs
    ]
    familiarity = trust.familiarity
    return {
        "card": CARD,
        "task": "classification",
        "name": name,
        "format": format_.name,
        "files": list(format_.files),
        "quantized": quantize or None,
        "program": f"coverslip {coverslip.__version__}",
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "network": predictor.design.network,
        "classes": list(predictor.task.classes),
        "input": {
            "name": INPUT,
            "dtype": spec.depth,
            "shape": ["N", "height", "width", spec.channels],
            "about": ABOUT[INPUT],
            "size": list(spec.size),
            "prepared": "inside the file",
        },
        "outputs": outputs,
        "preparation": {
            **to_mapping(spec),
            "resize": f"antialiased triangle filter, rounded to whole grey levels; {FITS[spec.fit]}",
        },
        "calibration": {"temperature": predictor.task.temperature},
        "sets": None if trust.thresholds is None else trust.thresholds.to_json(),
        "familiarity": None
        if familiarity is None
        else {
            "references": len(familiarity.reference),
            "flagged_at_most": familiarity.rate,
            "rough": familiarity.rough,
        },
        "threshold": None if predictor.threshold is None else predictor.threshold.to_json(),
        "licence": licence(predictor),
        "run": dict(run),
    }


def _named_by(predictor: Predictor) -> str:
    """What decides on the label."""
    threshold, names = predictor.threshold, predictor.task.classes
    if threshold is None:
        return ": that of the most probable class"
    place = names.index(threshold.class_name)
    return (
        f": {place} ({threshold.class_name}) where its probability is at least {threshold.value:.3g}, "
        f"else {1 - place} ({names[1 - place]}), be it the more probable one or not"
    )


def licence(predictor: Predictor) -> dict[str, str]:
    """Whose rights the file carries: of the pretrained weights, of the program that wrote it."""
    entry = network_entry(predictor.design.network)
    scratch = predictor.about.get("from_scratch") or entry.load is None
    weights = "trained from scratch, no pretrained weights" if scratch else f"{entry.licence}: {entry.origin}"
    weights = "those of the user's own network" if predictor.about.get("own") else weights
    return {"weights": weights, "program": "Apache-2.0", "images": "as those of the training images"}


def metadata(card: Mapping[str, Any]) -> dict[str, str]:
    """The same for inside the file: every value is text, JSON where it is not a word."""
    chosen = ("name", "network", "program", "date", "classes", "preparation", "calibration", "sets", "familiarity")
    found = {key: card[key] for key in (*chosen, "threshold", "licence", "run", "quantized", "task")}
    found["outputs"] = " ".join(each["name"] for each in card["outputs"])
    return {key: each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for key, each in found.items()}


def with_check(
    card: Mapping[str, Any], parity: Parity, sentences: Sequence[str], cost: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The card with what was measured of the written file."""
    return {
        **card,
        "check": {**asdict(parity), "sentences": list(sentences)},
        "cost": None if cost is None else dict(cost),
    }


def readme(card: Mapping[str, Any], format_: Format) -> str:
    """The page beside the file."""
    height, width = card["preparation"]["size"]
    rows = [
        f"| `{each['name']}` | {each['dtype']} {_shape(each['shape'])} | {each['about']} |" for each in card["outputs"]
    ]
    run = [f"* {name}: {value}" for name, value in card["run"].items() if isinstance(value, str)]
    text = f"""# {card["name"]}

{card["network"]}, {len(card["classes"])} classes: {", ".join(card["classes"])}.

```
pip install {format_.packages}
python use_model.py IMAGE...
```

`{card["files"][0]}` is the whole instrument: decoded pixels go in, answers come out, and nothing has to be prepared
outside. `use_model.py` is all the code it takes; `model.json` says the same as this page to a program.

| in | | |
| --- | --- | --- |
| `pixels` | {card["input"]["dtype"]} {_shape(card["input"]["shape"])} | {card["input"]["about"]} |

| out | | |
| --- | --- | --- |
{chr(10).join(rows)}

Inside: resized to {height} x {width} pixels ({card["preparation"]["resize"]}).

## Does it give the model's answers?

{chr(10).join(f"* {each}" for each in card["check"]["sentences"])}

## Where it comes from

{FULL_PRECISION if card["quantized"] else ""}{chr(10).join(run)}
* written by {card["program"]}, {card["date"][:10]}
* licence of the pretrained weights: {card["licence"]["weights"]}
"""
    if card["quantized"]:
        text += (
            "\nIts network computes in 8-bit integers. Sets, familiarity, the temperature and a threshold were set in "
            "full precision.\n"
        )
    return text


def _shape(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))})"
