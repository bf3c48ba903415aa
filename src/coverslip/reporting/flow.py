"""The number of images and groups at each step of a run, from files to splits, with the reasons for exclusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from coverslip.figures import FlowBox, FlowStage, flow_figure, svg_text
from coverslip.reporting.run_files import Row, RunFiles, model_facts, settings_of
from coverslip.reporting.training_sentences import depth_of, selects_on_validation
from coverslip.reporting.wording import count_text

SPLITS = ("train", "validation", "test")
PURPOSES = {"train": "fits the model", "validation": "monitored only", "test": "scored once, after training"}
SELECTS = "selects epoch and temperature"
MAX_REASONS = 4
DROPPED = "dropped: "


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """A number of images and of their groups; ``groups`` is None if no groups were specified."""

    images: int
    groups: int | None = None

    def without(self, other: Count) -> Count:
        """Return what remains after some whole groups are removed."""
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
    """The number of images and groups at each step.

    Attributes:
        found: image files, by their names.
        other_files: number of other files, which were ignored.
        unreadable: reason -> number of images that could not be read.
        read: images that could be read.
        excluded: reason -> number of images excluded after an audit finding.
        used: images in a split.
        splits: split -> its images and groups; in an evaluation all images are test images.
        calibration: the validation images that calibrated prediction sets and familiarity; None if not recorded.
    """

    found: Count
    other_files: int
    unreadable: dict[str, int]
    read: Count
    excluded: dict[str, int]
    used: Count
    splits: dict[str, Count] = field(default_factory=dict)
    calibration: Count | None = None


def count_steps(files: RunFiles) -> Flow | None:
    """Count images and groups at each step; None without a table.csv, the only file that records the splits."""
    if not files.table:
        return None
    audit, rows = files.audit or {}, files.table
    status = [row.get("status") or "ok" for row in rows]
    excluded = [text.removeprefix(DROPPED) for text in status if text.startswith(DROPPED)]
    unreadable = [text for text in status if text != "ok" and not text.startswith(DROPPED)]
    readable = [row for row, text in zip(rows, status, strict=True) if text == "ok" or text.startswith(DROPPED)]
    used = [row for row, text in zip(rows, status, strict=True) if text == "ok"]
    by_split: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for row in used:
        by_split.setdefault(row.get("split") or ("" if files.trained_here else "test"), []).append(row)
    return Flow(
        found=_count(files, rows),
        other_files=int(audit.get("junk") or 0),
        unreadable=_reasons(unreadable),
        read=_count(files, readable),
        excluded=_reasons(excluded),
        used=_count(files, used),
        splits={split: _count(files, members) for split, members in by_split.items() if members},
        calibration=_calibrated_on(files),
    )


def flow_section(files: RunFiles) -> dict[str, Any]:
    """Return the counts as a flow diagram with a text alternative."""
    flow = count_steps(files)
    if flow is None:
        return {"missing": "Not available: there is no table.csv in the run folder."}
    stages = [FlowStage(FlowBox("Found", [_found_text(flow)]), _excluded_box("Could not be read", flow.unreadable))]
    if flow.excluded:
        excluded = _excluded_box("Excluded after a finding", flow.excluded)
        stages.append(FlowStage(FlowBox("Read", [str(flow.read)]), excluded))
    stages.append(FlowStage(FlowBox("Used", [str(flow.used)])))
    boxes = [FlowBox(_title(split), _split_lines(flow, files, split), split) for split in flow.splits]
    return {
        "svg": svg_text(flow_figure(stages, boxes), "flow", label=flow_text(flow)),
        "grouped": flow.used.groups is not None,
        "several": len(flow.splits) > 1,
    }


def flow_text(flow: Flow) -> str:
    """Return the diagram as a sentence."""
    steps = [f"Found: {_found_text(flow)}"]
    steps += [f"could not be read: {_reasons_text(flow.unreadable)}"] if flow.unreadable else []
    steps += [f"excluded after a finding: {_reasons_text(flow.excluded)}"] if flow.excluded else []
    steps += [f"used: {flow.used}", *(f"{_title(split).lower()}: {count}" for split, count in flow.splits.items())]
    return "; ".join(steps) + "."


def _found_text(flow: Flow) -> str:
    text = str(flow.found).replace("image", "image file", 1)
    return f"{text} ({count_text(flow.other_files, 'other file')} ignored)" if flow.other_files else text


def _reasons_text(reasons: dict[str, int]) -> str:
    return ", ".join(f"{number:,} ({reason})" for reason, number in reasons.items())


def _title(split: str) -> str:
    return split.capitalize() if split else "Unused"


def _split_lines(flow: Flow, files: RunFiles, split: str) -> list[str]:
    lines = [str(flow.splits[split])]
    if not files.trained_here:
        return [*lines, "scored with an existing model"]
    if split == "validation":
        return lines + _validation_lines(flow, files)
    ledger = files.test.get("ledger")
    if split == "test" and isinstance(ledger, list) and len(ledger) > 1:
        return [*lines, f"scored {len(ledger):,} times so far"]
    return [*lines, *([PURPOSES[split]] if split in PURPOSES else [])]


def _validation_lines(flow: Flow, files: RunFiles) -> list[str]:
    """Describe the purpose of the validation set: training, selection, calibration, or one half each."""
    if settings_of(files, "split").get("refit"):
        return ["also fits the model"]
    calibration, validation = flow.calibration, flow.splits["validation"]
    if calibration is not None and calibration.images >= validation.images:
        return ["calibration only"]
    if calibration is not None and calibration.images:
        return [f"selection: {validation.without(calibration).short}", f"calibration: {calibration.short}"]
    selects = depth_of(files) not in ("head", "") and selects_on_validation(files)
    return [SELECTS if selects else PURPOSES["validation"]]


def _excluded_box(title: str, reasons: dict[str, int]) -> FlowBox | None:
    if not reasons:
        return None
    lines = [f"{reason}: {number:,}" for reason, number in reasons.items()]
    return FlowBox(f"{title}: {sum(reasons.values()):,}", lines)


def _reasons(texts: Sequence[str]) -> dict[str, int]:
    """Count reasons without details of a single file, the most frequent first, the rest as one."""
    counts = Counter(_general(text) for text in texts).most_common()
    shown = dict(counts[:MAX_REASONS])
    rest = sum(number for _, number in counts[MAX_REASONS:])
    return shown | ({"other reasons": rest} if rest else {})


def _general(reason: str) -> str:
    """Return the part of a reason that several files share.

    >>> _general("truncated: 20 bytes are missing"), _general("copy of rust/a.jpg"), _general("near-copies")
    ('truncated', 'copies of another image', 'near copies')
    """
    if reason.startswith("copy of "):
        return "copies of another image"
    general = reason.partition(":")[0].strip()
    return general.replace("-", " ") if " " not in general else general


def _count(files: RunFiles, rows: Sequence[Row]) -> Count:
    """Count images and groups; an image without a group is a group of one."""
    if not files.grouped:  # groups of duplicates alone are not plants or patients
        return Count(images=len(rows))
    return Count(images=len(rows), groups=len({row.get("group") or f"\0{row['path']}" for row in rows}))


def _calibrated_on(files: RunFiles) -> Count | None:
    roles = model_facts(files).get("validation_roles")
    candidates = [roles.get("calibrate")] if isinstance(roles, dict) else []
    for key in ("sets", "familiarity"):
        candidates += [files.test[key].get("calibrated_on")] if isinstance(files.test.get(key), dict) else []
    for count in candidates:
        if isinstance(count, dict) and isinstance(count.get("images"), int):
            return Count(images=count["images"], groups=count.get("groups") if files.grouped else None)
    return None
