"""Coverslip searches for the best head; `tuning.py` starts this.

    python own_tuning.py features SOURCE GROUP EPOCHS FILE.npz    writes what the peers train on
    python own_tuning.py search SOURCE GROUP EPOCHS TRIALS SEED   (seconds since the search began, validation log loss)
    python own_tuning.py memory SOURCE GROUP EPOCHS TRIALS        (trials over, anonymous MiB)

The images are read and their features are cached before the clock starts, for all.
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
from coverslip.tuning.desk import Desk
from coverslip.tuning.search import search
from coverslip.tuning.space import default_space
from coverslip.tuning.study import trainable


def open_desk(source: str, group: str, epochs: int, seed: int) -> tuple[Desk, RunConfig]:
    """The data, and the default trial."""
    plan = configure(source, data_group=group, training_seed=seed, training_epochs=epochs)
    plan = trainable(plan)
    plan = replace(plan, recipe=replace(plan.training, precision="float32"))
    return Desk(plan), plan


def write_features(desk: Desk, plan: RunConfig, file: Path) -> None:
    """Views of the training images, and the choose half."""
    ready, cpu = desk.start(plan).ready, torch.device("cpu")
    rows = np.arange(len(ready.train), dtype=np.int64)
    views = [ready.inputs.take(rows, epoch, cpu).numpy() for epoch in range(plan.model.views)]
    held = ready.watched.take(np.arange(len(ready.choose), dtype=np.int64), None, cpu).numpy()
    np.savez(file, x=np.stack(views), y=desk.labels(ready.train), held=held, truth=desk.labels(ready.choose))


def run(desk: Desk, plan: RunConfig, trials: int, memory: bool) -> list[tuple[float, float]]:
    """Search, and note what every epoch said, or how much memory is taken as trials end."""
    rows: list[tuple[float, float]] = []
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study")

        class Watched(Batch):
            def advance(self) -> list[Any]:
                reports = super().advance()
                now = time.perf_counter() - start
                if not memory:
                    rows.extend((now, each.validation_loss) for each in reports if not each.broken)
                return reports

        def open_batch(plans: dict[int, RunConfig]) -> Batch:
            return Watched(desk, plans, study.checkpoints_folder)

        def ended(batch: Any) -> None:
            batch.outcomes.clear()

        def told(frame: pl.DataFrame, left: float | None) -> None:
            if memory:
                over = frame.filter(pl.col("state") != "running").height
                fields = dict(
                    line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
                )
                rows.append((over, int(fields["Anonymous"].split()[0]) / 1024))

        start = time.perf_counter()
        space = default_space(plan)
        options = {"epoch_ended": ended, "tables_written": told}
        search(study, space, plan, open_batch, trials=trials, data=desk.identity, **options)  # type: ignore[arg-type]
    assert process.is_running()
    return rows


def main() -> None:
    what, source, group, epochs = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    seed = int(sys.argv[6]) if what == "search" else 0
    desk, plan = open_desk(source, group, epochs, seed)
    if what == "features":
        write_features(desk, plan, Path(sys.argv[5]))
        rows: list[tuple[float, float]] = []
    else:
        rows = run(desk, plan, int(sys.argv[5]), what == "memory")
    print("answer " + json.dumps({"rows": rows, "versions": {}}))


if __name__ == "__main__":
    main()
