"""The functions users call; the command line calls the same ones.

A long job takes ``progress``: the default says nothing, `coverslip.progress.TerminalProgress` draws bars.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from coverslip.assessment import assess
from coverslip.auditing.audit import Audit
from coverslip.auditing.repair import write_corrected
from coverslip.comparison import compare_runs
from coverslip.config import from_mapping, override, to_mapping
from coverslip.data.augment import augmentation
from coverslip.data.cache import with_status
from coverslip.data.groups import fill_in_times
from coverslip.data.scan import scan
from coverslip.data.sources.loose import as_given, pictures_of
from coverslip.data.sources.source import Files
from coverslip.data.summary import file_notes, relative_root, summarize
from coverslip.data.table import ImageTable
from coverslip.errors import UserError, optional
from coverslip.experiment import environment, read_plan, run, test_rates, write_plan
from coverslip.figures.rates import rates_figure
from coverslip.inference.predictor import Predictor
from coverslip.inspection import audit_pictures, write_audit
from coverslip.models.own import add_own
from coverslip.progress import SILENT, EventLog, Progress
from coverslip.registry import nearest
from coverslip.reporting.answers import read_answers, template
from coverslip.reporting.audit_page import write_audit_page
from coverslip.reporting.compare_page import write_comparison
from coverslip.reporting.run_files import read_run
from coverslip.reporting.run_page import write_report
from coverslip.runs import Explained, Run, Study, claim_run_folder, next_free
from coverslip.settings import DataConfig, Experiment, fits_exactly, settled
from coverslip.storage import explain_full_disk, is_full_disk, write_text, writing

if TYPE_CHECKING:
    from coverslip.explaining.explanation import Explanation
    from coverslip.tuning.results import Tuned


def plan(source: str | Path, *, settings: Sequence[str] = (), augment: str | None = None, **options: Any) -> Experiment:
    """All settings of a run.

    Args:
        source: a folder, a table, an ``.npz`` file, or the ``experiment.toml`` of a run to repeat.
        settings: assignments such as ``model.views=3``; they win over all else.
        augment: a preset of `coverslip.data.augment.PRESETS`; single strengths are settings, ``augment.rotate=20``.
        options: ``section_key`` of a setting, such as ``split_seed=1``; None leaves it as it is.

    Raises:
        UserError: a setting that does not exist, or a value that it cannot take.
    """
    path = Path(source)
    mapping: dict[str, Any] = {"data": {"source": str(source)}}
    if path.suffix.lower() == ".toml":
        mapping = to_mapping(read_plan(path))  # refuses unknown keys before anything else is added
    given = [(key.partition("_"), value) for key, value in options.items() if value is not None]
    if augment is not None:
        mapping["augment"] = to_mapping(augmentation(augment))
    for (section, _, key), value in given:
        mapping.setdefault(section, {})[key] = value
    return from_mapping(Experiment, override(mapping, list(settings)), "experiment")


def audit(
    source: str | Path | Experiment,
    out: str | Path | None = None,
    *,
    verify: bool = False,
    price: bool = True,
    progress: Progress = SILENT,
    **options: Any,
) -> Audit:
    """What is wrong with these pictures, before anything is learned from them. Nothing is changed.

    The pictures are decoded as `train` would decode them, which then finds them decoded. A model is not trained, and
    the part that `train` would test on is not looked at by shortcut probes and the price of a leak.

    Args:
        source: what `plan` takes, or a plan.
        out: a folder for ``audit.json``, ``audit.html`` and tables to go on with; must not exist.
        verify: read every file again instead of trusting that size and time tell whether it changed.
        price: look for shortcuts, and put a price on a leak: takes up to a minute for 3,000 pictures.
        progress: told what happens.
        options: settings, as for `plan`.

    Returns:
        The audit; ``audit.findings`` are the findings, the gravest first.
    """
    settings = source if isinstance(source, Experiment) else plan(source, **options)
    there = None if out is None else Run.create(out)
    if there is None:
        return audit_pictures(settings, verify, price, progress)[0]
    with _tidy(there):
        found, proposed = audit_pictures(settings, verify, price, progress)
        write_audit(settings, found, there)
        if proposed is not None and isinstance(proposed.source, Files):
            write_corrected(proposed, there.proposed_file, relative_root(proposed.root, there.folder.absolute()))
        write_audit_page(there.folder)
    return found


def train(
    source: str | Path | Experiment,
    out: str | Path | None = None,
    *,
    network: object | None = None,
    verify: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
    **options: Any,
) -> Run:
    """Train, test and report: folder of pictures in, run folder out.

    Args:
        source: what `plan` takes, or a plan.
        out: the run's folder, which must not exist; by default ``runs/NAME-DATE-N``.
        network: one of your own, instead of a name: a `torch.nn.Module`, or a Keras model on PyTorch, that takes
            (N, C, H, W) on the scale 0 to 1 and gives scores (N, K). A copy of all of it is trained; ``input_size=64``
            says what pictures it takes. Its run is loaded by ``load(run, network=...)``.
        verify: read every file again instead of trusting that size and time tell whether it changed.
        resume: ``out`` holds an unfinished run of the same plan; go on with it.
        progress: told what happens.
        options: settings, as for `plan`.

    Returns:
        The run; ``run.test_file`` holds every score with its interval, ``run.report_file`` the page.
    """
    if network is not None:
        options["model_network"] = add_own(network)
    settings = source if isinstance(source, Experiment) else plan(source, **options)
    if out is None:
        out = claim_run_folder(scan(settings.data.source, settings.data.group).name)
    folder = Run(out) if resume else Run.create(out)
    with _tidy(folder, resume):
        run(settings, folder, verify=verify, progress=progress)
        write_report(folder.folder)
    return folder


def tune(
    source: str | Path | Experiment,
    out: str | Path | None = None,
    *,
    sweep: Sequence[str] = (),
    one_at_a_time: bool = False,
    space: Mapping[str, Any] | str | Path | None = None,
    trials: int = 50,
    minutes: float | None = None,
    nested: int = 0,
    together: int = 16,
    shared: bool = False,
    progress: Progress = SILENT,
    **options: Any,
) -> Tuned:
    """Train many times with other settings; the test part is never looked at.

    Args:
        source: what `plan` takes, or a plan: the default trial, which all others are compared with.
        out: the study's folder, which must not exist; by default ``runs/tune-NAME-DATE-N``.
        sweep: every value of a setting, as ``lr=1e-5..1:log:16`` or ``batch_size=8,32,128``; several make a grid.
        one_at_a_time: from the rules of thumb, change one setting after another.
        space: what a search may vary, such as ``{"lr": "1e-4..0.1:log", "batch_size": [16, 32]}``, or a TOML file;
            by default what suits the network and the depth.
        trials: of a search.
        minutes: after which no new trials begin.
        nested: folds of a nested search, which tells what searching is worth on pictures that had no say; 0: none.
        together: trials of a search that advance side by side.
        shared: several processes may work on the study.
        progress: told what happens.
        options: settings of the default trial, as for `plan`.

    Returns:
        The study; ``study.best_experiment`` is what `train` takes, ``study.page_file`` the page.

    Raises:
        UserError: a setting that does not exist, an empty range, settings that all fail ...
        KeyboardInterrupt: Ctrl+C; `resume_study` goes on.
    """
    optional("optuna", "tune")
    from coverslip.tuning.space import read_space, space_from
    from coverslip.tuning.study import Wish, run_study

    settings = source if isinstance(source, Experiment) else plan(source, **options)
    wish = Wish(sweeps=tuple(sweep), one_at_a_time=one_at_a_time, trials=trials, nested=nested, together=together)
    varied = None
    if space is not None:
        varied = space_from(space) if isinstance(space, Mapping) else read_space(Path(space))
    study = Study.create(out or study_folder(settings))
    try:
        return run_study(settings, study, wish, varied, minutes=minutes, shared=shared, progress=progress)
    except UserError:
        study.discard()
        raise


def study_folder(settings: Experiment) -> Path:
    """Where a study of these settings goes, where nobody says: ``runs/tune-NAME-DATE-N``, made at once."""
    return claim_run_folder(f"tune-{scan(settings.data.source, settings.data.group).name}")


def resume_study(
    folder: str | Path,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    shared: bool = False,
    progress: Progress = SILENT,
) -> Tuned:
    """Go on with a study that was interrupted, or give a search more trials; arguments as for `tune`.

    Raises:
        UserError: there is no study, or its pictures or settings are others by now.
    """
    optional("optuna", "tune")
    from coverslip.tuning.results import Tuned
    from coverslip.tuning.study import Wish, run_study

    study = Study.open(folder)
    asked = Tuned(folder).summary["asked"]
    wish = Wish(
        sweeps=tuple(asked["sweeps"]),
        one_at_a_time=asked["one_at_a_time"],
        trials=trials or asked["trials"],
        nested=asked["nested"],
        together=asked["together"],
    )
    return run_study(plan(study.experiment_file), study, wish, minutes=minutes, shared=shared, progress=progress)


def find_rate(
    source: str | Path | Experiment, out: str | Path | None = None, *, progress: Progress = SILENT, **options: Any
) -> tuple[float, Path]:
    """Test learning rates from tiny to huge, a hundred steps in all; nothing is kept but the figure.

    Args:
        source: what `plan` takes, or a plan; its depth must be deeper than a head.
        out: the figure, PNG or SVG; must not exist; by default ``rates.png``.
        progress: told what happens.
        options: settings, as for `plan`.

    Returns:
        The rate at which the loss falls fastest, and where the figure is.

    Raises:
        UserError: the figure is there already, or a head is to be trained, which has no learning rate.
    """
    settings = settled(source if isinstance(source, Experiment) else plan(source, **options))
    path = Path(out or "rates.png")
    if path.exists():
        raise UserError(f"{str(path)!r} exists already", f"give another --out, such as {next_free(path).name!r}")
    if settings.model.depth == "auto" or fits_exactly(settings):
        raise UserError(
            f"depth {settings.model.depth!r} has no learning rate to test", "add --depth tail, all or a stage"
        )
    test = test_rates(settings, progress)
    rows = test.frame
    figure = rates_figure(rows["rate"].to_list(), rows["loss"].to_list(), rows["smooth"].to_list(), test.suggestion)
    with writing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:] or "png", dpi=150)
    return test.suggestion, path


def unfinished(folder: str | Path) -> Experiment:
    """The plan of a run that was interrupted, to be passed to `train` with ``resume=True``.

    Raises:
        UserError: it is finished, or no run.
    """
    there = Run(folder)
    if not there.experiment_file.is_file():
        raise UserError(f"{str(folder)!r} holds no experiment.toml, so there is nothing to go on with", "train anew")
    if there.test_file.is_file():
        fix = f"look at {str(there.report_file)!r}"
        if not there.report_file.is_file():
            fix = f"it only lacks its page: coverslip report {shlex.quote(str(folder))}"
        raise UserError(f"the run {str(folder)!r} is finished", fix)
    return plan(there.experiment_file)


def load(folder: str | Path, *, network: object | None = None) -> Predictor:
    """The trained model of a run.

    Args:
        folder: the run.
        network: where the run was trained with a network of your own, that network again (with any weights).

    Raises:
        UserError: there is none, or its files do not belong together.
    """
    if network is not None:
        add_own(network)
    return Predictor.load(Run.open(folder))


def predict(folder: str | Path, paths: Sequence[str | Path], *, progress: Progress = SILENT) -> pl.DataFrame:
    """Classify pictures with a trained model; nothing is trained.

    Args:
        folder: the run.
        paths: files and folders.
        progress: told of the stage.

    Returns:
        A row a picture: path (as given, or below the folder given), label (null), group (null), predicted, confidence,
        one column ``p:CLASS`` a class, and error, which says why a file could not be read.
    """
    table = pictures_of(paths)
    predictions, _ = load(folder).predict(table, progress)
    shown = as_given([table.root / name for name in table.paths], paths)
    return predictions.with_columns(pl.Series("path", shown, dtype=pl.String))


def evaluate(
    folder: str | Path,
    source: str | Path,
    out: str | Path | None = None,
    *,
    group: str = "",
    progress: Progress = SILENT,
) -> Run:
    """Score a trained model on new labelled pictures: test.json, predictions.csv and a page.

    Args:
        folder: the run.
        source: a folder of class folders, a table or an ``.npz`` file; its classes must be among the model's.
        out: where to write; must not exist; by default ``runs/evaluate-NAME-DATE-N``.
        group: as for `scan`.
        progress: told what happens.

    Raises:
        UserError: a class that the model does not know, or no readable picture.
    """
    model = load(folder)
    table = scan(source, group, classes=1)
    for name in table.classes:
        if name not in model.task.classes:
            fix = f"{nearest(name, model.task.classes)} rename its folder or label, or leave it out"
            raise UserError(f"the model knows no class {name!r}", fix)
    table = replace(table, classes=model.task.classes)
    there = Run.create(out or claim_run_folder(f"evaluate-{table.name}"))
    with _tidy(there):
        _evaluate(model, table, there, str(source), group, progress)
        write_report(there.folder)
    return there


def evaluate_any(what: Any, *arguments: Any, **options: Any) -> Any:
    """Score a run on new labelled pictures, or a network on arrays; the public ``coverslip.evaluate``.

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
        raise UserError(f"none of the {len(table)} pictures can be read", f"the first: {facts['status'][0]}")
    for note in file_notes(table, facts, model.spec.fit):
        log.note(f"note: {note}")
    write_plan(Experiment(data=DataConfig(source=source, group=group)), there.experiment_file)
    table.frame.write_csv(there.table_file)
    predictions = predictions.with_columns(table.frame["group"])
    predictions.write_csv(there.predictions_file, float_precision=6)
    root = relative_root(table.root, there.folder.absolute())
    there.write_json(there.audit_file, summarize(table, facts, [], model.spec.size, model.spec.fit, root))
    there.write_json(there.environment_file, environment(log, model.extractor, None))
    evidence = assess(model, table, rows, predictions[rows])
    known = sum(facts["row_hash"][row] in model.seen for row in rows)
    if known:
        warning = (
            f"{known:,} of these {len(rows):,} pictures are among those the model was trained on: the scores flatter it"
        )
        evidence["warnings"].insert(0, warning)
    there.write_json(there.test_file, evidence)


