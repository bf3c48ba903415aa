"""From images to a tested model: audit, train, and the test of learning rates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coverslip.api.configs import configure
from coverslip.auditing.audit import Audit
from coverslip.auditing.repair import write_corrected
from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run, claim_run_folder, next_free
from coverslip.core.storage import explain_full_disk, is_full_disk, writing
from coverslip.data.scan import scan
from coverslip.data.sources.source import Files
from coverslip.data.summary import relative_root
from coverslip.figures.rates import rates_figure
from coverslip.models.own import add_own
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import audit_source, write_audit
from coverslip.pipeline.resolve import resolve_config, uses_exact_head
from coverslip.pipeline.run import lr_range_test, run
from coverslip.reporting.audit_page import write_audit_page
from coverslip.reporting.run_page import write_report


def audit(
    source: str | Path | RunConfig,
    out: str | Path | None = None,
    *,
    verify: bool = False,
    price: bool = True,
    progress: Progress = SILENT,
    **options: Any,
) -> Audit:
    """What is wrong with these images, before anything is learned from them. Nothing is changed.

    The images are decoded as `train` would decode them, which then finds them decoded. A model is not trained, and
    the part that `train` would test on is not looked at by shortcut probes and the price of a leak.

    Args:
        source: what `configure` takes, or a plan.
        out: a folder for ``audit.json``, ``audit.html`` and tables to go on with; must not exist.
        verify: read every file again instead of trusting that size and time tell whether it changed.
        price: look for shortcuts, and put a price on a leak: takes up to a minute for 3,000 images.
        progress: told what happens.
        options: config, as for `configure`.

    Returns:
        The audit; ``audit.findings`` are the findings, the gravest first.
    """
    config = source if isinstance(source, RunConfig) else configure(source, **options)
    there = None if out is None else Run.create(out)
    if there is None:
        return audit_source(config, verify, price, progress)[0]
    with tidy(there):
        found, proposed = audit_source(config, verify, price, progress)
        write_audit(config, found, there)
        if proposed is not None and isinstance(proposed.source, Files):
            write_corrected(proposed, there.proposed_file, relative_root(proposed.root, there.folder.absolute()))
        write_audit_page(there.folder)
    return found


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
    """Train, test and report: folder of images in, run folder out.

    Args:
        source: what `configure` takes, or a plan.
        out: the run's folder, which must not exist; by default ``runs/NAME-DATE-N``.
        network: one of your own, instead of a name: a `torch.nn.Module`, or a Keras model on PyTorch, that takes
            (N, C, H, W) on the scale 0 to 1 and gives scores (N, K). A copy of all of it is trained; ``input_size=64``
            says what images it takes. Its run is loaded by ``load(run, network=...)``.
        verify: read every file again instead of trusting that size and time tell whether it changed.
        resume: ``out`` holds an unfinished run of the same plan; go on with it.
        progress: told what happens.
        options: config, as for `configure`.

    Returns:
        The run; ``run.test_file`` holds every score with its interval, ``run.report_file`` the page.
    """
    if network is not None:
        options["model_network"] = add_own(network)
    config = source if isinstance(source, RunConfig) else configure(source, **options)
    if out is None:
        out = claim_run_folder(scan(config.data.source, config.data.group).name)
    folder = Run(out) if resume else Run.create(out)
    with tidy(folder, resume):
        run(config, folder, verify=verify, progress=progress)
        write_report(folder.folder)
    return folder


def find_lr(
    source: str | Path | RunConfig, out: str | Path | None = None, *, progress: Progress = SILENT, **options: Any
) -> tuple[float, Path]:
    """Test learning rates from tiny to huge, a hundred steps in all; nothing is kept but the figure.

    Args:
        source: what `configure` takes, or a plan; its depth must be deeper than a head.
        out: the figure, PNG or SVG; must not exist; by default ``rates.png``.
        progress: told what happens.
        options: config, as for `configure`.

    Returns:
        The rate at which the loss falls fastest, and where the figure is.

    Raises:
        UserError: the figure is there already, or a head is to be trained, which has no learning rate.
    """
    config = resolve_config(source if isinstance(source, RunConfig) else configure(source, **options))
    path = expand(out or "rates.png")
    if path.exists():
        raise UserError(f"{str(path)!r} exists already", f"give another --out, such as {next_free(path).name!r}")
    if config.model.depth == "auto" or uses_exact_head(config):
        raise UserError(
            f"depth {config.model.depth!r} has no learning rate to test", "add --depth tail, all or a stage"
        )
    test = lr_range_test(config, progress)
    rows = test.frame
    figure = rates_figure(rows["lr"].to_list(), rows["loss"].to_list(), rows["smooth"].to_list(), test.suggestion)
    with writing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:] or "png", dpi=150)
    return test.suggestion, path


@contextmanager
def tidy(there: Run, resume: bool = False) -> Iterator[None]:
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
