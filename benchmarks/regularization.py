"""Compare no regularization, batch norm, dropout and L2: the same small network from scratch, on the same test images.

python benchmarks/regularization.py ../shared/data/oral_histology
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from coverslip.api import compare
from coverslip.core.devices import machine
from measuring import environment, keep_results, measure

HERE = Path(__file__).parent
KINDS = {
    "none": [],
    "batch norm": ["model.batch_norm=true"],
    "dropout": ["model.dropout=0.5"],
    "L2": ["training.l2=0.001"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with environment(COVERSLIP_CACHE=str(work / "cache")):
            for kind, settings in KINDS.items():
                command = [sys.executable, "-m", "coverslip", "train", str(options.source), "--model", "cnn", "--fix"]
                command += ["--out", str(work / kind), "--augment", "none", "--epochs", str(options.epochs)]
                for each in (
                    f"input.size={options.size}",
                    "training.weight_decay=0",
                    "training.label_smoothing=0",
                    *settings,
                ):
                    command += ["--set", each]
                seconds = measure(command, work / f"{kind}.log").seconds
                test = json.loads((work / kind / "test.json").read_text(encoding="utf-8"))
                model = json.loads((work / kind / "model" / "model.json").read_text(encoding="utf-8"))
                score, loss = test["scores"]["accuracy"], test["scores"]["log_loss"]
                rows.append(
                    {
                        "kind": kind,
                        "seconds": seconds,
                        "accuracy": score,
                        "log_loss": loss,
                        "best_epoch": model["best_epoch"],
                    }
                )
            comparison = compare([work / kind for kind in KINDS])
    sentences = [each["sentence"] for each in comparison["result"]["comparisons"]]
    lines = [
        "# Four kinds of regularization",
        "",
        "| | accuracy | log loss | best epoch | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        accuracy, loss = (
            f"{row[name]['value']:.3f} [{row[name]['low']:.3f}, {row[name]['high']:.3f}]"
            for name in ("accuracy", "log_loss")
        )
        lines.append(
            f"| {row['kind']} | {accuracy} | {loss} | {row['best_epoch']} of {options.epochs} | {row['seconds']:.0f} |"
        )
    images = rows[0]["accuracy"]["images"]
    about = (
        f"`cnn` at {options.size} px from scratch on {options.source.name} (`--fix`), no augmentation, "
        f"{images} test images, one run each, seed 0; {machine()['processor']}, {machine()['cores']} cores."
    )
    lines += ["", *(f"* {each}" for each in sentences), "", about, ""]
    text = "\n".join(lines)
    result = {"rows": rows, "compared": sentences, "about": about, "machine": machine()}
    keep_results(HERE / "results" / "regularization.json", result, text)
    print(text)


if __name__ == "__main__":
    main()
