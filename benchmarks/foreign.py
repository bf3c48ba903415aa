"""Compare Coverslip's predictions with models of other programs with the programs' own predictions.

    python benchmarks/foreign.py ../shared/data/plantvillage

Keras, TensorFlow, PyTorch (both exporters) and scikit-learn each learn four classes of images of 64 px and write
an ONNX file. Each file is evaluated by Coverslip, which knows only what a user fills into ``model.json``; its
probabilities are compared with those of the program, and one image is explained by occlusion.
Writes `results/foreign.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from coverslip import api
from coverslip.core.errors import UserError
from coverslip.reporting.methods import score_text
from measuring import circumstances, heading, keep_results, peer_python
from peer_foreign import read
from tomatoes import divide
from workers import run_alone, script

HERE = Path(__file__).parent
CLASSES = ("Tomato___Late_blight", "Tomato___healthy", "Potato___Early_blight", "Pepper,_bell___healthy")
SIZE = 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def write_images(source: Path, links: Path, out: Path) -> None:
    """Write images of exactly the input size of the models, so that nothing is resized; split by leaf."""
    divide(source, links, CLASSES)
    for path in sorted(links.glob("*/*/*")):
        there = (out / path.relative_to(links)).with_suffix(".png")
        there.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR).save(there)


def from_torch(x: np.ndarray, y: np.ndarray, test: np.ndarray, out: Path, dynamo: bool) -> dict[str, Any]:
    """Export with ``torch.onnx.export``, with the current or the previous exporter."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, len(CLASSES)))
    ready, others = (
        torch.from_numpy(((each / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)) for each in (x, test)
    )
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for step in range(120):
        rows = torch.from_numpy(np.random.default_rng(step).integers(0, len(y), 32))
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(ready[rows]), torch.from_numpy(y)[rows]).backward()
        optimizer.step()
    network.eval()
    more: dict[str, Any] = {"dynamic_shapes": ({0: torch.export.Dim("n")},)}
    if not dynamo:
        more = {"dynamic_axes": {"x": {0: "n"}}, "input_names": ["x"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter warns that it is deprecated
        torch.onnx.export(network, (ready[:2],), str(out / "model.onnx"), dynamo=dynamo, verbose=False, **more)
    with torch.inference_mode():
        np.save(out / "own.npy", network(others).softmax(1).double().numpy())
    taken = {"range": [0, 1], "mean": MEAN, "std": STD, "layout": "NCHW", "channels": "RGB"}
    return {"input": taken, "output": {"kind": "scores"}, "classes": len(CLASSES)}


def fill_in(folder: Path, settings: dict[str, Any]) -> None:
    """Fill in the ``model.json`` that Coverslip wrote, like a user."""
    try:
        api.load(folder)
    except UserError as error:
        assert "a template was written" in error.problem, error
    file = folder / "model.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["classes"] = sorted(CLASSES)[: settings["classes"]]
    content["input"] |= {"size": [SIZE, SIZE], "fit": "squash", **settings["input"]}
    content["output"] |= settings["output"]
    file.write_text(json.dumps(content), encoding="utf-8")


def compared(folder: Path, test: Path, work: Path) -> dict[str, Any]:
    """Compare Coverslip's predictions with the program's, evaluate them, and explain one image by occlusion."""
    classes = json.loads((folder / "model.json").read_text(encoding="utf-8"))["classes"]
    paths = [path for name in classes for path in sorted((test / name).iterdir())]
    predicted = api.predict(folder, paths).select([f"p:{name}" for name in classes]).to_numpy()
    expected = np.load(folder / "own.npy")
    images = work / f"{folder.name} images"
    for path in paths:
        (images / path.parent.name).mkdir(parents=True, exist_ok=True)
        (images / path.parent.name / path.name).symlink_to(path)
    run = api.evaluate(folder, images, work / f"{folder.name} scored", group="shots:3")
    accuracy = json.loads(run.test_file.read_text(encoding="utf-8"))["scores"]["accuracy"]
    api.explain(folder, [paths[0]], work / f"{folder.name} explained")
    return {
        "images": len(paths),
        "difference": float(np.abs(predicted - expected).max()),
        "same": float((predicted.argmax(1) == expected.argmax(1)).mean()),
        "accuracy": accuracy,
    }


def page(results: dict[str, Any]) -> str:
    lines = ["# Models that other programs exported", "", heading(results), ""]
    lines += [f"Four classes of {results['data']}, {SIZE} px (`shots:3`), two for the sigmoid. Largest difference of a"]
    lines += [
        "probability, and fraction of images with the same predicted class, compared with the program's predictions"
    ]
    lines += ["for the same pixels. Accuracy from `coverslip evaluate`. Occlusion maps were drawn for each.", ""]
    lines += ["| from | images | largest difference | same label | accuracy |", "| --- | --- | --- | --- | --- |"]
    for name, result in results["models"].items():
        accuracy = score_text(result["accuracy"])
        lines.append(
            f"| {name} | {result['images']} | {result['difference']:.1e} | {result['same']:.1%} | {accuracy} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="plantvillage")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    python = peer_python("foreign", HERE / "peer-foreign.txt")
    compared_models: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="foreign-") as home:
        work = Path(home)
        images, models = work / "data", work / "models"
        write_images(options.data, work / "links", images)
        answer = run_alone("peers", script(python, "peer_foreign.py", images, models), again=False)
        settings: dict[str, dict[str, Any]] = answer["told"]
        (x, y), (test, _) = read(images / "train"), read(images / "test")
        makers: dict[str, Callable[[Path], dict[str, Any]]] = {
            "PyTorch, torch.onnx.export": lambda out: from_torch(x, y, test, out, True),
            "PyTorch, previous exporter": lambda out: from_torch(x, y, test, out, False),
        }
        for name, make in makers.items():
            (models / name).mkdir()
            settings[name] = make(models / name)
        for name, each in settings.items():
            fill_in(models / name, each)
            compared_models[name] = compared(models / name, images / "test", work)
            print(f"{name}: {compared_models[name]['difference']:.1e}", flush=True)
    results = circumstances("coverslip", "torch", "onnxruntime") | {
        "data": options.data.name,
        "models": compared_models,
    }
    results["versions"] |= answer["versions"]
    keep_results(options.out / "foreign.json", results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
