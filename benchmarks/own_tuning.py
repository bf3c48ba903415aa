"""Search for the best head with Coverslip; run by `tuning.py`.

    python own_tuning.py features SOURCE GROUP EPOCHS FILE.npz    writes the training data of the peers
    python own_tuning.py search SOURCE GROUP EPOCHS TRIALS SEED   (seconds since the start, validation log loss)
    python own_tuning.py memory SOURCE GROUP EPOCHS TRIALS        (finished trials, anonymous MiB)

For all programs, the images are read and their features are cached before the clock starts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import torch

from coverslip.api import configure
from coverslip.core.runs import Study
from coverslip.pipeline.config import RunConfig
from coverslip.tuning.batch import Batch
from coverslip.tuning.data import StudyData
from coverslip.tuning.search import search
from coverslip.tuning.space import default_space
from coverslip.tuning.study import trainable


def open_study_data(source: str, group: str, epochs: int, seed: int) -> tuple[StudyData, RunConfig]:
    """Return the data and the default trial."""
    config = configure(source, data_group=group, training_seed=seed, training_epochs=epochs)
    config = trainable(config)
    config = replace(config, training=replace(config.training, precision="float32"))
    return StudyData(config), config


def write_features(study_data: StudyData, config: RunConfig, file: Path) -> None:
    """Write the views of the training images, and the selection half of the validation set."""
    prepared, cpu = study_data.prepare_trial(config).prepared, torch.device("cpu")
    rows = np.arange(len(prepared.train), dtype=np.int64)
    views = [prepared.inputs.take(rows, epoch, cpu).numpy() for epoch in range(config.model.views)]
    held = prepared.selection_inputs.take(np.arange(len(prepared.selection), dtype=np.int64), None, cpu).numpy()
    np.savez(
        file,
        x=np.stack(views),
        y=study_data.labels(prepared.train),
        held=held,
        truth=study_data.labels(prepared.selection),
    )


def run(study_data: StudyData, config: RunConfig, trials: int, memory: bool) -> list[tuple[float, float]]:
    """Search, and record the validation loss of every epoch, or the memory after each trial."""
    rows: list[tuple[float, float]] = []
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study")

        class Watched(Batch):
            def advance(self) -> list[Any]:
                reports = super().advance()
                now = time.perf_counter() - start
                if not memory:
                    rows.extend((now, report.validation_loss) for report in reports if not report.broken)
                return reports

        def open_batch(plans: dict[int, RunConfig]) -> Batch:
            return Watched(study_data, plans, study.checkpoints_folder)

        def ended(batch: Any) -> None:
            batch.outcomes.clear()

        def written(frame: pl.DataFrame, left: float | None) -> None:
            if memory:
                over = frame.filter(pl.col("state") != "running").height
                fields = dict(
                    line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
                )
                rows.append((over, int(fields["Anonymous"].split()[0]) / 1024))

        start = time.perf_counter()
        space = default_space(config)
        options = {"epoch_ended": ended, "tables_written": written}
        search(study, space, config, open_batch, trials=trials, data=study_data.digests, **options)  # type: ignore[arg-type]
    assert process.is_running()
    return rows


def main() -> None:
    what, source, group, epochs = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    seed = int(sys.argv[6]) if what == "search" else 0
    study_data, config = open_study_data(source, group, epochs, seed)
    if what == "features":
        write_features(study_data, config, Path(sys.argv[5]))
        rows: list[tuple[float, float]] = []
    else:
        rows = run(study_data, config, int(sys.argv[5]), what == "memory")
    print("answer " + json.dumps({"rows": rows, "versions": {}}))


if __name__ == "__main__":
    main()
