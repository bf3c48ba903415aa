"""The best trial once more with other seeds: how much of its score was its seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from coverslip.core.errors import UserError
from coverslip.core.progress import Progress
from coverslip.evidence.luck import repeat_spread
from coverslip.pipeline.config import RunConfig
from coverslip.tuning.batch import Batch
from coverslip.tuning.desk import Desk
from coverslip.tuning.results import Outcomes


def repeat_best(
    desk: Desk, config: RunConfig, outcomes: Outcomes, best: int, repeats: int, log: Progress
) -> dict[str, Any] | None:
    """Train a trial's settings again, with the seeds that follow its own, and hold the scores beside its own.

    Args:
        desk: of the study.
        plan: of the trial.
        outcomes: of the study; the trial is among them.
        best: its number.
        repeats: 1 or more; those of one shape are trained in one pass.
        log: told of the epochs.

    Returns:
        What `coverslip.evidence.luck.repeat_spread` says; None where no repeat came to its end.
    """
    seed = config.training.seed
    plans = {
        number: replace(config, training=replace(config.training, seed=seed + number))
        for number in range(1, repeats + 1)
    }
    batch, epochs = Batch(desk, plans), config.training.epochs or 0
    with log.stage("the best with other seeds", epochs, "epochs") as stage:
        while batch.running:
            batch.advance()
            stage.advance()
    if not batch.outcomes:
        return None
    own = outcomes.right[outcomes.numbers.index(best)]
    return repeat_spread(np.stack([own, *(each.right for each in batch.outcomes.values())]), desk.groups)


def check_repeats(repeats: int) -> None:
    """Raise UserError for a number of repeats that cannot be."""
    if repeats < 0:
        raise UserError(f"--repeats {repeats} is no number of trainings", "3 or more tell how far a seed can carry")
