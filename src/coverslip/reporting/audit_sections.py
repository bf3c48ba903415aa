"""Results of an audit: findings, image properties, groups, shortcut probes, and inflation of the score by leakage."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from coverslip.auditing.findings import FIXED
from coverslip.auditing.probes import verdict_text
from coverslip.figures import ProbeRow, class_bars, histogram_figure, inflation_figure, probe_figure, svg_text
from coverslip.reporting.audit_images import ImageStrips
from coverslip.reporting.command_paths import data_arguments
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.wording import count_text, number_text

MAX_CLASSES = 60
SEVERITIES = {"blocks": "error", "warns": "warning", "notes": "note"}  # in audit.json -> on the page
DECISIONS = {"fixed": "fixed", "dropped": "images excluded"}
WITHOUT_PROBES = " in files, labels, duplicates, groups and split (shortcuts were not tested)"
MEASURES = {  # key in distributions -> title, unit, caption, divisor of the values
    "brightness": ("Brightness", "0 black to 1 white", "Mean grey value of each image.", 1),
    "sharpness": ("Sharpness", "blurred to sharp", "Amount of fine detail; blurred images are on the left.", 1),
    "width": ("Width", "pixels", "Width before resizing.", 1),
    "height": ("Height", "pixels", "Height before resizing.", 1),
    "bytes": ("File size", "kB", "Size of the image files.", 1000),
}


def audit_section(
    files: RunFiles, strips: ImageStrips, *, command: str, where: str = "", figures: str = "audit"
) -> dict[str, Any]:
    """Return the context of the templates ``audit_*.html.j2``.

    Args:
        files: the files of a run or of an audit; an audit.json without findings (of an older version) gives
            ``missing``.
        strips: builds the lists of images.
        command: the command that runs the complete audit.
        where: a sentence that says in which folder the command is valid.
        figures: prefix of the ids of this section's figures, unique in the page.
    """
    audit = files.audit
    if audit is None or "findings" not in audit:
        reason = "audit.json has no findings" if audit else "there is no audit.json"
        return {"missing": f"The images were not audited: {reason}."}
    probed = any(probe.get("value") is not None for probe in audit.get("shortcuts") or [])
    groups = audit.get("groups") or {}
    return {
        "verdict": verdict(audit["findings"] or [], probed=probed),
        "label": WORDS[str(audit.get("task") or "classification")].answer,
        "command": command,
        "where": where,
        "findings": [_finding(finding, audit, strips) for finding in audit["findings"] or []],
        "measures": _measures(audit.get("distributions"), figures),
        "groups": _groups(audit.get("groups"), strips),
        "shortcuts": _shortcuts(audit.get("shortcuts"), figures),
        "inflation": _inflation(audit.get("price"), figures),
        "grouped": bool(groups.get("by") or groups.get("proposals")),
    }


def verdict(findings: Sequence[Mapping[str, Any]], *, probed: bool = True) -> dict[str, Any]:
    """Summarize the findings in one sentence; those with a decision are counted separately.

    Args:
        findings: of audit.json.
        probed: whether shortcut probes were run; if not, the sentence says so.

    >>> verdict([{"severity": "blocks"}, {"severity": "notes"}, {"severity": "notes"}])["sentence"]
    '1 error, 2 notes. Training is blocked until the error is resolved.'
    >>> verdict([{"severity": "blocks", "decision": "fixed"}])
    {'sentence': 'No problems were found.', 'decided': '1 finding: fixed.', 'errors': 0}
    """
    open_findings = [finding for finding in findings if not _decision(finding)]
    counts = {name: sum(finding.get("severity") == name for finding in open_findings) for name in SEVERITIES}
    listed = ", ".join(count_text(number, SEVERITIES[name]) for name, number in counts.items() if number)
    errors = counts["blocks"]
    if errors:
        resolved = "the error is" if errors == 1 else "the errors are"
        sentence = f"{listed}. Training is blocked until {resolved} resolved"
    elif listed:
        sentence = f"{listed}. Nothing blocks training"
    else:
        sentence = f"No problems were found{'' if probed else WITHOUT_PROBES}"
    decisions = Counter(_decision(finding) for finding in findings if _decision(finding))
    decided = "; ".join(f"{count_text(number, 'finding')}: {decision}" for decision, number in decisions.items())
    return {"sentence": f"{sentence}.", "decided": f"{decided}." if decided else "", "errors": errors}


def next_commands(audit: Mapping[str, Any], source: str) -> list[tuple[str, str]]:
    """Return (purpose, command) of each possible next step.

    Args:
        audit: the content of audit.json.
        source: the folder or table as a command names it.
    """
    findings = audit.get("findings") or []
    train = f"coverslip train {data_arguments(audit, source)}"
    accepted = [str(finding["name"]) for finding in findings if _decision(finding) == "accepted"]
    train += "".join(f" --accept {shlex.quote(name)}" for name in accepted)
    errors = [finding for finding in findings if finding.get("severity") == "blocks" and not _decision(finding)]
    names = [str(finding["name"]) for finding in errors]
    if errors:
        commands = []
        options = [_options(finding, audit) for finding in errors]
        if set(names) <= set(FIXED):
            commands.append(("fix the table (image files are never changed) and train", f"{train} --fix"))
        if all("drop" in option for option in options):
            drop = "".join(f" {option['drop']}" for option in options)
            commands.append(("train without these images", train + drop))
        if all("accept" in option for option in options):
            accept = "".join(f" {option['accept']}" for option in options)
            commands.append(("train with these images; the report will list the finding", train + accept))
        return commands or [
            ("after correcting the data, audit again", f"coverslip audit {data_arguments(audit, source)}")
        ]
    groups = audit.get("groups") or {}
    proposals = [] if groups.get("by") else groups.get("proposals") or []
    commands = [("train on these images", train)]
    if proposals:
        grouped = f"{train} --group {shlex.quote(str(proposals[0].get('use', '')))}"
        commands.insert(0, ("train with the first proposed grouping, if it is correct", grouped))
    return commands


def class_balance(classes: Mapping[str, int] | None, figures: str = "audit") -> dict[str, Any] | None:
    """Return the images of each class as bars; if there are too many classes, the largest first."""
    if not classes:
        return None
    names = list(classes) if len(classes) <= MAX_CLASSES else sorted(classes, key=lambda name: -classes[name])
    shown = names[:MAX_CLASSES]
    most, least = max(classes.values()), min(classes.values())
    label = "Images of each class"
    return {
        "svg": svg_text(class_bars(shown, [classes[name] for name in shown]), f"{figures}-classes", label=label),
        "ratio": f"{most / least:.3g}" if least and most > least else "",
        "left_out": len(names) - len(shown),
    }


def _decision(finding: Mapping[str, Any]) -> str:
    """Return the decision on a finding as the page shows it: ``accepted``, ``fixed``, ``images excluded``, or ""."""
    decision = str(finding.get("decision") or ("accepted" if finding.get("accepted") else ""))
    return DECISIONS.get(decision, decision)


def _options(finding: Mapping[str, Any], audit: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of ``train`` that resolve an error; dropping all images is not one of them."""
    if finding.get("severity") != "blocks" or _decision(finding) or not finding.get("images"):
        return {}
    name = shlex.quote(str(finding.get("name", "")))
    droppable = (finding.get("count") or 0) < (audit.get("read") or math.inf)
    return {"accept": f"--accept {name}"} | ({"drop": f"--drop {name}"} if droppable else {})


