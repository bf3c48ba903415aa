"""The price of a leak: found where it is known to be, and zero where there is none."""

import json

import numpy as np
import pytest

from coverslip.auditing.price import leak_price

CLASSES = 4


def images(sizes, *, signature, signal=0.5, seed=0):
    """Features of groups of these many images: class, group and noise, each in directions of its own."""
    chance = np.random.default_rng(seed)
    of_group = np.repeat(np.arange(len(sizes)), sizes)
    label_of_group = np.arange(len(sizes)) % CLASSES
    labels = label_of_group[of_group]
    features = chance.standard_normal((len(labels), 40))
    features += signal * chance.standard_normal((CLASSES, 40))[labels]
    features += signature * chance.standard_normal((len(sizes), 40))[of_group]
    return features.astype(np.float16), labels, [f"leaf {number}" for number in of_group]


def test_a_leak_has_a_price_where_leaves_can_be_recognized():
    price = leak_price(*images([5] * 60, signature=3.0), CLASSES, by="leaf")
    assert price.difference > 0.2 and price.low > 0
    assert f"by leaf {price.grouped:.3f}: {price.difference:.3f} of the score was leakage" in price.says
    assert f"(spread over ten splits {price.low:.3f} to {price.high:.3f})" in price.says


@pytest.mark.parametrize("sizes", [[5] * 60, [1] * 120 + [2] * 20 + [4] * 10 + [30] * 4 + [60] * 2, [2] * 150])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_costs_nothing_where_images_of_one_leaf_are_no_more_alike_than_others(sizes, seed):
    price = leak_price(*images(sizes, signature=0.0, seed=seed), CLASSES, seed=seed)
    assert abs(price.difference) < 0.05 and price.low <= 0 <= price.high
    assert "no leak can be told from the splits' own noise" in price.says


def test_only_the_leak_differs_between_the_two_scores():
    # Two classes cannot be told apart at all; a third class is always right. Class by class the two parts are equal,
    # so both scores are near the same number, though the groups of the easy class are ten times as large.
    chance = np.random.default_rng(0)
    sizes = [3] * 40 + [30] * 10
    of_group = np.repeat(np.arange(50), sizes)
    labels = np.where(of_group < 40, of_group % 2, 2)
    features = chance.standard_normal((len(labels), 20)).astype(np.float32)
    features[labels == 2] += 8
    price = leak_price(features, labels, [str(group) for group in of_group], 3)
    assert price.random == pytest.approx(1 - 0.5 * 120 / 420, abs=0.06)
    assert price.difference == pytest.approx(0, abs=0.05)
    assert price.test == pytest.approx(84, abs=3) and price.train + 2 * price.test == pytest.approx(420, abs=6)


def test_the_same_seed_gives_the_same_price_and_it_can_be_written_down():
    some = images([3] * 24, signature=1.0)
    first, again = (leak_price(*some, CLASSES, seed=3).to_json() for _ in range(2))
    assert json.loads(json.dumps(first)) == again
    assert first["splits"] == len(first["each"]) == 10
    assert first["difference"] == pytest.approx(first["random"] - first["grouped"])
    assert first["low"] <= first["difference"] <= first["high"]
    assert leak_price(*some, CLASSES, seed=4).to_json() != first


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [([1] * 12, "each image is a group of its own"), ([5] * 4, "no class has a second group"), ([9], "no class has")],
)
def test_where_nothing_can_be_held_out_it_says_why(sizes, reason):
    written = leak_price(*images(sizes, signature=1.0), CLASSES).to_json()
    assert reason in written["reason"] and reason in written["says"]
    assert written["difference"] is None and written["splits"] == 0 and written["each"] == []


def test_a_class_of_one_leaf_is_no_obstacle():
    features, labels, groups = images([4] * 25, signature=1.0)
    price = leak_price(features, np.where(np.array(groups) == "leaf 24", CLASSES, labels), groups, CLASSES + 1)
    assert price.difference is not None
