"""The leakage estimate detects leakage that is present and is zero otherwise."""

import json

import numpy as np
import pytest

from coverslip.auditing.leakage import estimate_leakage

CLASSES = 4


def images(sizes, *, signature, signal=0.5, seed=0):
    """Return features of groups of these sizes: class, group and noise, each in its own directions."""
    rng = np.random.default_rng(seed)
    of_group = np.repeat(np.arange(len(sizes)), sizes)
    label_of_group = np.arange(len(sizes)) % CLASSES
    labels = label_of_group[of_group]
    features = rng.standard_normal((len(labels), 40))
    features += signal * rng.standard_normal((CLASSES, 40))[labels]
    features += signature * rng.standard_normal((len(sizes), 40))[of_group]
    return features.astype(np.float16), labels, [f"leaf {number}" for number in of_group]


def test_leakage_is_detected_if_leaves_can_be_recognized():
    estimate = estimate_leakage(*images([5] * 60, signature=3.0), CLASSES, by="leaf")
    assert estimate.difference > 0.2 and estimate.low > 0
    assert estimate.detected
    for number in (estimate.random, estimate.grouped, estimate.difference, estimate.low, estimate.high):
        assert f"{number:.3f}" in estimate.summary
    assert "leaf" in estimate.summary


@pytest.mark.parametrize("sizes", [[5] * 60, [1] * 120 + [2] * 20 + [4] * 10 + [30] * 4 + [60] * 2, [2] * 150])
@pytest.mark.parametrize("seed", [0, 1])
def test_there_is_no_leakage_if_images_of_one_leaf_are_no_more_similar_than_others(sizes, seed):
    estimate = estimate_leakage(*images(sizes, signature=0.0, seed=seed), CLASSES, seed=seed)
    assert abs(estimate.difference) < 0.05 and estimate.low <= 0 <= estimate.high
    assert not estimate.detected and "neither shown nor excluded" in estimate.summary


def test_the_two_scores_differ_only_by_leakage():
    # Two classes are indistinguishable; the third is always correct. Both test sets have the same number of images per
    # class, so both scores are nearly equal, although the groups of the easy class are ten times as large.
    rng = np.random.default_rng(0)
    sizes = [3] * 40 + [30] * 10
    of_group = np.repeat(np.arange(50), sizes)
    labels = np.where(of_group < 40, of_group % 2, 2)
    features = rng.standard_normal((len(labels), 20)).astype(np.float32)
    features[labels == 2] += 8
    estimate = estimate_leakage(features, labels, [str(group) for group in of_group], 3)
    assert estimate.random == pytest.approx(1 - 0.5 * 120 / 420, abs=0.06)
    assert estimate.difference == pytest.approx(0, abs=0.05)
    assert estimate.test == pytest.approx(84, abs=3) and estimate.train + 2 * estimate.test == pytest.approx(420, abs=6)


def test_the_same_seed_gives_the_same_estimate_and_it_is_valid_json():
    data = images([3] * 24, signature=1.0)
    first, again = (estimate_leakage(*data, CLASSES, seed=3).to_json() for _ in range(2))
    assert json.loads(json.dumps(first)) == again
    assert first["splits"] == len(first["each"]) == 10
    assert first["difference"] == pytest.approx(first["random"] - first["grouped"])
    assert first["low"] <= first["difference"] <= first["high"]
    assert estimate_leakage(*data, CLASSES, seed=4).to_json() != first


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [([1] * 12, "every image is its own group"), ([5] * 4, "no class has a second group"), ([9], "no class has")],
)
def test_the_reason_is_given_if_nothing_can_be_held_out(sizes, reason):
    written = estimate_leakage(*images(sizes, signature=1.0), CLASSES).to_json()
    assert reason in written["reason"] and reason in written["says"]
    assert written["difference"] is None and written["splits"] == 0 and written["each"] == []


def test_a_class_with_one_leaf_is_allowed():
    features, labels, groups = images([4] * 25, signature=1.0)
    estimate = estimate_leakage(features, np.where(np.array(groups) == "leaf 24", CLASSES, labels), groups, CLASSES + 1)
    assert estimate.difference is not None
