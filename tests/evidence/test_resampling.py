"""Resampling weights, weighted scores and influence values, compared with direct computation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from coverslip.evidence import resampling
from coverslip.evidence.ranks import RankTable
from coverslip.evidence.resampling import influence, strata_of_groups, weight_blocks
from coverslip.evidence.scores import group_sums, log_losses, read_sums, recalls


def test_the_weights_of_a_class_sum_to_its_number_of_groups():
    strata = np.array([0, 1, 0, 1, 1, 0, 0])
    weights = np.concatenate(list(weight_blocks(strata, 300, seed=0, rows=7)), axis=1)
    assert weights.shape == (7, 300)
    assert weights[strata == 0].sum(axis=0) == pytest.approx(np.full(300, 4.0))
    assert weights[strata == 1].sum(axis=0) == pytest.approx(np.full(300, 3.0))


def test_resampled_means_have_the_standard_error_of_the_mean_even_with_few_groups():
    values = np.array([0.0, 1.0, 5.0, 2.0])
    weights = np.concatenate(list(weight_blocks(np.zeros(4, int), 40_000, seed=0, rows=4)), axis=1)
    assert (values @ weights / 4).std() == pytest.approx(values.std(ddof=1) / np.sqrt(4), rel=0.02)


def test_memory_is_bounded_by_blocks(monkeypatch):
    monkeypatch.setattr(resampling, "BLOCK_CELLS", 100)
    sizes = [block.shape for block in weight_blocks(np.zeros(20, int), 23, seed=0, rows=10)]
    assert sizes == [(20, 5)] * 4 + [(20, 3)]


def test_a_stratum_of_one_group_is_an_error():
    assert strata_of_groups(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 4.0]])) is None
    with pytest.raises(ValueError, match="one group"):
        next(weight_blocks(np.array([0, 0, 1]), 10, seed=0, rows=3))


def test_weighted_areas_with_ties_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    for share in (0.2, 0.8):
        scores = rng.integers(0, 12, 200) / 12  # many ties
        positive = rng.random(200) < share
        groups = rng.integers(0, 30, 200)
        weights = rng.integers(0, 4, (30, 5)).astype(float)
        ours = RankTable(scores, positive, groups).areas(weights)
        for area, theirs in zip(ours, (roc_auc_score, average_precision_score), strict=True):
            expected = [theirs(positive, scores, sample_weight=weights[groups, column]) for column in range(5)]
            assert area == pytest.approx(expected)


def test_areas_by_hand():
    table = RankTable(np.array([0.5, 0.5, 0.5]), np.array([True, False, False]), np.arange(3))
    auroc, auprc = table.areas(np.ones((3, 1)))
    assert (auroc[0], auprc[0]) == pytest.approx((0.5, 1 / 3))  # all are tied
    for missing in ([[0.0], [1.0], [1.0]], [[1.0], [0.0], [0.0]]):  # the class, or all others
        assert np.isnan(table.areas(np.array(missing))).all()
    with pytest.raises(ValueError, match="another class"):
        RankTable(np.array([0.1, 0.2]), np.array([True, True]), np.arange(2))


def test_the_influence_of_a_group_is_the_derivative_of_the_score():
    rng = np.random.default_rng(2)
    positive, groups, step = rng.random(60) < 0.4, rng.integers(0, 10, 60), 1e-6
    nudged = np.ones((10, 10)) + step * np.eye(10)
    for scores in (rng.random(60), rng.integers(0, 6, 60) / 6):  # without and with ties
        table = RankTable(scores, positive, groups)
        for area, before, values in zip(
            table.areas(nudged), table.areas(np.ones((10, 1))), table.influence(), strict=True
        ):
            assert values == pytest.approx((area - before) / step, abs=1e-4)


def test_the_jackknife_influence_of_a_mean_is_the_deviation_from_the_mean():
    loss = np.array([0.1, 0.4, 1.0, 0.5])
    labels = np.zeros(4, int)
    sums = group_sums(labels, np.ones((4, 1)), labels, loss, np.arange(4))
    values = influence(sums, labels, lambda sums: log_losses(read_sums(sums, 1))[..., None])[:, 0]
    assert values == pytest.approx((loss - 0.5) / 4)


def test_group_sums_by_hand():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    rows = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.0, 1.0]])
    columns = group_sums(labels, rows, predicted, np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 1, 1]))
    sums = read_sums(columns, 2)
    assert sums.hits.tolist() == [[1, 0], [0, 2]]
    assert sums.images.tolist() == [[1, 0], [1, 2]]
    assert sums.predictions.tolist() == [[1, 0], [0, 3]]
    assert (sums.loss.tolist(), sums.brier.tolist()) == ([1, 9], [0.0625, 0.5625 + 0.25])
    assert sums.gaps.tolist() == [[-0.25], [0.75 - 0.5 + 0]]  # one bin: confidence minus correctness
    assert recalls(read_sums(columns.sum(axis=0), 2)) == pytest.approx([0.5, 1.0])
