"""Compare the results of two versions of Coverslip bit for bit: the same images, commands and machine.

    python benchmarks/golden.py --before PATH_OF_OLD_CHECKOUT

The images are rendered once by the old checkout. Both checkouts then train and report the runs of `BEFORE` and
`AFTER` in separate folders, each with an empty cache. All JSON, CSV, TOML and safetensors files of a run folder are
compared, and the numbers of its report: those of tables, facts and figures with their counts, those of sentences as a
set. In JSON strings with spaces only the numbers are compared. Seconds and times of day are replaced beforehand.

Enter a file, key, column, section or value that was renamed on purpose in `RENAMED`, a renamed option in `AFTER`, and
an intended difference in `EXPECTED`. The exit status is 1 if any other difference is found. It takes about two minutes
on two cores. `--keep FOLDER` keeps images and runs and reuses those that exist.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from html.parser import HTMLParser
from pathlib import Path

from safetensors import safe_open

HERE = Path(__file__).resolve().parents[1]

# old -> new, applied to the old side. A key is the end of a path such as "experiment.toml/recipe/rate", from any
# component on ("rate" is renamed everywhere, "recipe/rate" in one section only; "recipe/rate": "/other/lr"
# moves the key within its file). Values without spaces are renamed likewise: "severity=notes" or "notes".
RENAMED: dict[str, str] = {
    "pictures": "images",
    "of_pictures": "of_images",
    "pictures decoded": "images decoded",
    "not a picture, whatever its name says": "not an image, despite its file name",
    "strength": "l2",
    "strengths.csv": "penalties.csv",
    "history.csv/rate": "lr",
    "model/model.json/bundle": "format",
    "model/model.json/trust/sets": "/sets",
    "audit.json/twins": "duplicates",
    "recipe/rate": "/training/lr",
    "recipe/smoothing": "/training/label_smoothing",
    "experiment.toml/recipe": "training",
    "training/solver": "/head/solver",
    "training/folds": "/head/folds",
    "training/strengths": "/head/l2_values",
    "training/coverage": "/calibration/coverage",
    "training/refit": "/split/refit",
    "bundle/examples": "/model/examples",
    "audit/price": "/audit/probes",
}

# pattern of "run/file/key" -> reason, for differences that are intended
EXPECTED: dict[str, str] = {
    "*/test.json/task": "new: the name of the task",
    "*/model/model.json/task": "new: the name of the task",
    "*/model/model.json/sets": "new in a model without prediction sets: null",
    "*/test.json/calibration/report/*/change/*": "likewise",
    "*/test.json/calibration/report/*/before/*": "outputs are passed on, not rebuilt from probabilities: last digit",
    "*/experiment.toml/format": "new: the number of the format",
    "*/experiment.toml/data/*": "new: settings of tables",
    "*/model/model.json/images/*": "new: channels, depth and range of the training images",
    "*/model/model.json/format": "the number of the format",
    "*/environment.json/seconds/*": "the labels of the stages are new",
    "*/audit.json/findings/*/title": "the statement about leakage has the range of its estimate",
    "*/report.html/settings/*": "the seed is listed once, not also for the loop",
    "*/report.html/checklist/*": "the sentence about prediction sets is new",
    "*/ledger.json/scorings/*/settings": "the digest of the settings covers their new names",
}

LEAVES = ["leaves", "leaves", "--classes", "3", "--leaves", "14", "--shots", "2", "--size", "64", "--duplicates", "2"]
IMAGES = ("leaves/pictures", "leaves/images")  # where the command above writes class folders: version 0.1, now
TWO_CLASSES = ("tomato_early_blight", "tomato_healthy")
GROUP = ["--group", r"[a-z_]+_leaf\d+"]

TAIL = ["--epochs", "2", "--views", "2", "--set", "recipe.precision=float32"]

# run -> arguments of `coverslip train`; nothing in them may depend on a measured time
BEFORE: dict[str, list[str]] = {
    "head": ["../images", *GROUP, "--fix", "--price", "--folds", "3", "--seeds", "3", "--learning-curve"],
    "tail": ["../images", *GROUP, "--fix", "--depth", "tail", *TAIL],
    "two_classes": ["../two_classes", *GROUP, "--set", "threshold.sensitivity=0.9", "--with-examples"],
    "refit": ["../images", *GROUP, "--fix", "--refit", "--seed", "1"],
}
AFTER: dict[str, list[str]] = BEFORE | {
    "head": [{"--price": "--probes"}.get(each, each) for each in BEFORE["head"]],
    "tail": [each.replace("recipe.precision", "training.precision") for each in BEFORE["tail"]],
}

SKIPPED = ("events.jsonl",)  # times of every step
TIMED = {"seconds": 0.0, "when": "2000-01-01T00:00:00+00:00"}  # keys and columns, of both sides
NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?(?!\w)")
INLINE = {"a", "b", "strong", "em", "i", "code", "span", "wbr", "sub", "sup", "small", "tspan"}
EXACT = {"td", "th", "dd", "text"}  # cells, facts, texts of figures
ABSENT = "(absent)"

Facts = dict[tuple[str, ...], str]  # (file, key ...) -> value as text


class Numbers(HTMLParser):
    """Collect the visible text of each section of a report; cells and figures are separated from sentences."""

    def __init__(self) -> None:
        super().__init__()
        self.section, self.hidden, self.exact = "top", 0, 0
        self.text: dict[tuple[str, str], list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self.section = dict(attrs).get("id") or "section"
        self.hidden += tag in ("style", "script", "nav", "title")
        self.exact += tag in EXACT
        if tag == "img":
            self.text.setdefault((self.section, "images"), []).append("1")
        if tag not in INLINE:
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag not in INLINE:
            self.handle_data(" ")
        self.hidden -= tag in ("style", "script", "nav", "title")
        self.exact -= tag in EXACT
        if tag == "section":
            self.section = "top"

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.text.setdefault((self.section, "tables" if self.exact else "sentences"), []).append(data)


def numbers(text: str) -> list[str]:
    """Find the numbers in a text; digits within words and names are ignored."""
    return [each.replace("−", "-") for each in NUMBER.findall(text)]


def run_side(checkout: Path, folder: Path, commands: list[list[str]]) -> None:
    """Run commands of a checkout in a folder, with the cache of that folder."""
    variables = {"PYTHONPATH": str(checkout / "src"), "COVERSLIP_CACHE": str(folder / "cache")}
    variables |= {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE", "COLUMNS": "100"}
    for command in commands:
        line = [sys.executable, "-m", "coverslip", *command]
        done = subprocess.run(line, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"in {folder.name}: coverslip {' '.join(command)}\n{done.stdout}{done.stderr}")


def render(checkout: Path, home: Path) -> None:
    """Write the images of all runs as class folders."""
    work = home / "rendering"
    work.mkdir()
    run_side(checkout, work, [LEAVES])
    shutil.copytree(next(work / each for each in IMAGES if (work / each).is_dir()), home / "images")
    (home / "images" / TWO_CLASSES[0] / "broken.jpg").write_bytes(b"not an image")  # the audit finds it
    for name in TWO_CLASSES:
        source = home / "images" / name
        shutil.copytree(source, home / "two_classes" / name, ignore=shutil.ignore_patterns("*copy*"))
    shutil.rmtree(work)


def train(checkout: Path, folder: Path, runs: dict[str, list[str]]) -> None:
    """Train and report each run."""
    folder.mkdir()
    for name, arguments in runs.items():
        run_side(checkout, folder, [["train", *arguments, "--out", name]])
        for file in (folder / name).glob("*.json"):
            file.write_text(json.dumps(without_times(json.loads(file.read_text("utf-8")))), "utf-8")
        for file in (folder / name).glob("*.csv"):
            rows = list(csv.reader(file.read_text("utf-8").splitlines()))
            with file.open("w", encoding="utf-8", newline="") as opened:
                timed = ([TIMED.get(name, cell) for name, cell in zip(rows[0], row, strict=True)] for row in rows[1:])
                csv.writer(opened, lineterminator="\n").writerows([rows[0], *timed])
        run_side(checkout, folder, [["report", name]])
        print(f"{folder.name}: {name}", flush=True)


def without_times(content: object, key: str = "") -> object:
    """Replace all values that were measured by a clock."""
    if isinstance(content, dict):
        return {each: without_times(value, key if key in TIMED else each) for each, value in content.items()}
    if isinstance(content, list):
        return [without_times(each, key) for each in content]
    return TIMED.get(key, content)


def flat(content: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """List the leaves of nested mappings and lists; numbers in Python's exact notation."""
    if isinstance(content, dict | list) and content:
        items = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in items:
            yield from flat(value, (*path, str(key)))
    elif isinstance(content, str) and " " in content:
        yield path, f"sentence with {', '.join(numbers(content)) or 'no number'}"
    else:
        yield path, content if isinstance(content, str) else repr(content)


