"""Depth ``auto``: choose how many layers to train from the time available and the number of images."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from coverslip.core.progress import Progress
from coverslip.data.cache import PixelCache
from coverslip.data.table import ImageTable
from coverslip.inference.features import FeatureExtractor
from coverslip.models.catalog import stage_names
from coverslip.models.stages import CLASSIFIER
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import open_extractor
from coverslip.pipeline.resolve import TAIL_EPOCHS, TAIL_VIEWS, network_design, resolve_config
from coverslip.training.step_time import step_seconds

MIN_IMAGES_PER_CLASS = 20  # below this, fine-tuning overfits and a head on frozen features is the safer choice
TIMED_IMAGES = 16  # images on which the forward pass is timed


@dataclass(frozen=True, slots=True)
class Option:
    """A depth and its estimated time on this machine.

    Attributes:
        stage: first trained stage, or ``all``.
        seconds: from decoded images to a calibrated model.
    """

    stage: str
    seconds: float


def choose_depth(config: RunConfig, table: ImageTable, pixels: PixelCache, log: Progress) -> RunConfig:
    """Return the config with a depth in place of ``auto``, and log the reason.

    Every stage is timed on this machine as the first trained stage; the deepest that fits into ``model.minutes`` is
    chosen. With fewer than `MIN_IMAGES_PER_CLASS` training images per class, the depth is ``head``.
    """
    rows = table.rows("train") + (table.rows("validation") if config.split.refit else [])
    per_class = len(rows) / len(table.classes)
    if per_class < MIN_IMAGES_PER_CLASS:
        log.note(f"depth: head ({per_class:.0f} training images per class are too few to train more layers)")
        return _with_depth(config, "head")
    options = time_depths(config, table, pixels, len(rows), log)
    budget = config.model.minutes * 60
    feasible = [option for option in options if option.seconds <= budget]
    chosen = feasible[0].stage if feasible else "head"
    times = ", ".join(f"{option.stage} {option.seconds:.0f} s" for option in options)
    why = "the deepest possible" if feasible else "no other depth fits"
    log.note(f"depth: {chosen} ({why} in {config.model.minutes:g} minutes on this machine; estimates: {times})")
    return _with_depth(config, chosen)


def time_depths(config: RunConfig, table: ImageTable, pixels: PixelCache, images: int, log: Progress) -> list[Option]:
    """Return the estimated time of training from each stage on, the deepest first, without the head.

    Args:
        config: the config of the run.
        table: the images with their splits.
        pixels: the decoded images.
        images: number of training images.
        log: receives one event per stage that is timed.
    """
    extractor = open_extractor(config, table, pixels)
    design = network_design(config, extractor.spec.channels)
    stages = [stage for stage in stage_names(design) if stage != CLASSIFIER]
    frozen = frozen_seconds(extractor, pixels)
    epochs = config.training.epochs or TAIL_EPOCHS
    views = config.model.views or TAIL_VIEWS
    after = frozen * len(table.rows())  # one pass of all images through the trained network
    options = []
    with log.stage("timing depths", len(stages), "stages") as progress:
        for name in stages:
            batch = config.training.batch_size or 32
            step = step_seconds(
                design, extractor.frozen.weights, name, len(table.classes), batch, fold=config.model.fold
            )
            before = 0.0 if name == stages[0] else frozen * views * images
            options.append(Option("all" if name == stages[0] else name, before + epochs * step * images + after))
            progress.advance()
    return options


def frozen_seconds(extractor: FeatureExtractor, pixels: PixelCache) -> float:
    """Return the seconds of one forward pass of one view through the whole frozen network.

    Used for every freeze point: an upper bound of the time of its frozen layers.
    """
    rows = [row for row, key in enumerate(pixels.facts["row_hash"].to_list()) if key][:TIMED_IMAGES]
    batch = extractor.spec.prepare(np.asarray(pixels.pixels[rows]))
    size = extractor.engine.batch
    batches = [batch[start : start + size] for start in range(0, len(batch), size)]
    list(extractor.engine.run(batches[:1]))
    start = time.perf_counter()
    list(extractor.engine.run(batches * 2))
    return (time.perf_counter() - start) / (2 * len(batch))


def _with_depth(config: RunConfig, depth: str) -> RunConfig:
    return resolve_config(replace(config, model=replace(config.model, depth=depth)))
