"""The page of a comparison: the differences between models on the same test images, with confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.runs import Run
from coverslip.core.storage import write_text
from coverslip.figures import DifferenceRow, comparison_figure, signed, svg_text
from coverslip.reporting.markup import fill
from coverslip.reporting.wording import count_text, name_of_score, score_context, share_text, without_folders

CONTENTS = {"differences": "Differences", "scores": "Scores of each model", "images": "Test images"}
MAX_PAIRS = 40  # in the figure


def write_comparison(folder: Path) -> Path:
    """Write ``comparison.html`` next to ``comparison.json``, completely or not at all.

    Args:
        folder: a folder written by ``coverslip compare --out``.

    Returns:
        The file that was written.

    Raises:
        UserError: the folder has no comparison.json, or it cannot be read.
    """
    run = Run(folder)
    if not run.comparison_file.is_file():
        raise UserError(
            f"{str(folder)!r} has no {run.comparison_file.name}", "compare first: coverslip compare RUN RUN --out DIR"
        )
    page = render_comparison(run.read_json(run.comparison_file), run.folder.resolve().name)
    write_text(run.comparison_page_file, page)
    return run.comparison_page_file


def render_comparison(content: Mapping[str, Any], name: str) -> str:
    """Render the page to HTML.

    Args:
        content: content of comparison.json: ``runs`` (name, path and network of each), ``result`` (of
            `coverslip.evidence.compare`), ``shared`` (images, groups, dropped) and ``notes``.
        name: title of the page.
    """
    result = content.get("result") or {}
    pairs = result.get("comparisons") or []
    score, lower = name_of_score(str(result.get("score") or "score"))[0], bool(result.get("lower_is_better"))
    rows = [_figure_row(pair) for pair in pairs[:MAX_PAIRS]]
    smallest = float(result.get("smallest") or 0)
    figure = comparison_figure(rows, smallest=smallest, lower=lower) if rows else None
    label = f"Differences in {score.lower()} with confidence intervals; see the table below"
    return fill(
        "compare_page.html.j2",
        name=name,
        contents=CONTENTS,
        image_note="",
        with_images=False,
        score=score,
        lower=lower,
        level=share_text(result["level"]) if result.get("level") else "",
        smallest=f"{smallest:g}" if smallest else "",
        sentences=[str(pair["sentence"]) for pair in pairs if pair.get("sentence")],
        warnings=[str(warning) for warning in result.get("warnings") or []],
        svg=svg_text(figure, "differences", label=label) if figure is not None else "",
        several=len(pairs) > 1,
        pairs=[_table_row(pair) for pair in pairs],
        runs=_runs(content, result),
        shared=_shared(content.get("shared") or {}, result),
        notes=[str(note) for note in content.get("notes") or []],
    )


def probability_text(p: float | None) -> str:
    """Return a p-value as text; it is never shown as 0.

    >>> probability_text(0.0004), probability_text(0.0312), probability_text(None)
    ('< 0.001', '0.031', '–')
    """
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _figure_row(pair: Mapping[str, Any]) -> DifferenceRow:
    numbers = {key: pair.get(key) for key in ("difference", "low", "high", "low_all", "high_all")}
    better = str(pair.get("better") or "")
    return DifferenceRow(first=str(pair.get("first")), second=str(pair.get("second")), better=better, **numbers)


def _table_row(pair: Mapping[str, Any]) -> dict[str, Any]:
    """Return one row of the table of differences as text."""

    def interval(low: str, high: str) -> str:
        known = pair.get(low) is not None and pair.get(high) is not None
        return f"[{signed(pair[low])}, {signed(pair[high])}]" if known else ""

    difference = pair.get("difference")
    return {
        "first": str(pair.get("first")),
        "second": str(pair.get("second")),
        "difference": "not available" if difference is None else signed(difference),
        "pairwise": interval("low", "high"),
        "simultaneous": interval("low_all", "high_all"),
        "p": probability_text(pair.get("p")),
        "p_adjusted": probability_text(pair.get("p_adjusted")),
        "better": str(pair.get("better") or ""),
        "test": str(pair.get("test") or ""),
        "method": str(pair.get("method") or ""),
        "reason": str(pair.get("reason") or ""),
        "only_first": pair.get("only_first_right"),
        "only_second": pair.get("only_second_right"),
    }


def _runs(content: Mapping[str, Any], result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each run with its score: from the result if it has one, else from the run's entry."""
    entries = {str(run.get("name")): run for run in content.get("runs") or [] if isinstance(run, Mapping)}
    scores = {str(run.get("name")): run for run in result.get("runs") or []}
    rows = []
    for name in dict.fromkeys([*entries, *scores]):
        entry = entries.get(name, {})
        stored = entry.get("score") if isinstance(entry.get("score"), Mapping) else None
        rows.append(
            {
                "name": name,
                "path": without_folders(str(entry["path"])) if entry.get("path") else "",
                "network": str(entry.get("network") or ""),
                **score_context(scores.get(name) or stored),
            }
        )
    return rows


def _shared(shared: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the images common to all runs, and how many images of each run are not."""
    images, groups = shared.get("images") or result.get("images"), shared.get("groups") or result.get("groups")
    dropped = shared.get("dropped") or {}
    counts = {str(name): value if isinstance(value, int) else len(value or ()) for name, value in dropped.items()}
    return {
        "images": count_text(images, "test image") if images else "",
        "groups": count_text(groups, "group") if groups and result.get("grouped") else "",
        "dropped": [(name, count_text(number, "image")) for name, number in counts.items() if number],
    }
