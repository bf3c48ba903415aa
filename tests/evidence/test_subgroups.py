"""Scores by subgroup."""

from __future__ import annotations

import json

import numpy as np
import pytest

from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.subgroups import subgroup_scores

NAMES = ["healthy", "rust"]


def draw_data(leaves=120, shots=3, weak="", seed=0):
    """Labels, probabilities, groups and sites; at site ``weak`` half of the leaves are misclassified."""
    rng = np.random.default_rng(seed)
    group_ids = np.repeat(np.arange(leaves), shots)
    labels = (np.arange(leaves) % 2)[group_ids]
    site = np.array(["north", "south", "west"])[(np.arange(leaves) // 2) % 3][group_ids]
    wrong = (rng.random(leaves) < np.where(site[::shots] == weak, 0.5, 0.1))[group_ids]
    confidence = np.where(wrong, 0.2, 0.9)
    rows = np.where(np.eye(2)[labels] > 0, confidence[:, None], 1 - confidence[:, None])
    return labels, rows, group_ids, site


def test_each_subgroup_has_the_scores_of_its_images():
    labels, rows, group_ids, site = draw_data()
    result = subgroup_scores(labels, rows, group_ids, site, NAMES, resamples=200)
    assert json.dumps(result, allow_nan=False)
    assert [entry["value"] for entry in result["values"]] == ["north", "south", "west"]
    subgroup = site == "south"
    evidence = classification_evidence(labels[subgroup], rows[subgroup], group_ids[subgroup], NAMES, resamples=200)
    entry = result["values"][1]
    assert entry["accuracy"] == evidence["scores"]["accuracy"]
    assert entry["balanced_accuracy"] == evidence["scores"]["balanced_accuracy"]
    assert (entry["images"], entry["groups"], entry["warning"]) == (120, 40, "")


def test_a_worse_site_is_reported_and_equal_sites_are_not():
    labels, rows, group_ids, site = draw_data(weak="west")
    result = subgroup_scores(labels, rows, group_ids, site, NAMES, resamples=500)
    assert result["p"] < 0.05 and "lowest for 'west'" in result["says"]
    false_alarms = [subgroup_scores(*draw_data(seed=seed), NAMES, resamples=200)["says"] != "" for seed in range(15)]
    assert sum(false_alarms) <= 3  # 5 % are expected


def test_a_site_with_more_images_of_a_difficult_class_is_not_reported():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    site = np.where(rng.random(400) < np.where(labels == 1, 0.8, 0.2), "hard", "easy")
    right = rng.random(400) < np.where(labels == 1, 0.6, 0.99)  # depends on the class only
    rows = np.where((np.eye(2)[labels] > 0) == right[:, None], 0.9, 0.1)
    result = subgroup_scores(labels, rows, None, site, NAMES, resamples=500)
    easy, hard = (next(e for e in result["values"] if e["value"] == name)["accuracy"] for name in ("easy", "hard"))
    assert easy["low"] > hard["high"]  # the sites appear to differ
    assert result["p"] > 0.05 and result["says"] == ""


def test_small_subgroups_have_a_warning_and_empty_cells_are_a_subgroup():
    labels, rows, group_ids, site = draw_data()
    values = [None if number < 6 else "rare" if number < 36 else name for number, name in enumerate(site)]
    result = {
        entry["value"]: entry
        for entry in subgroup_scores(labels, rows, group_ids, values, NAMES, resamples=200)["values"]
    }
    assert result[""]["warning"] == "only 2 groups: no interval" and result[""]["accuracy"]["low"] is None
    assert result["rare"]["warning"] == "only 10 groups: the interval is approximate"


def test_a_missing_test_has_a_reason():
    labels, rows, group_ids, site = draw_data()
    mixed = subgroup_scores(labels, rows, group_ids, np.arange(360) % 2, NAMES, resamples=200)
    assert mixed["p"] is None and "several values" in mixed["reason"] and mixed["says"] == ""
    one = subgroup_scores(labels, rows, group_ids, ["here"] * 360, NAMES, resamples=200)
    assert one["p"] is None and "fewer than two values" in one["reason"]
    perfect = subgroup_scores(labels, np.eye(2)[labels], group_ids, site, NAMES, resamples=200)
    assert perfect["p"] is None and "no difference" in perfect["reason"]


def test_many_numbers_are_divided_at_quartiles():
    labels, rows, group_ids, _ = draw_data()
    severity = (np.arange(120) / 2)[group_ids].tolist()
    severity[0] = float("nan")
    result = subgroup_scores(labels, rows, None, severity, NAMES, resamples=200)["values"]
    assert [entry["value"] for entry in result if entry["images"] == 1] == [""]
    quarters = {entry["value"]: entry["images"] for entry in result if entry["value"]}
    assert set(quarters) == {"0 to 15", "15.5 to 30", "30.5 to 44.5", "45 to 59.5"}
    assert all(85 <= images <= 93 for images in quarters.values())
    with pytest.raises(ValueError, match="at most 30"):
        subgroup_scores(labels, rows, group_ids, [f"leaf {entry}" for entry in group_ids], NAMES)
    with pytest.raises(ValueError, match="values"):
        subgroup_scores(labels, rows, group_ids, ["a"], NAMES)
