import json
from functools import partial

import numpy as np
import pytest
import torch

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT
from coverslip.data.split import assign_folds
from coverslip.training import repeats
from coverslip.training.heads import Basis, fit_head
from coverslip.training.held_out import held_out_scores, own_scores
from coverslip.training.repeats import cross_validate, learning_curve, repeat_seeds
from coverslip.training.stack import fit_lanes


def images(groups=60, shots=3, classes=3, width=20, own=1.0, seed=0):
    """Features of a few shots of each of some leaves: a class's mean, the leaf's own way, the shot's noise."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(groups) % classes, shots)
    means = rng.normal(size=(classes, width))
    leaf = np.repeat(own * rng.normal(size=(groups, width)), shots, axis=0)
    features = means[labels] + leaf + 0.3 * rng.normal(size=(groups * shots, width))
    return features.astype(np.float16), labels.tolist(), np.repeat([f"leaf{n}" for n in range(groups)], shots).tolist()


def test_a_lane_of_a_stack_scores_as_the_head_fitted_alone():
    features, labels, _ = images()
    rng = np.random.default_rng(1)
    train = rng.random((len(labels), 500)) < 0.6  # several stacks, the last not full
    found = list(held_out_scores(features, np.array(labels), train, ~train, 1e-3, 3, SILENT, "fitting"))
    inputs = Basis.of(features).turn(features)
    for lane in (0, 212, 213, 499):
        mine = torch.from_numpy(train[:, lane])
        truth = torch.tensor(labels)[mine]
        alone = fit_lanes(inputs[mine], truth, torch.ones(len(truth), 1), torch.tensor([1e-3]), 3, steps=60)
        expected = torch.softmax(inputs[~mine] @ alone.weight[0] + alone.bias[0], 1).numpy()
        np.testing.assert_allclose(torch.softmax(torch.from_numpy(found[lane]), 1).numpy(), expected, atol=1e-4)


def test_each_fold_is_scored_by_a_head_that_never_saw_its_leaves():
    # Leaves whose labels are dice: only a head that saw another shot of the leaf can name them.
    features, _, groups = images(groups=90, own=3.0, width=200)
    labels = np.repeat(np.random.default_rng(0).integers(3, size=90), 3).tolist()
    grouped, _ = cross_validate(features, labels, groups, 3, strength=1e-4)
    leaking, _ = cross_validate(features, labels, [str(row) for row in range(270)], 3, strength=1e-4)
    assert grouped["pooled"]["accuracy"] < 0.5 < leaking["pooled"]["accuracy"]


def test_pooled_probabilities_are_in_the_order_of_the_images_and_agree_with_the_folds_scores():
    features, labels, groups = images()
    told, probabilities = cross_validate(features, labels, groups, 3, folds=4, strength=1e-2, seed=3)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    fold, right = assign_folds(np.array(labels), groups, 4, 3), probabilities.argmax(1) == labels
    assert told["scores"]["accuracy"] == [right[fold == number].mean() for number in range(4)]
    loss = -np.log(probabilities[np.arange(len(labels)), labels])
    np.testing.assert_allclose(told["scores"]["log_loss"], [loss[fold == number].mean() for number in range(4)])
    assert told["k"] == 4 and told["summary"]["accuracy"]["number"] == 4
    json.dumps(told, allow_nan=False)


def test_a_folds_temperature_is_not_fitted_on_the_fold_itself(monkeypatch):
    features, labels, groups = images()
    fold = assign_folds(np.array(labels), groups, 3, 0)
    given = []
    monkeypatch.setattr(repeats, "fit_temperature", lambda scores, *of: given.append(of) or 1.0)
    cross_validate(features, labels, groups, 3, folds=3, strength=1e-2)
    assert [truth.tolist() for truth, _ in given] == [np.array(labels)[fold != number].tolist() for number in range(3)]
    inside = [{group for group, own in zip(groups, fold, strict=True) if own != number} for number in range(3)]
    assert [len(set(own)) for _, own in given] == [len(each) for each in inside]


def test_a_class_that_one_group_holds_is_wrong_in_its_fold_and_nothing_breaks():
    features, labels, groups = images()
    labels[:3] = [3, 3, 3]
    told, probabilities = cross_validate(features, labels, groups, 4, strength=1e-2)
    assert (probabilities[:3].argmax(1) != 3).all()
    assert np.isfinite(told["scores"]["log_loss"]).all()


def test_more_folds_than_groups_are_refused_with_the_numbers():
    features, labels, groups = images(groups=4)
    with pytest.raises(UserError, match="4 groups, 5 folds"):
        cross_validate(features, labels, groups, 3, strength=1e-2)


def test_other_splits_hold_out_whole_groups_of_the_size_asked_for():
    features, labels, groups = images(groups=100)
    told = repeat_seeds(features, labels, groups, 3, seeds=6, strength=1e-2, held=0.2)
    assert told["n"] == told["different"] == len(told["scores"]["accuracy"]) == 6
    assert told["held"] == {"images": 63, "groups": 21}  # 7 of each class, whose 33 or 34 leaves stay balanced
    assert told["trained"] == {"images": 237, "groups": 79}
    json.dumps(told, allow_nan=False)


def test_where_every_group_is_alike_the_images_explain_the_spread_between_splits():
    features, labels, groups = images(groups=300, own=1.5)
    told = repeat_seeds(features, labels, groups, 3, seeds=12, strength=1e-2)
    assert told["of_splits"] == pytest.approx(told["of_images"], rel=0.6)
    assert "as much by itself" in told["says"]


def test_two_groups_can_be_divided_in_two_ways_only_and_one_in_none():
    features, labels, groups = images(groups=2, classes=2)
    told = repeat_seeds(features, labels, groups, 2, seeds=4, strength=1e-2)
    assert told["different"] <= 2 and told["of_images"] is None and "takes two splits" in told["says"]
    with pytest.raises(UserError, match="one group"):
        repeat_seeds(features, labels, ["leaf"] * 6, 2, strength=1e-2)


def test_a_curve_rises_with_the_leaves_and_says_what_twice_as_many_would_buy():
    features, labels, groups = images(groups=200, width=60, own=2.5)
    told = learning_curve(features, labels, groups, 3, repeats=2, strength=1e-2, unit="leaves")
    assert told["sizes"] == [16, 32, 64, 128, 160] and told["images"] == [48, 96, 192, 384, 480]
    assert np.shape(told["scores"]) == (2, 5)
    means = np.mean(told["scores"], axis=0)
    assert means[0] + 0.02 < means[2] < means[4]
    assert told["fit"]["says"].startswith("twice as many leaves (320 instead of 160) would buy about 0.")
    json.dumps(told, allow_nan=False)


def test_a_small_share_scores_as_a_model_trained_on_nothing_else():
    features, labels, groups = images(groups=200, width=80, own=2.0)
    rng, truth = np.random.default_rng(0), np.array(labels)
    train = np.repeat(rng.random((200, 3)) < 0.15, 3, axis=0)
    found = own_scores(features, truth, train, ~train, 1e-2, 3, SILENT, "fitting")
    for scores, mine in zip(found, train.T, strict=True):
        rows = np.flatnonzero(mine)
        head = fit_head(features[mine], truth[mine].tolist(), [groups[row] for row in rows], 3, strengths=(1e-2,))
        np.testing.assert_allclose(scores, head.scores(features[~mine]), atol=0.05)


def test_the_whole_share_scores_as_a_cross_validation_does():
    features, labels, groups = images(groups=150)
    curve = learning_curve(features, labels, groups, 3, shares=(1.0,), repeats=4, strength=1e-2)
    told, _ = cross_validate(features, labels, groups, 3, strength=1e-2)
    assert np.mean(curve["scores"]) == pytest.approx(told["pooled"]["accuracy"], abs=0.03)
    assert curve["fit"]["curve"] is None


def test_no_class_vanishes_from_a_small_share():
    features, labels, groups = images(groups=40, classes=8, own=0.1)
    told = learning_curve(features, labels, groups, 8, shares=(0.1, 0.2, 0.5, 1.0), repeats=2, strength=1e-3)
    # A tenth of 32 groups would be 3 for 8 classes: a tenth and a fifth both come to one group a class.
    assert told["sizes"] == [8, 16, 32]
    assert np.mean(told["scores"], axis=0)[0] > 0.9


def test_too_few_leaves_for_a_curve_are_said_not_fitted():
    features, labels, groups = images(groups=9)
    told = learning_curve(features, labels, groups, 3, strength=1e-2, unit="leaves")
    assert told["sizes"] == [] and told["fit"]["says"] == "a learning curve needs 10 leaves to train on, here are 9"
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("shares", [(), (0.0, 1.0), (0.5, 1.2)])
def test_shares_that_are_none_are_refused(shares):
    features, labels, groups = images()
    with pytest.raises(UserError, match="shares"):
        learning_curve(features, labels, groups, 3, shares=shares, strength=1e-2)


def test_the_same_seed_tells_the_same_and_another_seed_something_else():
    features, labels, groups = images(groups=40, own=2.0)
    for ask in (partial(repeat_seeds, seeds=3), partial(learning_curve, repeats=1)):
        first, again, other = (ask(features, labels, groups, 3, strength=1e-2, seed=seed) for seed in (0, 0, 1))
        assert first == again
        assert first["scores"] != other["scores"]
