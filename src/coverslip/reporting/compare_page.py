"""The page of a comparison: which of several models is better on the same test images, and how sure that is."""

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

CONTENTS = {"differences": "Differences", "scores": "Each by itself", "images": "On which images"}
MOST_DRAWN = 40


def write_comparison(folder: Path) -> Path:
    """Write ``comparison.html`` beside ``comparison.json``, whole or not at all.

    Args:
        folder: what ``coverslip compare --out`` wrote.

    Returns:
        The file that was written.

    Raises:
        UserError: there is no comparison.json in the folder, or it cannot be read.
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
    """The whole page as HTML.

    Args:
        content: of comparison.json: ``runs`` (name, path, network of each), ``result`` of `coverslip.evidence.compare`,
            ``shared`` (images, groups, dropped), ``notes``.
        name: the title.
    """
    result = content.get("result") or {}
    pairs = result.get("comparisons") or []
    score, lower = name_of_score(str(result.get("score") or "score"))[0], bool(result.get("lower_is_better"))
    rows = [_drawn(pair) for pair in pairs[:MOST_DRAWN]]
    smallest = float(result.get("smallest") or 0)
    figure = comparison_figure(rows, smallest=smallest, lower=lower) if rows else None
    label = f"Differences in {score.lower()} with their intervals; the table below has the numbers"
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
        warnings=[str(each) for each in result.get("warnings") or []],
        svg=svg_text(figure, "differences", label=label) if figure is not None else "",
        several=len(pairs) > 1,
        pairs=[_pair(pair) for pair in pairs],
        runs=_runs(content, result),
        shared=_shared(content.get("shared") or {}, result),
        notes=[str(note) for note in content.get("notes") or []],
    )


def _drawn(pair: Mapping[str, Any]) -> DifferenceRow:
    numbers = {key: pair.get(key) for key in ("difference", "low", "high", "low_all", "high_all")}
    better = str(pair.get("better") or "")
    return DifferenceRow(first=str(pair.get("first")), second=str(pair.get("second")), better=better, **numbers)


def _pair(pair: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table of differences, as text."""

    def limits(low: str, high: str) -> str:
        known = pair.get(low) is not None and pair.get(high) is not None
        return f"[{signed(pair[low])}, {signed(pair[high])}]" if known else ""

    difference = pair.get("difference")
    return {
        "first": str(pair.get("first")),
        "second": str(pair.get("second")),
        "difference": "not known" if difference is None else signed(difference),
        "alone": limits("low", "high"),
        "together": limits("low_all", "high_all"),
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
    """Each run with its own score: of the result, else as the run's entry has it."""
    told = {str(run.get("name")): run for run in content.get("runs") or [] if isinstance(run, Mapping)}
    scores = {str(run.get("name")): run for run in result.get("runs") or []}
    rows = []
    for name in dict.fromkeys([*told, *scores]):
        run = told.get(name, {})
        own = run.get("score") if isinstance(run.get("score"), Mapping) else None
        rows.append(
            {
                "name": name,
                "path": without_folders(str(run["path"])) if run.get("path") else "",
                "network": str(run.get("network") or ""),
                **score_context(scores.get(name) or own),
            }
        )
    return rows


def _shared(shared: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """On what the runs were compared, and what only some of them were tested on."""
    images, groups = shared.get("images") or result.get("images"), shared.get("groups") or result.get("groups")
    dropped = shared.get("dropped") or {}
    counts = {str(name): each if isinstance(each, int) else len(each or ()) for name, each in dropped.items()}
    return {
        "images": count_text(images, "test image") if images else "",
        "groups": count_text(groups, "group") if groups and result.get("grouped") else "",
        "dropped": [(name, count_text(number, "image")) for name, number in counts.items() if number],
    }


def probability_text(p: float | None) -> str:
    """A p value as a table shows it; never a bare 0.

    >>> probability_text(0.0004), probability_text(0.0312), probability_text(None)
    ('< 0.001', '0.031', '–')
    """
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
