"""Audit images, train and evaluate a model, and run the learning-rate range test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from coverslip.api.configs import config_of
from coverslip.auditing.audit import Audit
from coverslip.auditing.repair import write_corrected
from coverslip.core.errors import UserError
from coverslip.core.forks import unforked
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.renamed import warn_renamed
from coverslip.core.runs import Run, next_free, reserve_run_folder
from coverslip.core.storage import atomic_write, explain_full_disk, is_full_disk
from coverslip.data.sources.source import Files
from coverslip.data.summary import relative_root
from coverslip.figures.lr_range import lr_range_figure
from coverslip.models.user_network import register_user_network
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import audit_source, scan_images, write_audit
from coverslip.pipeline.resolve import resolve_config, uses_exact_head
from coverslip.pipeline.run import lr_range_test, run
from coverslip.reporting.audit_page import write_audit_page
from coverslip.reporting.run_page import write_report


@unforked
def audit(
    source: str | Path | RunConfig,
    out: str | Path | None = None,
    *,
    verify: bool = False,
    probes: bool = True,
    progress: Progress = SILENT,
    **options: Any,
) -> Audit:
    """Check images for problems before training: duplicates, leakage, label conflicts, shortcuts. Modifies nothing.

    The decoded images are cached, and `train` uses them. The shortcut tests and the leakage estimate use the train
    and validation set only, not the test set of `train`.

    Args:
        source: see `configure`, or a config.
        out: folder for ``audit.json``, ``audit.html`` and corrected tables; must not exist.
        verify: read every file again instead of trusting size and modification time.
        probes: test for shortcuts and estimate how much leakage inflates the score; takes up to a minute for 3,000
            images.
        progress: receives stages and notes.
        options: settings, as for `configure`.

    Returns:
        The audit; ``audit.findings`` lists the findings, the most severe first.
    """
    if "price" in options:
        warn_renamed("the argument price", "probes")
        probes = options.pop("price")
    config = config_of(source, options)
    folder = None if out is None else Run.create(out)
    if folder is None:
        return audit_source(config, verify, probes, progress)[0]
    with discard_on_error(folder):
        result, proposed = audit_source(config, verify, probes, progress)
        write_audit(config, result, folder)
        if proposed is not None and isinstance(proposed.source, Files):
            write_corrected(proposed, folder.proposed_file, relative_root(proposed.root, folder.folder.absolute()))
        write_audit_page(folder.folder)
    return result


@unforked
def train(
    source: str | Path | RunConfig,
    out: str | Path | None = None,
    *,
    network: object | None = None,
    verify: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
    **options: Any,
) -> Run:
    """Train a model, evaluate it on the test set and write a report.

    Args:
        source: see `configure`, or a config.
        out: run folder, which must not exist; by default ``runs/NAME-DATE-N``.
        network: a network of your own: a `torch.nn.Module`, or a Keras model on PyTorch, that takes images
            (N, C, H, W) with values in 0..1 and returns logits (N, K). A copy is trained, with all layers; set the
            size of its images with ``input_size=64``. Load the run with ``load(run, network=...)``.
        verify: read every file again instead of trusting size and modification time.
        resume: resume the unfinished run in ``out``, which must have the same config.
        progress: receives stages and notes.
        options: settings, as for `configure`.

    Returns:
        The run; ``run.test_file`` contains every score with its interval, ``run.report_file`` is the report.
    """
    if network is not None:
        name = register_user_network(network)
        if isinstance(source, RunConfig):
            source = replace(source, model=replace(source.model, network=name))
        else:
            options["model_network"] = name
    config = config_of(source, options)
    table = None
    if out is None:
        table = scan_images(config)
        out = reserve_run_folder(table.name)
    folder = Run(out) if resume else Run.create(out)
    with discard_on_error(folder, resume):
        run(config, folder, table, verify=verify, progress=progress)
        write_report(folder.folder)
    return folder


@unforked
def find_lr(
    source: str | Path | RunConfig, out: str | Path | None = None, *, progress: Progress = SILENT, **options: Any
) -> tuple[float, Path]:
    """Run the learning-rate range test: a hundred steps with increasing learning rate; only a figure is written.

    Args:
        source: see `configure`, or a config; its depth must be deeper than ``head``.
        out: path of the figure, PNG or SVG; must not exist; by default ``rates.png``.
        progress: receives stages and notes.
        options: settings, as for `configure`.

    Returns:
        The learning rate with the steepest decrease of the loss, and the path of the figure.

    Raises:
        UserError: the figure exists, or the config has no learning rate.
    """
    config = resolve_config(config_of(source, options))
    path = expand(out or "rates.png")
    if path.exists():
        raise UserError(f"{str(path)!r} exists", f"give another --out, such as {next_free(path).name!r}")
    if config.model.depth == "auto" or uses_exact_head(config):
        raise UserError(
            f"depth {config.model.depth!r} has no learning rate to test", "add --depth tail, all or a stage"
        )
    test = lr_range_test(config, progress)
    rows = test.frame
    figure = lr_range_figure(rows["lr"].to_list(), rows["loss"].to_list(), rows["smooth"].to_list(), test.suggestion)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:] or "png", dpi=150)
    return test.suggestion, path


@contextmanager
def discard_on_error(folder: Run, resume: bool = False) -> Iterator[None]:
    """Delete a new run folder after a user error, so that the corrected command can use it.

    A trained model is kept, and so are the checkpoints if the disk became full.

    Args:
        folder: the run folder.
        resume: whether the run was resumed; then nothing is deleted.
    """
    try:
        with explain_full_disk(folder.folder):
            yield
    except UserError as error:
        full = error.__cause__ is not None and is_full_disk(error.__cause__) and folder.checkpoints_folder.is_dir()
        if not resume and not folder.model_file.is_file() and not full:
            folder.discard()
        raise
