"""Hyperparameter studies: start a study, or resume one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.api.configs import config_of, configure
from coverslip.core.errors import UserError, optional
from coverslip.core.forks import unforked
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Study, reserve_run_folder
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import scan_images

if TYPE_CHECKING:
    from coverslip.tuning.results import Tuned


@unforked
def tune(
    source: str | Path | RunConfig,
    out: str | Path | None = None,
    *,
    sweep: Sequence[str] = (),
    one_at_a_time: bool = False,
    space: Mapping[str, Any] | str | Path | None = None,
    trials: int = 50,
    minutes: float | None = None,
    nested: int = 0,
    repeats: int = 0,
    together: int = 16,
    shared: bool = False,
    progress: Progress = SILENT,
    **options: Any,
) -> Tuned:
    """Search for better hyperparameters on the train and validation set; the test set is not used.

    Args:
        source: see `configure`, or a config: the default trial, with which all others are compared.
        out: study folder, which must not exist; by default ``runs/tune-NAME-DATE-N``.
        sweep: all values of a setting, as ``lr=1e-5..1:log:16`` or ``batch_size=8,32,128``; several form a grid.
        one_at_a_time: tune one setting after another, starting from rules of thumb.
        space: search space, such as ``{"lr": "1e-4..0.1:log", "batch_size": [16, 32]}``, or a TOML file; by default
            that of the network and the depth.
        trials: number of trials of a search.
        minutes: time limit, after which no new trials start; None for no limit.
        nested: outer folds of a nested cross-validation, which estimates the gain of the search on images that it did
            not use; 0: none.
        repeats: repetitions of the best trial with other seeds, which estimate the effect of the seed; 0: none.
        together: trials of a search that advance in step.
        shared: whether several processes may work on the study.
        progress: receives stages and notes.
        options: settings of the default trial, as for `configure`.

    Returns:
        The study; ``study.best_experiment`` is the config for `train`, ``study.page_file`` the page.

    Raises:
        UserError: a setting does not exist, a range is empty, or all trials failed.
        KeyboardInterrupt: Ctrl+C; resume with `resume_study`.
    """
    optional("optuna", "tune")
    from coverslip.tuning.space import read_space, space_from
    from coverslip.tuning.study import StudyConfig, run_study

    config = config_of(source, options)
    study_config = StudyConfig(
        sweeps=tuple(sweep),
        one_at_a_time=one_at_a_time,
        trials=trials,
        nested=nested,
        repeats=repeats,
        together=together,
    )
    search_space = None
    if space is not None:
        search_space = space_from(space) if isinstance(space, Mapping) else read_space(expand(space))
    study = Study.create(out or study_folder(config))
    try:
        return run_study(config, study, study_config, search_space, minutes=minutes, shared=shared, progress=progress)
    except UserError:
        study.discard()
        raise


def study_folder(config: RunConfig) -> Path:
    """Create and return the default folder of a study, ``runs/tune-NAME-DATE-N``."""
    return reserve_run_folder(f"tune-{scan_images(config).name}")


@unforked
def resume_study(
    folder: str | Path,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    shared: bool = False,
    progress: Progress = SILENT,
) -> Tuned:
    """Resume an interrupted study, or add trials to a search; arguments as for `tune`.

    Raises:
        UserError: there is no study, or its images or settings have changed.
    """
    optional("optuna", "tune")
    from coverslip.tuning.results import Tuned
    from coverslip.tuning.study import StudyConfig, run_study

    study = Study.open(folder)
    stored = Tuned(folder).summary["asked"]
    study_config = StudyConfig(
        sweeps=tuple(stored["sweeps"]),
        one_at_a_time=stored["one_at_a_time"],
        trials=trials or stored["trials"],
        nested=stored["nested"],
        repeats=stored.get("repeats", 0),
        together=stored["together"],
    )
    config = configure(study.experiment_file)
    return run_study(config, study, study_config, minutes=minutes, shared=shared, progress=progress)
