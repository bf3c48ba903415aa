"""The numbers of heat maps as rows of tables: where the heat lies beside its area, and what the tests of trust gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coverslip.reporting.wording import number_text, score_context


def heat_rows(places: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row an area: share of the heat, share of the area, the pointing game and its chance."""
    rows = []
    for name, place in places.items():
        points = name not in ("background", "border")  # nobody hopes that the hottest place lies there
        rows.append(
            {
                "name": name,
                "heat": score_context(place.get("heat"), 2),
                "area": number_text(place.get("area"), 2),
                "hits": score_context(place.get("hits"), 2) if points else None,
                "chance": number_text(place.get("hits_by_chance"), 2) if points else "",
            }
        )
    return rows


def trust_rows(trust: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A row a test: what it asks, what came out, and what would be good."""
    if not trust:
        return []
    asked = [
        ("similarity", "Likeness to the map of the same network with weights in random order", "under 0.5"),
        ("gain", "How much faster the probability changes than in a random order", "above 0"),
        ("deletion", "Mean probability while the hottest places are blurred first", "small"),
        ("insertion", "Mean probability while the hottest places come back first", "large"),
    ]
    rows = [{"says": says, "wanted": wanted, **score_context(trust.get(key), 2)} for key, says, wanted in asked]
    for method, score in (trust.get("agreement") or {}).items():
        rows.append({"says": f"Rank correlation with {method}", "wanted": "near 1", **score_context(score, 2)})
    return rows
