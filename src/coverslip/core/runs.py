"""The folder of one run. This is the only file that knows the names in it."""

from __future__ import annotations

import datetime
import json
import re
import shutil
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.storage import ensure_folder, write_text


class Run:
    """One run's folder; what each file holds is in ARCHITECTURE.md.

    ``Run(folder)`` names a folder without touching it; `create` makes a new one, `open` insists that one is there.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = expand(folder)
        self.experiment_file = self.folder / "experiment.toml"
        self.table_file = self.folder / "table.csv"
        self.audit_file = self.folder / "audit.json"
        self.history_file = self.folder / "history.csv"
        self.penalties_file = self.folder / "penalties.csv"
        self.events_file = self.folder / "events.jsonl"
        self.model_folder = self.folder / "model"
        self.weights_file = self.model_folder / "weights.safetensors"
        self.model_file = self.model_folder / "model.json"
        self.examples_file = self.model_folder / "examples.safetensors"
        self.checkpoints_folder = self.folder / "checkpoints"
        self.test_file = self.folder / "test.json"
        self.ledger_file = self.folder / "ledger.json"
        self.predictions_file = self.folder / "predictions.csv"
        self.environment_file = self.folder / "environment.json"
        self.report_file = self.folder / "report.html"
        self.audit_page_file = self.folder / "audit.html"
        self.proposed_file = self.folder / "proposed.csv"
        self.corrected_file = self.folder / "corrected.csv"
        self.label_errors_file = self.folder / "label_errors.csv"
        self.repeats_file = self.folder / "repeats.json"
        self.learning_curve_file = self.folder / "learning_curve.json"
        self.answers_file = self.folder / "answers.toml"
        self.comparison_file = self.folder / "comparison.json"
        self.comparison_page_file = self.folder / "comparison.html"
        self.explain_folder = self.folder / "explain"
        self.explained_test_folder = self.explain_folder / "test"

    @classmethod
    def create(cls, folder: Path | str) -> Run:
        """A new, empty run folder.

        Raises:
            UserError: something is there already; a run is never overwritten.
        """
        run = cls(folder)
        if is_taken(run.folder):
            state = "holds a finished run" if run.test_file.exists() else "exists and is not empty"
            fix = f"choose another --out, such as {next_free(run.folder).name!r}"
            if run.experiment_file.exists() and not run.test_file.exists():
                state, fix = "holds an unfinished run", f"go on with it: coverslip train --resume {_quoted(run.folder)}"
            raise UserError(f"{str(folder)!r} {state}", fix)
        ensure_folder(run.folder)
        return run

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """A run that has a trained model; a `ForeignRun` where that is an ONNX file.

        Raises:
            UserError: there is no such folder, or no model in it.
        """
        run = cls(folder)
        foreign = find_foreign(run.folder)
        if foreign is not None:
            return foreign
        if not run.folder.is_dir():
            raise UserError(f"there is no run {str(folder)!r}", "name a folder that 'coverslip train' wrote")
        if not run.model_file.is_file() or not run.weights_file.is_file():
            raise UserError(f"{str(folder)!r} holds no trained model", run._way_to_a_model())
        return run

    def _way_to_a_model(self) -> str:
        """What to do where this folder holds none."""
        if not self.experiment_file.exists():
            return "name a folder that 'coverslip train' wrote"
        if not self.test_file.exists():
            return f"finish it: coverslip train --resume {_quoted(self.folder)}"
        if self.history_file.exists():
            again = f"coverslip train {_quoted(self.experiment_file)}"
            return f"it had one: restore {str(self.model_folder)!r}, or train again: {again}"
        return "it holds what 'coverslip evaluate' found; name the run (or ONNX file) that was evaluated"

    def discard(self) -> None:
        """Remove what an unfinished run wrote before its model, so that the mended command finds the folder free.

        Files that are not a run's stay, and the folder with them.
        """
        shutil.rmtree(self.checkpoints_folder, ignore_errors=True)
        for path in vars(self).values():
            if path.is_file():
                path.unlink()
        for folder in (self.model_folder, self.folder):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def write_json(self, path: Path, content: dict[str, Any]) -> None:
        """Write one of the run's JSON files, whole or not at all; NaN is refused, since it is not JSON."""
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, path: Path) -> dict[str, Any]:
        """Read one of the run's JSON files.

        Raises:
            UserError: it is not there, or is not JSON.
        """
        return read_object(path, self.folder, "train again, or name another run", "train again, or restore the file")

    def __repr__(self) -> str:
        """What a notebook shows: where it is, and how good."""
        accuracy = ((self.known(self.test_file).get("scores") or {}).get("accuracy") or {}).get("value")
        return f"Run({str(self.folder)!r}{'' if accuracy is None else f', accuracy {accuracy:.3f}'})"

    def known(self, path: Path) -> dict[str, Any]:
        """Like `read_json`; empty where the file is not there or is not JSON."""
        try:
            return self.read_json(path)
        except UserError:
            return {}