@contextmanager
def _tidy(there: Run, resume: bool = False) -> Iterator[None]:
    """After a mistake that the user can mend, the mended command finds the folder free.

    A trained model is kept, and so is what a training had learned when the disk became full.
    """
    try:
        with explain_full_disk(there.folder):
            yield
    except UserError as error:
        full = error.__cause__ is not None and is_full_disk(error.__cause__) and there.checkpoints_folder.is_dir()
        if not resume and not there.model_file.is_file() and not full:
            there.discard()
        raise


def compare(
    runs: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    score: str = "accuracy",
    smallest: float = 0.02,
    shared: bool = False,
) -> dict[str, Any]:
    """Compare runs on the same test pictures, paired and over groups.

    Args:
        runs: two or more folders of runs.
        out: a folder for ``comparison.json`` and ``comparison.html``; must not exist.
        score: by which they are compared.
        smallest: the smallest difference worth seeing: where nothing can be told, how many groups would show it.
        shared: where the runs did not test the same pictures, use those that all tested.

    Returns:
        What ``comparison.json`` holds; ``result["comparisons"]`` has a sentence for every pair.

    Raises:
        UserError: the runs did not test the same pictures, know other classes, or are not finished.
    """
    there = None if out is None else Run.create(out)
    if there is None:
        return compare_runs(runs, score=score, smallest=smallest, shared=shared)
    with _tidy(there):
        found = compare_runs(runs, score=score, smallest=smallest, shared=shared)
        there.write_json(there.comparison_file, found)
        write_comparison(there.folder)
    return found


