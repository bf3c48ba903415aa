"""Load, evaluate and compare trained models, and write their reports."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from coverslip.api.training import discard_on_error
from coverslip.core.errors import UserError
from coverslip.core.forks import unforked
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, EventLog, Progress
from coverslip.core.registry import nearest
from coverslip.core.runs import Run, reserve_run_folder
from coverslip.core.storage import write_text
from coverslip.core.tables import write_csv
from coverslip.data.agreement import formats_of
from coverslip.data.cache import with_status
from coverslip.data.decoding import FACTS
from coverslip.data.groups import fill_in_time_groups
from coverslip.data.scan import scan
from coverslip.data.summary import file_notes, relative_root, summarize
from coverslip.data.table import ImageTable
from coverslip.inference.model_files import load_predictor
from coverslip.inference.predictor import Predictor
from coverslip.models.user_network import register_user_network
from coverslip.pipeline.compare import compare_runs
from coverslip.pipeline.config import DataConfig, ModelConfig, RunConfig, write_config
from coverslip.pipeline.evaluate import score_test
from coverslip.pipeline.run import environment
from coverslip.reporting.answers import read_answers, template
from coverslip.reporting.compare_page import write_comparison
from coverslip.reporting.run_files import read_run
from coverslip.reporting.run_page import write_report


@unforked
def load(folder: str | os.PathLike[str], *, network: object | None = None) -> Predictor:
    """Load the trained model of a run, or an ONNX model from another program.

    Args:
        folder: a run folder, an ONNX file, or a folder with one. Classes and preparation of an ONNX file are read from
            a ``model.json`` next to it; if there is none, a template is written.
        network: the network, with any weights, if the run was trained with a network of your own.

    Raises:
        UserError: there is no model, or its files do not belong together.
    """
    if network is not None:
        register_user_network(network)
    return load_predictor(Run.open(folder))


@unforked
def evaluate(
    folder: str | os.PathLike[str],
    source: str | Path,
    out: str | Path | None = None,
    *,
    group: str = "",
    path_column: str = "",
    label_column: str = "",
    map: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    target: str | Sequence[str] = (),
    progress: Progress = SILENT,
) -> Run:
    """Evaluate a trained model on new labeled images; write ``test.json``, ``predictions.csv`` and a report.

    Args:
        folder: a run folder, or an ONNX file (see `load`).
        source: folder of class folders, table or ``.npz`` file; its classes must be among the model's.
        out: folder to write; must not exist; by default ``runs/evaluate-NAME-DATE-N``.
        group: what keeps images together, as for `coverslip.scan`.
        path_column: column of the table with the paths; "" finds it by name.
        label_column: column of the table with the labels; "" finds it by name.
        map: new names of labels, ``"OLD=NEW"``.
        leave_out: classes whose images are left out, by their new names.
        target: for a regression, the columns with the true values, where they are not called like the targets of the
            model; in the order of the model's targets.
        progress: receives stages and notes.

    Returns:
        The folder that was written.

    Raises:
        UserError: a class is not among the model's, or no image can be read.
    """
    model = load(folder)
    data = DataConfig(
        source=str(source),
        group=group,
        path_column=path_column,
        label_column=label_column,
        map=tuple(map),
        leave_out=tuple(leave_out),
        **_target_settings(model, (target,) if isinstance(target, str) else tuple(target)),
    )
    table = _for_model(scan(source, group, classes=1, options=data.reading), model)
    output = Run.create(out or reserve_run_folder(f"evaluate-{table.name}"))
    with discard_on_error(output):
        _evaluate(model, table, output, data, progress)
        write_report(output.folder)
    return output


def _target_settings(model: Predictor, target: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings ``[data]`` that read what the model predicts."""
    task = model.task
    if task.name != "regression":
        if target:
            raise UserError(f"--target is for regression, and the model's task is {task.name!r}", "omit --target")
        return {"task": task.name} if task.name == "multilabel" else {}
    if target and len(target) != len(task.names):
        raise UserError(f"{len(target)} targets were given, and the model has {len(task.names)}", "give one for each")
    return {"task": task.name, "target": target or task.names}


def _for_model(table: ImageTable, model: Predictor) -> ImageTable:
    """Return the table with the classes and the task of the model.

    Raises:
        UserError: the table has a class that the model does not know.
    """
    task = model.task
    if task.name == "regression":
        renamed = dict(zip(table.targets, task.names, strict=True))
        clash = [new for old, new in renamed.items() if new != old and new in table.frame.columns]
        if clash:
            raise UserError(f"the table has a column {clash[0]!r} besides the target", "rename or remove it")
        return replace(table, frame=table.frame.rename(renamed), targets=task.names)
    for name in table.classes:
        if name not in task.names:
            near = nearest(name, task.names)
            fix = f"{near} (rename it with --map {shlex.quote(name)}=CLASS, or use --leave-out {shlex.quote(name)})"
            raise UserError(f"the model has no class {name!r}", fix)
    return replace(table, classes=task.names, task=task.name)


