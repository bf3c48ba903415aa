"""How much of a network to train, where the user leaves that open: as much as the time allows and the images bear."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from coverslip.core.progress import Progress
from coverslip.data.cache import PixelCache
from coverslip.data.table import ImageTable
from coverslip.inference.features import FeatureExtractor
from coverslip.models.catalog import network_entry
from coverslip.models.stages import CLASSIFIER
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import open_extractor
from coverslip.pipeline.resolve import TAIL_EPOCHS, TAIL_VIEWS, network_design, resolve_config
from coverslip.training.pace import step_seconds

FEWEST = 20  # training images a class; a head learns from fewer
TIMED = 16  # images that the frozen pass is timed on


@dataclass(frozen=True, slots=True)
class Option:
    """A depth and the seconds that it would take here, from decoded images to a calibrated model."""

    stage: str
    seconds: float


def choose_depth(config: RunConfig, table: ImageTable, pixels: PixelCache, log: Progress) -> RunConfig:
    """The plan with a depth in place of ``auto``: the deepest that is done within the plan's minutes; says why.

    Every stage that could be the first to be trained is timed on this machine. Where there are fewer than `FEWEST`
    training images a class, a head it is.
    """
    rows = table.rows("train") + (table.rows("validation") if config.split.refit else [])
    each = len(rows) / len(table.classes)
    if each < FEWEST:
        log.note(f"depth: head, since {each:.0f} training images a class are too few to move more of the network")
        return _settle(config, "head")
    options = time_depths(config, table, pixels, len(rows), log)
    budget = config.model.minutes * 60
    fitting = [option for option in options if option.seconds <= budget]
    chosen = fitting[0].stage if fitting else "head"
    said = ", ".join(f"{option.stage} {option.seconds:.0f} s" for option in options)
    why = (
        f"the deepest that is done in {config.model.minutes:g} minutes here" if fitting else "nothing deeper is in time"
    )
    log.note(f"depth: {chosen}, {why} (training from {said})")
    return _settle(config, chosen)


def time_depths(config: RunConfig, table: ImageTable, pixels: PixelCache, images: int, log: Progress) -> list[Option]:
    """What training from each stage on would take, the deepest first; the head is not among them."""
    extractor = open_extractor(config, table, pixels)
    design = network_design(config, extractor.spec.channels)
    stages = [each for each in network_entry(design.network).stages(design) if each != CLASSIFIER]
    frozen = frozen_seconds(extractor, pixels)
    epochs = config.training.epochs or TAIL_EPOCHS
    views = config.model.views or TAIL_VIEWS
    after = frozen * len(table.rows())  # all images go once through the trained network
    found = []
    with log.stage("timing depths", len(stages), "stages") as stage:
        for name in stages:
            batch = config.training.batch_size or 32
            step = step_seconds(
                design, extractor.frozen.weights, name, len(table.classes), batch, fold=config.model.fold
            )
            before = 0.0 if name == stages[0] else frozen * views * images
            found.append(Option("all" if name == stages[0] else name, before + epochs * step * images + after))
            stage.advance()
    return found


def frozen_seconds(extractor: FeatureExtractor, pixels: PixelCache) -> float:
    """Seconds that the whole frozen network takes for one view: what any part of it takes at most."""
    some = [row for row, key in enumerate(pixels.facts["row_hash"].to_list()) if key][:TIMED]
    batch = extractor.spec.prepare(np.asarray(pixels.pixels[some]))
    size = extractor.engine.batch
    batches = [batch[start : start + size] for start in range(0, len(batch), size)]
    list(extractor.engine.run(batches[:1]))
    start = time.perf_counter()
    list(extractor.engine.run(batches * 2))
    return (time.perf_counter() - start) / (2 * len(batch))


def _settle(config: RunConfig, depth: str) -> RunConfig:
    return resolve_config(replace(config, model=replace(config.model, depth=depth)))
