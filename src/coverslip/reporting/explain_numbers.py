"""Table rows about heat maps: their overlap with regions of the image, and the results of sanity checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coverslip.reporting.wording import number_text, score_context


def heat_rows(regions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row per region: its share of the heat and of the area, the pointing game and its chance level."""
    rows = []
    for name, region in regions.items():
        pointing = name not in ("background", "border")  # the maximum should not be there
        rows.append(
            {
                "name": name,
                "heat": score_context(region.get("heat"), 2),
                "area": number_text(region.get("area"), 2),
                "hits": score_context(region.get("hits"), 2) if pointing else None,
                "chance": number_text(region.get("hits_by_chance"), 2) if pointing else "",
            }
        )
    return rows


def sanity_rows(checks: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return one row per sanity check: its title, result, and the result of a reliable map."""
    if not checks:
        return []
    titles = [
        ("similarity", "Similarity to the map of the same network with randomized weights", "below 0.5"),
        ("gain", "Deletion and insertion test: advantage over a random order", "above 0"),
        ("deletion", "Mean probability while the hottest regions are blurred first", "low"),
        ("insertion", "Mean probability while the hottest regions are restored first", "high"),
    ]
    rows = [{"title": title, "good": good, **score_context(checks.get(key), 2)} for key, title, good in titles]
    for method, score in (checks.get("agreement") or {}).items():
        rows.append({"title": f"Rank correlation with {method}", "good": "near 1", **score_context(score, 2)})
    return rows
