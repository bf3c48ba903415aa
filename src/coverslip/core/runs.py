"""The files in the folders of runs, studies and explanations. No other module contains these file names."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.core.errors import UserError
from coverslip.core.forks import refuse_forked
from coverslip.core.paths import expand
from coverslip.core.renamed import upgrade_json
from coverslip.core.score import RunScore
from coverslip.core.storage import ensure_folder, write_text

if TYPE_CHECKING:
    import polars as pl


class Run:
    """The folder of one run; ARCHITECTURE.md describes the content of each file.

    ``Run(folder)`` refers to a folder without accessing it; `create` makes a new folder, `open` requires a trained
    model in it.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
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
    def create(cls, folder: str | os.PathLike[str]) -> Run:
        """Create a new, empty run folder.

        Raises:
            UserError: the folder is not empty; a run is never overwritten.
        """
        run = cls(folder)
        if is_occupied(run.folder):
            state = "contains a finished run" if run.test_file.exists() else "exists and is not empty"
            fix = f"choose another --out, such as {next_free(run.folder).name!r}"
            if run.experiment_file.exists() and not run.test_file.exists():
                state, fix = "contains an unfinished run", f"resume it: coverslip train --resume {_quoted(run.folder)}"
            raise UserError(f"{str(folder)!r} {state}", fix)
        ensure_folder(run.folder)
        return run

    @classmethod
    def existing(cls, folder: str | os.PathLike[str]) -> Run:
        """Return the run of a folder that exists, finished or not.

        Raises:
            UserError: the folder does not exist.
        """
        run = cls(folder)
        if not run.folder.is_dir():
            raise UserError(f"there is no run {str(folder)!r}", "give a folder written by 'coverslip train'")
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """Open a run with a trained model; return an `OnnxRun` for an ONNX file or a folder with one.

        Raises:
            UserError: the folder does not exist, or contains no model.
        """
        run = cls(folder)
        onnx_run = find_onnx(run.folder)
        if onnx_run is not None:
            return onnx_run
        cls.existing(folder)
        if not run.model_file.is_file() or not run.weights_file.is_file():
            raise UserError(f"{str(folder)!r} contains no trained model", run._how_to_get_a_model())
        return run

    def _how_to_get_a_model(self) -> str:
        """Return the fix for a folder without a model."""
        if not self.experiment_file.exists():
            return "give a folder written by 'coverslip train'"
        if not self.test_file.exists():
            return f"finish the run: coverslip train --resume {_quoted(self.folder)}"
        if self.history_file.exists():
            again = f"coverslip train {_quoted(self.experiment_file)}"
            return f"restore {str(self.model_folder)!r}, or train again: {again}"
        return "this folder contains results of 'coverslip evaluate'; give the run (or ONNX file) that was evaluated"

    def discard(self) -> None:
        """Delete the files of an unfinished run without a model, so that the corrected command can use the folder.

        Other files in the folder are kept, and then the folder too.
        """
        shutil.rmtree(self.checkpoints_folder, ignore_errors=True)
        for path in vars(self).values():
            if path.is_file():
                path.unlink()
        for folder in (self.model_folder, self.folder):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def write_json(self, path: Path, content: dict[str, Any]) -> None:
        """Write one of the run's JSON files atomically.

        Raises:
            ValueError: the content contains NaN or infinity, which are not JSON.
        """
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, path: Path) -> dict[str, Any]:
        """Read one of the run's JSON files.

        Raises:
            UserError: the file does not exist, or is not JSON.
        """
        return read_object(path, self.folder, "train again, or give another run", "train again, or restore the file")

    def __repr__(self) -> str:
        """Return the folder and, if the run was tested, its accuracy."""
        accuracy = ((self.json_or_empty(self.test_file).get("scores") or {}).get("accuracy") or {}).get("value")
        return f"Run({str(self.folder)!r}{'' if accuracy is None else f', accuracy {accuracy:.3f}'})"

    def __fspath__(self) -> str:
        """Return the path of the folder, so that a run can be passed wherever a path is expected."""
        return str(self.folder)

    @property
    def scores(self) -> dict[str, RunScore]:
        """Every score on the test set by name, such as ``accuracy`` and ``macro_auroc``.

        Raises:
            UserError: the run has not been tested.
        """
        if not self.test_file.is_file():
            raise UserError(f"{str(self.folder)!r} has no test result", self._how_to_get_a_model())
        return {name: RunScore.of(score) for name, score in self.read_json(self.test_file)["scores"].items()}

    @property
    def accuracy(self) -> RunScore:
        """The accuracy on the test set.

        Raises:
            UserError: the run has not been tested.
        """
        return self.scores["accuracy"]

    @property
    def predictions(self) -> pl.DataFrame:
        """The predictions for the test images, one row per image, with the columns of `coverslip.predict`.

        Raises:
            UserError: the run has no predictions.
        """
        refuse_forked()
        import polars as pl

        from coverslip.core.tables import read_csv

        try:
            table = read_csv(self.predictions_file, text=True)
        except (OSError, pl.exceptions.PolarsError) as error:
            problem = f"{str(self.folder)!r} has no table {self.predictions_file.name!r}"
            raise UserError(problem, self._how_to_get_a_model()) from error
        numbers = [name for name in table.columns if name == "confidence" or name.startswith("p:")]
        return table.with_columns(
            pl.col(numbers).cast(pl.Float64), *(pl.col(name) == "true" for name in table.columns if name == "familiar")
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the scores with their intervals, and a link to the report."""
        try:
            scores = self.scores
        except UserError:
            return f"<p>{escape(repr(self))}</p>"
        cells = [f"<td>{escape(name)}</td><td>{escape(str(score))}</td>" for name, score in scores.items()]
        rows = "".join(f"<tr>{row}</tr>" for row in ["<th>score</th><th>value [interval]</th>", *cells])
        link = f': <a href="{escape(self.report_file.absolute().as_uri())}">report</a>'
        text = escape(repr(self)) + (link if self.report_file.is_file() else "")
        return f"<p>{text}</p><table>{rows}</table>"

    def json_or_empty(self, path: Path) -> dict[str, Any]:
        """Read a JSON file like `read_json`; return an empty dict if it does not exist or is not JSON."""
        try:
            return self.read_json(path)
        except UserError:
            return {}


class OnnxRun(Run):
    """An ONNX model from another program, with its description in a ``model.json`` next to it.

    If a folder contains several models, each has its own description, ``NAME.json``. Results for the model are written
    into its folder.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file.parent)
        specific, shared = file.with_suffix(".json"), file.with_name("model.json")
        only_model = len(list(file.parent.glob("*.onnx"))) == 1
        self.model_folder, self.weights_file = file.parent, file
        self.model_file = specific if specific.is_file() or not only_model else shared


