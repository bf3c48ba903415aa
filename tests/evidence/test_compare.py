"""Models compared on the same images: differences, tests, and what is said when nothing can be told."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from coverslip.evidence.compare import compare
from coverslip.evidence.draws import SCORES
from coverslip.evidence.paired import exchange_p, groups_needed, holm, joint_width
from coverslip.evidence.part import check_part
from coverslip.evidence.verdicts import sentence_of

PAIR = ["healthy", "rust"]


def leaves(groups=60, shots=6, classes=2, seed=0, **models):
    """Labels, leaves of one class each, and for each model (accuracy, how far a leaf's images fail together)."""
    chance = np.random.default_rng(seed)
    of_group = np.repeat(np.arange(groups), shots)
    labels = of_group % classes
    answers = {}
    for name, accuracy in models.items():
        share = chance.beta(accuracy * 7 / 3, (1 - accuracy) * 7 / 3, groups)[of_group]
        wrong = (labels + chance.integers(1, classes, len(labels)) if classes > 2 else labels + 1) % classes
        named = np.where(chance.random(len(labels)) < share, labels, wrong)
        sure = chance.uniform(0.5, 0.99, len(labels))
        rows = np.repeat(((1 - sure) / (classes - 1))[:, None], classes, axis=1)
        rows[np.arange(len(labels)), named] = sure
        answers[name] = rows
    return labels, answers, of_group


def only(told):
    (one,) = told["comparisons"]
    return one


@pytest.mark.parametrize("score", [name for name in SCORES if name != "ece"])
def test_a_better_model_is_called_better_in_every_score(score):
    labels, answers, groups = leaves(A=0.7, B=0.95)
    told = compare(labels, answers, groups, PAIR, score=score, resamples=400)
    one = only(told)
    assert one["better"] == "B"
    assert one["sentence"].startswith("B is better than A by 0.")
    assert told["lower_is_better"] == (one["difference"] < 0) == (score in ("log_loss", "brier"))
    assert one["low"] < one["difference"] < one["high"]
    assert one["low"] * one["high"] > 0
    json.dumps(told, allow_nan=False)


def test_of_two_calibration_errors_the_lower_is_better():
    labels, answers, groups = leaves(A=0.75, B=0.95)  # both claim 0.745 on average
    one = only(compare(labels, answers, groups, PAIR, score="ece"))
    assert one["better"] == "A"
    assert one["difference"] > 0
    assert one["sentence"].startswith("A is better than B by 0.")


def test_differences_are_those_of_scikit_learn_and_turn_with_the_order():
    labels, answers, groups = leaves(classes=3, A=0.7, B=0.8)
    f1 = [metrics.f1_score(labels, rows.argmax(axis=1), average="macro") for rows in answers.values()]
    forth = only(compare(labels, answers, groups, list("xyz"), score="macro_f1"))
    back = only(compare(labels, dict(reversed(answers.items())), groups, list("xyz"), score="macro_f1"))
    assert forth["difference"] == pytest.approx(f1[1] - f1[0])
    assert back["difference"] == pytest.approx(-forth["difference"])
    assert (back["low"], back["high"]) == pytest.approx((-forth["high"], -forth["low"]), abs=0.01)
    right = [rows.argmax(axis=1) == labels for rows in answers.values()]
    assert forth["only_second_right"] == (right[1] & ~right[0]).sum()


def test_the_order_of_the_images_changes_nothing():
    labels, answers, groups = leaves(A=0.8, B=0.85)
    order = np.random.default_rng(1).permutation(len(labels))
    moved = {name: rows[order] for name, rows in answers.items()}
    for given in (groups, None):
        again = compare(labels[order], moved, None if given is None else given[order], PAIR, score="log_loss")
        assert compare(labels, answers, given, PAIR, score="log_loss") == again


def test_a_model_compared_with_itself_is_named_so_and_gets_no_interval_of_no_width():
    labels, answers, groups = leaves(A=0.8)
    for score in SCORES:
        one = only(compare(labels, answers | {"again": answers["A"]}, groups, PAIR, score=score, resamples=200))
        assert (one["difference"], one["low"], one["high"], one["better"]) == (0, None, None, None)
        assert one["identical"]
        assert one["p"] == 1
        assert one["sentence"] == "again gives the same probabilities as A for every image: the difference is 0"


def test_the_same_mistakes_with_other_probabilities_are_no_proof_of_equality():
    labels, answers, groups = leaves(A=0.8)
    bolder = answers["A"] ** 2
    one = only(compare(labels, answers | {"bolder": bolder / bolder.sum(axis=1, keepdims=True)}, groups, PAIR))
    assert not one["identical"]
    assert (one["difference"], one["low"], one["needed"], one["better"]) == (0, None, None, None)
    assert "not distinguishable: the difference is 0 (no interval" in one["sentence"]


def test_without_a_difference_it_is_said_how_many_leaves_would_show_one():
    labels, answers, groups = leaves(groups=300, A=0.85, B=0.85)
    one = only(compare(labels, answers, groups, PAIR, smallest=0.02, group_word="leaves"))
    assert one["better"] is None
    assert "not distinguishable" in one["sentence"]
    assert one["sentence"].endswith("leaves")
    # two independent models of accuracy 0.85, correlation 0.3 in six images a leaf
    error = np.sqrt(2 * 0.85 * 0.15 / 6 * (1 + 5 * 0.3))
    assert one["needed"] == pytest.approx(((1.96 + 0.8416) * error / 0.02) ** 2, rel=0.25)
    wide = only(compare(labels, answers, groups, PAIR, smallest=0.3, group_word="leaves"))
    assert "a difference of 0.3 takes about" in wide["sentence"]
    assert wide["sentence"].endswith("leaves to see, and there are 300")


def test_a_limit_of_0_has_no_minus_sign_when_the_first_is_ahead():
    told = {"first": "A", "second": "B", "identical": False, "p": 0.5, "p_adjusted": 0.5, "needed": 364, "better": None}
    told |= {"difference": -0.05, "low": -0.1, "high": 0.0, "low_all": -0.1, "high_all": 0.0, "reason": ""}
    assert "A is ahead by 0.050 [0.000, 0.100]" in sentence_of(told, False, 0.02, 12, "groups")


def test_grouped_p_values_are_right_under_no_difference_and_ungrouped_ones_are_not():
    grouped, naive = [], []
    for seed in range(200):
        labels, answers, groups = leaves(groups=20, seed=seed, A=0.8, B=0.8)
        one = only(compare(labels, answers, groups, PAIR, resamples=200))
        grouped.append(one["p"])
        naive.append(only(compare(labels, answers, None, PAIR, resamples=100))["p"])
    assert np.mean(np.array(grouped) <= 0.05) <= 0.09  # 0.05 and three standard errors
    assert np.mean(np.array(naive) <= 0.05) > 0.12


def test_paired_intervals_cover_the_difference():
    inside = []
    for seed in range(300):
        labels, answers, groups = leaves(groups=30, seed=1000 + seed, A=0.8, B=0.9)
        one = only(compare(labels, answers, groups, PAIR, resamples=300))
        inside.append(one["low"] <= 0.1 <= one["high"])
    assert 0.91 <= np.mean(inside) <= 0.99


def test_without_groups_accuracy_has_mcnemars_exact_test():
    labels, answers, _ = leaves(A=0.8, B=0.85)
    one = only(compare(labels, answers, None, PAIR))
    first, second = one["only_first_right"], one["only_second_right"]
    assert one["p"] == pytest.approx(stats.binomtest(first, first + second).pvalue)
    assert one["test"] == "McNemar's exact test"
    assert only(compare(labels, answers, None, PAIR, score="brier"))["test"] == "sign-flip permutation over images"


def test_exchanging_few_leaves_is_the_sign_flip_worked_out_by_hand():
    labels, groups = np.zeros(18, int), np.repeat(np.arange(6), 3)
    hits = np.array([1, 1, 2, 0, 3, 2]), np.array([2, 3, 3, 1, 2, 3])
    rows = []
    for each in hits:
        right = np.concatenate([np.arange(3) < number for number in each])
        rows.append(np.where(right[:, None], [0.9, 0.1], [0.1, 0.9]))
    order_by = np.concatenate(rows, axis=1)
    parts = [check_part(labels, each, groups, PAIR, order_by) for each in rows]
    differences = hits[1] - hits[0]
    signs = np.array(np.meshgrid(*[[1, -1]] * 6)).reshape(6, -1)
    expected = np.mean(np.abs(differences @ signs) >= abs(differences.sum()))
    assert exchange_p(*parts, "accuracy", 100, 0) == pytest.approx(expected)


def test_several_models_get_wider_limits_and_larger_p():
    labels, answers, groups = leaves(A=0.8, B=0.85, C=0.9, D=0.8)
    told = compare(labels, answers, groups, PAIR)
    assert len(told["comparisons"]) == 6
    for one in told["comparisons"]:
        assert one["p_adjusted"] >= one["p"]
        assert one["low_all"] <= one["low"]
        assert one["high_all"] >= one["high"]
    assert any(one["high_all"] - one["low_all"] > 1.2 * (one["high"] - one["low"]) for one in told["comparisons"])
    against = compare(labels, answers, groups, PAIR, reference="C")
    assert [(one["first"], one["second"]) for one in against["comparisons"]] == [("A", "C"), ("B", "C"), ("C", "D")]
    alone = only(compare(labels, {name: answers[name] for name in "AC"}, groups, PAIR))
    assert (alone["low_all"], alone["p_adjusted"]) == (alone["low"], alone["p"])


def test_four_equal_models_are_rarely_told_apart():
    wrong = 0
    for seed in range(100):
        labels, answers, groups = leaves(groups=25, seed=seed, A=0.8, B=0.8, C=0.8, D=0.8)
        told = compare(labels, answers, groups, PAIR, resamples=200)
        wrong += any(one["better"] for one in told["comparisons"])
    assert wrong <= 11  # of 100 at a level of 0.05, and three standard errors


def test_holm_and_joint_width_by_hand():
    assert holm([0.02, 0.02, 0.5]) == pytest.approx([0.06, 0.06, 0.5])
    chance = np.random.default_rng(0)
    drawn = chance.normal(size=(40_000, 3))
    width = joint_width(np.zeros(3), drawn, np.ones(3), 0.95)
    assert width == pytest.approx(stats.norm.ppf(1 - (1 - 0.95 ** (1 / 3)) / 2), abs=0.03)  # three that are independent
    assert groups_needed(0.0, 50, 0.02, 0.95) is None
    assert groups_needed(0.001, 50, 0.5, 0.95) == 6


def test_one_group_or_four_are_too_few_to_compare():
    labels, answers, groups = leaves(A=0.8, B=0.9)
    whole = compare(labels, answers, np.zeros_like(groups), PAIR, group_word="leaves")
    assert only(whole)["p"] is only(whole)["low"] is only(whole)["better"] is None
    assert only(whole)["difference"] > 0
    assert only(whole)["sentence"].startswith("B and A cannot be compared: all images are of one of the leaves")
    assert whole["warnings"][0].startswith("all test images are of one group")
    assert "4 groups are too few" in only(compare(labels, answers, groups % 4, PAIR))["sentence"]


def test_five_images_are_compared_with_a_warning():
    labels, answers, _ = leaves(groups=5, shots=1, A=0.5, B=0.9, seed=3)
    told = compare(labels, answers, None, PAIR)
    assert only(told)["better"] is None
    assert told["warnings"] == ["the test set has only 5 images: its intervals are rough"]


def test_one_class_alone_is_compared_where_the_score_allows():
    labels, answers, groups = leaves(A=0.7, B=0.95)
    one_class = np.zeros_like(labels)
    assert only(compare(one_class, answers, groups, PAIR))["p"] is not None
    for score, name in (("macro_auroc", "AUROC"), ("mcc", "MCC")):
        one = only(compare(one_class, answers, groups, PAIR, score=score))
        assert (one["difference"], one["p"]) == (None, None)
        assert one["sentence"] == f"B and A cannot be compared: {name} needs images of two classes"


def test_ties_and_a_class_that_is_never_predicted_are_no_obstacle():
    labels, answers, groups = leaves(classes=3, A=0.6)
    flat = np.tile([0.6, 0.4, 0.0], (len(labels), 1))  # every score ties, one class is never named
    for score in SCORES:
        one = only(compare(labels, answers | {"flat": flat}, groups, list("xyz"), score=score, resamples=200))
        assert np.isfinite(one["difference"])
        assert 0 < one["p"] <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": {"A": np.full((2, 2), 0.5)}}, "at least two models"),
        ({"score": "acuracy"}, "score must be one of accuracy"),
        ({"reference": "C"}, "one of A, B"),
        ({"smallest": 0}, "smallest 0"),
        (
            {"probabilities": {"A": np.full((2, 2), 0.5), "B": np.full((3, 2), 0.5)}},
            r"B: probabilities must be \(2, 2\)",
        ),
        (
            {"probabilities": {"A": np.full((2, 2), 0.5), "B": np.array([[np.inf, 0], [0.5, 0.5]])}},
            "B: the probabilities of 1 images hold NaN or infinity",
        ),
        (
            {"probabilities": {"A": np.full((2, 2), 0.5), "B": np.eye(2, dtype=int)}},
            "B: probabilities must be floating",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    rows = {"A": np.full((2, 2), 0.5), "B": np.array([[0.9, 0.1], [0.2, 0.8]])}
    given = {"labels": np.array([0, 1]), "probabilities": rows, "groups": None, "class_names": PAIR}
    with pytest.raises(ValueError, match=message):
        compare(**(given | change))


def test_a_stored_0_costs_every_model_the_same():
    labels = np.arange(40) % 2
    rows = np.eye(2)[labels ^ (np.arange(40) < 4)]  # four images with a 0 for the truth
    one = only(compare(labels, {"A": rows, "B": rows.astype(np.float32)}, None, PAIR, score="log_loss"))
    assert one["difference"] == 0


def test_ten_thousand_images_are_compared_in_seconds():
    labels, answers, groups = leaves(groups=2000, shots=5, classes=15, A=0.8, B=0.82)
    names = [str(number) for number in range(15)]
    for score, resamples, seconds in (("macro_f1", 2000, 3), ("macro_auroc", 400, 10)):  # measured: 0.4 s and 1 s
        start = time.perf_counter()
        compare(labels, answers, groups, names, score=score, resamples=resamples)
        assert time.perf_counter() - start < seconds
