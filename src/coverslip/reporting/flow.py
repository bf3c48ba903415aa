"""The way of the images through the run, counted: found, read, used, the parts; what was left out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from coverslip.figures import FlowBox, FlowStage, flow_figure, svg_text
from coverslip.reporting.run_files import Row, RunFiles, model_facts, settings_of
from coverslip.reporting.training_words import chooses, depth_of
from coverslip.reporting.wording import count_text

PARTS = ("train", "validation", "test")
JOBS = {"train": "fits the model", "validation": "is only watched", "test": "is opened once, sets nothing"}
CHOOSES = "chooses epoch and temperature"
MOST_REASONS = 4
DROPPED = "dropped: "


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """So many images, of so many groups; None where no groups were named, or nobody counted them."""

    images: int
    groups: int | None = None

    def less(self, other: Count) -> Count:
        """What is left without some whole groups."""
        known = self.groups is not None and other.groups is not None
        groups = (self.groups or 0) - (other.groups or 0) if known else None
        return Count(images=self.images - other.images, groups=groups)

    @property
    def short(self) -> str:
        """``2,083 in 601 groups``."""
        groups = "" if self.groups is None else f" in {count_text(self.groups, 'group')}"
        return f"{self.images:,}{groups}"

    def __str__(self) -> str:
        """``2,083 images, 601 groups``."""
        groups = "" if self.groups is None else f", {count_text(self.groups, 'group')}"
        return count_text(self.images, "image") + groups


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """How many images and groups there are at each step.

    Attributes:
        found: files that are images by their names.
        junk: other files, passed over.
        unread: reason -> images that could not be read.
        read: images that could be read.
        dropped: reason -> images left out by a decision.
        used: images in a part.
        parts: part -> its images and groups; without a split (an evaluation) all is test.
        calibrates: the images of validation that calibrate sets and familiarity; None where nothing says so.
    """

    found: Count
    junk: int
    unread: dict[str, int]
    read: Count
    dropped: dict[str, int]
    used: Count
    parts: dict[str, Count] = field(default_factory=dict)
    calibrates: Count | None = None


def count_steps(files: RunFiles) -> Flow | None:
    """Count images and groups at each step; None without a table.csv, which alone knows the parts."""
    if not files.table:
        return None
    audit, rows = files.audit or {}, files.table
    status = [row.get("status") or "ok" for row in rows]
    dropped = [each.removeprefix(DROPPED) for each in status if each.startswith(DROPPED)]
    unread = [each for each in status if each != "ok" and not each.startswith(DROPPED)]
    readable = [row for row, each in zip(rows, status, strict=True) if each == "ok" or each.startswith(DROPPED)]
    used = [row for row, each in zip(rows, status, strict=True) if each == "ok"]
    by_part: dict[str, list[Row]] = {part: [] for part in PARTS}
    for row in used:
        by_part.setdefault(row.get("split") or ("" if files.trained_here else "test"), []).append(row)
    return Flow(
        found=_count(files, rows),
        junk=int(audit.get("junk") or 0),
        unread=_reasons(unread),
        read=_count(files, readable),
        dropped=_reasons(dropped),
        used=_count(files, used),
        parts={part: _count(files, members) for part, members in by_part.items() if members},
        calibrates=_calibrated_on(files),
    )


def flow_section(files: RunFiles) -> dict[str, Any]:
    """The counts as a flow diagram, and as a sentence for those who do not see it."""
    flow = count_steps(files)
    if flow is None:
        return {"missing": "There is no table.csv in the run folder, so the images cannot be followed."}
    stages = [FlowStage(FlowBox("Found", [_found_text(flow)]), _out("Could not be read", flow.unread))]
    if flow.dropped:
        stages.append(FlowStage(FlowBox("Read", [str(flow.read)]), _out("Left out after a finding", flow.dropped)))
    stages.append(FlowStage(FlowBox("Used", [str(flow.used)])))
    boxes = [FlowBox(_title(part), _part_lines(flow, files, part), part) for part in flow.parts]
    return {
        "svg": svg_text(flow_figure(stages, boxes), "flow", label=flow_text(flow)),
        "grouped": flow.used.groups is not None,
        "many": len(flow.parts) > 1,
    }


def flow_text(flow: Flow) -> str:
    """The whole diagram in words."""
    said = [f"Found: {_found_text(flow)}"]
    said += [f"could not be read: {_reasons_text(flow.unread)}"] if flow.unread else []
    said += [f"left out after a finding: {_reasons_text(flow.dropped)}"] if flow.dropped else []
    said += [f"used: {flow.used}", *(f"{_title(part).lower()}: {count}" for part, count in flow.parts.items())]
    return "; ".join(said) + "."


def _found_text(flow: Flow) -> str:
    text = str(flow.found).replace("image", "image file", 1)
    return f"{text} ({count_text(flow.junk, 'other file')} passed over)" if flow.junk else text


def _reasons_text(reasons: dict[str, int]) -> str:
    return ", ".join(f"{reason} {number:,}" for reason, number in reasons.items())


def _title(part: str) -> str:
    return part.capitalize() if part else "In no part"


def _part_lines(flow: Flow, files: RunFiles, part: str) -> list[str]:
    lines = [str(flow.parts[part])]
    if not files.trained_here:
        return [*lines, "scored by a model trained before"]
    if part == "validation":
        return lines + _validation_lines(flow, files)
    ledger = files.test.get("ledger")
    if part == "test" and isinstance(ledger, list) and len(ledger) > 1:
        return [*lines, f"scored {len(ledger):,} times so far, sets nothing"]
    return [*lines, *([JOBS[part]] if part in JOBS else [])]


def _validation_lines(flow: Flow, files: RunFiles) -> list[str]:
    """What validation did: nothing, calibrate, choose, or one half each."""
    if settings_of(files, "training").get("refit"):
        return ["fits the model too"]
    calibrates, all_of_it = flow.calibrates, flow.parts["validation"]
    if calibrates is not None and calibrates.images >= all_of_it.images:
        return ["calibrates only"]
    if calibrates is not None and calibrates.images:
        return [f"to choose: {all_of_it.less(calibrates).short}", f"to calibrate: {calibrates.short}"]
    chose = depth_of(files) not in ("head", "") and chooses(files)
    return [CHOOSES if chose else JOBS["validation"]]


def _out(title: str, reasons: dict[str, int]) -> FlowBox | None:
    if not reasons:
        return None
    lines = [f"{reason}: {number:,}" for reason, number in reasons.items()]
    return FlowBox(f"{title}: {sum(reasons.values()):,}", lines)


def _reasons(texts: Sequence[str]) -> dict[str, int]:
    """Reasons without what is particular to a file, the most frequent first; the rest in one."""
    counts = Counter(_general(text) for text in texts).most_common()
    shown = dict(counts[:MOST_REASONS])
    more = sum(number for _, number in counts[MOST_REASONS:])
    return shown | ({"other reasons": more} if more else {})


def _general(reason: str) -> str:
    """The part of a reason that files share.

    >>> _general("truncated: 20 bytes are missing"), _general("copy of rust/a.jpg"), _general("near-copies")
    ('truncated', 'copies of another image', 'near copies')
    """
    if reason.startswith("copy of "):
        return "copies of another image"
    general = reason.partition(":")[0].strip()
    return general.replace("-", " ") if " " not in general else general


def _count(files: RunFiles, rows: Sequence[Row]) -> Count:
    """An image without a group is its own. Groups of copies alone say nothing of plants or patients."""
    if not files.grouped:
        return Count(images=len(rows))
    return Count(images=len(rows), groups=len({row.get("group") or f"\0{row['path']}" for row in rows}))


def _calibrated_on(files: RunFiles) -> Count | None:
    roles = model_facts(files).get("validation_roles")
    told = [roles.get("calibrate")] if isinstance(roles, dict) else []
    for key in ("sets", "familiarity"):
        told += [files.test[key].get("calibrated_on")] if isinstance(files.test.get(key), dict) else []
    for each in told:
        if isinstance(each, dict) and isinstance(each.get("images"), int):
            return Count(images=each["images"], groups=each.get("groups") if files.grouped else None)
    return None