CONVERSION_HINTS = {
    ".keras": "in Keras: model.export('model.onnx', format='onnx')",
    ".h5": "in Keras: model.export('model.onnx', format='onnx')",
    ".pb": "python -m tf2onnx.convert --saved-model FOLDER --output model.onnx",
    ".tflite": "python -m tf2onnx.convert --tflite FILE --output model.onnx",
    ".pt": "in PyTorch: torch.onnx.export(model, (example,), 'model.onnx', dynamo=True)",
    ".pth": "in PyTorch: torch.onnx.export(model, (example,), 'model.onnx', dynamo=True)",
    ".pkl": "for scikit-learn: skl2onnx.to_onnx(model, x[:1].astype('float32'))",
    ".joblib": "for scikit-learn: skl2onnx.to_onnx(model, x[:1].astype('float32'))",
}
"""Extension of other model files -> how to convert them to ONNX. They are not opened: some can execute code."""


def find_onnx(path: Path) -> OnnxRun | None:
    """Return the run of an ONNX file, or of the one in a folder that is not a run; None if there is no ONNX file.

    Args:
        path: an ONNX file, a folder with one, or a run folder.

    Raises:
        UserError: the file does not exist, the folder contains several, or the model has another format.
    """
    if path.suffix.lower() == ".onnx" and not path.is_dir():
        if not path.is_file():
            raise UserError(f"the file {str(path)!r} does not exist", "give an ONNX file, or a folder with one")
        return OnnxRun(path)
    if path.suffix.lower() in CONVERSION_HINTS and path.is_file():
        hint = CONVERSION_HINTS[path.suffix.lower()]
        raise UserError(f"{str(path)!r} is not an ONNX file", f"convert it and give the ONNX file: {hint}")
    if not path.is_dir() or (path / "experiment.toml").exists() or (path / "model").exists():
        return None
    files = sorted(path.glob("*.onnx"))
    if len(files) > 1 and path / "model.onnx" not in files:
        names = ", ".join(repr(file.name) for file in files[:5])
        raise UserError(f"{str(path)!r} contains {len(files)} ONNX files ({names})", "give one of them")
    if not files and (path / "saved_model.pb").is_file():
        hint = CONVERSION_HINTS[".pb"]
        raise UserError(f"{str(path)!r} is not an ONNX model", f"convert it and give the ONNX file: {hint}")
    return OnnxRun(path / "model.onnx" if len(files) > 1 else files[0]) if files else None


