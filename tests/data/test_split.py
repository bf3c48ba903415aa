import itertools
import time

import numpy as np
import polars as pl
import pytest

from coverslip.core.errors import UserError
from coverslip.data.groups import group_table, join_groups, join_sets
from coverslip.data.sources.source import Files
from coverslip.data.split import (
    assign_folds,
    assign_splits,
    groups_across_splits,
    move_to_one_split,
    split_table,
    ungrouped_rows,
)
from coverslip.data.table import SCHEMA, ImageTable


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


def test_a_group_is_in_one_split_only(tmp_path):
    frame = split_table(leaves(tmp_path)).frame
    assert frame.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1


def test_every_split_has_its_fraction_of_every_class(tmp_path):
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
    splits = assign_splits(labels, groups.tolist(), (0.7, 0.15, 0.15), 0)
    for label in range(4):
        share = np.bincount(splits[labels == label], minlength=3) / (labels == label).sum()
        np.testing.assert_allclose(share, (0.7, 0.15, 0.15), atol=0.04)


def test_the_order_of_rows_does_not_matter():
    labels, groups = np.arange(60) % 3, [f"g{i:02d}" for i in range(60)]
    order = np.random.default_rng(1).permutation(60)
    original = assign_splits(labels, groups, (7, 1.5, 1.5), 5)
    shuffled = assign_splits(labels[order], [groups[i] for i in order], (7, 1.5, 1.5), 5)
    np.testing.assert_array_equal(original[order], shuffled)


def test_another_seed_gives_another_split_and_the_same_seed_the_same(tmp_path):
    one, same, other = (split_table(leaves(tmp_path), seed=seed).frame["split"].to_list() for seed in (0, 0, 1))
    assert one == same != other


def test_a_given_split_is_kept_and_a_missing_validation_set_is_drawn_from_train(tmp_path):
    rows = [
        (f"{split}/{name}/{i:02d}.png", name, None, split)
        for split, count in (("train", 20), ("test", 10))
        for name in ("a", "b")
        for i in range(count)
    ]
    frame = split_table(table(rows, tmp_path)).frame
    assert set(frame.filter(pl.col("path").str.starts_with("test/"))["split"]) == {"test"}
    assert set(frame.filter(pl.col("path").str.starts_with("train/"))["split"]) == {"train", "validation"}


def test_a_given_split_that_divides_a_group_is_kept_and_detected_and_can_be_fixed(tmp_path):
    rows = [(f"{i:02d}.png", "ab"[i % 2], f"g{i // 3:02d}", None) for i in range(27)]
    rows = [
        (path, label, group, "test" if i in (1, 3, 4) else "train") for i, (path, label, group, _) in enumerate(rows)
    ]
    given = table(rows, tmp_path, "column 'group'")
    assert groups_across_splits(given) == [[0, 1, 2], [3, 4, 5]]
    assert groups_across_splits(split_table(given))[:2] == [[0, 1, 2], [3, 4, 5]]
    fixed = move_to_one_split(given, groups_across_splits(given))
    assert fixed.frame["split"].to_list()[:6] == ["train"] * 3 + ["test"] * 3
    assert groups_across_splits(fixed) == []


def test_in_a_tie_a_group_moves_to_the_earlier_split(tmp_path):
    rows = [(f"{i}.png", "a", "g", split) for i, split in enumerate(("test", "validation", "test", "validation"))]
    assert set(move_to_one_split(table(rows, tmp_path), [[0, 1, 2, 3]]).frame["split"]) == {"validation"}


def test_a_class_with_fewer_groups_than_splits_is_an_error(tmp_path):
    rows = [(f"a{i}.png", "a", f"a{i}", None) for i in range(9)] + [
        (f"b{i}.png", "b", f"b{i // 5}", None) for i in range(9)
    ]
    with pytest.raises(UserError, match="class 'b' has 9 images of 2 groups"):
        split_table(table(rows, tmp_path, "column 'group'"))


def test_a_pattern_extracts_the_group_from_the_path(tmp_path):
    grouped = group_table(leaves(tmp_path), r"(c\d/leaf\d+)_")
    assert grouped.frame["group"].n_unique() == 60


def test_a_pattern_that_matches_nothing_is_rejected(tmp_path):
    with pytest.raises(UserError, match="matches no path"):
        group_table(leaves(tmp_path), r"patient(\d+)")


def test_the_parent_folder_can_be_the_group_only_inside_a_class_folder(tmp_path):
    nested = [(f"a/leaf{i // 3}/{i}.png", "a", None, None) for i in range(9)]
    assert group_table(table(nested, tmp_path), "parent").frame["group"].n_unique() == 3
    with pytest.raises(UserError, match="class folder"):
        group_table(leaves(tmp_path), "parent")


def test_exact_duplicates_join_their_groups(tmp_path):
    rows = [(f"{i}.png", "ab"[i % 2], None, None) for i in range(6)]
    joined = join_sets(table(rows, tmp_path), [[0, 3]])
    assert joined.groups([0, 3]) == ["0.png", "0.png"]
    assert joined.frame["group"].to_list() == ["0.png", None, None, "0.png", None, None]


def test_joining_is_transitive():
    assert join_groups(["a", "a", "b", "b", "c", "d"], [1, 2, 2, 3, 3, 4]) == ["a", "a", "a", "a", "a", "d"]


def test_sets_that_share_an_image_or_a_group_become_one_group(tmp_path):
    rows = [(f"{i}.png", "a", group, None) for i, group in enumerate(["x", "x", None, None, "y", None, "z"])]
    joined = join_sets(table(rows, tmp_path), [[2, 3], [3, 1], [5], []])
    assert joined.frame["group"].to_list() == ["2.png", "2.png", "2.png", "2.png", "y", None, "z"]