def evaluate_any(model: Any, *arguments: Any, **options: Any) -> Any:
    """Evaluate a run on new labeled images, or a network on arrays; the public ``coverslip.evaluate``.

    ``evaluate(run, source)`` is `evaluate`; ``evaluate(network, x, y)`` is
    `coverslip.training.arrays.evaluate_arrays`.
    """
    if isinstance(model, str | os.PathLike):
        return evaluate(os.fspath(model), *arguments, **options)
    from coverslip.training.arrays import evaluate_arrays

    return evaluate_arrays(model, *arguments, **options)


def _evaluate(model: Predictor, table: ImageTable, output: Run, data: DataConfig, progress: Progress) -> None:
    log = EventLog(output.events_file, progress)
    predictions = model.predict(table, log)
    facts = pl.DataFrame(predictions.facts, schema=FACTS)
    table = with_status(table, facts).with_columns(split=["test"] * len(table))
    table = fill_in_time_groups(table, facts, data.group)
    rows = table.rows()
    if not rows:
        raise UserError(
            f"none of the {len(table)} images can be read (the first: {facts['status'][0]})", "check the files"
        )
    for note in [*model.notes, *file_notes(table, facts, model.spec.fit)]:
        log.note(f"note: {note}")
    config = RunConfig(data=data, model=ModelConfig(network=model.design.network))
    write_config(config, output.experiment_file)
    write_csv(table.frame, output.table_file)
    columns = (table.frame[name].to_list() for name in ("path", "label", "group"))
    write_csv(model.to_frame(predictions, *columns), output.predictions_file, decimals=6)
    root = relative_root(table.root, output.folder.absolute())
    output.write_json(output.audit_file, summarize(table, facts, [], model.spec.size, model.spec.fit, root))
    output.write_json(output.environment_file, environment(log, model.extractor, None))
    evidence = score_test(model, table, rows, predictions.take(rows))
    trained = sum(facts["row_hash"][row] in model.known_hashes for row in rows)
    if trained:
        warning = f"the model was trained on {trained:,} of these {len(rows):,} images, so the scores are optimistic"
        evidence["warnings"].insert(0, warning)
    evidence["warnings"] += [*model.notes, *model.image_notes(formats_of(facts))]
    if model.notes and (evidence.get("calibration") or {}).get("temperature") == 1:  # an ONNX model
        evidence["calibration"]["temperature"] = None
    evidence["model"] = model.key
    evidence["seen"] = trained if model.known_hashes else None  # the training images of an ONNX model are unknown
    output.write_json(output.test_file, evidence)


@unforked
def compare(
    runs: Sequence[str | os.PathLike[str]],
    out: str | Path | None = None,
    *,
    score: str = "",
    smallest: float | None = None,
    shared: bool = False,
) -> dict[str, Any]:
    """Compare runs on the same test images, with paired tests over groups.

    Args:
        runs: two or more run folders.
        out: folder for ``comparison.json`` and ``comparison.html``; must not exist.
        score: name of the score to compare; by default accuracy, of regressions the mean absolute error ``mae``.
        smallest: smallest difference of interest, by default 0.02, of regressions a tenth of the score of the first
            run; if no difference is significant, the number of groups that would detect it is reported.
        shared: compare on the images that all runs tested, if their test sets differ.

    Returns:
        The content of ``comparison.json``; ``result["comparisons"]`` has a sentence for every pair.

    Raises:
        UserError: the runs have different test images or classes, or are not finished.
    """
    folders = [expand(run) for run in runs]
    output = None if out is None else Run.create(out)
    if output is None:
        return compare_runs(folders, score=score, smallest=smallest, shared=shared)
    with discard_on_error(output):
        content = compare_runs(folders, score=score, smallest=smallest, shared=shared)
        output.write_json(output.comparison_file, content)
        write_comparison(output.folder)
    return content


@unforked
def report(folder: str | os.PathLike[str], answers: str | Path | None = None) -> Path:
    """Write the report of a run again, and return its path.

    Args:
        folder: the run folder.
        answers: TOML file with your answers to the reporting checklist, stored with the run. If the file does not
            exist, a template is written.

    Raises:
        UserError: the run does not exist, or the file answers an unknown question.
    """
    run = Run.existing(folder)
    if answers is not None:
        file = expand(answers)
        if not file.exists():
            write_text(file, template(read_run(run.folder)))
            raise UserError(
                f"{str(answers)!r} did not exist; a template was written", "fill it in, then run the command again"
            )
        read_answers(file)
        write_text(run.answers_file, file.read_text(encoding="utf-8"))
    return write_report(run.folder)