class ExplanationFolder:
    """A folder written by `explain`: figures, arrays, their numbers as JSON, and a page.

    ``ExplanationFolder(folder)`` refers to a folder without accessing it; `create` requires that it is empty.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = expand(folder)
        self.numbers_file = self.folder / "explain.json"
        self.page_file = self.folder / "explain.html"
        self.clusters_file = self.folder / "clusters.csv"
        self.images_folder = self.folder / "images"

    @classmethod
    def create(cls, folder: Path | str) -> ExplanationFolder:
        """Return a folder to write to; it is not created yet, so that an error leaves nothing behind.

        Raises:
            UserError: the folder is not empty.
        """
        explanation_folder = cls(folder)
        require_unused(explanation_folder.folder)
        return explanation_folder

    def figure_file(self, name: str) -> Path:
        """Return the path of the figure ``NAME.png``."""
        return self.folder / f"{name}.png"

    def arrays_file(self, name: str) -> Path:
        """Return the path of the arrays ``NAME.npz`` that belong to the figure of that name."""
        return self.folder / f"{name}.npz"


def read_object(path: Path, folder: Path, missing: str, broken: str) -> dict[str, Any]:
    """Return the object in a JSON file.

    Args:
        path: path of the file.
        folder: the run or study folder it belongs to, named in the error message.
        missing: the fix if the file does not exist.
        broken: the fix if the file cannot be read.

    Raises:
        UserError: the file does not exist, is not JSON, or does not contain an object.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{str(folder)!r} has no {path.name}", missing) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{str(path)!r} is not JSON: {error}", broken) from error
    if not isinstance(content, dict):
        raise UserError(f"{str(path)!r} contains no JSON object", broken)
    return upgrade_json(path.name, content)


class Study:
    """The folder of a hyperparameter study; ARCHITECTURE.md describes the content of each file.

    ``Study(folder)`` refers to a folder without accessing it; `create` makes a new folder, `open` requires a study in
    it.
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
        """Create a new, empty study folder.

        Raises:
            UserError: the folder is not empty; a study is never overwritten.
        """
        study = cls(folder)
        if is_occupied(study.folder):
            state, fix = "exists and is not empty", f"choose another --out, such as {next_free(study.folder).name!r}"
            if study.experiment_file.exists():
                state, fix = "contains a study", f"resume it: coverslip tune --resume {_quoted(study.folder)}"
            raise UserError(f"{str(folder)!r} {state}", fix)
        ensure_folder(study.folder)
        return study

    def discard(self) -> None:
        """Delete the files of a study without a finished trial, so that the corrected command can use the folder.

        Other files in the folder are kept, and then the folder too.
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
        """Open a study that was started.

        Raises:
            UserError: the folder does not exist, or contains no study.
        """
        study = cls(folder)
        if not study.experiment_file.is_file():
            raise UserError(f"there is no study in {str(folder)!r}", "give a folder written by 'coverslip tune'")
        return study

    def read_summary(self) -> dict[str, Any]:
        """Return the content of ``study.json``.

        Raises:
            UserError: the file does not exist, or is not JSON.
        """
        missing = "give a folder written by 'coverslip tune'"
        return read_object(self.summary_file, self.folder, missing, "tune again")


def new_run_folder(name: str, home: Path = Path("runs")) -> Path:
    """Return the path ``runs/NAME-DATE-N`` with the first unused N."""
    safe = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "run"
    return next_free(home / f"{safe}-{datetime.date.today().isoformat()}-1")


def reserve_run_folder(name: str, home: Path = Path("runs")) -> Path:
    """Create the folder of `new_run_folder` at once, so that a process started at the same moment gets another."""
    ensure_folder(home)
    while True:
        folder = new_run_folder(name, home)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder


def is_occupied(folder: Path) -> bool:
    """Return whether this path is a file or a folder that is not empty."""
    return folder.is_file() or (folder.is_dir() and any(folder.iterdir()))


def require_unused(folder: Path) -> None:
    """Check that writing to this folder overwrites nothing.

    Raises:
        UserError: the path is a file or a folder that is not empty; the fix proposes an unused name.
    """
    if is_occupied(folder):
        fix = f"choose another --out, such as {next_free(folder).name!r}"
        raise UserError(f"{str(folder)!r} exists and is not empty", fix)


def next_free(folder: Path) -> Path:
    """Return the path itself if it does not exist, otherwise its name with the next unused number.

    The extension of an existing file is kept.

    >>> next_free(Path("surely-not-there-3")).name
    'surely-not-there-3'
    """
    name, extension = (folder.stem, folder.suffix) if folder.is_file() else (folder.name, "")
    match = re.fullmatch(r"(.*)-(\d+)", name)
    stem, number = (match[1], int(match[2])) if match else (name, 1)
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{stem}-{number}{extension}")
    return folder


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