def _finding(finding: Mapping[str, Any], audit: Mapping[str, Any], strips: ImageStrips) -> dict[str, Any]:
    severity, title = str(finding.get("severity")), str(finding.get("title", ""))
    return {
        "name": str(finding.get("name", "")),
        "severity": severity,
        "severity_title": SEVERITIES.get(severity, severity),
        "decision": _decision(finding),
        "title": title[:1].upper() + title[1:],
        "meaning": str(finding.get("meaning") or ""),
        "remedy": str(finding.get("remedy") or ""),
        "options": _options(finding, audit),
        "images": strips.strips(finding.get("images")),
    }


def _measures(distributions: Mapping[str, Any] | None, figures: str) -> list[dict[str, str]]:
    histograms = []
    for number, (key, distribution) in enumerate((distributions or {}).items()):
        edges, counts = (distribution or {}).get("edges") or [], (distribution or {}).get("counts") or []
        if not counts:
            continue
        title, unit, caption, divisor = MEASURES.get(key, (key.capitalize(), "", f"Distribution of {key}.", 1))
        figure = histogram_figure([edge / divisor for edge in edges], counts, title, unit)
        svg = svg_text(figure, f"{figures}-measure-{number}", label=f"{title}: {caption}")
        histograms.append({"svg": svg, "caption": caption})
    return histograms


def _groups(groups: Mapping[str, Any] | None, strips: ImageStrips) -> dict[str, Any] | None:
    if groups is None:
        return None
    sizes = {int(size): int(count) for size, count in (groups.get("sizes") or {}).items()}
    proposals = [
        {
            "use": shlex.quote(str(proposal.get("use", ""))),
            "evidence": str(proposal.get("speaks") or ""),
            "groups": proposal.get("groups"),
            "images": proposal.get("images"),
            "largest": proposal.get("largest"),
            "examples": strips.strips(proposal.get("examples")),
        }
        for proposal in groups.get("proposals") or []
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
    for probe in probes:
        value, low, high, chance = (probe.get(key) for key in ("value", "low", "high", "chance"))
        title, outcome = str(probe.get("title") or probe.get("name") or ""), str(probe.get("verdict"))
        word = verdict_text(outcome, value, low, chance)
        drawn.append(ProbeRow(title, value, low, high, chance, outcome, word))
        rows.append(
            {
                "title": title,
                "input": str(probe.get("sees") or ""),
                "result": str(probe.get("says") or ""),
                "value": number_text(value, 2) if value is not None else "",
                "interval": f"[{low:.2f}, {high:.2f}]" if low is not None and high is not None else "",
                "chance": number_text(chance, 2) if chance is not None else "",
                "reason": str(probe.get("reason") or "no reason given"),
                "verdict": outcome if value is not None else "none",
                "word": word,
            }
        )
    label = "Balanced accuracy of each probe with its confidence interval and chance level; see the table below"
    return {"svg": svg_text(probe_figure(drawn), f"{figures}-probes", label=label), "rows": rows}


def _inflation(estimate: Mapping[str, Any] | None, figures: str) -> dict[str, Any] | None:
    if not estimate:
        return None
    if estimate.get("random") is None or estimate.get("grouped") is None:
        return {"svg": "", "summary": str(estimate.get("says") or estimate.get("reason") or "")}
    by = str(estimate.get("by") or "group")
    pairs = [pair for pair in estimate.get("each") or [] if None not in pair]
    figure = inflation_figure(pairs, estimate["random"], estimate["grouped"], by=by)
    label = f"Score with random splits, {estimate['random']:.3f}, and with splits by {by}, {estimate['grouped']:.3f}"
    return {
        "svg": svg_text(figure, f"{figures}-inflation", label=label),
        "summary": str(estimate.get("says") or ""),
        "by": by,
        "splits": estimate.get("splits") or len(pairs),
        **{key: estimate.get(key) for key in ("train", "test", "groups")},
    }
