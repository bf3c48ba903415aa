"""Groups from columns, patterns, folders, shot numbers and times."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coverslip.core.errors import UserError
from coverslip.data.groups import group_by_time, group_table
from coverslip.data.scan import scan
from coverslip.data.shots import numbered_runs, parse_shot, refine_groups
from coverslip.data.sources.source import Files
from coverslip.data.split import ungrouped_rows
from coverslip.data.table import SCHEMA, ImageTable

DATA = Path(__file__).parents[3] / "shared" / "data"


def table_of(*paths, label=None, split=None):
    """Return a table of these paths; the class is the folder unless it is given."""
    rows = sorted((path, label or path.split("/")[-2], None, split, "ok") for path in paths)
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return ImageTable(frame, Files(Path()), "t", tuple(sorted(set(frame["label"]))))


def grouped_names(table, groups):
    """Return the file names of each group."""
    names = {}
    for path, group in zip(table.paths, groups, strict=True):
        names.setdefault(group or path, []).append(path.rpartition("/")[2])
    return sorted(names.values())


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
def test_the_shot_number_is_found_among_suffixes_that_programs_append(name, stem, digits):
    shot = parse_shot(name)
    assert (shot.stem, shot.digits) == (stem, digits)


def test_digits_of_a_random_identifier_are_no_shot_number():
    assert parse_shot("0022d6b7-d47c-4ee2-ae9a-392a53f48647___leaf.png") is None


def test_shots_with_consecutive_numbers_share_a_group():
    table = table_of(*(f"rust/JR {n}.jpg" for n in (98, 99, 101, 110)), "rust/NR 100.jpg", "rust/lonely.jpg")
    groups = numbered_runs(table, 2)
    assert grouped_names(table, groups) == [
        ["JR 101.jpg", "JR 98.jpg", "JR 99.jpg"],
        ["JR 110.jpg"],
        ["NR 100.jpg"],
        ["lonely.jpg"],
    ]
    assert groups[table.paths.index("rust/lonely.jpg")] is None


def test_the_same_numbers_in_two_class_folders_are_two_groups():
    table = table_of("rust/IMG_1.jpg", "rust/IMG_2.jpg", "healthy/IMG_1.jpg", "healthy/IMG_3.jpg")
    assert len(set(numbered_runs(table, 2))) == 2


def test_neighbors_of_two_classes_in_one_folder_are_two_groups():
    table = table_of(*(f"all/IMG_{n}.jpg" for n in range(4))).with_columns(label=["a", "a", "b", "b"])
    assert len(set(numbered_runs(table, 5))) == 2


def test_a_run_spans_train_and_test_folders_unless_they_were_numbered_separately():
    def runs(test):
        rows = [(f"train/rust/{n}.jpg", "train") for n in (1, 3, 5)] + [(f"test/rust/{n}.jpg", "test") for n in test]
        table = table_of(*(path for path, _ in rows))
        return numbered_runs(table.with_columns(split=[dict(rows)[path] for path in table.paths]), 1)

    assert len(set(runs([2, 4, 6]))) == 1
    assert len(set(runs([1, 3, 5]))) == 6


def test_numbers_that_count_leaves_join_only_shots_of_one_leaf():
    table = table_of(
        "a/Leaf 7.JPG", "a/Leaf 7.1.JPG", "a/Leaf 8.JPG", "a/Leaf 8.2.JPG", "a/Leaf 8661.JPG", "a/Leaf 8662.JPG"
    )
    assert grouped_names(table, numbered_runs(table, 6)) == [
        ["Leaf 7.1.JPG", "Leaf 7.JPG"],
        ["Leaf 8.2.JPG", "Leaf 8.JPG"],
        ["Leaf 8661.JPG", "Leaf 8662.JPG"],  # four digits are a camera's counter
    ]


def test_groups_from_shots_come_with_a_note_on_images_without_a_number(paint):
    folder = paint(rust=6, healthy=6)
    (folder / "rust" / "00.png").rename(folder / "rust" / "first.png")
    table = scan(folder, "shots:2")
    assert table.grouped_by == "shot numbers at most 2 apart"
    assert table.frame["group"].n_unique() == 3  # two runs and null
    assert [table.paths[row] for row in ungrouped_rows(table)] == ["rust/first.png"]
    assert any("1 of 12 images" in note for note in table.notes)


@pytest.mark.parametrize(
    "by", ["shots:", "shots:x", "shots:0", "shots:-3", "burst:", "burst:-3", "burst:nan", "burst:x"]
)
def test_the_error_for_a_bad_number_shows_an_example(by, paint):
    with pytest.raises(UserError, match=r"'(shots:6|burst:10)'"):
        scan(paint(rust=3, healthy=3), by)


def test_shots_of_names_without_any_number_are_rejected():
    with pytest.raises(UserError, match="no file name contains a number"):
        group_table(table_of("a/x.jpg", "b/y.jpg"), "shots:6")


def times(*rows):
    return pl.DataFrame(rows, schema={"camera": pl.String, "taken": pl.String}, orient="row")


def test_images_taken_within_seconds_by_one_camera_share_a_group():
    table = group_table(table_of(*(f"rust/{n}.jpg" for n in range(7))), "burst:2")
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
    assert grouped_names(grouped, grouped.frame["group"]) == [
        ["0.jpg", "1.jpg", "3.jpg"],
        *([f"{n}.jpg"] for n in (2, 4, 5, 6)),
    ]
    assert ungrouped_rows(grouped) == [5, 6]
    assert any("2 of 7 images" in note and "EXIF time" in note for note in grouped.notes)


def test_a_burst_without_any_time_is_rejected():
    with pytest.raises(UserError, match="burst:2"):
        group_by_time(table_of("a/1.jpg", "b/2.jpg"), times(("", None), (None, None)), 2)


def write_table(folder, header, *rows):
    """Write a table next to the images, and return its path."""
    with (folder / "leaves.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / "leaves.csv"


def test_extra_columns_are_kept_as_text_and_never_mistaken_for_known_ones(paint):
    folder = paint(rust=2, healthy=2)
    rows = [(f"rust/0{n}.png", "rust", "007", "broken", n, "") for n in range(2)]
    rows += [(f"healthy/0{n}.png", "healthy", "", "broken", n, "") for n in range(2)]
    table = scan(write_table(folder, ("path", "label", "hospital", "status", "row", "split"), *rows))
    assert table.frame.columns == [*SCHEMA, "hospital", "row"] and table.extra_columns == ["hospital", "row"]
    assert table.frame["hospital"].to_list() == [None, None, "007", "007"]
    assert set(table.frame["status"]) == {"ok"} and table.rows() == [0, 1, 2, 3]
    table.frame.write_csv(folder / "table.csv")
    saved = pl.read_csv(folder / "table.csv", infer_schema=False)
    assert saved.equals(table.frame)


def test_images_with_an_empty_or_blank_group_are_listed_as_ungrouped(paint):
    folder = paint(rust=3, healthy=3)
    rows = [(f"{c}/0{n}.png", c, group) for c in ("healthy", "rust") for n, group in enumerate(("leaf", "", "  "))]
    table = scan(write_table(folder, ("path", "label", "leaf"), *rows), "leaf")
    assert ungrouped_rows(table) == [1, 2, 4, 5]
    assert any("4 of 6 images" in note and "'leaf' is empty" in note for note in table.notes)


def test_an_empty_group_column_is_rejected(paint):
    folder = paint(rust=2, healthy=2)
    rows = [(f"{c}/0{n}.png", c, "") for c in ("rust", "healthy") for n in range(2)]
    with pytest.raises(UserError, match=r"column 'leaf' of .* is empty"):
        scan(write_table(folder, ("path", "label", "leaf"), *rows), "leaf")


def test_a_column_takes_precedence_over_shots_and_a_misspelt_one_is_answered_with_the_nearest(paint):
    folder = paint(rust=2, healthy=2)
    rows = [(f"{c}/0{n}.png", c, c, n) for c in ("rust", "healthy") for n in range(2)]
    path = write_table(folder, ("path", "label", "leaf number", "shots:6"), *rows)
    assert scan(path, "shots:6").grouped_by == "column 'shots:6'"
    assert scan(path, "leaf number").frame["group"].to_list() == ["healthy", "healthy", "rust", "rust"]
    with pytest.raises(UserError, match="did you mean the column 'leaf number'"):
        scan(path, "leaf numbr")
    with pytest.raises(UserError, match="did you mean the column 'leaf number'"):
        scan(path, "leaf (number")


def test_a_wide_run_is_cut_between_different_leaves_and_never_between_close_numbers():
    rng = np.random.default_rng(0)
    # Forty leaves of two shots each, numbered 0, 5, 10, 15 ...; and an image unlike all others next to the last shot.
    table = table_of(*(f"rust/{5 * shot:03d}.jpg" for shot in range(80)), "rust/396.jpg")
    features = np.repeat(rng.normal(size=(40, 24)), 2, axis=0) + 0.1 * rng.normal(size=(80, 24))
    groups = refine_groups(table, range(81), np.concatenate([features, rng.normal(size=(1, 24))]), 10)
    assert len(set(numbered_runs(table, 10))) == 1
    assert all(groups[2 * leaf] == groups[2 * leaf + 1] for leaf in range(40))
    assert len(set(groups)) >= 34  # a tenth of unrelated pairs are similar by chance
    assert groups[80] == groups[79]


def test_runs_of_too_few_images_are_unchanged():
    table = table_of("rust/1.jpg", "rust/5.jpg", "rust/9.jpg")
    assert refine_groups(table, [0, 1, 2], np.eye(3), 10) == numbered_runs(table, 10)


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not next to this clone (../shared/data)")
@pytest.mark.parametrize(("gap", "precision", "recall"), [(1, 0.85, 0.30), (3, 0.62, 0.72), (6, 0.40, 0.90)])
def test_shot_numbers_keep_real_leaves_together_as_published(gap, precision, recall):
    rows = pl.read_csv(DATA / "plantvillage_pepper_leaf_groups.csv")
    table = table_of(*rows["file"])
    leaf = dict(rows.iter_rows())
    runs, true = numbered_runs(table, gap), [leaf[path] for path in table.paths]

    def pairs(names):
        return sum(count * (count - 1) / 2 for count in Counter(names).values())

    numbered = [(a, b) for a, b in zip(runs, true, strict=True) if a is not None]
    both = pairs(numbered)
    assert both / pairs(a for a, _ in numbered) == pytest.approx(precision, abs=0.01)
    assert both / pairs(true) == pytest.approx(recall, abs=0.01)
