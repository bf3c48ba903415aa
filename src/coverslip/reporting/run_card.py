"""The run card: what a second run has to be compared with first."""

from __future__ import annotations

from coverslip.reporting.run_files import RunFiles, model_facts, settings_of
from coverslip.reporting.threshold_section import threshold_of


def run_card(files: RunFiles) -> list[tuple[str, str]]:
    """Seeds, data and weights by their content, decoder, seconds, energy: (name, value), those that are known."""
    environment, model, audit = files.environment or {}, model_facts(files), files.audit or {}
    seconds = [value for value in (environment.get("seconds") or {}).values() if isinstance(value, int | float)]
    seeds = [f"{name} {settings_of(files, name).get('seed')}" for name in ("split", "training")]
    data = audit.get("data_hash") or environment.get("data_hash")
    energy, threshold = environment.get("energy"), threshold_of(files)
    rows = [
        ("Seeds", ", ".join(seed for seed in seeds if not seed.endswith("None")) if files.trained_here else ""),
        ("Data, by content", str(data) if data else ""),
        ("Frozen weights, by content", str(model.get("weights") or "")),
        ("Threshold", f"{threshold['class_name']} from {threshold['value']:.4g} on" if threshold else ""),
        ("Decoder", str(environment.get("decoder") or "")),
        ("Seconds, all stages", f"{sum(seconds):,.1f}" if seconds else ""),
        ("Energy", str(energy) if energy and not isinstance(energy, dict) else ""),
    ]
    return [(name, value) for name, value in rows if value]
