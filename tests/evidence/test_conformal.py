"""Sets that hold the true class as often as promised."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from coverslip.evidence.conformal import Thresholds, fit_sets, group_quantile, set_evidence, sets


def part(groups=60, classes=3, shots=1, seed=0, signal=1.5):
    """Labels, probabilities and groups, ``groups`` a class; images of a group are alike."""
    chance = np.random.default_rng(seed)
    label_of = np.arange(groups * classes) % classes
    leaf = np.repeat(np.arange(len(label_of)), shots)
    labels = label_of[leaf]
    scores = chance.normal(size=(len(leaf), classes)) + chance.normal(size=(len(label_of), classes))[leaf]
    scores[np.arange(len(leaf)), labels] += signal
    powers = np.exp(scores)
    return labels, powers / powers.sum(axis=1, keepdims=True), leaf


def test_the_limit_is_the_usual_order_statistic():
    scores = np.random.default_rng(0).permutation(99).astype(float)
    assert group_quantile(scores, None, 0.9) == 89  # the 90th smallest of 99: ceil(100 * 0.9)
    assert group_quantile(scores, None, 0.95) == 94


def test_six_copies_of_every_image_change_no_limit():
    labels, rows, leaf = part()
    alone = fit_sets(labels, rows, leaf)
    copied = fit_sets(np.repeat(labels, 6), np.repeat(rows, 6, axis=0), np.repeat(leaf, 6))
    assert copied == alone
    assert alone.groups == (60, 60, 60) and alone.basis == ("own",) * 3


def test_coverage_over_many_splits_is_what_was_promised_for_every_class():
    labels, rows, leaf = part(groups=80, seed=3)
    chance, coverage = np.random.default_rng(1), []
    for _ in range(100):
        calibrates = np.isin(leaf, np.concatenate([chance.permutation(80)[:39] * 3 + k for k in range(3)]))
        limits = fit_sets(labels[calibrates], rows[calibrates], leaf[calibrates])
        members = sets(rows[~calibrates], limits, fill=False)
        found = set_evidence(labels[~calibrates], members, None)
        coverage.append([each["coverage"]["value"] for each in found["classes"]])
    error = np.std(coverage, axis=0) / 10
    assert (np.mean(coverage, axis=0) > 0.9 - 2 * error).all()
    assert (np.mean(coverage, axis=0) < 0.9 + 1 / 40 + 2 * error).all()


def test_a_class_of_few_groups_takes_the_pooled_limit_and_says_so():
    labels, rows, leaf = part()
    keep = (labels != 2) | (leaf < 24)  # eight groups of the third class
    limits = fit_sets(labels[keep], rows[keep], leaf[keep])
    assert limits.groups == (60, 60, 8) and limits.basis == ("own", "own", "pooled")
    assert "only on average" in limits.warnings(["a", "b", "c"])[0] and limits.warnings(["a", "b", "c"])[0].endswith(
        ": c"
    )
    absent = fit_sets(labels[labels != 2], rows[labels != 2], None)
    assert absent.groups[2] == 0 and absent.basis[2] == "pooled"


def test_too_few_groups_in_all_put_every_class_in_every_set():
    labels, rows, _ = part()
    limits = fit_sets(labels, rows, np.arange(len(labels)) % 8)
    assert limits.basis == ("all",) * 3 and sets(rows, limits).all()
    assert "in every set" in limits.warnings(["a", "b", "c"])[0]


def test_no_set_stays_empty_unless_asked():
    labels, rows, leaf = part(signal=6.0)  # nearly always right, so that some images reach no limit
    limits = fit_sets(labels, rows, leaf)
    bare, filled = sets(rows, limits, fill=False), sets(rows, limits)
    assert not bare.any(axis=1).all() and filled.any(axis=1).all()
    empty = ~bare.any(axis=1)
    assert (filled[empty].sum(axis=1) == 1).all() and (filled[empty].argmax(axis=1) == rows[empty].argmax(axis=1)).all()
    assert (filled[~empty] == bare[~empty]).all()


def test_an_unreadable_image_has_an_empty_set():
    limits = Thresholds(0.9, (0.3, 0.0), (40, 3), ("own", "all"))
    rows = np.array([[np.nan, np.nan], [0.2, 0.8]])
    assert sets(rows, limits).tolist() == [[False, False], [False, True]]


def test_limits_come_back_from_json_to_the_last_bit():
    limits = fit_sets(*part())
    assert Thresholds.from_json(json.loads(json.dumps(limits.to_json()))) == limits
    for spoilt in ({"least": [0.1]}, {"coverage": 1.5}, {"basis": ["own", "own", "guess"]}, {"least": [0.1, 0.2, 7]}):
        with pytest.raises(ValueError):
            Thresholds.from_json(limits.to_json() | spoilt)
    with pytest.raises(KeyError):
        Thresholds.from_json({})


def test_the_evidence_counts_each_group_once():
    labels = np.array([0] * 8 + [0] * 8)
    groups = np.array([0] * 8 + list(range(1, 9)))  # one leaf of eight images, eight leaves of one
    members = np.array([[False, True]] * 8 + [[True, False]] * 8)
    found = set_evidence(labels, members, groups)
    assert found["coverage"]["value"] == pytest.approx(8 / 9)
    assert found["coverage"]["groups"] == 9 and found["coverage"]["images"] == 16
    assert found["coverage"]["low"] == pytest.approx(0.518, abs=1e-3)  # Clopper and Pearson for 8 of 9
    assert found["sizes"] == [0, 16, 0] and found["size"]["low"] is None  # never [1.000, 1.000]
    assert found["classes"][1]["coverage"]["value"] is None
    assert json.dumps(found, allow_nan=False)


def test_a_set_holds_no_more_classes_than_there_are():
    members = np.array([[True, True, True]] * 6 + [[True, False, False]])
    found = set_evidence(np.zeros(7, int), members, None)["size"]
    assert found["value"] == pytest.approx(19 / 7) and found["low"] < 19 / 7 and found["high"] == 3


def test_under_five_groups_coverage_has_no_interval():
    found = set_evidence(np.zeros(4, int), np.ones((4, 2), bool), None)
    assert found["coverage"]["value"] == 1 and found["coverage"]["reason"].startswith("4 images are too few")


def test_what_cannot_be_is_refused():
    labels, rows, leaf = part()
    for wrong in (0, 1, math.nan):
        with pytest.raises(ValueError, match="coverage"):
            fit_sets(labels, rows, leaf, coverage=wrong)
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        sets(rows, Thresholds(0.9, (0.1, 0.1), (9, 9), ("own", "own")))
    with pytest.raises(ValueError):
        set_evidence(labels + 3, np.ones_like(rows, dtype=bool), None)
