"""Weights of resampled groups, and weighted scores, against the plain way of doing the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from coverslip.evidence import resampling
from coverslip.evidence.resampling import influence, strata_of_groups, weight_blocks
from coverslip.evidence.scores import RankTable, group_sums, log_losses, recalls


def test_the_weights_of_a_class_always_add_up_to_its_groups():
    strata = np.array([0, 1, 0, 1, 1, 0, 0])
    weights = np.concatenate(list(weight_blocks(strata, 300, seed=0, rows=7)), axis=1)
    assert weights.shape == (7, 300)
    assert weights[strata == 0].sum(axis=0) == pytest.approx(np.full(300, 4.0))
    assert weights[strata == 1].sum(axis=0) == pytest.approx(np.full(300, 3.0))


def test_resampled_means_have_the_spread_of_the_mean_even_with_few_groups():
    values = np.array([0.0, 1.0, 5.0, 2.0])
    weights = np.concatenate(list(weight_blocks(np.zeros(4, int), 40_000, seed=0, rows=4)), axis=1)
    assert (values @ weights / 4).std() == pytest.approx(values.std(ddof=1) / np.sqrt(4), rel=0.02)


def test_memory_is_bounded_by_blocks(monkeypatch):
    monkeypatch.setattr(resampling, "BLOCK_CELLS", 100)
    sizes = [block.shape for block in weight_blocks(np.zeros(20, int), 23, seed=0, rows=10)]
    assert sizes == [(20, 5)] * 4 + [(20, 3)]


def test_a_class_of_one_group_cannot_be_resampled_alone():
    assert strata_of_groups(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 4.0]])) is None
    with pytest.raises(ValueError, match="one group"):
        next(weight_blocks(np.array([0, 0, 1]), 10, seed=0, rows=3))


def test_weighted_auroc_with_ties_is_that_of_scikit_learn():
    chance = np.random.default_rng(0)
    for share in (0.2, 0.8):
        scores = chance.integers(0, 12, 200) / 12  # many ties
        positive = chance.random(200) < share
        groups = chance.integers(0, 30, 200)
        weights = chance.integers(0, 4, (30, 5)).astype(float)
        ours = RankTable(scores, positive, groups).auroc(weights)
        theirs = [roc_auc_score(positive, scores, sample_weight=weights[groups, column]) for column in range(5)]
        assert ours == pytest.approx(theirs)


def test_auroc_by_hand():
    table = RankTable(np.array([0.5, 0.5, 0.5]), np.array([True, False, False]), np.arange(3))
    assert table.auroc(np.ones((3, 1))) == pytest.approx([0.5])  # all tie
    assert np.isnan(table.auroc(np.array([[0.0], [1.0], [1.0]]))).all()  # the class has vanished
    with pytest.raises(ValueError, match="another class"):
        RankTable(np.array([0.1, 0.2]), np.array([True, True]), np.arange(2))


def test_the_influence_of_a_group_is_the_slope_of_the_score():
    chance = np.random.default_rng(2)
    scores, positive, groups = chance.random(60), chance.random(60) < 0.4, chance.integers(0, 10, 60)
    table, step = RankTable(scores, positive, groups), 1e-5
    nudged = np.ones((10, 10)) + step * np.eye(10)
    slopes = (table.auroc(nudged) - table.auroc(np.ones((10, 1)))) / step
    assert table.influence() == pytest.approx(slopes, abs=1e-4)


def test_the_jackknife_of_a_mean_is_the_distance_from_the_mean():
    loss = np.array([0.1, 0.4, 1.0, 0.5])
    labels = np.zeros(4, int)
    sums = group_sums(labels, labels, loss, np.arange(4), 1)
    moves = influence(sums, labels, lambda some: log_losses(some)[..., None])[:, 0]
    assert moves == pytest.approx((loss - 0.5) / 4)


def test_group_sums_by_hand():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    sums = group_sums(labels, predicted, np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 1, 1]), 2)
    assert sums.tolist() == [[1, 0, 1, 0, 1, 0, 1, 1], [0, 2, 1, 2, 0, 3, 9, 3]]
    assert recalls(sums.sum(axis=0)) == pytest.approx([0.5, 1.0])
