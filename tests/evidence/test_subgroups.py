"""Scores by a column of the table."""

from __future__ import annotations

import json

import numpy as np
import pytest

from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.subgroups import subgroup_scores

NAMES = ["healthy", "rust"]


def part(leaves=120, shots=3, weak="", seed=0):
    """Labels, probabilities, groups and the site of each image; at site ``weak`` every second leaf is wrong."""
    chance = np.random.default_rng(seed)
    leaf = np.repeat(np.arange(leaves), shots)
    labels = (np.arange(leaves) % 2)[leaf]
    site = np.array(["north", "south", "west"])[(np.arange(leaves) // 2) % 3][leaf]
    wrong = (chance.random(leaves) < np.where(site[::shots] == weak, 0.5, 0.1))[leaf]
    sure = np.where(wrong, 0.2, 0.9)
    rows = np.where(np.eye(2)[labels] > 0, sure[:, None], 1 - sure[:, None])
    return labels, rows, leaf, site


def test_each_value_has_the_scores_of_its_images():
    labels, rows, leaf, site = part()
    found = subgroup_scores(labels, rows, leaf, site, NAMES, resamples=200)
    assert json.dumps(found, allow_nan=False)
    assert [each["value"] for each in found["values"]] == ["north", "south", "west"]
    mine = site == "south"
    alone = classification_evidence(labels[mine], rows[mine], leaf[mine], NAMES, resamples=200)
    entry = found["values"][1]
    assert entry["accuracy"] == alone["scores"]["accuracy"]
    assert entry["balanced_accuracy"] == alone["scores"]["balanced_accuracy"]
    assert (entry["images"], entry["groups"], entry["warning"]) == (120, 40, "")


def test_a_worse_site_is_named_and_equal_sites_are_not():
    labels, rows, leaf, site = part(weak="west")
    found = subgroup_scores(labels, rows, leaf, site, NAMES, resamples=500)
    assert found["p"] < 0.05 and "lowest 'west'" in found["says"]
    accused = [subgroup_scores(*part(seed=seed), NAMES, resamples=200)["says"] != "" for seed in range(15)]
    assert sum(accused) <= 3  # 5 % by chance


def test_a_site_with_more_of_a_hard_class_is_not_blamed():
    chance = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    site = np.where(chance.random(400) < np.where(labels == 1, 0.8, 0.2), "hard", "easy")
    right = chance.random(400) < np.where(labels == 1, 0.6, 0.99)  # the class alone decides
    rows = np.where((np.eye(2)[labels] > 0) == right[:, None], 0.9, 0.1)
    found = subgroup_scores(labels, rows, None, site, NAMES, resamples=500)
    easy, hard = (next(e for e in found["values"] if e["value"] == name)["accuracy"] for name in ("easy", "hard"))
    assert easy["low"] > hard["high"]  # it looks like a difference between sites
    assert found["p"] > 0.05 and found["says"] == ""


def test_small_subgroups_are_warned_of_and_empty_cells_shown():
    labels, rows, leaf, site = part()
    values = [None if number < 6 else "rare" if number < 36 else name for number, name in enumerate(site)]
    found = {
        each["value"]: each for each in subgroup_scores(labels, rows, leaf, values, NAMES, resamples=200)["values"]
    }
    assert found[""]["warning"] == "only 2 groups: too few to say" and found[""]["accuracy"]["low"] is None
    assert found["rare"]["warning"] == "only 10 groups: a rough interval"


def test_where_it_cannot_be_told_the_reason_is_given():
    labels, rows, leaf, site = part()
    mixed = subgroup_scores(labels, rows, leaf, np.arange(360) % 2, NAMES, resamples=200)
    assert mixed["p"] is None and "several values" in mixed["reason"] and mixed["says"] == ""
    one = subgroup_scores(labels, rows, leaf, ["here"] * 360, NAMES, resamples=200)
    assert one["p"] is None and "under two values" in one["reason"]
    perfect = subgroup_scores(labels, np.eye(2)[labels], leaf, site, NAMES, resamples=200)
    assert perfect["p"] is None and "nothing differs" in perfect["reason"]


def test_many_numbers_are_put_in_quarters():
    labels, rows, leaf, _ = part()
    severity = (np.arange(120) / 2)[leaf].tolist()
    severity[0] = float("nan")
    found = subgroup_scores(labels, rows, None, severity, NAMES, resamples=200)["values"]
    assert [each["value"] for each in found if each["images"] == 1] == [""]
    quarters = {each["value"]: each["images"] for each in found if each["value"]}
    assert set(quarters) == {"0 to 15", "15.5 to 30", "30.5 to 44.5", "45 to 59.5"}
    assert all(85 <= images <= 93 for images in quarters.values())
    with pytest.raises(ValueError, match="at most 30"):
        subgroup_scores(labels, rows, leaf, [f"leaf {each}" for each in leaf], NAMES)
    with pytest.raises(ValueError, match="values"):
        subgroup_scores(labels, rows, leaf, ["a"], NAMES)