def explain(
    folder: str | Path,
    paths: Sequence[str | Path] | str | Path = (),
    out: str | Path | None = None,
    *,
    classes: Sequence[str] | str = (),
    method: str = "",
    layer: str = "",
    ideal: bool = False,
    filters: str = "",
    test: bool = False,
    trust: bool = True,
    masks: str | Path | None = None,
    network: object | None = None,
    progress: Progress = SILENT,
) -> Explanation:
    """Where a trained model looks, what it has learned, and whether such a picture can be trusted.

    Args:
        folder: the run.
        paths: pictures and folders of pictures, at most 64 in all: each gets a grid of stages by classes.
        out: a folder for figures (PNG), arrays (``.npz``), ``explain.json`` and ``explain.html``; must not exist.
            Without it nothing is written, and a notebook shows the figures.
        classes: rows of the grids besides the true and the predicted class.
        method: ``grad-cam``, ``grad-cam++``, ``layer-cam``, ``cam``, ``occlusion``, or one that needs the extra
            ``explain``; without it what suits the network.
        layer: the only stage or module to draw; without it every stage.
        ideal: also draw what each class looks like to the network.
        filters: a stage or module whose filters are drawn.
        test: look through the test part of the run: mean maps, mistakes, pictures that it looked away from.
        trust: test the maps; this takes most of the time.
        masks: a folder with a mask a picture (of the picture's name): 0 background, 1 subject, 2 lesion. Those that
            the run's table names in a column ``mask`` are found without it.
        network: where the run was trained with a network of your own, that network again.
        progress: told what happens.

    Returns:
        The explanation: ``figures``, ``heatmaps``, ``sentences``, and all that they are made of.

    Raises:
        UserError: nothing to explain; no such class, method or layer (the nearest is named), or one that does not suit
            the network; pictures that cannot be read.
    """
    from coverslip.explaining.recipe import explain_run
    from coverslip.explaining.saving import save_explanation
    from coverslip.reporting.explain_page import write_explain_page

    if network is not None:
        add_own(network)
    run_folder = Run.open(folder)
    there = None if out is None else Explained(out)
    if there is not None and there.folder != run_folder.explained_test_folder:
        there = Explained.create(there.folder)
    found = explain_run(
        run_folder,
        [paths] if isinstance(paths, str | Path) else paths,
        classes=[classes] if isinstance(classes, str) else classes,
        method=method,
        layer=layer,
        ideal=ideal,
        filters=filters,
        test=test,
        trust=trust,
        masks=None if masks is None else Path(masks),
        progress=progress,
    )
    if there is not None:
        with explain_full_disk(there.folder):
            save_explanation(found, there)
            write_explain_page(there.folder)
            if there.folder == run_folder.explained_test_folder and run_folder.test_file.is_file():
                write_report(run_folder.folder)
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
        given = Path(answers)
        if not given.exists():
            write_text(given, template(read_run(there.folder)))
            raise UserError(
                f"there was no {str(answers)!r}; one to fill in was written", "fill it in, then run this again"
            )
        read_answers(given)
        write_text(there.answers_file, given.read_text(encoding="utf-8"))
    return write_report(there.folder)
