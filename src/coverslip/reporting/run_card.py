"""The run card: facts that identify a run and that a comparison with another run needs first."""

from __future__ import annotations

from coverslip.reporting.run_files import RunFiles, model_facts, settings_of
from coverslip.reporting.threshold_section import threshold_of


def run_card(files: RunFiles) -> list[tuple[str, str]]:
    """Return (name, value) of seeds, hashes of data and weights, decoder, time and energy, as far as known."""
    environment, model, audit = files.environment or {}, model_facts(files), files.audit or {}
    seconds = [value for value in (environment.get("seconds") or {}).values() if isinstance(value, int | float)]
    seeds = [f"{name} {settings_of(files, name).get('seed')}" for name in ("split", "training")]
    data = audit.get("data_hash") or environment.get("data_hash")
    energy, threshold = environment.get("energy"), threshold_of(files)
    rows = [
        ("Random seeds", ", ".join(seed for seed in seeds if not seed.endswith("None")) if files.trained_here else ""),
        ("Hash of the data", str(data) if data else ""),
        ("Hash of the frozen weights", str(model.get("weights") or "")),
        ("Decision threshold", f"P({threshold['class_name']}) ≥ {threshold['value']:.4g}" if threshold else ""),
        ("Image decoder", str(environment.get("decoder") or "")),
        ("Total time (s)", f"{sum(seconds):,.1f}" if seconds else ""),
        ("Energy", str(energy) if energy and not isinstance(energy, dict) else ""),
    ]
    return [(name, value) for name, value in rows if value]
