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
    """Rewrite table.csv, each row changed by ``change(number, row)``."""
    with (run / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        change(number, row)
    with (run / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def words(run: Path) -> str:
    """What the boxes of the diagram say, their lines joined."""
    return " ".join(re.findall(r">([^<>]+)</text>", flow_section(read_run(run))["svg"]))


def test_every_image_that_was_found_is_in_a_part_or_among_those_left_out(run: Path) -> None:
    def drop(number: int, row: dict[str, str]) -> None:
        if number in (0, 1):
            row["status"], row["split"] = f"dropped: copy of {'elsewhere' * number}", ""
        if number == 2:
            row["status"], row["split"] = "dropped: near-copies", ""

    change_table(run, drop)
    flow = count_steps(read_run(run))
    assert flow is not None
    assert flow.dropped == {"copies of another image": 2, "near copies": 1}
    assert flow.unread == {"truncated": 1, "not an image": 1}
    in_parts = sum(count.images for count in flow.parts.values())
    assert flow.found.images == in_parts + sum(flow.dropped.values()) + sum(flow.unread.values())
    assert flow.read.images == in_parts + 3 and flow.used.images == in_parts


def test_groups_are_counted_over_all_parts_and_only_where_they_were_named(run: Path, tmp_path: Path) -> None:
    flow = count_steps(read_run(run))
    assert flow is not None and flow.used.groups == sum(count.groups or 0 for count in flow.parts.values())
    assert "group" in words(run)
    plain = write_fake_run(tmp_path / "plain", names=NAMES[:3], grouped=False, images=False)
    assert "group" not in words(plain)


def test_the_halves_of_validation_add_up_to_it(run: Path) -> None:
    whole = count_steps(read_run(run))
    assert whole is not None
    validation = whole.parts["validation"]
    test = json.loads((run / "test.json").read_text("utf-8"))
    test["sets"] = {"calibrated_on": {"images": validation.images - 3, "groups": (validation.groups or 0) - 1}}
    (run / "test.json").write_text(json.dumps(test), encoding="utf-8")
    assert "to choose: 3 in 1 group" in words(run)
    test["sets"]["calibrated_on"]["images"] = validation.images
    (run / "test.json").write_text(json.dumps(test), encoding="utf-8")
    assert "calibrates only" in words(run)


def test_a_test_part_that_was_scored_before_says_so_in_its_box(run: Path) -> None:
    test = json.loads((run / "test.json").read_text("utf-8"))
    (run / "test.json").write_text(json.dumps(test | {"ledger": [{"run": "a"}, {"run": "b"}]}), encoding="utf-8")
    assert "scored 2 times so far" in words(run) and "opened once" not in words(run)


def test_a_run_without_a_table_says_that_it_cannot_be_followed(run: Path) -> None:
    (run / "table.csv").unlink()
    assert "no table.csv" in flow_section(read_run(run))["missing"]


def test_boxes_of_the_figure_do_not_overlap_and_lie_within_it() -> None:
    many = [f"{number:,} for a rather long reason that has to be broken into lines" for number in (1200, 30, 7)]
    stages = [FlowStage(FlowBox("Found", ["3,000 image files"]), FlowBox("Left out: 1,237", many))]
    parts = [FlowBox(name, ["1,000 images, 300 groups"], name) for name in ("train", "validation", "test")]
    figure = flow_figure([*stages, FlowStage(FlowBox("Used", ["1,763 images"]))], parts)
    ax = figure.axes[0]
    boxes = [patch.get_bbox() for patch in ax.patches]
    assert len(boxes) == 6
    for index, box in enumerate(boxes):
        assert min(ax.get_xlim()) <= box.x0 and box.x1 <= max(ax.get_xlim())
        assert min(ax.get_ylim()) <= box.y0 and box.y1 <= max(ax.get_ylim())
        assert not any(box.overlaps(other) for other in boxes[:index])
