"""Groups are proposed if names, folders or times are evidence for them, and only then."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coverslip.data.groups import group_by_time, group_table, parse_seconds
from coverslip.data.proposals import Proposal, propose_groups
from coverslip.data.scan import scan
from coverslip.data.sources.source import Files
from coverslip.data.synthetic import write_leaves
from coverslip.data.table import SCHEMA, ImageTable

DATA = Path(__file__).parents[3] / "shared" / "data"
CLASSES = ("bean_blight", "healthy", "rust")


def table_of(paths):
    rows = sorted((path, path.partition("/")[0], None, None, "ok") for path in paths)
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return ImageTable(frame, Files(Path()), "t", tuple(sorted(set(frame["label"]))))


def options(paths):
    return [proposal.option for proposal in propose_groups(table_of(paths))]


def test_the_leaf_in_the_names_of_built_in_images_is_proposed_and_can_be_used(tmp_path):
    write_leaves(tmp_path / "out", classes=3, leaves=4, shots=3, size=32)
    table = scan(tmp_path / "out" / "images")
    best = propose_groups(table)[0]
    assert best.option == r"([^/]*leaf\d+)[^/]*$"
    assert (best.num_groups, best.num_images, best.largest) == (12, 36, 3)
    assert scan(tmp_path / "out" / "images", best.option).frame["group"].to_list() == best.groups


def test_a_thousand_leaves_of_one_shot_each_propose_nothing():
    assert options(f"{c}/{c}_leaf{n:03d}_shot0.jpg" for c in CLASSES for n in range(334)) == []


@pytest.mark.parametrize(
    "name", ["{c}_{n:03d}.jpg", "{n:05d}.png", "{c} ({n}).jpg", "img_{n}_x.jpg", "{c}_{n}_2019.jpg", "image.{n}.jpg"]
)
def test_consecutively_numbered_images_propose_nothing(name):
    assert options(f"{c}/{name.format(c=c, n=n)}" for c in CLASSES for n in range(50) if n != 17) == []


@pytest.mark.parametrize(
    ("name", "groups", "largest"),
    [
        ("P{n:03d}_s{m}_x{x}_y200.png", 30, 12),
        ("IMG-{n:04d}-{m}{x}.png", 30, 12),
        ("SOB_{c}_A-14-{n:05d}AB-40-{m}{x:03d}.png", 30, 12),
        ("patient {n} ({m}.{x}).jpg", 30, 12),
    ],
)
def test_an_identifier_that_several_images_of_a_class_share_is_proposed(name, groups, largest):
    paths = [
        f"{c}/{name.format(c=c, n=20 * k + n, m=m, x=x * 100)}"
        for k, c in enumerate(CLASSES)
        for n in range(10)
        for m in range(3)
        for x in range(4)
    ]
    table = table_of(paths)
    best = propose_groups(table)[0]
    assert (best.num_groups, best.largest) == (groups, largest)
    assert group_table(table, best.option).frame["group"].to_list() == best.groups


def test_random_names_propose_nothing():
    import hashlib

    digests = {
        (c, n): hashlib.md5(f"{c}{n}".encode(), usedforsecurity=False).hexdigest() for c in CLASSES for n in range(200)
    }
    assert options(f"{c}/{digest}.png" for (c, _), digest in digests.items()) == []


def test_a_year_or_a_camera_that_most_images_share_is_no_subject():
    assert options(f"{c}/cam{n % 2}_{c}_{7919 * n % 99991:05d}z.png" for c in CLASSES for n in range(60)) == []


def test_folders_inside_class_folders_are_proposed_and_class_folders_are_not():
    assert options(f"{c}/{leaf}/{shot}.jpg" for c in CLASSES for leaf in "abcde" for shot in "xyz") == ["parent"]
    assert options(f"{c}/{leaf}{shot}.jpg" for c in CLASSES for leaf in "abcde" for shot in "xyz") == []


def test_runs_of_shot_numbers_are_proposed_with_a_gap_that_keeps_several_groups_per_class():
    sparse = [f"{c}/JR {100 * n + shot}.jpg" for c in CLASSES for n in range(15) for shot in (0, 4)]
    assert options(sparse) == ["shots:6"]
    denser = [f"rust/NR {5 * n + shot}.jpg" for n in range(15) for shot in (0, 2)]
    best = propose_groups(table_of([*(path for path in sparse if "rust" not in path), *denser]))[0]
    assert best.option == "shots:2" and "Wider gaps" in best.reason


def test_classes_that_are_one_run_propose_nothing():
    assert options([f"rust/{n}.jpg" for n in range(30)] + [f"healthy/{n}.jpg" for n in range(40)]) == []


def bursts(table, step=100):
    """Return the facts of bursts of three images within four seconds."""
    times = [
        f"2015-05-06T{10 + n // 36:02d}:{n // 3 * step // 60 % 60:02d}:{2 * (n % 3):02d}" for n in range(len(table))
    ]
    return pl.DataFrame({"camera": ["Canon"] * len(table), "taken": times})


def test_bursts_are_proposed_from_times_and_can_be_used():
    table = table_of(f"{c}/{letter}{other}.jpg" for c in CLASSES for letter in "abcdef" for other in "uvwxyz")
    facts = bursts(table)
    best = propose_groups(table, facts)[0]
    assert best.option.startswith("burst:") and best.largest == 3
    assert group_by_time(table, facts, parse_seconds(best.option)).frame["group"].to_list() == best.groups
    broken = facts.with_columns(taken=pl.lit(None, pl.String))
    assert propose_groups(table, broken) == []


def test_equal_groupings_are_proposed_once():
    paths = [f"{c}/leaf{n}/{c}_leaf{n:02d}_shot{s}.jpg" for c in CLASSES for n in range(12) for s in range(3)]
    assert len(options(paths)) == 1


def test_unreadable_images_are_no_evidence():
    table = table_of(f"{c}/leaf{n}/{s}.jpg" for c in CLASSES for n in range(5) for s in "xy")
    broken = table.with_columns(status=["ok" if path.endswith("x.jpg") else "cut off" for path in table.paths])
    assert propose_groups(broken) == []
    assert propose_groups(table.with_columns(status=["cut off"] * len(table))) == []


def test_the_json_entry_lists_a_few_groups_and_not_all_of_their_images():
    groups = [f"g{n:02d}" for n in range(20) for _ in range(n)] + [None, None]
    proposal = Proposal("(g)", "They look alike.", groups)
    entry = proposal.to_json([f"{n}.jpg" for n in range(len(groups))])
    assert (entry["groups"], entry["images"], entry["largest"]) == (18, 189, 19)
    assert len(entry["examples"]) == 6 and max(map(len, entry["examples"])) == 8
    assert set(entry) == {"use", "speaks", "groups", "images", "largest", "examples"}


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not next to this clone (../shared/data)")
def test_proposed_runs_of_real_leaf_photographs_keep_several_groups_per_class():
    table = scan(DATA / "plantvillage")
    best = propose_groups(table)[0]
    assert best.option.startswith("shots:") and best.num_images > 1000
    counts = table.with_columns(group=best.groups).frame.group_by("label").agg(pl.col("group").n_unique())
    assert counts["group"].min() >= 10


def test_images_in_arrays_propose_nothing(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.random.default_rng(1).integers(0, 3, 60))
    assert propose_groups(scan(tmp_path / "a.npz")) == []
