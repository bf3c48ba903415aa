"""A given split with one value, or one set of labels, in a set is refused for train and reported for the others."""

import numpy as np
import polars as pl
import pytest
from tests.auditing.target_tables import findings_by_name, label_table, value_table

from coverslip.auditing.split_findings import split_findings
from coverslip.core.errors import UserError
from coverslip.data.decoding import FACTS
from coverslip.data.split import split_table

SPLITS = ["train"] * 20 + ["validation"] * 10 + ["test"] * 10
VARIED = np.linspace(0, 1, 40)


def constant(rows, value=0.5):
    values = VARIED.copy()
    values[rows] = value
    return values


def constant_target(table):
    facts = pl.DataFrame(schema=FACTS).clear(n=len(table))
    return findings_by_name(split_findings(split_table(table), facts)).get("constant-target")


def test_a_train_set_with_one_value_is_refused():
    with pytest.raises(UserError) as error:
        split_table(value_table(splits=SPLITS, area=VARIED, share=constant(slice(0, 20))))
    assert error.value.problem == "all 20 values of 'share' in the train set are 0.5"
    assert "mark other images as 'train'" in error.value.fix


@pytest.mark.parametrize(("rows", "name"), [(slice(30, 40), "test"), (slice(20, 30), "validation")])
def test_another_set_with_one_value_is_reported(rows, name):
    finding = constant_target(value_table(splits=SPLITS, area=VARIED, share=constant(rows)))
    assert finding.severity == "warns" and finding.title == f"all values of a set are equal: 'share' in {name}"


def test_sets_with_different_values_are_not_reported():
    assert constant_target(value_table(splits=SPLITS, area=VARIED)) is None
    assert constant_target(value_table(area=VARIED)) is None  # a split that is drawn


def test_a_train_set_with_one_set_of_labels_is_refused():
    with pytest.raises(UserError, match="all 20 images of the train set have the labels 'blue;rust'"):
        split_table(label_table(["blue;rust"] * 20 + ["blue", "none"] * 10, splits=SPLITS))


def test_a_label_that_does_not_vary_in_a_set_is_reported():
    table = label_table(["blue", "rust"] * 10 + ["blue", "rust"] * 5 + ["rust"] * 10, splits=SPLITS)
    assert "'blue' in test (no image), 'rust' in test (every image)" in constant_target(table).title
    assert constant_target(label_table(["blue", "rust"] * 20, splits=SPLITS)) is None
