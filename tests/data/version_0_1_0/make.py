"""Make the data of this folder with version 0.1.0 of Coverslip; README.md says how. Later versions never run it."""

from __future__ import annotations

import csv
import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
GROUP = r"--group '[a-z_]+_leaf\d+'"
FIXED = "--set recipe.precision=float32"  # the default measures which is faster
SMALL = f"--model cnn-full --set model.filters=[8,16,24] --set input.size=48 {FIXED}"
START = f"{SMALL} --set model.weights=start.safetensors"
IMAGES = {  # folder -> options of `coverslip leaves`
    "images": "--classes 3 --leaves 20 --shots 2 --size 48",
    "new": "--classes 3 --leaves 5 --shots 1 --size 48 --seed 7",
    "start_images": "--classes 6 --leaves 60 --shots 1 --size 48 --seed 3",
}
TWO_CLASSES = ("tomato_early_blight", "tomato_healthy")
SPACE = 'lr = "1e-3..0.03:log"\nbatch_size = [16, 32]\n'
COMMANDS = [
    f"train start_images {SMALL} --epochs 60 --rate 0.01 --augment flips --out start_run",
    f"train images {GROUP} {START} --depth head --folds 3 --seeds 3 --learning-curve --out head",
    f"train images {GROUP} {START} --depth block3 --epochs 20 --rate 0.01 --out tail",
    "train two_classes.csv --group plant --model cnn --set model.filters=[6,10] --set model.hidden=[12] "
    f"--set input.size=32 --set split.fractions=[0.5,0.25,0.25] {FIXED} --epochs 40 --rate 0.01 --augment flips "
    f"--set threshold.sensitivity=0.6 --set threshold.positive={TWO_CLASSES[0]} --with-examples --out two_classes",
    f"tune images {GROUP} --model mlp --set model.hidden=[4] --set input.size=16 {FIXED} --augment none --epochs 3 "
    "--set split.fractions=[0.5,0.35,0.15] --trials 6 --space space.toml --out study",
]
RUNS = {"head": "new", "tail": "new", "two_classes": "new_two_classes.csv"}  # run -> what it is evaluated on


def call(cache: Path, command: str) -> None:
    """Run one command of version 0.1.0 in this folder."""
    variables = {"COVERSLIP_CACHE": str(cache), "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    line = [sys.executable, "-m", "coverslip", *shlex.split(command)]
    done = subprocess.run(line, cwd=HERE, env=os.environ | variables, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"coverslip {command}\n{done.stdout}{done.stderr}")


def rows_of(file: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def make_images(cache: Path) -> None:
    """Render the images, and write the tables of the two classes."""
    for name, options in IMAGES.items():
        call(cache, f"leaves rendered {options}")
        shutil.copytree(HERE / "rendered" / "pictures", HERE / name)
        shutil.rmtree(HERE / "rendered")
    for folder, table in (("images", "two_classes.csv"), ("new", "new_two_classes.csv")):
        files = sorted(file for name in TWO_CLASSES for file in (HERE / folder / name).iterdir())
        lines = [f"{each.relative_to(HERE)},{each.parent.name},{each.stem.rpartition('_')[0]}\n" for each in files]
        (HERE / table).write_text("".join(["path,label,plant\n", *lines]), "utf-8")
    (HERE / "space.toml").write_text(SPACE, "utf-8")


def scores_of(test: dict) -> dict:
    """Take the scores with their intervals out of a test.json."""
    scores = {name: [each["value"], each["low"], each["high"]] for name, each in test["scores"].items()}
    return {"images": test["images"], "groups": test["groups"], "scores": scores, "confusion": test["confusion"]}


def predictions_of(file: Path) -> dict:
    """Take what is compared out of a table of predictions: file name -> label, confidence, probabilities ..."""
    return {
        Path(row["path"]).name: {
            "label": row["predicted"],
            "confidence": float(row["confidence"]),
            "probabilities": {name[2:]: float(row[name]) for name in row if name.startswith("p:")},
            "set": row["set"].split(" | "),
            "familiar": row["familiar"] == "true",
            "nearest": [Path(each).name for each in row["nearest"].split(" | ")],
        }
        for row in rows_of(file)
    }


def numbers_of(page: Path) -> list[str]:
    """List the numbers in the tables, facts and figures of a page."""
    cells = re.findall(r"<(?:td|dd|text)\b[^>]*>(.*?)</(?:td|dd|text)>", page.read_text("utf-8"), re.S)
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in cells)
    return sorted(set(re.findall(r"(?<![\w.])[-−]?\d+(?:[.,]\d+)*(?!\w)", text)))


def expected(cache: Path) -> dict:
    """Ask version 0.1.0 for its answers about the runs."""
    found: dict = {}
    for run, source in RUNS.items():
        group = "--group plant" if source.endswith(".csv") else GROUP
        call(cache, f"predict {run} new --out work/predictions.csv")
        call(cache, f"evaluate {run} {source} {group} --out work/evaluation")
        found[run] = {
            "test": scores_of(json.loads((HERE / run / "test.json").read_text("utf-8"))),
            "test_predictions": predictions_of(HERE / run / "predictions.csv"),
            "predict": predictions_of(HERE / "work" / "predictions.csv"),
            "evaluate": scores_of(json.loads((HERE / "work" / "evaluation" / "test.json").read_text("utf-8"))),
            "report_numbers": numbers_of(HERE / run / "report.html"),
        }
        shutil.rmtree(HERE / "work")
    model = json.loads((HERE / "two_classes" / "model" / "model.json").read_text("utf-8"))
    found["two_classes"]["threshold"] = {"class": TWO_CLASSES[0], "value": model["threshold"]["value"]}
    call(cache, "compare head tail --out work")
    result = json.loads((HERE / "work" / "comparison.json").read_text("utf-8"))["result"]
    shutil.rmtree(HERE / "work")
    (pair,) = result["comparisons"]
    numbers = {name: pair[name] for name in ("difference", "low", "high", "p", "needed")}
    found["compare"] = numbers | {"images": result["images"], "groups": result["groups"]}
    summary = json.loads((HERE / "study" / "study.json").read_text("utf-8"))
    trials = [
        {
            "state": row["state"],
            "loss": float(row["validation_loss"]),
            "accuracy": float(row["validation_accuracy"]),
            "rate": float(row["recipe.rate"]),
            "batch_size": int(row["recipe.batch_size"]),
        }
        for row in rows_of(HERE / "study" / "trials.csv")
    ]
    best = summary["best"]["number"]
    found["study"] = {"best": best, "trials": trials, "report_numbers": numbers_of(HERE / "study" / "tune.html")}
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary) / "cache"
        make_images(cache)
        call(cache, COMMANDS[0])
        shutil.copy(HERE / "start_run" / "model" / "weights.safetensors", HERE / "start.safetensors")
        for name in ("start_run", "start_images"):
            shutil.rmtree(HERE / name)
        for command in COMMANDS[1:]:
            call(cache, command)
        text = json.dumps(expected(cache), indent=1, ensure_ascii=False)
        (HERE / "expected.json").write_text(re.sub(r"\n {4,}|\n {3,}(?=[\]}])", "", text) + "\n", "utf-8")
    for page in (*HERE.glob("*/report.html"), *HERE.glob("*/audit.html"), HERE / "study" / "tune.html"):
        page.unlink(missing_ok=True)
    (HERE / "study" / "study.lock").unlink(missing_ok=True)
    shutil.rmtree(HERE / "study" / "checkpoints", ignore_errors=True)


if __name__ == "__main__":
    main()
