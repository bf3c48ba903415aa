import numpy as np
import polars as pl
import pytest

from coverslip.data.groups import group_table, join_groups, join_twins
from coverslip.data.sources.source import Files
from coverslip.data.split import assign_parts, split_table
from coverslip.data.table import SCHEMA, ImageTable
from coverslip.errors import UserError


def table(rows, tmp_path, grouped_by=None):
    frame = pl.DataFrame(
        [(path, label, group, split, "ok") for path, label, group, split in rows], schema=SCHEMA, orient="row"
    )
    return ImageTable(frame, Files(tmp_path), "t", tuple(sorted(set(frame["label"]))), grouped_by)


def leaves(tmp_path, classes=3, groups=20, shots=3):
    rows = [
        (f"c{c}/leaf{g:02d}_{s}.png", f"c{c}", f"c{c}-leaf{g}", None)
        for c in range(classes)
        for g in range(groups)
        for s in range(shots)
    ]
    return table(rows, tmp_path, "column 'group'")


def test_a_group_never_straddles_a_split(tmp_path):
    frame = split_table(leaves(tmp_path)).frame
    assert frame.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1


def test_every_part_has_every_class_in_nearly_the_wanted_share(tmp_path):
    frame = split_table(leaves(tmp_path)).frame
    counts = frame.group_by("label", "split").len()
    assert counts.filter(split="train")["len"].to_list() == [42] * 3
    assert counts.filter(split="validation")["len"].to_list() == [9] * 3
    assert counts.filter(split="test")["len"].to_list() == [9] * 3


def test_groups_of_unequal_size_are_balanced():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 30, size=120)
    groups = np.repeat([f"g{i}" for i in range(120)], sizes)
    labels = np.repeat(np.arange(120) % 4, sizes)
    parts = assign_parts(labels, groups.tolist(), (0.7, 0.15, 0.15), 0)
    for number in range(4):
        share = np.bincount(parts[labels == number], minlength=3) / (labels == number).sum()
        np.testing.assert_allclose(share, (0.7, 0.15, 0.15), atol=0.04)


def test_the_order_of_rows_does_not_matter():
    labels, groups = np.arange(60) % 3, [f"g{i:02d}" for i in range(60)]
    order = np.random.default_rng(1).permutation(60)
    straight = assign_parts(labels, groups, (7, 1.5, 1.5), 5)
    shuffled = assign_parts(labels[order], [groups[i] for i in order], (7, 1.5, 1.5), 5)
    np.testing.assert_array_equal(straight[order], shuffled)


def test_another_seed_gives_another_split_and_the_same_seed_the_same(tmp_path):
    one, same, other = (split_table(leaves(tmp_path), seed=seed).frame["split"].to_list() for seed in (0, 0, 1))
    assert one == same != other


def test_a_given_split_is_kept_and_a_missing_validation_part_is_cut_from_train(tmp_path):
    rows = [
        (f"{part}/{name}/{i:02d}.png", name, None, part)
        for part, count in (("train", 20), ("test", 10))
        for name in ("a", "b")
        for i in range(count)
    ]
    frame = split_table(table(rows, tmp_path)).frame
    assert set(frame.filter(pl.col("path").str.starts_with("test/"))["split"]) == {"test"}
    assert set(frame.filter(pl.col("path").str.starts_with("train/"))["split"]) == {"train", "validation"}


def test_a_given_split_that_cuts_a_group_is_refused(tmp_path):
    rows = [(f"{i}.png", "ab"[i % 2], f"g{i // 2}", ["train", "test"][i % 2]) for i in range(20)]
    with pytest.raises(UserError, match="the test would leak"):
        split_table(table(rows, tmp_path, "column 'group'"))


def test_a_class_with_fewer_groups_than_parts_is_named(tmp_path):
    rows = [(f"a{i}.png", "a", f"a{i}", None) for i in range(9)] + [
        (f"b{i}.png", "b", f"b{i // 5}", None) for i in range(9)
    ]
    with pytest.raises(UserError, match="class 'b' has 9 pictures of 2 groups"):
        split_table(table(rows, tmp_path, "column 'group'"))


def test_a_pattern_names_the_leaf(tmp_path):
    found = group_table(leaves(tmp_path), r"(c\d/leaf\d+)_")
    assert found.frame["group"].n_unique() == 60


def test_a_pattern_that_fits_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="matches no path"):
        group_table(leaves(tmp_path), r"patient(\d+)")


def test_the_parent_folder_can_be_the_group_only_inside_a_class_folder(tmp_path):
    nested = [(f"a/leaf{i // 3}/{i}.png", "a", None, None) for i in range(9)]
    assert group_table(table(nested, tmp_path), "parent").frame["group"].n_unique() == 3
    with pytest.raises(UserError, match="class folder"):
        group_table(leaves(tmp_path), "parent")


def test_exact_copies_join_their_groups(tmp_path):
    rows = [(f"{i}.png", "ab"[i % 2], None, None) for i in range(6)]
    joined, twins = join_twins(table(rows, tmp_path), ["h0", "h1", "h2", "h0", None, "h5"])
    assert twins == [[0, 3]]
    assert joined.groups([0, 3]) == ["0.png", "0.png"]
    assert joined.frame["group"].to_list() == ["0.png", None, None, "0.png", None, None]


def test_joining_is_transitive():
    assert join_groups(["a", "a", "b", "b", "c", "d"], [1, 2, 2, 3, 3, 4]) == ["a", "a", "a", "a", "a", "d"]
