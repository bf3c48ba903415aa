"""What an audit says: its verdict, findings, counts, groups, shortcuts, and the price of a leak."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from coverslip.auditing.findings import FIXED
from coverslip.figures import ProbeRow, class_bars, histogram_figure, price_figure, probe_figure, svg_text
from coverslip.reporting.audit_images import ImageStrips
from coverslip.reporting.places import data_text
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.wording import count_text, number_text

MOST_CLASSES = 60
SEVERITIES = {"blocks": "blocks training", "warns": "warning", "notes": "note"}
DECISIONS = {"fixed": "mended", "dropped": "left out"}
VERDICTS = {"warns": "shortcut", "notes": "note", "silent": "no sign"}
LOOKED_AT = "in the files, labels, copies, groups and split "  # all that is looked at without probes
MEASURES = {  # key in distributions -> title, unit, what the figure shows, and by what numbers are divided
    "brightness": ("Brightness", "0 black to 1 white", "How bright the images are: the mean grey value of each.", 1),
    "sharpness": ("Sharpness", "less to more", "How much fine detail they hold; blurred images are on the left.", 1),
    "width": ("Width", "pixels", "How wide they are before they are resized.", 1),
    "height": ("Height", "pixels", "How high they are before they are resized.", 1),
    "bytes": ("File size", "kB", "How large their files are.", 1000),
}


def audit_section(
    files: RunFiles, strips: ImageStrips, *, look: str, where: str = "", figures: str = "audit"
) -> dict[str, Any]:
    """All that audit.json says beyond the plain facts; the templates ``audit_*.html.j2`` show its parts.

    Args:
        files: a folder with audit.json; one of an older version, without findings, says so under ``missing``.
        strips: makes the images.
        look: the command that looks for all there is to look for.
        where: where that command is right, as a sentence.
        figures: what the names of this section's figures begin with, unique in the page.
    """
    audit = files.audit
    if audit is None or "findings" not in audit:
        return {
            "missing": "Nobody looked: there are no findings in audit.json." if audit else "There is no audit.json."
        }
    probed = any(each.get("value") is not None for each in audit.get("shortcuts") or [])
    return {
        "verdict": verdict(audit["findings"] or [], probed=probed),
        "look": look,
        "where": where,
        "findings": [_finding(each, audit, strips) for each in audit["findings"] or []],
        "measures": _measures(audit.get("distributions"), figures),
        "groups": _groups(audit.get("groups"), strips),
        "shortcuts": _shortcuts(audit.get("shortcuts"), figures),
        "price": _price(audit.get("price"), figures),
        "grouped": bool((audit.get("groups") or {}).get("by") or (audit.get("groups") or {}).get("proposals")),
    }


def verdict(findings: Sequence[Mapping[str, Any]], *, probed: bool = True) -> dict[str, Any]:
    """The findings in one plain sentence; those that were decided on are told apart.

    Args:
        findings: of audit.json.
        probed: whether shortcuts were looked for; else the sentence does not speak of them.

    >>> verdict([{"severity": "blocks"}, {"severity": "notes"}, {"severity": "notes"}])["sentence"]
    '1 finding blocks training, 2 are notes.'
    >>> verdict([{"severity": "blocks", "decision": "fixed"}])
    {'sentence': 'Nothing found that would mislead a result.', 'decided': '1 finding was mended.', 'blocks': 0}
    """
    waiting = [each for each in findings if not _decision(each)]
    blocks, warns, notes = (sum(each.get("severity") == name for each in waiting) for name in SEVERITIES)
    if blocks:
        said = [f"{count_text(blocks, 'finding')} {'blocks' if blocks == 1 else 'block'} training"]
        said += [f"{warns:,} {'is a warning' if warns == 1 else 'are warnings'}"] if warns else []
        said += [f"{notes:,} {'is a note' if notes == 1 else 'are notes'}"] if notes else []
        sentence = ", ".join(said)
    elif warns:
        also = f" and {count_text(notes, 'note')}" if notes else ""
        sentence = (
            f"Nothing blocks training; there {'is' if warns == 1 else 'are'} {count_text(warns, 'warning')}{also}"
        )
    else:
        sentence = f"Nothing found {'' if probed else LOOKED_AT}that would mislead a result"
        sentence += f"; {count_text(notes, 'thing')} {'is' if notes == 1 else 'are'} worth knowing" if notes else ""
    made = Counter(_decision(each) for each in findings if _decision(each))
    decided = "; ".join(f"{count_text(n, 'finding')} {'was' if n == 1 else 'were'} {word}" for word, n in made.items())
    return {"sentence": f"{sentence}.", "decided": f"{decided}." if decided else "", "blocks": blocks}


def next_commands(audit: Mapping[str, Any], place: str) -> list[tuple[str, str]]:
    """(what it does, the command) of each way on from here.

    Args:
        audit: the content of audit.json.
        place: the folder or table as a command names it.
    """
    findings = audit.get("findings") or []
    train = f"coverslip train {data_text(audit, place)}"
    train += "".join(f" --accept {shlex.quote(str(e['name']))}" for e in findings if _decision(e) == "accepted")
    blocking = [each for each in findings if each.get("severity") == "blocks" and not _decision(each)]
    names = [str(each["name"]) for each in blocking]
    if blocking:
        ways = []
        options = [_options(each, audit) for each in blocking]
        if set(names) <= set(FIXED):
            ways.append(("mend the table, never the images, and go on", f"{train} --fix"))
        if all("drop" in each for each in options):
            drop = "".join(f" {each['drop']}" for each in options)
            ways.append(("leave out the images concerned", train + drop))
        if all("accept" in each for each in options):
            accept = "".join(f" {each['accept']}" for each in options)
            ways.append(("go on as it is; the report will always say so", train + accept))
        return ways or [("look again when that is mended", f"coverslip audit {data_text(audit, place)}")]
    groups = audit.get("groups") or {}
    proposals = [] if groups.get("by") else groups.get("proposals") or []
    ways = [("train on these images", train)]
    if proposals:
        use = f"{train} --group {shlex.quote(str(proposals[0].get('use', '')))}"
        ways.insert(0, ("train with the first proposed group, if it is right", use))
    return ways


def _decision(finding: Mapping[str, Any]) -> str:
    """How the page calls what was decided: ``accepted``, ``mended``, ``left out``, or nothing."""
    decision = str(finding.get("decision") or ("accepted" if finding.get("accepted") else ""))
    return DECISIONS.get(decision, decision)


def _options(finding: Mapping[str, Any], audit: Mapping[str, Any]) -> dict[str, str]:
    """What ``train`` takes to go on in spite of a blocking finding; leaving out all images is no way on."""
    if finding.get("severity") != "blocks" or _decision(finding) or not finding.get("images"):
        return {}
    name = shlex.quote(str(finding.get("name", "")))
    some = (finding.get("count") or 0) < (audit.get("read") or math.inf)
    return {"accept": f"--accept {name}"} | ({"drop": f"--drop {name}"} if some else {})


def _finding(each: Mapping[str, Any], audit: Mapping[str, Any], strips: ImageStrips) -> dict[str, Any]:
    severity, title = str(each.get("severity")), str(each.get("title", ""))
    return {
        "name": str(each.get("name", "")),
        "severity": severity,
        "word": SEVERITIES.get(severity, severity),
        "decision": _decision(each),
        "title": title[:1].upper() + title[1:],
        "meaning": str(each.get("meaning") or ""),
        "remedy": str(each.get("remedy") or ""),
        "options": _options(each, audit),
        "images": strips.strips(each.get("images")),
    }


def class_balance(classes: Mapping[str, int] | None, figures: str = "audit") -> dict[str, Any] | None:
    """Images of each class as bars, the largest classes first where there are too many to draw."""
    if not classes:
        return None
    names = list(classes) if len(classes) <= MOST_CLASSES else sorted(classes, key=lambda name: -classes[name])
    shown = names[:MOST_CLASSES]
    most, least = max(classes.values()), min(classes.values())
    label = "Images of each class"
    return {
        "svg": svg_text(class_bars(shown, [classes[name] for name in shown]), f"{figures}-classes", label=label),
        "ratio": f"{most / least:.3g}" if least and most > least else "",
        "left_out": len(names) - len(shown),
    }


def _measures(distributions: Mapping[str, Any] | None, figures: str) -> list[dict[str, str]]:
    drawn = []
    for number, (key, each) in enumerate((distributions or {}).items()):
        edges, counts = (each or {}).get("edges") or [], (each or {}).get("counts") or []
        if not counts:
            continue
        title, unit, caption, scale = MEASURES.get(key, (key.capitalize(), "", f"How {key} is spread.", 1))
        figure = histogram_figure([edge / scale for edge in edges], counts, title, unit)
        drawn.append({"svg": svg_text(figure, f"{figures}-measure-{number}", label=caption), "caption": caption})
    return drawn


def _groups(groups: Mapping[str, Any] | None, strips: ImageStrips) -> dict[str, Any] | None:
    if groups is None:
        return None
    sizes = {int(size): int(count) for size, count in (groups.get("sizes") or {}).items()}
    proposals = [
        {
            "use": shlex.quote(str(each.get("use", ""))),
            "speaks": str(each.get("speaks") or ""),
            "groups": each.get("groups"),
            "images": each.get("images"),
            "largest": each.get("largest"),
            "examples": strips.strips(each.get("examples")),
        }
        for each in groups.get("proposals") or []
    ]
    return {
        "by": str(groups.get("by") or ""),
        "count": groups.get("count"),
        "sizes": sorted(sizes.items()),
        "proposals": proposals,
    }


def _shortcuts(probes: Sequence[Mapping[str, Any]] | None, figures: str) -> dict[str, Any] | None:
    if not probes:
        return None
    rows, drawn = [], []
    for each in probes:
        value, low, high, chance = (each.get(key) for key in ("value", "low", "high", "chance"))
        title, verdict = str(each.get("title") or each.get("name") or ""), str(each.get("verdict"))
        word = VERDICTS.get(verdict, verdict) if value is not None else "not run"
        drawn.append(ProbeRow(title, value, low, high, chance, verdict, word))
        rows.append(
            {
                "title": title,
                "sees": str(each.get("sees") or ""),
                "says": str(each.get("says") or ""),
                "value": number_text(value, 2) if value is not None else "",
                "interval": f"[{low:.2f}, {high:.2f}]" if low is not None and high is not None else "",
                "chance": number_text(chance, 2) if chance is not None else "",
                "reason": str(each.get("reason") or "no reason was given"),
                "verdict": verdict if value is not None else "none",
                "word": word,
            }
        )
    label = "Balanced accuracy of each probe with its interval, and chance; the table below has the numbers"
    return {"svg": svg_text(probe_figure(drawn), f"{figures}-probes", label=label), "rows": rows}


def _price(price: Mapping[str, Any] | None, figures: str) -> dict[str, Any] | None:
    if not price:
        return None
    if price.get("random") is None or price.get("grouped") is None:
        return {"svg": "", "says": str(price.get("says") or price.get("reason") or "")}
    by = str(price.get("by") or "group")
    pairs = [pair for pair in price.get("each") or [] if None not in pair]
    figure = price_figure(pairs, price["random"], price["grouped"], by=by)
    label = f"The score on random splits, {price['random']:.3f}, and on splits by {by}, {price['grouped']:.3f}"
    return {
        "svg": svg_text(figure, f"{figures}-price", label=label),
        "says": str(price.get("says") or ""),
        "by": by,
        "splits": price.get("splits") or len(pairs),
        **{key: price.get(key) for key in ("train", "test", "groups")},
    }