def facts_of_file(file: Path, name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """List the facts of one file."""
    if file.suffix in (".json", ".toml"):
        text = file.read_text("utf-8")
        yield from flat(json.loads(text) if file.suffix == ".json" else tomllib.loads(text), (name,))
    elif file.suffix == ".csv":
        with file.open(encoding="utf-8", newline="") as opened:
            for number, row in enumerate(csv.DictReader(opened)):
                yield from (((name, column, str(number)), str(value)) for column, value in row.items())
    elif file.suffix == ".safetensors":
        with safe_open(file, "np") as opened:
            yield from flat(opened.metadata() or {}, (name, "metadata"))
            for key in opened.keys():  # noqa: SIM118  (no mapping)
                tensor = opened.get_tensor(key)
                yield (name, key), f"{tensor.dtype} {tensor.shape} {hashlib.sha256(tensor.tobytes()).hexdigest()}"
    elif file.suffix == ".html":
        reader = Numbers()
        reader.feed(file.read_text("utf-8"))
        for (section, kind), pieces in reader.text.items():
            found = numbers("".join(pieces)) if kind != "images" else [f"{len(pieces)} images"]
            counts = Counter(found if kind != "sentences" else set(found))
            yield from (((name, section, kind, each), f"{count} times") for each, count in counts.items())
    else:
        yield (name,), hashlib.sha256(file.read_bytes()).hexdigest()


def facts_of_run(folder: Path) -> Facts:
    """List the facts of all files of a run."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in SKIPPED)
    return {key: value for file in files for key, value in facts_of_file(file, str(file.relative_to(folder)))}


def renamed(path: tuple[str, ...], value: str) -> tuple[tuple[str, ...], str]:
    """Translate a fact of the old version to the names of the new one."""
    found: list[str] = []
    for end in range(1, len(path) + 1):
        ends = ("/".join(path[start:end]) for start in range(end))
        new = next((RENAMED[each] for each in ends if each in RENAMED), path[end - 1])
        found = [found[0], *new[1:].split("/")] if new.startswith("/") else [*found, new]
    holder = next((each for each in reversed(path) if not each.isdigit()), "")
    words = (each for each in (f"{holder}={value}", value) if each in RENAMED)
    return tuple(found), next((RENAMED[each].rpartition("=")[2] for each in words), value)


def differences(before: Facts, after: Facts) -> list[tuple[str, str, str, str]]:
    """Compare two runs; return file, key, value before and value after of each fact that differs."""
    before = dict(renamed(*fact) for fact in before.items())
    keys = [*before, *(key for key in after if key not in before)]
    pairs = [(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys]
    return [(key[0], "/".join(key[1:]), old, new) for key, old, new in pairs if old != new]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="checkout of the old version")
    parser.add_argument("--after", type=Path, default=HERE, help="checkout of the new version; default: this one")
    parser.add_argument("--keep", type=Path, help="folder for images and runs; existing ones are reused")
    parser.add_argument("--rows", type=int, default=2, help="maximum number of differences shown per column or list")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = (options.keep or Path(temporary)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "images").exists():
            render(options.before.resolve(), home)
        for name, checkout, runs in (("before", options.before, BEFORE), ("after", options.after, AFTER)):
            if not (home / name).exists():
                train(checkout.resolve(), home / name, runs)
        rows, compared = [], 0
        for run in BEFORE:
            facts = facts_of_run(home / "before" / run)
            compared += len(facts)
            rows += [(run, *each) for each in differences(facts, facts_of_run(home / "after" / run))]
    unexpected, shown = 0, Counter[tuple[str, ...]]()
    for run, file, key, old, new in rows:
        place = f"{run}/{file}/{key}"
        reason = next((reason for pattern, reason in EXPECTED.items() if fnmatchcase(place, pattern)), "NOT EXPECTED")
        unexpected += reason == "NOT EXPECTED"
        alike = (run, file, re.sub(r"/\d+", "", key), str(old == ABSENT), str(new == ABSENT))
        shown[alike] += 1
        if shown[alike] <= options.rows:  # of a column or list
            print(f"| {run} | {file} | {key} | {old[:60]} | {new[:60]} | {reason} |")
    print(f"{compared} facts of {len(BEFORE)} runs: {len(rows)} differences, {unexpected} of them unexpected")
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