class ForeignRun(Run):
    """An ONNX model from elsewhere, with a ``model.json`` beside it, and what is written about it in its folder.

    Several models in one folder have a ``NAME.json`` each.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file.parent)
        own, common = file.with_suffix(".json"), file.with_name("model.json")
        alone = len(list(file.parent.glob("*.onnx"))) == 1
        self.model_folder, self.weights_file = file.parent, file
        self.model_file = own if own.is_file() or not alone else common


FOREIGN = {
    ".keras": "in Keras: model.export('model.onnx', format='onnx')",
    ".h5": "in Keras: model.export('model.onnx', format='onnx')",
    ".pb": "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx",
    ".tflite": "python -m tf2onnx.convert --tflite FILE --output model.onnx",
    ".pt": "in PyTorch: torch.onnx.export(model, (example,), 'model.onnx', dynamo=True)",
    ".pth": "in PyTorch: torch.onnx.export(model, (example,), 'model.onnx', dynamo=True)",
    ".pkl": "for scikit-learn: skl2onnx.to_onnx(model, x[:1].astype('float32'))",
    ".joblib": "for scikit-learn: skl2onnx.to_onnx(model, x[:1].astype('float32'))",
}
"""Other files of models, and how each becomes ONNX: some could run code when they are opened, so none is."""


def find_foreign(path: Path) -> ForeignRun | None:
    """The ONNX file that a path names, or the one in a folder that is no run; None where there is none.

    Raises:
        UserError: no such file, several in the folder, or a model of another kind.
    """
    if path.suffix.lower() == ".onnx" and not path.is_dir():
        if not path.is_file():
            raise UserError(f"there is no file {str(path)!r}", "name an ONNX file, or a folder with one")
        return ForeignRun(path)
    if path.suffix.lower() in FOREIGN and path.is_file():
        raise UserError(f"{str(path)!r} is not ONNX", f"make it ONNX, then name that: {FOREIGN[path.suffix.lower()]}")
    if not path.is_dir() or (path / "experiment.toml").exists() or (path / "model").exists():
        return None
    files = sorted(path.glob("*.onnx"))
    if len(files) > 1 and path / "model.onnx" not in files:
        names = ", ".join(repr(each.name) for each in files[:5])
        raise UserError(f"{str(path)!r} holds {len(files)} ONNX files ({names})", "name one of them")
    if not files and (path / "saved_model.pb").is_file():
        raise UserError(f"{str(path)!r} is not ONNX", f"make it ONNX, then name that: {FOREIGN['.pb']}")
    return ForeignRun(path / "model.onnx" if len(files) > 1 else files[0]) if files else None


class Explained:
    """One folder that `explain` wrote: figures and arrays, their numbers, and a page.

    ``Explained(folder)`` names a folder without touching it; `create` insists that nothing is there yet.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = expand(folder)
        self.numbers_file = self.folder / "explain.json"
        self.page_file = self.folder / "explain.html"
        self.clusters_file = self.folder / "clusters.csv"
        self.images_folder = self.folder / "images"

    @classmethod
    def create(cls, folder: Path | str) -> Explained:
        """A folder to write to, not made yet, so that a mistake leaves nothing behind.

        Raises:
            UserError: something is there already.
        """
        explained = cls(folder)
        need_free(explained.folder)
        return explained

    def figure_file(self, name: str) -> Path:
        """Where a figure lies."""
        return self.folder / f"{name}.png"

    def arrays_file(self, name: str) -> Path:
        """Where its arrays lie."""
        return self.folder / f"{name}.npz"


