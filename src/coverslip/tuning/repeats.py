"""Repeat the best trial with other random seeds, to measure how much of its score depends on the seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from coverslip.core.errors import UserError
from coverslip.core.progress import Progress
from coverslip.evidence.selection_bias import seed_effect
from coverslip.pipeline.config import RunConfig
from coverslip.tuning.batch import Batch
from coverslip.tuning.data import StudyData
from coverslip.tuning.results import Outcomes


def repeat_best(
    study_data: StudyData, config: RunConfig, outcomes: Outcomes, best: int, repeats: int, log: Progress
) -> dict[str, Any] | None:
    """Train the config of a trial again with the next seeds, and compare the scores with that of the trial.

    Args:
        study_data: the data of the study.
        config: config of the trial.
        outcomes: outcomes of the study, including the trial's.
        best: number of the trial.
        repeats: number of repetitions, 1 or more.
        log: receives one event per epoch.

    Returns:
        What `coverslip.evidence.selection_bias.seed_effect` returns; None if no repetition finished.
    """
    seed = config.training.seed
    configs = {
        number: replace(config, training=replace(config.training, seed=seed + number))
        for number in range(1, repeats + 1)
    }
    batch, epochs = Batch(study_data, configs), config.training.epochs or 0
    with log.stage("repeating the best trial", epochs, "epochs") as stage:
        while batch.running:
            batch.advance()
            stage.advance()
    if not batch.outcomes:
        return None
    original = outcomes.correct[outcomes.numbers.index(best)]
    repeated = [outcome.correct for outcome in batch.outcomes.values()]
    return seed_effect(np.stack([original, *repeated]), study_data.groups)


def check_repeats(repeats: int) -> None:
    """Validate the number of repetitions.

    Raises:
        UserError: the number is negative.
    """
    if repeats < 0:
        raise UserError(f"--repeats {repeats} is negative", "give 3 or more, or 0 for none")
