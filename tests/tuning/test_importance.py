"""Importance of settings: shares that can be calculated by hand, and tables as a search writes them."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest
from sklearn.tree import DecisionTreeRegressor

from coverslip.core.errors import UserError
from coverslip.tuning.importance import importance, tree_effects

SPACE = {
    "training.lr": {"kind": "float", "log": True, "low": 1e-5, "high": 1.0},
    "training.dropout": {"kind": "float", "log": False, "low": 0.0, "high": 0.5},
    "training.batch_size": {"kind": "choice", "choices": [8, 32, 128]},
    "training.optimizer": {"kind": "choice", "choices": ["sgd", "adam", "adamw"]},
}


def table(number=80, seed=0, loss=None, **columns):
    """Random trials from `SPACE`; the loss is a parabola over the logarithm of the learning rate, plus noise."""
    rng = np.random.default_rng(seed)
    trials = {
        "training.lr": 10 ** rng.uniform(-5, 0, number),
        "training.dropout": rng.uniform(0, 0.5, number),
        "training.batch_size": rng.choice([8, 32, 128], number),
        "training.optimizer": rng.choice(["sgd", "adam", "adamw"], number),
    }
    if loss is None:
        loss = 0.3 + 0.1 * (np.log10(trials["training.lr"]) + 2.5) ** 2
    trials |= {"state": ["finished"] * number, "validation_loss": loss + 0.02 * rng.normal(size=number)}
    return pl.DataFrame(trials | columns)


def of_key(rows, key):
    return next(row for row in rows if row["key"] == key)


def test_a_tree_is_averaged_over_the_other_axes_exactly():
    corners = np.array([[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]])
    tree = DecisionTreeRegressor(random_state=0).fit(corners, [1.0, 2.0, 3.0, 8.0]).tree_  # cut in halves
    effects = tree_effects(tree, 2, cells=4)
    assert effects == pytest.approx(np.array([[1.5, 1.5, 5.5, 5.5], [2.0, 2.0, 5.0, 5.0]]))


def test_the_important_setting_comes_first_and_the_others_include_zero():
    rows = importance(table(), SPACE)
    assert rows[0]["key"] == "training.lr"
    assert rows[0]["low"] > 0.6
    assert all(row["low"] < 0.01 and row["value"] < 0.05 for row in rows[1:])
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in rows)


def test_shares_are_close_to_those_of_a_known_sum():
    rng = np.random.default_rng(1)
    first, second, third = rng.random((3, 200))
    loss = 2 * first + second + 2  # variances 4 : 1
    known = pl.DataFrame({"state": "finished", "validation_loss": loss, "a": first, "b": second, "c": third})
    rows = importance(known, ["a", "b", "c"])
    assert of_key(rows, "a")["value"] == pytest.approx(0.8, abs=0.1)
    assert of_key(rows, "b")["value"] == pytest.approx(0.2, abs=0.1)
    assert of_key(rows, "c")["value"] < 0.02


def test_an_important_choice_is_detected_whatever_its_name():
    bonus = {"sgd": 0.9, "adam": 0.3, "adamw": 0.35}
    frame = table()
    frame = frame.with_columns(validation_loss=pl.col("training.optimizer").replace_strict(bonus))
    for keys in (SPACE, list(SPACE)):
        rows = importance(frame, keys)
        assert rows[0]["key"] == "training.optimizer"
        assert rows[0]["low"] > 0.7


def test_settings_that_only_interact_have_no_share_of_their_own():
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 150))
    loss = 1 + (2 * first - 1) * (2 * second - 1)
    rows = importance(pl.DataFrame({"state": "finished", "validation_loss": loss, "a": first, "b": second}), ["a", "b"])
    assert all(row["value"] < 0.1 for row in rows)


def test_fewer_trials_make_wider_intervals():
    rng = np.random.default_rng(3)
    widths = []
    for number in (15, 150):
        frame = table(number, seed=4)
        frame = frame.with_columns(validation_loss=frame["training.dropout"] + 0.3 * rng.random(number))
        row = of_key(importance(frame, SPACE), "training.dropout")
        widths.append(row["high"] - row["low"])
    assert widths[0] > 1.5 * widths[1]


def test_one_diverged_trial_does_not_dominate():
    frame = table(40)
    wild = frame.with_columns(
        validation_loss=pl.when(pl.int_range(pl.len()) == 7).then(1e6).otherwise(pl.col("validation_loss"))
    )
    first = importance(wild, SPACE)[0]
    assert first["key"] == "training.lr"
    assert first["value"] > 0.5


def test_failed_and_running_trials_are_ignored_and_pruned_ones_are_used():
    frame = table(40)
    expected = importance(frame, SPACE)
    lost = table(40, seed=9, loss=np.full(40, np.nan), state=["failed"] * 20 + ["running"] * 20)
    assert importance(pl.concat([frame, lost], how="diagonal"), SPACE) == expected
    pruned = frame.with_columns(state=pl.lit("pruned"))
    assert importance(pruned, SPACE) == expected


def test_a_key_of_one_value_has_no_share_and_no_interval():
    frame = table().with_columns(pl.lit(0.1).alias("training.dropout"))
    row = of_key(importance(frame, SPACE), "training.dropout")
    assert row == {"key": "training.dropout", "value": 0.0, "low": None, "high": None}
    only = importance(frame.drop("training.lr"), ["training.dropout"])
    assert only == [row]


def test_columns_of_a_csv_with_missing_values_are_read(tmp_path):
    frame = table(30).with_columns(
        pl.when(pl.int_range(pl.len()) % 5 == 0)
        .then(None)
        .otherwise(pl.col("training.dropout"))
        .alias("training.dropout"),
        pl.when(pl.int_range(pl.len()) % 7 == 0)
        .then(None)
        .otherwise(pl.col("training.optimizer"))
        .alias("training.optimizer"),
    )
    frame.write_csv(tmp_path / "trials.csv")
    again = pl.read_csv(tmp_path / "trials.csv", infer_schema_length=None)
    assert importance(again, list(SPACE))[0]["key"] == "training.lr"
    texts = pl.read_csv(tmp_path / "trials.csv", infer_schema=False)
    assert importance(texts, SPACE)[0]["key"] == "training.lr"


def test_few_trials_or_equal_losses_have_no_importance():
    assert importance(table(7), SPACE) == []
    assert importance(table(0), SPACE) == []
    assert importance(table(20).with_columns(validation_loss=pl.lit(0.5)), SPACE) == []


def test_a_key_without_a_column_is_an_error_with_a_suggestion():
    with pytest.raises(UserError, match=r"did you mean 'training\.dropout'"):
        importance(table(), ["training.dropuot"])


def test_two_hundred_trials_take_less_than_a_second():
    rng = np.random.default_rng(5)
    columns = {f"k{number}": rng.random(200) for number in range(8)}
    frame = pl.DataFrame({"state": "finished", "validation_loss": rng.random(200), **columns})
    importance(frame.head(20), list(columns))
    start = time.process_time()
    importance(frame, list(columns))
    assert time.process_time() - start < 2  # 0.5 s on an idle machine
