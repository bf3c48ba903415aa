"""Many trainings, compared: begin a study, or go on with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.api.configs import configure
from coverslip.core.errors import UserError, optional
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Study, claim_run_folder
from coverslip.data.scan import scan
from coverslip.pipeline.config import RunConfig

if TYPE_CHECKING:
    from coverslip.tuning.results import Tuned


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
    """Train many times with other settings; the test set is never looked at.

    Args:
        source: what `configure` takes, or a plan: the default trial, which all others are compared with.
        out: the study's folder, which must not exist; by default ``runs/tune-NAME-DATE-N``.
        sweep: every value of a setting, as ``lr=1e-5..1:log:16`` or ``batch_size=8,32,128``; several make a grid.
        one_at_a_time: from the rules of thumb, change one setting after another.
        space: what a search may vary, such as ``{"lr": "1e-4..0.1:log", "batch_size": [16, 32]}``, or a TOML file;
            by default what suits the network and the depth.
        trials: of a search.
        minutes: after which no new trials begin.
        nested: folds of a nested search, which tells what searching is worth on images that had no say; 0: none.
        repeats: trainings of the best trial's settings with other seeds, which tell how much of its score was its
            seed; 0: none.
        together: trials of a search that advance side by side.
        shared: several processes may work on the study.
        progress: told what happens.
        options: settings of the default trial, as for `configure`.

    Returns:
        The study; ``study.best_experiment`` is what `train` takes, ``study.page_file`` the page.

    Raises:
        UserError: a setting that does not exist, an empty range, settings that all fail ...
        KeyboardInterrupt: Ctrl+C; `resume_study` goes on.
    """
    optional("optuna", "tune")
    from coverslip.tuning.space import read_space, space_from
    from coverslip.tuning.study import Wish, run_study

    config = source if isinstance(source, RunConfig) else configure(source, **options)
    wish = Wish(
        sweeps=tuple(sweep),
        one_at_a_time=one_at_a_time,
        trials=trials,
        nested=nested,
        repeats=repeats,
        together=together,
    )
    varied = None
    if space is not None:
        varied = space_from(space) if isinstance(space, Mapping) else read_space(expand(space))
    study = Study.create(out or study_folder(config))
    try:
        return run_study(config, study, wish, varied, minutes=minutes, shared=shared, progress=progress)
    except UserError:
        study.discard()
        raise


def study_folder(config: RunConfig) -> Path:
    """Where a study of these settings goes, where nobody says: ``runs/tune-NAME-DATE-N``, made at once."""
    return claim_run_folder(f"tune-{scan(config.data.source, config.data.group).name}")


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
        UserError: there is no study, or its images or settings are others by now.
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
        repeats=asked.get("repeats", 0),
        together=asked["together"],
    )
    return run_study(configure(study.experiment_file), study, wish, minutes=minutes, shared=shared, progress=progress)
