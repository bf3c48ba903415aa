"""What is done with trained models: load, evaluate, compare, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coverslip.api.training import tidy
from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, EventLog, Progress
from coverslip.core.registry import nearest
from coverslip.core.runs import Run, claim_run_folder
from coverslip.core.storage import write_text
from coverslip.core.tables import write_csv
from coverslip.data.cache import with_status
from coverslip.data.groups import fill_in_times
from coverslip.data.scan import scan
from coverslip.data.summary import file_notes, relative_root, summarize
from coverslip.data.table import ImageTable
from coverslip.inference.model_files import load_predictor
from coverslip.inference.predictor import Predictor
from coverslip.models.own import add_own
from coverslip.pipeline.compare import compare_runs
from coverslip.pipeline.config import DataConfig, ModelConfig, RunConfig, write_config
from coverslip.pipeline.evaluate import score_test
from coverslip.pipeline.run import environment
from coverslip.reporting.answers import read_answers, template
from coverslip.reporting.compare_page import write_comparison
from coverslip.reporting.run_files import read_run
from coverslip.reporting.run_page import write_report


def load(folder: str | Path, *, network: object | None = None) -> Predictor:
    """The trained model of a run, or an ONNX model from elsewhere.

    Args:
        folder: the run; or an ONNX file, or a folder with one: what such a file does not say of itself stands in a
            ``model.json`` beside it, and one to fill in is written where there is none.
        network: where the run was trained with a network of your own, that network again (with any weights).

    Raises:
        UserError: there is none, or its files do not belong together.
    """
    if network is not None:
        add_own(network)
    return load_predictor(Run.open(folder))


def evaluate(
    folder: str | Path,
    source: str | Path,
    out: str | Path | None = None,
    *,
    group: str = "",
    progress: Progress = SILENT,
) -> Run:
    """Score a trained model on new labelled images: test.json, predictions.csv and a page.

    Args:
        folder: the run, or an ONNX file (see `load`).
        source: a folder of class folders, a table or an ``.npz`` file; its classes must be among the model's.
        out: where to write; must not exist; by default ``runs/evaluate-NAME-DATE-N``.
        group: as for `scan`.
        progress: told what happens.

    Raises:
        UserError: a class that the model does not know, or no readable image.
    """
    model = load(folder)
    table = scan(source, group, classes=1)
    for name in table.classes:
        if name not in model.task.classes:
            fix = f"{nearest(name, model.task.classes)} rename its folder or label, or leave it out"
            raise UserError(f"the model knows no class {name!r}", fix)
    table = replace(table, classes=model.task.classes)
    there = Run.create(out or claim_run_folder(f"evaluate-{table.name}"))
    with tidy(there):
        _evaluate(model, table, there, str(source), group, progress)
        write_report(there.folder)
    return there


def evaluate_any(what: Any, *arguments: Any, **options: Any) -> Any:
    """Score a run on new labelled images, or a network on arrays; the public ``coverslip.evaluate``.

    ``evaluate(run, source)`` is `evaluate`; ``evaluate(network, x, y)`` is
    `coverslip.training.arrays.evaluate_arrays`.
    """
    if isinstance(what, str | Path):
        return evaluate(what, *arguments, **options)
    from coverslip.training.arrays import evaluate_arrays

    return evaluate_arrays(what, *arguments, **options)


def _evaluate(model: Predictor, table: ImageTable, there: Run, source: str, group: str, progress: Progress) -> None:
    log = EventLog(there.events_file, progress)
    predictions, facts = model.predict(table, log)
    table = with_status(table, facts).with_columns(split=["test"] * len(table))
    table = fill_in_times(table, facts, group)
    rows = table.rows()
    if not rows:
        raise UserError(f"none of the {len(table)} images can be read", f"the first: {facts['status'][0]}")
    for note in [*model.notes, *file_notes(table, facts, model.spec.fit)]:
        log.note(f"note: {note}")
    config = RunConfig(data=DataConfig(source=source, group=group), model=ModelConfig(network=model.design.network))
    write_config(config, there.experiment_file)
    write_csv(table.frame, there.table_file)
    predictions = predictions.with_columns(table.frame["group"])
    write_csv(predictions, there.predictions_file, decimals=6)
    root = relative_root(table.root, there.folder.absolute())
    there.write_json(there.audit_file, summarize(table, facts, [], model.spec.size, model.spec.fit, root))
    there.write_json(there.environment_file, environment(log, model.extractor, None))
    evidence = score_test(model, table, rows, predictions[rows])
    known = sum(facts["row_hash"][row] in model.seen for row in rows)
    if known:
        warning = (
            f"{known:,} of these {len(rows):,} images are among those the model was trained on: the scores flatter it"
        )
        evidence["warnings"].insert(0, warning)
    evidence["warnings"] += model.notes
    if model.notes and model.task.temperature == 1:  # nobody looked for one
        evidence["calibration"]["temperature"] = None
    evidence["model"] = model.key
    evidence["seen"] = known if model.seen else None  # a model from elsewhere does not say what it was trained on
    there.write_json(there.test_file, evidence)


def compare(
    runs: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    score: str = "accuracy",
    smallest: float = 0.02,
    shared: bool = False,
) -> dict[str, Any]:
    """Compare runs on the same test images, paired and over groups.

    Args:
        runs: two or more folders of runs.
        out: a folder for ``comparison.json`` and ``comparison.html``; must not exist.
        score: by which they are compared.
        smallest: the smallest difference worth seeing: where nothing can be told, how many groups would show it.
        shared: where the runs did not test the same images, use those that all tested.

    Returns:
        What ``comparison.json`` holds; ``result["comparisons"]`` has a sentence for every pair.

    Raises:
        UserError: the runs did not test the same images, know other classes, or are not finished.
    """
    there = None if out is None else Run.create(out)
    if there is None:
        return compare_runs(runs, score=score, smallest=smallest, shared=shared)
    with tidy(there):
        found = compare_runs(runs, score=score, smallest=smallest, shared=shared)
        there.write_json(there.comparison_file, found)
        write_comparison(there.folder)
    return found


def report(folder: str | Path, answers: str | Path | None = None) -> Path:
    """Write a run's page anew and return its path.

    Args:
        folder: the run.
        answers: a TOML file with what only a person knows; it is kept with the run. If there is no such file, one to
            fill in is written there instead.

    Raises:
        UserError: no run there, or an answer to a question that nobody asks.
    """
    there = Run(folder)
    if not there.folder.is_dir():
        raise UserError(f"there is no run {str(folder)!r}", "name a folder that 'coverslip train' wrote")
    if answers is not None:
        given = expand(answers)
        if not given.exists():
            write_text(given, template(read_run(there.folder)))
            raise UserError(
                f"there was no {str(answers)!r}; one to fill in was written", "fill it in, then run this again"
            )
        read_answers(given)
        write_text(there.answers_file, given.read_text(encoding="utf-8"))
    return write_report(there.folder)