def test_images_without_a_group_are_listed_if_others_have_one(tmp_path):
    rows = [(f"{i}.png", "a", group, None) for i, group in enumerate(["x", None, "x", None])]
    assert ungrouped_rows(table(rows, tmp_path, "column 'leaf'")) == [1, 3]
    assert ungrouped_rows(table(rows, tmp_path)) == []


def imbalance(labels, splits, share):
    """Return the number of classes missing from splits (weighted) and the mean deviation from the target fractions."""
    counts = np.zeros((len(share), labels.max() + 1))
    np.add.at(counts, (splits, labels), 1)
    missing = ((counts == 0).sum(1) * ([1000] + [1] * (len(share) - 1))).sum()
    return missing, np.abs(counts / counts.sum(0) - np.array(share)[:, None]).mean()


def random_case(number):
    """Return labels, groups and target fractions of a few groups with different sizes and mixtures of classes."""
    rng = np.random.default_rng(number)
    classes, groups = int(rng.integers(2, 4)), int(rng.integers(3, 9))
    counts = rng.integers(0, (4, 20, 60)[number % 3], (groups, classes))
    counts[rng.integers(groups), :] += 1  # so that every class occurs
    labels = np.concatenate([np.repeat(np.arange(classes), group_counts) for group_counts in counts])
    names = [f"g{group}" for group, group_counts in enumerate(counts) for _ in range(group_counts.sum())]
    return labels, names, ((0.7, 0.15, 0.15), (0.5, 0.5), (1 / 3, 1 / 3, 1 / 3))[int(rng.integers(3))]


def test_few_groups_are_split_within_one_percentage_point_of_the_optimum():
    for number in range(200):
        labels, groups, share = random_case(number)
        names, members = np.unique(groups, return_inverse=True)
        candidates = np.array(list(itertools.product(range(len(share)), repeat=len(names))))
        counts = np.zeros((len(candidates), len(share), labels.max() + 1))
        for label in range(labels.max() + 1):
            sizes = np.bincount(members[labels == label], minlength=len(names))
            for split in range(len(share)):
                counts[:, split, label] = (candidates == split) @ sizes
        missing = ((counts == 0).sum(2) * ([1000] + [1] * (len(share) - 1))).sum(1)
        deviation = np.abs(counts / counts.sum(1, keepdims=True) - np.array(share)[:, None]).mean((1, 2))
        result = imbalance(labels, assign_splits(labels, groups, share, number), share)
        assert result[0] == missing.min(), number
        assert result[1] <= deviation[missing == missing.min()].min() + 0.01, number


def test_a_class_with_only_two_groups_is_in_train_and_one_other_split():
    labels = np.array([0] * 40 + [1] * 30)
    groups = [f"a{i // 2}" for i in range(40)] + ["b0"] * 25 + ["b1"] * 5
    splits = assign_splits(labels, groups, (0.7, 0.15, 0.15), 0)
    assert 0 in splits[labels == 1] and len(set(splits[labels == 1])) == 2


def test_single_images_are_stratified_exactly():
    labels = np.repeat([0, 1, 2], [20, 40, 100])
    splits = assign_splits(labels, [f"p{i}" for i in range(160)], (0.7, 0.15, 0.15), 3)
    assert [np.bincount(splits[labels == n]).tolist() for n in range(3)] == [[14, 3, 3], [28, 6, 6], [70, 15, 15]]


def test_the_order_of_rows_does_not_matter_for_groups_with_several_classes():
    labels, groups, share = random_case(4)
    order = np.random.default_rng(1).permutation(len(labels))
    original = assign_splits(labels, groups, share, 5)
    shuffled = assign_splits(labels[order], [groups[i] for i in order], share, 5)
    np.testing.assert_array_equal(original[order], shuffled)


def test_the_split_of_a_small_table_is_the_same_on_every_machine():
    labels, groups, share = random_case(5)
    splits = assign_splits(labels, groups, share, 0)
    assert [int(splits[groups.index(name)]) for name in sorted(set(groups))] == [0, 0, 0, 2, 1, 0, 1]


def test_ten_thousand_groups_are_split_in_two_seconds():
    rng = np.random.default_rng(0)
    members, labels = rng.integers(0, 10_000, 30_000), rng.integers(0, 15, 30_000)
    start = time.perf_counter()
    splits = assign_splits(labels, [f"g{i}" for i in members], (0.7, 0.15, 0.15), 0)
    assert time.perf_counter() - start < 2
    assert imbalance(labels, splits, (0.7, 0.15, 0.15))[1] < 0.001


@pytest.mark.parametrize("grouped", [True, False])
def test_every_image_is_held_out_once_and_folds_are_balanced(grouped):
    labels = np.arange(300) % 3
    groups = [f"g{i // 6}" for i in range(300)] if grouped else None
    folds = assign_folds(labels, groups, 5, 0)
    assert [np.bincount(folds[labels == n]).tolist() for n in range(3)] == [[20] * 5] * 3
    if grouped:
        assert all(len(set(folds[6 * g : 6 * g + 6])) == 1 for g in range(50))


def test_more_folds_than_groups_are_rejected():
    with pytest.raises(UserError, match=r"3 groups .* 4 folds"):
        assign_folds(np.zeros(9, int), ["a", "b", "c"] * 3, 4, 0)
    with pytest.raises(UserError, match="folds=1"):
        assign_folds(np.zeros(9, int), None, 1, 0)
