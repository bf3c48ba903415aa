"""What a run would read, how long it would take on this machine, and how much disk; nothing is trained."""

from __future__ import annotations

import math
import time
from typing import Any

from coverslip.data.cache import is_cached, pixel_bytes, read_pixels
from coverslip.data.decoding import PixelFormat, decode_all, guess_format
from coverslip.data.image import Pixels
from coverslip.data.scan import scan
from coverslip.data.split import split_table
from coverslip.data.table import ImageTable
from coverslip.inference.features import FeatureExtractor
from coverslip.models.catalog import network_entry
from coverslip.models.freeze import frozen_part
from coverslip.models.stages import CLASSIFIER
from coverslip.progress import SILENT, Progress, Stage
from coverslip.settings import (
    Experiment,
    check_threshold,
    design_of,
    input_size,
    input_spec,
    settled,
    starting_weights,
    trained_from,
)
from coverslip.storage import cache_folder, free_bytes
from coverslip.training.pace import step_seconds

SAMPLE = 48  # pictures that are decoded to tell how long the whole takes


def dry_run(settings: Experiment, *, progress: Progress = SILENT) -> dict[str, Any]:
    """What a run would read, how long it would take here, and what it would write; nothing is trained.

    Times are measured on a sample of the pictures; what the cache holds already takes no time.

    Returns:
        pictures, classes, parts (name -> pictures), disk_bytes, free_bytes, cached (bool), seconds (stage -> estimate).

    Raises:
        UserError: what `coverslip.experiment.run` would refuse of data and settings before it trains.
    """
    settings = settled(settings)
    scanned = scan(settings.data.source, settings.data.group)
    check_threshold(settings, scanned.classes)
    table = split_table(scanned, settings.split.fractions, settings.split.seed)
    network = network_entry(settings.model.network)
    size = input_size(settings, network)
    form = guess_format(table.source, table.paths)
    sample = table.paths[:: max(len(table) // SAMPLE, 1)][:SAMPLE]
    start = time.perf_counter()
    chunks = list(decode_all(table.source, sample, form, size, settings.input.fit, Stage(), widen=False))
    decoding = (time.perf_counter() - start) / len(sample)
    parts = {part: len(table.rows(part)) for part in ("train", "validation", "test")}
    seconds = {"reading pictures": 0.0 if is_cached(table, size, settings.input.fit) else decoding * len(table)}
    disk = pixel_bytes(len(table), size, form)
    if settings.model.depth == "auto":
        progress.note("how deep to train is decided, and said, when the run starts")
    else:
        progress.note("timing the network on this machine")
        frozen, stored = _frozen_seconds(settings, table, chunks[0].pixels, form, parts)
        seconds["computing features"] = frozen
        disk += stored
        if trained_from(settings) != CLASSIFIER:
            seconds["training"] = _training_seconds(settings, form.channels, len(table.classes), parts)
    return {
        "pictures": len(table),
        "classes": len(table.classes),
        "parts": parts,
        "disk_bytes": disk,
        "free_bytes": free_bytes(cache_folder()),
        "cached": not seconds["reading pictures"],
        "seconds": seconds,
    }


def _frozen_seconds(
    settings: Experiment, table: ImageTable, pixels: Pixels, form: PixelFormat, parts: dict[str, int]
) -> tuple[float, int]:
    """Seconds of the frozen passes, less what is cached, and the bytes of what they give."""
    network, stage = network_entry(settings.model.network), trained_from(settings)
    size, design = input_size(settings, network), design_of(settings, form.channels)
    spec = input_spec(settings, network, form)
    weights = starting_weights(settings, form.channels)
    if not weights:
        return 0.0, 0
    extractor = FeatureExtractor(frozen_part(design, weights), spec)
    batch = spec.prepare(pixels[: extractor.engine.batch])
    list(extractor.engine.run([batch]))
    start = time.perf_counter()
    list(extractor.engine.run([batch] * 4))
    per_view = (time.perf_counter() - start) / (4 * len(batch))
    whole = stage == network.stages(design)[0]
    after = len(table) if stage != CLASSIFIER else parts["validation"] + parts["test"]
    views = parts["train"] * settings.model.views * (not whole)
    missing = views + after
    if stage == CLASSIFIER and is_cached(table, size, settings.input.fit):
        keys = read_pixels(table, size, settings.input.fit).facts["row_hash"].to_list()
        rows = {part: [row for row in table.rows(part) if keys[row]] for part in parts}
        missing = extractor.missing(rows["train"], keys, settings.model.views)
        missing += sum(extractor.missing(rows[part], keys) for part in ("validation", "test"))
    shape = frozen_part(design, weights, stage).shape if views else ()
    return per_view * missing, 2 * (views * math.prod(shape) + after * extractor.frozen.shape[0])


def _training_seconds(settings: Experiment, channels: int, classes: int, parts: dict[str, int]) -> float:
    recipe, design = settings.recipe.filled(), design_of(settings, channels)
    weights = starting_weights(settings, channels)
    stage = trained_from(settings)
    assert recipe.epochs is not None
    each = step_seconds(design, weights, stage, classes, recipe.batch_size or 32, fold=settings.model.fold)
    return each * recipe.epochs * (parts["train"] + (parts["validation"] if settings.training.refit else 0))
