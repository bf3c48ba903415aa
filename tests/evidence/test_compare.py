"""Comparison of models on the same images: differences, tests, and sentences."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from coverslip.evidence.bootstrap import SCORES
from coverslip.evidence.compare import compare
from coverslip.evidence.evaluation_data import check_evaluation_data
from coverslip.evidence.paired import groups_for_power, holm, max_t_quantile, permutation_p
from coverslip.evidence.verdicts import comparison_sentence

PAIR = ["healthy", "rust"]


def leaves(groups=60, shots=6, classes=2, seed=0, **models):
    """Labels, probabilities of each model with the given accuracy, and leaves; errors are correlated within a leaf."""
    rng = np.random.default_rng(seed)
    of_group = np.repeat(np.arange(groups), shots)
    labels = of_group % classes
    predictions = {}
    for name, accuracy in models.items():
        share = rng.beta(accuracy * 7 / 3, (1 - accuracy) * 7 / 3, groups)[of_group]
        wrong = (labels + rng.integers(1, classes, len(labels)) if classes > 2 else labels + 1) % classes
        predicted = np.where(rng.random(len(labels)) < share, labels, wrong)
        confidence = rng.uniform(0.5, 0.99, len(labels))
        rows = np.repeat(((1 - confidence) / (classes - 1))[:, None], classes, axis=1)
        rows[np.arange(len(labels)), predicted] = confidence
        predictions[name] = rows
    return labels, predictions, of_group


def only(result):
    (comparison,) = result["comparisons"]
    return comparison


@pytest.mark.parametrize("score", [name for name in SCORES if name != "ece"])
def test_a_better_model_is_called_better_in_every_score(score):
    labels, predictions, groups = leaves(A=0.7, B=0.95)
    result = compare(labels, predictions, groups, PAIR, score=score, resamples=400)
    comparison = only(result)
    assert comparison["better"] == "B"
    assert comparison["sentence"].startswith("B is better than A by 0.")
    assert result["lower_is_better"] == (comparison["difference"] < 0) == (score in ("log_loss", "brier"))
    assert comparison["low"] < comparison["difference"] < comparison["high"]
    assert comparison["low"] * comparison["high"] > 0
    json.dumps(result, allow_nan=False)


def test_the_lower_calibration_error_is_better():
    labels, predictions, groups = leaves(A=0.75, B=0.95)  # both claim 0.745 on average
    comparison = only(compare(labels, predictions, groups, PAIR, score="ece"))
    assert comparison["better"] == "A"
    assert comparison["difference"] > 0
    assert comparison["sentence"].startswith("A is better than B by 0.")


def test_differences_equal_those_of_scikit_learn_and_change_sign_with_the_order():
    labels, predictions, groups = leaves(classes=3, A=0.7, B=0.8)
    f1 = [metrics.f1_score(labels, rows.argmax(axis=1), average="macro") for rows in predictions.values()]
    forth = only(compare(labels, predictions, groups, list("xyz"), score="macro_f1"))
    back = only(compare(labels, dict(reversed(predictions.items())), groups, list("xyz"), score="macro_f1"))
    assert forth["difference"] == pytest.approx(f1[1] - f1[0])
    assert back["difference"] == pytest.approx(-forth["difference"])
    assert (back["low"], back["high"]) == pytest.approx((-forth["high"], -forth["low"]), abs=0.01)
    right = [rows.argmax(axis=1) == labels for rows in predictions.values()]
    assert forth["only_second_right"] == (right[1] & ~right[0]).sum()


def test_the_result_does_not_depend_on_the_order_of_images():
    labels, predictions, groups = leaves(A=0.8, B=0.85)
    order = np.random.default_rng(1).permutation(len(labels))
    moved = {name: rows[order] for name, rows in predictions.items()}
    for given in (groups, None):
        again = compare(labels[order], moved, None if given is None else given[order], PAIR, score="log_loss")
        assert compare(labels, predictions, given, PAIR, score="log_loss") == again


def test_identical_models_are_reported_and_have_no_interval_of_zero_width():
    labels, predictions, groups = leaves(A=0.8)
    for score in SCORES:
        comparison = only(
            compare(labels, predictions | {"again": predictions["A"]}, groups, PAIR, score=score, resamples=200)
        )
        assert (comparison["difference"], comparison["low"], comparison["high"], comparison["better"]) == (
            0,
            None,
            None,
            None,
        )
        assert comparison["identical"]
        assert comparison["p"] == 1
        assert (
            comparison["sentence"] == "again predicts the same probabilities as A for every image: the difference is 0"
        )


def test_equal_predictions_with_other_probabilities_are_not_called_identical():
    labels, predictions, groups = leaves(A=0.8)
    bolder = predictions["A"] ** 2
    comparison = only(
        compare(labels, predictions | {"bolder": bolder / bolder.sum(axis=1, keepdims=True)}, groups, PAIR)
    )
    assert not comparison["identical"]
    assert (comparison["difference"], comparison["low"], comparison["needed"], comparison["better"]) == (
        0,
        None,
        None,
        None,
    )
    assert "not distinguishable: the difference is 0 (no interval" in comparison["sentence"]


def test_without_a_difference_the_number_of_leaves_required_is_given():
    labels, predictions, groups = leaves(groups=300, A=0.85, B=0.85)
    comparison = only(compare(labels, predictions, groups, PAIR, smallest=0.02, group_word="leaves"))
    assert comparison["better"] is None
    assert "not distinguishable" in comparison["sentence"]
    assert comparison["sentence"].endswith("leaves")
    # two independent models of accuracy 0.85, correlation 0.3 in six images a leaf
    error = np.sqrt(2 * 0.85 * 0.15 / 6 * (1 + 5 * 0.3))
    assert comparison["needed"] == pytest.approx(((1.96 + 0.8416) * error / 0.02) ** 2, rel=0.25)
    wide = only(compare(labels, predictions, groups, PAIR, smallest=0.3, group_word="leaves"))
    assert "a difference of 0.3 requires about" in wide["sentence"]
    assert wide["sentence"].endswith("leaves, and the test set has 300")


def test_a_limit_of_0_has_no_minus_sign_when_the_first_is_ahead():
    result = {
        "first": "A",
        "second": "B",
        "identical": False,
        "p": 0.5,
        "p_adjusted": 0.5,
        "needed": 364,
        "better": None,
    }
    result |= {"difference": -0.05, "low": -0.1, "high": 0.0, "low_all": -0.1, "high_all": 0.0, "reason": ""}
    assert "A is ahead by 0.050 [0.000, 0.100]" in comparison_sentence(result, False, 0.02, 12, "groups")


def test_grouped_p_values_are_right_under_no_difference_and_ungrouped_ones_are_not():
    grouped, naive = [], []
    for seed in range(200):
        labels, predictions, groups = leaves(groups=20, seed=seed, A=0.8, B=0.8)
        comparison = only(compare(labels, predictions, groups, PAIR, resamples=200))
        grouped.append(comparison["p"])
        naive.append(only(compare(labels, predictions, None, PAIR, resamples=100))["p"])
    assert np.mean(np.array(grouped) <= 0.05) <= 0.09  # 0.05 and three standard errors
    assert np.mean(np.array(naive) <= 0.05) > 0.12


def test_paired_intervals_cover_the_difference():
    inside = []
    for seed in range(300):
        labels, predictions, groups = leaves(groups=30, seed=1000 + seed, A=0.8, B=0.9)
        comparison = only(compare(labels, predictions, groups, PAIR, resamples=300))
        inside.append(comparison["low"] <= 0.1 <= comparison["high"])
    assert 0.91 <= np.mean(inside) <= 0.99


def test_without_groups_accuracy_has_mcnemars_exact_test():
    labels, predictions, _ = leaves(A=0.8, B=0.85)
    comparison = only(compare(labels, predictions, None, PAIR))
    first, second = comparison["only_first_right"], comparison["only_second_right"]
    assert comparison["p"] == pytest.approx(stats.binomtest(first, first + second).pvalue)
    assert comparison["test"] == "McNemar's exact test"
    assert only(compare(labels, predictions, None, PAIR, score="brier"))["test"] == "sign-flip permutation over images"


def test_the_exact_permutation_test_equals_a_sign_flip_by_hand():
    labels, groups = np.zeros(18, int), np.repeat(np.arange(6), 3)
    hits = np.array([1, 1, 2, 0, 3, 2]), np.array([2, 3, 3, 1, 2, 3])
    rows = []
    for entry in hits:
        right = np.concatenate([np.arange(3) < number for number in entry])
        rows.append(np.where(right[:, None], [0.9, 0.1], [0.1, 0.9]))
    order_by = np.concatenate(rows, axis=1)
    parts = [check_evaluation_data(labels, entry, groups, PAIR, order_by) for entry in rows]
    differences = hits[1] - hits[0]
    signs = np.array(np.meshgrid(*[[1, -1]] * 6)).reshape(6, -1)
    expected = np.mean(np.abs(differences @ signs) >= abs(differences.sum()))
    assert permutation_p(*parts, "accuracy", 100, 0) == pytest.approx(expected)


def test_several_models_get_wider_limits_and_larger_p():
    labels, predictions, groups = leaves(A=0.8, B=0.85, C=0.9, D=0.8)
    result = compare(labels, predictions, groups, PAIR)
    assert len(result["comparisons"]) == 6
    for comparison in result["comparisons"]:
        assert comparison["p_adjusted"] >= comparison["p"]
        assert comparison["low_all"] <= comparison["low"]
        assert comparison["high_all"] >= comparison["high"]
    assert any(
        comparison["high_all"] - comparison["low_all"] > 1.2 * (comparison["high"] - comparison["low"])
        for comparison in result["comparisons"]
    )
    against = compare(labels, predictions, groups, PAIR, reference="C")
    assert [(comparison["first"], comparison["second"]) for comparison in against["comparisons"]] == [
        ("A", "C"),
        ("B", "C"),
        ("C", "D"),
    ]
    alone = only(compare(labels, {name: predictions[name] for name in "AC"}, groups, PAIR))
    assert (alone["low_all"], alone["p_adjusted"]) == (alone["low"], alone["p"])


def test_four_equal_models_are_rarely_called_different():
    wrong = 0
    for seed in range(100):
        labels, predictions, groups = leaves(groups=25, seed=seed, A=0.8, B=0.8, C=0.8, D=0.8)
        result = compare(labels, predictions, groups, PAIR, resamples=200)
        wrong += any(comparison["better"] for comparison in result["comparisons"])
    assert wrong <= 11  # of 100 at a level of 0.05, and three standard errors


def test_holm_and_max_t_by_hand():
    assert holm([0.02, 0.02, 0.5]) == pytest.approx([0.06, 0.06, 0.5])
    rng = np.random.default_rng(0)
    resampled = rng.normal(size=(40_000, 3))
    critical = max_t_quantile(np.zeros(3), resampled, np.ones(3), 0.95)
    assert critical == pytest.approx(stats.norm.ppf(1 - (1 - 0.95 ** (1 / 3)) / 2), abs=0.03)  # independent
    assert groups_for_power(0.0, 50, 0.02, 0.95) is None
    assert groups_for_power(0.001, 50, 0.5, 0.95) == 6


def test_fewer_than_five_groups_are_too_few_to_compare():
    labels, predictions, groups = leaves(A=0.8, B=0.9)
    whole = compare(labels, predictions, np.zeros_like(groups), PAIR, group_word="leaves")
    assert only(whole)["p"] is only(whole)["low"] is only(whole)["better"] is None
    assert only(whole)["difference"] > 0
    assert only(whole)["sentence"].startswith("B and A cannot be compared: all images belong to one of the leaves")
    assert whole["warnings"][0].startswith("all test images belong to one group")
    assert "4 groups are too few" in only(compare(labels, predictions, groups % 4, PAIR))["sentence"]


def test_five_images_are_compared_with_a_warning():
    labels, predictions, _ = leaves(groups=5, shots=1, A=0.5, B=0.9, seed=3)
    result = compare(labels, predictions, None, PAIR)
    assert only(result)["better"] is None
    assert result["warnings"][0].startswith("the test set has only 5 images")


def test_a_single_class_is_compared_if_the_score_is_defined():
    labels, predictions, groups = leaves(A=0.7, B=0.95)
    one_class = np.zeros_like(labels)
    assert only(compare(one_class, predictions, groups, PAIR))["p"] is not None
    for score, name in (("macro_auroc", "AUROC"), ("mcc", "MCC")):
        comparison = only(compare(one_class, predictions, groups, PAIR, score=score))
        assert (comparison["difference"], comparison["p"]) == (None, None)
        assert comparison["sentence"] == f"B and A cannot be compared: {name} requires images of two classes"


def test_ties_and_a_class_that_is_never_predicted_are_handled():
    labels, predictions, groups = leaves(classes=3, A=0.6)
    flat = np.tile([0.6, 0.4, 0.0], (len(labels), 1))  # all scores are tied, one class is never predicted
    for score in SCORES:
        comparison = only(
            compare(labels, predictions | {"flat": flat}, groups, list("xyz"), score=score, resamples=200)
        )
        assert np.isfinite(comparison["difference"])
        assert 0 < comparison["p"] <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": {"A": np.full((2, 2), 0.5)}}, "at least two models"),
        ({"score": "acuracy"}, "score must be one of accuracy"),
        ({"reference": "C"}, "one of A, B"),
        ({"smallest": 0}, "smallest above 0"),
        (
            {"probabilities": {"A": np.full((2, 2), 0.5), "B": np.full((3, 2), 0.5)}},
            r"B: probabilities must have shape \(2, 2\)",
        ),
        (
            {"probabilities": {"A": np.full((2, 2), 0.5), "B": np.array([[np.inf, 0], [0.5, 0.5]])}},
            "B: the probabilities of 1 images contain NaN or infinity",
        ),
        (
            {"probabilities": {"A": np.full((2, 2), 0.5), "B": np.eye(2, dtype=int)}},
            "B: probabilities must be floating",
        ),
    ],
)
def test_invalid_input_is_an_error(change, message):
    rows = {"A": np.full((2, 2), 0.5), "B": np.array([[0.9, 0.1], [0.2, 0.8]])}
    given = {"labels": np.array([0, 1]), "probabilities": rows, "groups": None, "class_names": PAIR}
    with pytest.raises(ValueError, match=message):
        compare(**(given | change))


def test_a_probability_of_0_has_the_same_loss_for_every_dtype():
    labels = np.arange(40) % 2
    rows = np.eye(2)[labels ^ (np.arange(40) < 4)]  # four images with probability 0 for the true class
    comparison = only(compare(labels, {"A": rows, "B": rows.astype(np.float32)}, None, PAIR, score="log_loss"))
    assert comparison["difference"] == 0


def test_ten_thousand_images_are_compared_in_seconds():
    labels, predictions, groups = leaves(groups=2000, shots=5, classes=15, A=0.8, B=0.82)
    names = [str(number) for number in range(15)]
    for score, resamples, seconds in (("macro_f1", 2000, 3), ("macro_auroc", 400, 10)):  # measured: 0.4 s and 1 s
        start = time.perf_counter()
        compare(labels, predictions, groups, names, score=score, resamples=resamples)
        assert time.perf_counter() - start < seconds
