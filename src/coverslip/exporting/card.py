"""Model card of an exported file: ``model.json`` for programs and ``README.md`` for people, from one mapping."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import coverslip
from coverslip.core.config import to_mapping
from coverslip.exporting.formats import Format
from coverslip.exporting.module import DESCRIPTIONS, INPUT, ExportModule
from coverslip.exporting.parity import Parity
from coverslip.inference.predictor import Predictor
from coverslip.models.catalog import network_entry
from coverslip.tasks.classification import Classification, require_classification

JSON_FILE, README_FILE = "model.json", "README.md"
FULL_PRECISION = "These results were measured with the run in full precision, not with this quantized file.\n\n"
CARD = 1  # version of model.json of an exported file
FITS = {
    "pad": "the aspect ratio is kept; the rest of the frame is filled with the mean color of the image",
    "squash": "the image is stretched to the frame",
    "crop": "the aspect ratio is kept; the longer side is cropped on both ends",
}


def describe(
    predictor: Predictor, module: ExportModule, format_: Format, name: str, run: Mapping[str, Any], quantize: str
) -> dict[str, Any]:
    """Return the model card without the results of the check, as plain JSON values.

    Args:
        predictor: the model.
        module: the exported module.
        format_: format of the file.
        name: name of the run.
        run: further information about the run: its card and its scores.
        quantize: "int8" or "".
    """
    spec, trust, task = predictor.spec, predictor.trust, require_classification(predictor.task, "export")
    shapes = {"label": ["N"], "unfamiliarity": ["N"], "familiar": ["N"], "seen": ["N", *spec.size, spec.channels]}
    dtypes = {"label": "int64", "set": "bool", "familiar": "bool", "seen": spec.depth}
    grid = list(module.tap.grid) if module.tap else []
    shapes |= {"map": ["N", len(task.classes), *grid]}
    outputs = [
        {
            "name": output,
            "dtype": dtypes.get(output, "float32"),
            "shape": shapes.get(output, ["N", len(task.classes)]),
            "about": DESCRIPTIONS[output] + (_label_rule(task) if output == "label" else ""),
        }
        for output in module.outputs
    ]
    familiarity = trust.familiarity
    return {
        "card": CARD,
        "task": task.name,
        "name": name,
        "format": format_.name,
        "files": list(format_.files),
        "quantized": quantize or None,
        "program": f"coverslip {coverslip.__version__}",
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "network": predictor.design.network,
        "classes": list(task.classes),
        "input": {
            "name": INPUT,
            "dtype": spec.depth,
            "shape": ["N", "height", "width", spec.channels],
            "about": DESCRIPTIONS[INPUT],
            "size": list(spec.size),
            "prepared": "inside the file",
        },
        "outputs": outputs,
        "preparation": {
            **to_mapping(spec),
            "resize": f"antialiased triangle filter, rounded to integer grey levels; {FITS[spec.fit]}",
        },
        "calibration": {"temperature": task.temperature},
        "sets": None if task.sets is None else task.sets.to_json(),
        "familiarity": None
        if familiarity is None
        else {
            "references": len(familiarity.reference),
            "flagged_at_most": familiarity.false_alarm_rate,
            "rough": familiarity.approximate,
        },
        "threshold": None if task.threshold is None else task.threshold.to_json(),
        "licence": licence(predictor),
        "run": dict(run),
    }


def _label_rule(task: Classification) -> str:
    """Describe how the label follows from the probabilities."""
    threshold, names = task.threshold, task.classes
    if threshold is None:
        return ": the most probable class"
    positive = names.index(threshold.class_name)
    return (
        f": {positive} ({threshold.class_name}) if its probability is at least {threshold.value:.3g}, "
        f"otherwise {1 - positive} ({names[1 - positive]}), even if that class is less probable"
    )


def licence(predictor: Predictor) -> dict[str, str]:
    """Return the licences that apply to the file: of the pretrained weights, the program and the training images."""
    entry = network_entry(predictor.design.network)
    scratch = predictor.metadata.get("from_scratch") or entry.load is None
    weights = "trained from scratch, no pretrained weights" if scratch else f"{entry.licence}: {entry.origin}"
    weights = "that of the user's own network" if predictor.metadata.get("own") else weights
    return {"weights": weights, "program": "Apache-2.0", "images": "that of the training images"}


def metadata(card: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata that is written into the file: every value is text; values other than text are JSON."""
    keys = ("name", "network", "program", "date", "classes", "preparation", "calibration", "sets", "familiarity")
    values = {key: card[key] for key in (*keys, "threshold", "licence", "run", "quantized", "task")}
    values["outputs"] = " ".join(output["name"] for output in card["outputs"])
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in values.items()
    }


def with_check(
    card: Mapping[str, Any], parity: Parity, sentences: Sequence[str], cost: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the card with the results of the check of the written file."""
    return {
        **card,
        "check": {**asdict(parity), "sentences": list(sentences)},
        "cost": None if cost is None else dict(cost),
    }


def readme(card: Mapping[str, Any], format_: Format) -> str:
    """Return the text of ``README.md``."""
    height, width = card["preparation"]["size"]
    rows = [
        f"| `{output['name']}` | {output['dtype']} {_shape(output['shape'])} | {output['about']} |"
        for output in card["outputs"]
    ]
    run = [f"* {name}: {value}" for name, value in card["run"].items() if isinstance(value, str)]
    text = f"""# {card["name"]}

{card["network"]}, {len(card["classes"])} classes: {", ".join(card["classes"])}.

```
pip install {format_.packages}
python use_model.py IMAGE...
```

`{card["files"][0]}` is self-contained: it takes decoded pixels, and resizing and normalization are part of the file.
`use_model.py` is a complete example of its use. `model.json` contains the information of this page in machine-readable
form.

| input | | |
| --- | --- | --- |
| `pixels` | {card["input"]["dtype"]} {_shape(card["input"]["shape"])} | {card["input"]["about"]} |

| output | | |
| --- | --- | --- |
{chr(10).join(rows)}

The file resizes images to {height} x {width} pixels ({card["preparation"]["resize"]}).

## Agreement with the original model

{chr(10).join(f"* {sentence}" for sentence in card["check"]["sentences"])}

## Training and test

{FULL_PRECISION if card["quantized"] else ""}{chr(10).join(run)}
* written by {card["program"]}, {card["date"][:10]}
* licence of the pretrained weights: {card["licence"]["weights"]}
"""
    if card["quantized"]:
        text += (
            "\nThe network computes with 8-bit integers. Prediction sets, familiarity, temperature and decision "
            "threshold were calibrated in full precision.\n"
        )
    return text


def _shape(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))})"
