"""The dry run: what a run would read, how long it would take on this machine, and how much it would store."""

from __future__ import annotations

import math
import time
from typing import Any

from coverslip.core.progress import SILENT, Progress, Stage
from coverslip.core.storage import cache_folder, free_bytes
from coverslip.data.cache import PixelCache, is_cached, pixel_bytes
from coverslip.data.decoding import PixelFormat, decode_all, guess_format
from coverslip.data.image import Pixels
from coverslip.data.table import ImageTable
from coverslip.inference.features import FeatureExtractor
from coverslip.models.catalog import stage_names
from coverslip.models.freeze import frozen_stages
from coverslip.models.stages import CLASSIFIER
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.prepare import prepare, scan_images, split_table_of
from coverslip.pipeline.resolve import (
    check_task,
    initial_weights,
    input_size,
    input_spec,
    network_design,
    new_task,
    resolve_config,
    trained_from,
    with_task_defaults,
)
from coverslip.training.step_time import step_seconds

SAMPLE = 48  # images that are decoded to estimate the time for all
READ_SECONDS = 60  # images that take longer to decode are not read by a dry run


def dry_run(config: RunConfig, *, progress: Progress = SILENT) -> dict[str, Any]:
    """Estimate what a run would read, how long it would take on this machine, and what it would store.

    The images are read, audited and split as the run would do it (the run then finds them in the cache), unless that
    takes more than `READ_SECONDS`: then the split is made without the audit, and ``audited`` is False. Nothing is
    trained.

    Args:
        config: the config of the run.
        progress: receives stages and notes.

    Returns:
        images, classes, splits (name -> images), audited, cached, disk_bytes, free_bytes, seconds (stage -> estimate).

    Raises:
        UserError, BlockedError: as `coverslip.pipeline.run.run` before it trains.
    """
    resolved, scanned = resolve_config(config), scan_images(config)
    config = with_task_defaults(resolved, config, scanned.task)
    check_task(config, scanned)
    size = input_size(config)
    pixel_format = guess_format(scanned.source, scanned.paths)
    sample = scanned.paths[:: max(len(scanned) // SAMPLE, 1)][:SAMPLE]
    start = time.perf_counter()
    chunks = list(decode_all(scanned.source, sample, pixel_format, size, config.input.fit, Stage(), widen=False))
    per_image = (time.perf_counter() - start) / len(sample)
    cached = is_cached(scanned, size, config.input.fit)
    reading = 0.0 if cached else per_image * len(scanned)
    audited = reading <= READ_SECONDS
    pixels = None
    if audited:
        data = prepare(config, scanned, progress=progress)
        table, pixels = data.table, data.pixels
    else:
        table = split_table_of(config, scanned)
        progress.note(f"the images are not read (about {reading:.0f} s), so the split is made without the audit")
    splits = {split: len(table.rows(split)) for split in ("train", "validation", "test")}
    seconds = {"reading images": reading}
    disk = pixel_bytes(len(table), size, pixel_format)
    if config.model.depth == "auto":
        progress.note("depth auto is resolved when the run starts")
    else:
        progress.note("timing the network on this machine")
        frozen, stored = _frozen_seconds(config, table, pixels, chunks[0].pixels, pixel_format, splits)
        seconds["computing features"] = frozen
        disk += stored
        if trained_from(config) != CLASSIFIER:
            seconds["training"] = _training_seconds(
                config, pixel_format.channels, new_task(config, table).num_outputs, splits
            )
    return {
        "images": len(table),
        "classes": len(table.classes),
        "splits": splits,
        "audited": audited,
        "cached": cached,
        "disk_bytes": disk,
        "free_bytes": free_bytes(cache_folder()),
        "seconds": seconds,
    }


def _frozen_seconds(
    config: RunConfig,
    table: ImageTable,
    cache: PixelCache | None,
    sample: Pixels,
    pixel_format: PixelFormat,
    splits: dict[str, int],
) -> tuple[float, int]:
    """Return the seconds of the forward passes through frozen layers that are not cached, and the bytes they store."""
    stage, design = trained_from(config), network_design(config, pixel_format.channels)
    spec = input_spec(config, pixel_format)
    weights = initial_weights(config, pixel_format.channels)
    if not weights:
        return 0.0, 0
    extractor = FeatureExtractor(frozen_stages(design, weights), spec)
    batch = spec.prepare(sample[: extractor.engine.batch])
    list(extractor.engine.run([batch]))
    start = time.perf_counter()
    list(extractor.engine.run([batch] * 4))
    per_view = (time.perf_counter() - start) / (4 * len(batch))
    whole = stage == stage_names(design)[0]
    after = len(table) if stage != CLASSIFIER else splits["validation"] + splits["test"]
    views = splits["train"] * config.model.views * (not whole)
    missing = views + after
    if stage == CLASSIFIER and cache is not None:
        keys = cache.facts["row_hash"].to_list()
        rows = {split: [row for row in table.rows(split) if keys[row]] for split in splits}
        missing = extractor.missing(rows["train"], keys, config.model.views)
        missing += sum(extractor.missing(rows[split], keys) for split in ("validation", "test"))
    shape = frozen_stages(design, weights, stage).shape if views else ()
    return per_view * missing, 2 * (views * math.prod(shape) + after * extractor.frozen.shape[0])


def _training_seconds(config: RunConfig, channels: int, classes: int, splits: dict[str, int]) -> float:
    training, design = config.training.filled(), network_design(config, channels)
    weights = initial_weights(config, channels)
    stage = trained_from(config)
    assert training.epochs is not None
    per_image = step_seconds(design, weights, stage, classes, training.batch_size or 32, fold=config.model.fold)
    return per_image * training.epochs * (splits["train"] + (splits["validation"] if config.split.refit else 0))
