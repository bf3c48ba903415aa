"""Each finding about values and sets of labels is reported where it applies, and not for ordinary data."""

import numpy as np
import pytest
from tests.auditing.target_tables import findings_by_name, label_table, value_table

from coverslip.auditing.target_findings import label_set_findings, value_findings


def random(seed=0):
    return np.random.default_rng(seed)


def found(values, groups=None):
    return findings_by_name(value_findings(value_table(groups, severity=values)))


def rows_of(finding):
    return [row for (row,) in finding.rows]


# ---------------------------------------------------------------- outliers

ORDINARY = {
    "normal": random().normal(20, 3, 200),
    "uniform": random().uniform(0, 1, 200),
    "skewed": random().lognormal(0, 1, 200),
    "half zero": np.where(np.arange(200) % 2, 0, random().uniform(0, 1, 200)),
    "mostly zero": np.where(np.arange(200) % 10 < 8, 0, random().exponential(1, 200)),
    "half nearly zero": np.where(
        np.arange(200) % 20 < 11, random().uniform(0, 0.02, 200), random().uniform(0.2, 1, 200)
    ),
    "counts": random().poisson(1, 200),
    "all but one equal": np.array([1.0] * 199 + [2.0]),
    "grades of percent": random().choice([0.0, 1, 5, 10, 25, 50, 100], 200),
}


@pytest.mark.parametrize("shape", ORDINARY)
def test_ordinary_values_have_no_outliers_and_one_unit(shape):
    assert not {"outlying-values", "mixed-units"} & set(found(ORDINARY[shape]))


@pytest.mark.parametrize("shape", ["normal", "uniform", "skewed", "half zero", "mostly zero", "half nearly zero"])
def test_a_value_with_a_misplaced_decimal_point_is_an_outlier(shape):
    values = ORDINARY[shape].copy()
    values[7] = 100 * values.max()
    finding = found(values)["outlying-values"]
    assert rows_of(finding) == [7] and f"{values[7]:g}" in finding.title


def test_a_value_far_below_the_others_is_an_outlier():
    values = ORDINARY["normal"].copy()
    values[3] = -500
    assert rows_of(found(values)["outlying-values"]) == [3]


# ---------------------------------------------------------------- units

MIXED = {
    "narrow": (random().uniform(2, 8, 100), 1000),
    "a range of more than the gap": (random(3).uniform(0.05, 0.6, 100), 100),
    "shares and percent that overlap": (random(1).uniform(0, 1, 100), 100),
}


@pytest.mark.parametrize("case", MIXED)
def test_values_in_two_units_are_reported_once_and_not_as_outliers(case):
    values, factor = MIXED[case]
    values = values.copy()
    values[:20] *= factor
    names = found(values)
    assert names["mixed-units"].numbers["factor"] == factor
    assert len(set(rows_of(names["mixed-units"])) ^ set(range(20))) <= 1
    assert "outlying-values" not in names


def test_an_outlier_among_values_in_two_units_is_reported_beside_them():
    values = random().uniform(2, 8, 100)
    values[:20] *= 100
    values[50] = -900
    names = found(values)
    assert rows_of(names["mixed-units"]) == list(range(20)) and rows_of(names["outlying-values"]) == [50]


def test_two_clusters_of_another_shape_are_not_two_units():
    healthy, diseased = random().uniform(0.001, 0.02, 100), random().uniform(0.1, 0.9, 100)
    assert "mixed-units" not in found(np.concatenate([healthy, diseased]))


def test_percent_with_many_small_values_are_not_taken_for_shares():
    assert "mixed-units" not in found(np.minimum(random().lognormal(0, 2, 400), 100))


# ---------------------------------------------------------------- heaps and groups


def test_many_equal_values_at_an_end_are_noted():
    heaped = found(ORDINARY["half zero"])["heaped-values"]
    assert heaped.severity == "notes" and "50% are 0" in heaped.title
    both = found([0.0] * 40 + [1.0] * 40 + [0.2, 0.4, 0.5, 0.8])["heaped-values"]
    assert "48% are 0 and 48% are 1" in both.title


def test_equal_values_within_the_range_and_two_different_values_are_no_heap():
    assert "heaped-values" not in found([0.5] * 50 + [*np.linspace(0, 1, 50)])
    assert "heaped-values" not in found([0.0] * 30 + [1.0] * 30)


def test_values_that_belong_to_groups_are_noted():
    groups = [f"plant{row // 3}" for row in range(30)]
    per_group = np.repeat(np.linspace(0, 1, 10), 3)
    finding = found(per_group, groups)["value-per-group"]
    assert "10 independent values, not 30" in finding.meaning and finding.rows[0] == (0, 1, 2)
    assert "value-per-group" not in found(per_group + np.arange(30) * 1e-3, groups)
    assert "value-per-group" not in found(per_group)


# ---------------------------------------------------------------- sets of labels


def test_a_label_of_every_image_is_reported():
    names = findings_by_name(label_set_findings(label_table(["leaf;rust", "leaf", "blue;leaf"] * 10)))
    assert names["constant-label"].title == "every image has the label 'leaf'"
    assert names["constant-label"].severity == "warns"
    assert not findings_by_name(label_set_findings(label_table(["rust", "none", "blue;rust"] * 10)))


def test_labels_with_few_groups_are_noted():
    cells = ["rust", "none", "blue;rust"] * 10 + ["blue;mold"] * 4
    finding = findings_by_name(label_set_findings(label_table(cells)))["few-images"]
    assert finding.title == "1 of 3 labels have fewer than 5 images: mold 4" and finding.severity == "notes"
    groups = [f"plant{row // 12}" for row in range(34)]
    finding = findings_by_name(label_set_findings(label_table(cells, groups)))["few-images"]
    assert "fewer than 5 groups: blue 3, mold 1, rust 3" in finding.title


def test_few_images_are_not_noted_for_labels_with_enough_groups():
    assert "few-images" not in findings_by_name(label_set_findings(label_table(["rust", "none"] * 5)))
