"""Copies with contradicting values or labels block training; copies that differ by noise do not."""

import numpy as np
import pytest
from tests.auditing.target_tables import findings_by_name, label_table, value_table

from coverslip.auditing.duplicate_findings import duplicate_findings
from coverslip.auditing.duplicates import Duplicates
from coverslip.auditing.repair import fix_table

COPIES = Duplicates(exact=[[0, 1]], sets=[[0, 1]])
OTHERS = np.linspace(0, 1, 50)


def found(table, duplicates=COPIES):
    return findings_by_name(duplicate_findings(table, duplicates))


def test_copies_with_different_values_block_in_words_for_values():
    table = value_table(severity=[0.2, 0.9, *OTHERS])
    conflict = found(table)["label-conflict"]
    assert conflict.blocks and conflict.rows == ((0, 1),)
    assert conflict.title == "the copies of 1 image have different values of 'severity': 0.2 and 0.9"
    assert "class" not in conflict.title + conflict.meaning + conflict.remedy
    status = fix_table(table, COPIES).frame["status"].to_list()
    assert status[:3] == ["dropped: copies with different values"] * 2 + ["ok"]


@pytest.mark.parametrize("second", [0.2, 0.23])
def test_copies_whose_values_differ_by_noise_are_not_in_conflict(second):
    table = value_table(severity=[0.2, second, *OTHERS])
    names = found(table)
    assert "label-conflict" not in names and "exact-copies" in names
    assert ("copy-values" in names) == (second != 0.2)
    assert fix_table(table, COPIES).frame["status"].to_list()[:2] == ["ok", "dropped: copy of 0000.png"]


def test_the_note_about_noise_gives_the_largest_difference():
    note = found(value_table(severity=[0.2, 0.23, *OTHERS]))["copy-values"]
    assert note.severity == "notes" and "'severity' by at most 0.03" in note.title


def test_noise_is_judged_by_the_spread_of_most_values_and_not_by_an_outlier():
    assert "label-conflict" in found(value_table(severity=[0.2, 0.9, *OTHERS, 1000]))
    mostly_zero = value_table(severity=[0.01, 0.02, *[0] * 60, 1])
    assert "label-conflict" not in found(mostly_zero)


def test_of_several_targets_the_one_in_conflict_is_named():
    conflict = found(value_table(area=[1, 1, *OTHERS], length=[0.1, 0.8, *OTHERS]))["label-conflict"]
    assert conflict.title == "the copies of 1 image have different values: 'length' 0.1 and 0.8"


def test_copies_with_different_labels_block_in_words_for_labels():
    table = label_table(["rust", "blue;rust", *["rust", "blue", "none"] * 10])
    conflict = found(table)["label-conflict"]
    assert conflict.title == "the copies of 1 image have different labels: 'blue;rust' and 'rust'"
    assert fix_table(table, COPIES).frame["status"][0] == "dropped: copies with different labels"
    assert "label-conflict" not in found(label_table(["rust", "rust", *["rust", "blue", "none"] * 10]))


def test_many_conflicts_are_listed_briefly():
    sets = [[row, row + 5] for row in range(5)]
    table = value_table(severity=[*[0.1] * 5, *[0.9] * 5, *OTHERS])
    title = found(table, Duplicates(exact=sets, sets=sets))["label-conflict"].title
    assert title.startswith("the copies of 5 images") and title.count("0.1 and 0.9") == 3 and title.endswith("; ...")


def test_excluded_images_do_not_change_what_is_noise():
    table = value_table(severity=[0.2, 0.23, *OTHERS])
    left = table.with_columns(status=["ok", "ok"] + ["dropped: dark"] * len(OTHERS))
    assert fix_table(left, COPIES).frame["status"].to_list()[:2] == ["ok", "dropped: copy of 0000.png"]
