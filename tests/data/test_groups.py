"""What keeps images together: columns, patterns, folders, shot numbers and times."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coverslip.core.errors import UserError
from coverslip.data.groups import group_by_time, group_table
from coverslip.data.scan import scan
from coverslip.data.shots import read_shot, refine_groups, shot_runs
from coverslip.data.sources.source import Files
from coverslip.data.split import ungrouped_rows
from coverslip.data.table import SCHEMA, ImageTable

DATA = Path(__file__).parents[3] / "shared" / "data"


def named(*paths, label=None, split=None):
    """A table of these paths; the class is the folder, unless it is given."""
    rows = sorted((path, label or path.split("/")[-2], None, split, "ok") for path in paths)
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return ImageTable(frame, Files(Path()), "t", tuple(sorted(set(frame["label"]))))


def together(table, groups):
    """The sets of file names that share a group."""
    found = {}
    for path, group in zip(table.paths, groups, strict=True):
        found.setdefault(group or path, []).append(path.rpartition("/")[2])
    return sorted(found.values())


@pytest.mark.parametrize(
    ("name", "stem", "digits"),
    [
        ("0022d6b7-d47c-4ee2-ae9a-392a53f48647___JR_B.Spot 8964.JPG", "JR_B.Spot ", "8964"),
        ("DSC_0042.jpg", "DSC_", "0042"),
        ("GH_HL Leaf 313.1.JPG", "GH_HL Leaf ", "313"),
        ("RS_HL 1234_final_masked.jpg", "RS_HL ", "1234"),
        ("RS_HL 1234_90deg.JPG", "RS_HL ", "1234"),
        ("IMG_0042 - Copy (2).jpg", "IMG_", "0042"),
        ("leaf (12).jpg", "leaf (", "12"),
        ("x_train/00017", "x_train/", "00017"),
    ],
)
def test_the_shot_number_is_found_behind_what_programs_write_around_it(name, stem, digits):
    shot = read_shot(name)
    assert (shot.stem, shot.digits) == (stem, digits)


def test_a_name_without_a_number_is_no_shot_even_if_it_begins_with_a_random_identifier():
    assert read_shot("0022d6b7-d47c-4ee2-ae9a-392a53f48647___leaf.png") is None


def test_shots_whose_numbers_follow_each_other_share_a_group():
    table = named(*(f"rust/JR {n}.jpg" for n in (98, 99, 101, 110)), "rust/NR 100.jpg", "rust/lonely.jpg")
    groups = shot_runs(table, 2)
    assert together(table, groups) == [
        ["JR 101.jpg", "JR 98.jpg", "JR 99.jpg"],
        ["JR 110.jpg"],
        ["NR 100.jpg"],
        ["lonely.jpg"],
    ]
    assert groups[table.paths.index("rust/lonely.jpg")] is None


def test_the_same_numbers_in_two_class_folders_are_two_groups():
    table = named("rust/IMG_1.jpg", "rust/IMG_2.jpg", "healthy/IMG_1.jpg", "healthy/IMG_3.jpg")
    assert len(set(shot_runs(table, 2))) == 2


def test_neighbors_of_two_classes_in_one_folder_are_two_groups():
    table = named(*(f"all/IMG_{n}.jpg" for n in range(4))).with_columns(label=["a", "a", "b", "b"])
    assert len(set(shot_runs(table, 5))) == 2


def test_a_run_goes_on_across_train_and_test_folders_but_not_where_numbers_begin_anew():
    def parts(test):
        rows = [(f"train/rust/{n}.jpg", "train") for n in (1, 3, 5)] + [(f"test/rust/{n}.jpg", "test") for n in test]
        table = named(*(path for path, _ in rows))
        return shot_runs(table.with_columns(split=[dict(rows)[path] for path in table.paths]), 1)

    assert len(set(parts([2, 4, 6]))) == 1
    assert len(set(parts([1, 3, 5]))) == 6


def test_numbers_that_count_leaves_join_only_shots_of_one_leaf():
    table = named(
        "a/Leaf 7.JPG", "a/Leaf 7.1.JPG", "a/Leaf 8.JPG", "a/Leaf 8.2.JPG", "a/Leaf 8661.JPG", "a/Leaf 8662.JPG"
    )
    assert together(table, shot_runs(table, 6)) == [
        ["Leaf 7.1.JPG", "Leaf 7.JPG"],
        ["Leaf 8.2.JPG", "Leaf 8.JPG"],
        ["Leaf 8661.JPG", "Leaf 8662.JPG"],  # four digits are a camera's
    ]


def test_shots_is_a_way_to_group_and_says_what_it_cannot_name(paint):
    home = paint(rust=6, healthy=6)
    (home / "rust" / "00.png").rename(home / "rust" / "first.png")
    table = scan(home, "shots:2")
    assert table.grouped_by == "shot numbers at most 2 apart"
    assert table.frame["group"].n_unique() == 3  # two runs, and none
    assert [table.paths[row] for row in ungrouped_rows(table)] == ["rust/first.png"]
    assert any("1 of 12 images" in note for note in table.notes)


@pytest.mark.parametrize(
    "by", ["shots:", "shots:x", "shots:0", "shots:-3", "burst:", "burst:-3", "burst:nan", "burst:x"]
)
def test_a_bad_number_is_answered_with_an_example(by, paint):
    with pytest.raises(UserError, match=r"for example '(shots:6|burst:10)'"):
        scan(paint(rust=3, healthy=3), by)


def test_shots_of_names_without_any_number_are_refused():
    with pytest.raises(UserError, match="no file name holds a number"):
        group_table(named("a/x.jpg", "b/y.jpg"), "shots:6")


def times(*rows):
    return pl.DataFrame(rows, schema={"camera": pl.String, "taken": pl.String}, orient="row")


def test_images_taken_within_seconds_by_one_camera_share_a_group():
    table = group_table(named(*(f"rust/{n}.jpg" for n in range(7))), "burst:2")
    assert table.grouped_by == "EXIF times at most 2 s apart" and table.frame["group"].null_count() == 7
    facts = times(
        ("Canon", "2015-05-06T16:01:13"),
        ("Canon", "2015-05-06T16:01:15"),
        ("Nikon", "2015-05-06T16:01:14"),
        ("Canon", "2015-05-06T16:01:17"),
        ("Canon", "2015-05-06T16:02:00"),
        (None, None),
        ("", "0000:00:00 nonsense"),
    )
    grouped = group_by_time(table, facts, 2)
    assert together(grouped, grouped.frame["group"]) == [
        ["0.jpg", "1.jpg", "3.jpg"],
        *([f"{n}.jpg"] for n in (2, 4, 5, 6)),
    ]
    assert ungrouped_rows(grouped) == [5, 6]
    assert any("2 of 7 images, which do not say when" in note for note in grouped.notes)


def test_a_burst_without_any_time_is_refused():
    with pytest.raises(UserError, match="no image says when"):
        group_by_time(named("a/1.jpg", "b/2.jpg"), times(("", None), (None, None)), 2)


def written(home, header, *rows):
    """A table beside painted images."""
    with (home / "leaves.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return home / "leaves.csv"


def test_further_columns_are_kept_as_text_and_never_mistaken_for_our_own(paint):
    home = paint(rust=2, healthy=2)
    rows = [(f"rust/0{n}.png", "rust", "007", "broken", n, "") for n in range(2)]
    rows += [(f"healthy/0{n}.png", "healthy", "", "broken", n, "") for n in range(2)]
    table = scan(written(home, ("path", "label", "hospital", "status", "row", "split"), *rows))
    assert table.frame.columns == [*SCHEMA, "hospital", "row"] and table.further == ["hospital", "row"]
    assert table.frame["hospital"].to_list() == [None, None, "007", "007"]
    assert set(table.frame["status"]) == {"ok"} and table.rows() == [0, 1, 2, 3]
    table.frame.write_csv(home / "table.csv")
    again = pl.read_csv(home / "table.csv", infer_schema=False)
    assert again.equals(table.frame)


def test_images_whose_group_is_empty_or_blank_stand_alone_and_are_listed(paint):
    home = paint(rust=3, healthy=3)
    rows = [(f"{c}/0{n}.png", c, group) for c in ("healthy", "rust") for n, group in enumerate(("leaf", "", "  "))]
    table = scan(written(home, ("path", "label", "leaf"), *rows), "leaf")
    assert ungrouped_rows(table) == [1, 2, 4, 5]
    assert any("4 of 6 images" in note and "'leaf' is empty" in note for note in table.notes)


def test_a_column_that_is_empty_everywhere_is_refused_when_it_is_asked_for(paint):
    home = paint(rust=2, healthy=2)
    rows = [(f"{c}/0{n}.png", c, "") for c in ("rust", "healthy") for n in range(2)]
    with pytest.raises(UserError, match=r"column 'leaf' of .* is empty"):
        scan(written(home, ("path", "label", "leaf"), *rows), "leaf")


def test_a_column_wins_over_a_form_and_a_misspelt_one_is_answered_with_the_nearest(paint):
    home = paint(rust=2, healthy=2)
    rows = [(f"{c}/0{n}.png", c, c, n) for c in ("rust", "healthy") for n in range(2)]
    path = written(home, ("path", "label", "leaf number", "shots:6"), *rows)
    assert scan(path, "shots:6").grouped_by == "column 'shots:6'"
    assert scan(path, "leaf number").frame["group"].to_list() == ["healthy", "healthy", "rust", "rust"]
    with pytest.raises(UserError, match="did you mean the column 'leaf number'"):
        scan(path, "leaf numbr")
    with pytest.raises(UserError, match="did you mean the column 'leaf number'"):
        scan(path, "leaf (number")


def test_a_wide_run_is_cut_between_leaves_that_look_different_and_never_between_close_numbers():
    rng = np.random.default_rng(0)
    # Forty leaves of two shots each, numbered 0, 5, 10, 15 ...; and one that nothing looks like, next to the last shot.
    table = named(*(f"rust/{5 * shot:03d}.jpg" for shot in range(80)), "rust/396.jpg")
    features = np.repeat(rng.normal(size=(40, 24)), 2, axis=0) + 0.1 * rng.normal(size=(80, 24))
    groups = refine_groups(table, range(81), np.concatenate([features, rng.normal(size=(1, 24))]), 10)
    assert len(set(shot_runs(table, 10))) == 1
    assert all(groups[2 * leaf] == groups[2 * leaf + 1] for leaf in range(40))
    assert len(set(groups)) >= 34  # a tenth of strangers look alike by chance
    assert groups[80] == groups[79]


def test_runs_of_too_few_images_to_compare_are_left_as_they_are():
    table = named("rust/1.jpg", "rust/5.jpg", "rust/9.jpg")
    assert refine_groups(table, [0, 1, 2], np.eye(3), 10) == shot_runs(table, 10)


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not beside this clone (../shared/data)")
@pytest.mark.parametrize(("gap", "precision", "recall"), [(1, 0.85, 0.30), (3, 0.62, 0.72), (6, 0.40, 0.90)])
def test_shot_numbers_keep_real_leaves_together_as_published(gap, precision, recall):
    rows = pl.read_csv(DATA / "plantvillage_pepper_leaf_groups.csv")
    table = named(*rows["file"])
    leaf = dict(rows.iter_rows())
    found, true = shot_runs(table, gap), [leaf[path] for path in table.paths]

    def pairs(names):
        return sum(count * (count - 1) / 2 for count in Counter(names).values())

    numbered = [(a, b) for a, b in zip(found, true, strict=True) if a is not None]
    both = pairs(numbered)
    assert both / pairs(a for a, _ in numbered) == pytest.approx(precision, abs=0.01)
    assert both / pairs(true) == pytest.approx(recall, abs=0.01)
