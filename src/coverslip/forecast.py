"""What a run would read, how long it would take on this machine, and how much disk; nothing is trained."""

from __future__ import annotations

import time
from typing import Any

from coverslip.data.cache import is_cached, pixel_bytes, read_pixels
from coverslip.data.decoding import decode_all, guess_format
from coverslip.data.scan import scan
from coverslip.data.split import split_table
from coverslip.inference.features import FeatureExtractor
from coverslip.models.catalog import network_entry, pretrained
from coverslip.progress import SILENT, Progress, Stage
from coverslip.settings import Experiment, input_size, input_spec
from coverslip.storage import cache_folder, free_bytes

SAMPLE = 48  # pictures that are decoded to tell how long the whole takes


def dry_run(settings: Experiment, *, progress: Progress = SILENT) -> dict[str, Any]:
    """What a run would read, how long it would take here, and what it would write; nothing is trained.

    Times are measured on a sample of the pictures; what the cache holds already takes no time.

    Returns:
        pictures, classes, parts (name -> pictures), disk_bytes, free_bytes, cached (bool), seconds (stage -> estimate).
    """
    table = split_table(scan(settings.data.source, settings.data.group), settings.split.fractions, settings.split.seed)
    network = network_entry(settings.model.network)
    size = input_size(settings, network)
    form = guess_format(table.source, table.paths)
    sample = table.paths[:: max(len(table) // SAMPLE, 1)][:SAMPLE]
    start = time.perf_counter()
    chunks = list(decode_all(table.source, sample, form, size, settings.input.fit, Stage(), widen=False))
    decoding = (time.perf_counter() - start) / len(sample)
    pixels = chunks[0].pixels
    spec = input_spec(settings, network, form)
    extractor = FeatureExtractor(pretrained(settings.model.network, form.channels), spec)
    progress.note("timing the network on this machine")
    batch = spec.prepare(pixels[: extractor.engine.batch])
    list(extractor.engine.run([batch]))
    start = time.perf_counter()
    list(extractor.engine.run([batch] * 4))
    per_view = (time.perf_counter() - start) / (4 * len(batch))
    parts = {part: len(table.rows(part)) for part in ("train", "validation", "test")}
    views = parts["train"] * settings.model.views + parts["validation"] + parts["test"]
    cached = is_cached(table, size, settings.input.fit)
    missing = views
    if cached:
        keys = read_pixels(table, size, settings.input.fit).facts["row_hash"].to_list()
        rows = {part: [row for row in table.rows(part) if keys[row]] for part in parts}
        missing = extractor.missing(rows["train"], keys, settings.model.views)
        missing += sum(extractor.missing(rows[part], keys) for part in ("validation", "test"))
    return {
        "pictures": len(table),
        "classes": len(table.classes),
        "parts": parts,
        "disk_bytes": pixel_bytes(len(table), size, form) + views * network.features * 2,
        "free_bytes": free_bytes(cache_folder()),
        "cached": cached,
        "seconds": {
            "reading pictures": 0.0 if cached else decoding * len(table),
            "computing features": per_view * missing,
        },
    }
