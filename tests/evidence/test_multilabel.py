"""Scores of several labels agree with scikit-learn; the sets keep the promised share of labels."""

import numpy as np
import pytest
from sklearn import metrics

from coverslip.evidence.compare_labels import compare_labels
from coverslip.evidence.label_sets import evaluate_label_sets, fit_label_sets
from coverslip.evidence.multilabel import multilabel_evidence

NAMES = ["rust", "spot", "blight"]


def simulated(number=300, seed=0, groups=None, sharpness=2.0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(number, 3)) * sharpness + np.array([0.0, -1.0, -2.0])
    probabilities = 1 / (1 + np.exp(-logits))
    return rng.uniform(size=probabilities.shape) < probabilities, probabilities


def test_every_score_is_that_of_scikit_learn():
    members, probabilities = simulated()
    predicted = probabilities >= 0.4
    evidence = multilabel_evidence(members, probabilities, predicted, None, NAMES, resamples=200)
    value = {name: score["value"] for name, score in evidence["scores"].items()}
    assert value["macro_f1"] == pytest.approx(metrics.f1_score(members, predicted, average="macro"))
    assert value["micro_f1"] == pytest.approx(metrics.f1_score(members, predicted, average="micro"))
    assert value["mean_average_precision"] == pytest.approx(metrics.average_precision_score(members, probabilities))
    assert value["macro_auroc"] == pytest.approx(metrics.roc_auc_score(members, probabilities))
    assert value["exact_match"] == pytest.approx(metrics.accuracy_score(members, predicted))
    assert value["hamming_loss"] == pytest.approx(metrics.hamming_loss(members, predicted))
    losses = [metrics.log_loss(members[:, label], probabilities[:, label]) for label in range(3)]
    assert value["log_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    spot = evidence["classes"]["spot"]
    assert spot["recall"]["value"] == pytest.approx(metrics.recall_score(members[:, 1], predicted[:, 1]))
    assert spot["precision"]["value"] == pytest.approx(metrics.precision_score(members[:, 1], predicted[:, 1]))
    for score in evidence["scores"].values():
        assert score["low"] < score["value"] < score["high"]


def test_a_label_that_does_not_occur_is_left_out_of_the_means_and_named():
    members, probabilities = simulated()
    members[:, 2] = False
    evidence = multilabel_evidence(members, probabilities, probabilities >= 0.4, None, NAMES, resamples=200)
    expected = metrics.f1_score(members[:, :2], probabilities[:, :2] >= 0.4, average="macro")
    assert evidence["scores"]["macro_f1"]["value"] == pytest.approx(expected)
    assert evidence["classes"]["blight"]["f1"]["value"] is None
    assert any("blight" in warning for warning in evidence["warnings"])


def test_images_without_labels_are_scored():
    members = np.zeros((30, 3), bool)
    evidence = multilabel_evidence(members, np.full((30, 3), 0.1), members, None, NAMES, resamples=200)
    assert evidence["scores"]["exact_match"]["value"] == 1
    assert evidence["scores"]["macro_f1"]["value"] is None


def test_four_groups_have_scores_and_no_interval():
    members, probabilities = simulated(40)
    evidence = multilabel_evidence(members, probabilities, probabilities > 0.5, np.arange(40) // 10, NAMES)
    assert all(score["low"] is None and score["reason"] for score in evidence["scores"].values())


def test_sets_miss_at_most_the_promised_share_of_labels():
    missed = []
    for seed in range(300):
        members, probabilities = simulated(40, seed)
        threshold = fit_label_sets(members[:30], probabilities[:30], None, coverage=0.9)
        true = members[30:]
        found = (true & (probabilities[30:] >= threshold.least)).sum(axis=1) / np.maximum(true.sum(axis=1), 1)
        missed.append(np.where(true.any(axis=1), 1 - found, 0.0).mean())
    assert np.mean(missed) <= 0.1
    assert np.mean(missed) > 0.03  # the sets are not simply full


def test_groups_have_the_same_weight_whatever_their_size():
    members = np.ones((40, 1), bool)
    probabilities = np.concatenate([np.full(30, 0.1), np.linspace(0.5, 0.9, 10)])[:, None]
    groups = np.concatenate([np.zeros(30, int), np.arange(1, 11)])
    assert fit_label_sets(members, probabilities, groups, coverage=0.8).least == pytest.approx(0.5)


def test_too_few_groups_put_every_label_in_every_set():
    threshold = fit_label_sets(np.ones((8, 2), bool), np.full((8, 2), 0.5), None, coverage=0.9)
    assert threshold.least == 0
    assert threshold.warnings()


def test_the_share_of_found_labels_has_an_interval():
    members, probabilities = simulated(60)
    content = evaluate_label_sets(members, probabilities >= 0.2, np.arange(60) // 2)
    assert content["coverage"]["low"] < content["coverage"]["value"] < content["coverage"]["high"]
    assert sum(content["sizes"]) == 60


def test_a_better_model_is_found_and_equal_ones_are_identical():
    members, probabilities = simulated(200, sharpness=4.0)
    worse = np.random.default_rng(1).permutation(probabilities)
    predicted = {"good": probabilities >= 0.5, "bad": worse >= 0.5}
    result = compare_labels(members, {"good": probabilities, "bad": worse}, predicted, None, resamples=500)
    assert result["comparisons"][0]["better"] == "good"
    again = compare_labels(
        members, dict.fromkeys("ab", probabilities), dict.fromkeys("ab", probabilities >= 0.5), None, resamples=200
    )
    assert again["comparisons"][0]["identical"]