def read_object(path: Path, folder: Path, missing: str, broken: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        path: of the file.
        folder: that it is a part of, as the user named it.
        missing: how to mend that there is none.
        broken: how to mend one that cannot be read.

    Raises:
        UserError: it is not there, or is not JSON.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{str(folder)!r} has no {path.name}", missing) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{str(path)!r} is not JSON: {error}", broken) from error
    if not isinstance(content, dict):
        raise UserError(f"{str(path)!r} holds no JSON object", broken)
    return content


class Study:
    """One study's folder, of many trainings that are compared; what each file holds is in ARCHITECTURE.md.

    ``Study(folder)`` names a folder without touching it; `create` makes a new one, `open` insists that one is there.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = expand(folder)
        self.experiment_file = self.folder / "experiment.toml"
        self.space_file = self.folder / "space.toml"
        self.database_file = self.folder / "study.db"
        self.journal_file = self.folder / "study.journal"
        self.trials_file = self.folder / "trials.csv"
        self.curves_file = self.folder / "curves.csv"
        self.validation_file = self.folder / "validation.npz"
        self.summary_file = self.folder / "study.json"
        self.best_file = self.folder / "best.toml"
        self.page_file = self.folder / "tune.html"
        self.events_file = self.folder / "events.jsonl"
        self.checkpoints_folder = self.folder / "checkpoints"

    @classmethod
    def create(cls, folder: Path | str) -> Study:
        """A new, empty study folder.

        Raises:
            UserError: something is there already; a study is never overwritten.
        """
        study = cls(folder)
        if is_taken(study.folder):
            state, fix = "exists and is not empty", f"choose another --out, such as {next_free(study.folder).name!r}"
            if study.experiment_file.exists():
                state, fix = "holds a study", f"go on with it: coverslip tune --resume {_quoted(study.folder)}"
            raise UserError(f"{str(folder)!r} {state}", fix)
        ensure_folder(study.folder)
        return study

    def discard(self) -> None:
        """Remove a study in which nothing was finished, so that the mended command finds the folder free.

        Files that are not a study's stay, and the folder with them.
        """
        if self.validation_file.exists():
            return
        shutil.rmtree(self.checkpoints_folder, ignore_errors=True)
        for path in [*vars(self).values(), self.database_file.with_suffix(".lock")]:
            if path.is_file():
                path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    @classmethod
    def open(cls, folder: Path | str) -> Study:
        """A study that was begun.

        Raises:
            UserError: there is no such folder, or no study in it.
        """
        study = cls(folder)
        if not study.experiment_file.is_file():
            raise UserError(f"there is no study in {str(folder)!r}", "name a folder that 'coverslip tune' wrote")
        return study

    def read_summary(self) -> dict[str, Any]:
        """What ``study.json`` holds.

        Raises:
            UserError: it is not there, or is not JSON.
        """
        again = "name a folder that 'coverslip tune' wrote"
        return read_object(self.summary_file, self.folder, again, "tune again")


def new_run_folder(name: str, home: Path = Path("runs")) -> Path:
    """``runs/NAME-DATE-N``, with the first N that is free."""
    safe = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "run"
    return next_free(home / f"{safe}-{datetime.date.today().isoformat()}-1")


def claim_run_folder(name: str, home: Path = Path("runs")) -> Path:
    """`new_run_folder`, made at once, so that a process that starts at the same moment takes the next."""
    ensure_folder(home)
    while True:
        folder = new_run_folder(name, home)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder


def is_taken(folder: Path) -> bool:
    """Whether something is there that a new folder would overwrite."""
    return folder.is_file() or (folder.is_dir() and any(folder.iterdir()))


def need_free(folder: Path) -> None:
    """Insist that nothing would be overwritten.

    Raises:
        UserError: something is there; a name that is free is given.
    """
    if is_taken(folder):
        fix = f"choose another --out, such as {next_free(folder).name!r}"
        raise UserError(f"{str(folder)!r} exists and is not empty", fix)


def next_free(folder: Path) -> Path:
    """The folder itself if nothing is there, else the same name with the next number; a file keeps its ending.

    >>> next_free(Path("surely-not-there-3")).name
    'surely-not-there-3'
    """
    name, ending = (folder.stem, folder.suffix) if folder.is_file() else (folder.name, "")
    match = re.fullmatch(r"(.*)-(\d+)", name)
    stem, number = (match[1], int(match[2])) if match else (name, 1)
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{stem}-{number}{ending}")
    return folder


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
