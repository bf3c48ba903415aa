import csv
import json
import re
from pathlib import Path

import pytest

from coverslip.figures import FlowBox, FlowStage, flow_figure
from coverslip.reporting.flow import count_steps, flow_section
from coverslip.reporting.run_files import read_run

from .fake_run import NAMES, write_fake_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_fake_run(tmp_path / "run", names=NAMES[:3], images=False)


def change_table(run: Path, change) -> None:
    """Rewrite table.csv after calling ``change(number, row)`` for each row."""
    with (run / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        change(number, row)
    with (run / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def diagram_text(run: Path) -> str:
    """Return the text of the boxes of the diagram."""
    return " ".join(re.findall(r">([^<>]+)</text>", flow_section(read_run(run))["svg"]))


def test_every_image_is_in_a_split_or_among_the_excluded(run: Path) -> None:
    def drop(number: int, row: dict[str, str]) -> None:
        if number in (0, 1):
            row["status"], row["split"] = f"dropped: copy of {'elsewhere' * number}", ""
        if number == 2:
            row["status"], row["split"] = "dropped: near-copies", ""

    change_table(run, drop)
    flow = count_steps(read_run(run))
    assert flow is not None
    assert flow.excluded == {"copies of another image": 2, "near copies": 1}
    assert flow.unreadable == {"truncated": 1, "not an image": 1}
    in_splits = sum(count.images for count in flow.splits.values())
    assert flow.found.images == in_splits + sum(flow.excluded.values()) + sum(flow.unreadable.values())
    assert flow.read.images == in_splits + 3 and flow.used.images == in_splits


def test_groups_are_counted_over_all_splits_and_only_if_they_were_specified(run: Path, tmp_path: Path) -> None:
    flow = count_steps(read_run(run))
    assert flow is not None and flow.used.groups == sum(count.groups or 0 for count in flow.splits.values())
    assert "group" in diagram_text(run)
    plain = write_fake_run(tmp_path / "plain", names=NAMES[:3], grouped=False, images=False)
    assert "group" not in diagram_text(plain)


def test_the_halves_of_the_validation_set_add_up(run: Path) -> None:
    whole = count_steps(read_run(run))
    assert whole is not None
    validation = whole.splits["validation"]
    test = json.loads((run / "test.json").read_text("utf-8"))
    test["sets"] = {"calibrated_on": {"images": validation.images - 3, "groups": (validation.groups or 0) - 1}}
    (run / "test.json").write_text(json.dumps(test), encoding="utf-8")
    assert "selection: 3 in 1 group" in diagram_text(run)
    test["sets"]["calibrated_on"]["images"] = validation.images
    (run / "test.json").write_text(json.dumps(test), encoding="utf-8")
    assert "calibration only" in diagram_text(run)


def test_the_box_of_a_test_set_shows_how_often_it_was_scored(run: Path) -> None:
    test = json.loads((run / "test.json").read_text("utf-8"))
    (run / "test.json").write_text(json.dumps(test | {"ledger": [{"run": "a"}, {"run": "b"}]}), encoding="utf-8")
    assert "scored 2 times so far" in diagram_text(run) and "scored once" not in diagram_text(run)


def test_without_a_table_there_is_no_flow_diagram(run: Path) -> None:
    (run / "table.csv").unlink()
    assert "no table.csv" in flow_section(read_run(run))["missing"]


def test_boxes_do_not_overlap_and_are_inside_the_figure() -> None:
    many = [f"{number:,} for a rather long reason that has to be wrapped to several lines" for number in (1200, 30, 7)]
    stages = [FlowStage(FlowBox("Found", ["3,000 image files"]), FlowBox("Excluded: 1,237", many))]
    splits = [FlowBox(name, ["1,000 images, 300 groups"], name) for name in ("train", "validation", "test")]
    figure = flow_figure([*stages, FlowStage(FlowBox("Used", ["1,763 images"]))], splits)
    ax = figure.axes[0]
    boxes = [patch.get_bbox() for patch in ax.patches]
    assert len(boxes) == 6
    for index, box in enumerate(boxes):
        assert min(ax.get_xlim()) <= box.x0 and box.x1 <= max(ax.get_xlim())
        assert min(ax.get_ylim()) <= box.y0 and box.y1 <= max(ax.get_ylim())
        assert not any(box.overlaps(other) for other in boxes[:index])
