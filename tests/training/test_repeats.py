import json
from functools import partial

import numpy as np
import pytest
import torch

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT
from coverslip.data.split import assign_folds
from coverslip.training import repeats
from coverslip.training.heads import HalfWhitening, fit_head
from coverslip.training.held_out import held_out_logits, held_out_logits_own_basis
from coverslip.training.repeats import cross_validate, learning_curve, repeat_splits
from coverslip.training.stacked_heads import fit_stacked_heads


def images(groups=60, shots=3, classes=3, width=20, leaf_scale=1.0, seed=0):
    """Return features of several shots per leaf: the mean of its class, plus an effect of the leaf, plus noise."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(groups) % classes, shots)
    means = rng.normal(size=(classes, width))
    leaf = np.repeat(leaf_scale * rng.normal(size=(groups, width)), shots, axis=0)
    features = means[labels] + leaf + 0.3 * rng.normal(size=(groups * shots, width))
    return features.astype(np.float16), labels.tolist(), np.repeat([f"leaf{n}" for n in range(groups)], shots).tolist()


def test_stacked_heads_predict_as_separately_fitted_heads():
    features, labels, _ = images()
    rng = np.random.default_rng(1)
    train = rng.random((len(labels), 500)) < 0.6  # several stacks, the last one smaller
    results = list(held_out_logits(features, np.array(labels), train, ~train, 1e-3, 3, SILENT, "fitting"))
    inputs = HalfWhitening.fit(features).transform(features)
    for head in (0, 212, 213, 499):
        rows = torch.from_numpy(train[:, head])
        targets = torch.tensor(labels)[rows]
        alone = fit_stacked_heads(inputs[rows], targets, torch.ones(len(targets), 1), torch.tensor([1e-3]), 3, steps=60)
        expected = torch.softmax(inputs[~rows] @ alone.weight[0] + alone.bias[0], 1).numpy()
        np.testing.assert_allclose(torch.softmax(torch.from_numpy(results[head]), 1).numpy(), expected, atol=1e-4)


def test_each_fold_is_scored_by_a_head_fitted_without_its_leaves():
    # Leaves have random labels, which only a head that was fitted to another shot of the leaf can predict.
    features, _, groups = images(groups=90, leaf_scale=3.0, width=200)
    labels = np.repeat(np.random.default_rng(0).integers(3, size=90), 3).tolist()
    grouped, _ = cross_validate(features, labels, groups, 3, l2=1e-4)
    leaking, _ = cross_validate(features, labels, [str(row) for row in range(270)], 3, l2=1e-4)
    assert grouped["pooled"]["accuracy"] < 0.5 < leaking["pooled"]["accuracy"]


def test_pooled_probabilities_are_in_image_order_and_match_the_scores_of_the_folds():
    features, labels, groups = images()
    result, probabilities = cross_validate(features, labels, groups, 3, folds=4, l2=1e-2, seed=3)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    fold, correct = assign_folds(np.array(labels), groups, 4, 3), probabilities.argmax(1) == labels
    assert result["scores"]["accuracy"] == [correct[fold == number].mean() for number in range(4)]
    loss = -np.log(probabilities[np.arange(len(labels)), labels])
    np.testing.assert_allclose(result["scores"]["log_loss"], [loss[fold == number].mean() for number in range(4)])
    assert result["k"] == 4 and result["summary"]["accuracy"]["number"] == 4
    json.dumps(result, allow_nan=False)


def test_the_temperature_of_a_fold_is_fitted_to_the_other_folds(monkeypatch):
    features, labels, groups = images()
    fold = assign_folds(np.array(labels), groups, 3, 0)
    calls = []
    monkeypatch.setattr(repeats, "fit_temperature", lambda logits, *arguments: calls.append(arguments) or 1.0)
    cross_validate(features, labels, groups, 3, folds=3, l2=1e-2)
    assert [targets.tolist() for targets, _ in calls] == [
        np.array(labels)[fold != number].tolist() for number in range(3)
    ]
    others = [{group for group, own in zip(groups, fold, strict=True) if own != number} for number in range(3)]
    assert [len(set(codes)) for _, codes in calls] == [len(names) for names in others]


def test_a_class_with_a_single_group_is_never_predicted_in_its_fold():
    features, labels, groups = images()
    labels[:3] = [3, 3, 3]
    result, probabilities = cross_validate(features, labels, groups, 4, l2=1e-2)
    assert (probabilities[:3].argmax(1) != 3).all()
    assert np.isfinite(result["scores"]["log_loss"]).all()


def test_more_folds_than_groups_are_refused():
    features, labels, groups = images(groups=4)
    with pytest.raises(UserError, match=r"4 groups.*5 folds"):
        cross_validate(features, labels, groups, 3, l2=1e-2)


def test_other_splits_hold_out_whole_groups_of_the_requested_size():
    features, labels, groups = images(groups=100)
    result = repeat_splits(features, labels, groups, 3, seeds=6, l2=1e-2, held=0.2)
    assert result["n"] == result["different"] == len(result["scores"]["accuracy"]) == 6
    assert result["held"] == {"images": 63, "groups": 21}  # 7 of the 33 or 34 leaves of each class
    assert result["trained"] == {"images": 237, "groups": 79}
    json.dumps(result, allow_nan=False)


def test_with_similar_groups_the_images_explain_the_spread_between_splits():
    features, labels, groups = images(groups=300, leaf_scale=1.5)
    result = repeat_splits(features, labels, groups, 3, seeds=12, l2=1e-2)
    assert result["of_splits"] == pytest.approx(result["of_images"], rel=0.6)
    assert "explains all of it" in result["says"]


def test_two_groups_allow_two_splits_and_one_group_none():
    features, labels, groups = images(groups=2, classes=2)
    result = repeat_splits(features, labels, groups, 2, seeds=4, l2=1e-2)
    assert result["different"] <= 2 and result["of_images"] is None and "requires two splits" in result["says"]
    with pytest.raises(UserError, match="one group"):
        repeat_splits(features, labels, ["leaf"] * 6, 2, l2=1e-2)


def test_the_learning_curve_rises_and_is_extrapolated():
    features, labels, groups = images(groups=200, width=60, leaf_scale=2.5)
    result = learning_curve(features, labels, groups, 3, repeats=2, l2=1e-2, unit="leaves")
    assert result["sizes"] == [16, 32, 64, 128, 160] and result["images"] == [48, 96, 192, 384, 480]
    assert np.shape(result["scores"]) == (2, 5)
    means = np.mean(result["scores"], axis=0)
    assert means[0] + 0.02 < means[2] < means[4]
    assert result["fit"]["says"].startswith("with twice as many leaves (320 instead of 160) ")
    json.dumps(result, allow_nan=False)


def test_a_head_on_a_small_fraction_predicts_as_a_head_fitted_to_it_alone():
    features, labels, groups = images(groups=200, width=80, leaf_scale=2.0)
    rng, targets = np.random.default_rng(0), np.array(labels)
    train = np.repeat(rng.random((200, 3)) < 0.15, 3, axis=0)
    results = held_out_logits_own_basis(features, targets, train, ~train, 1e-2, 3, SILENT, "fitting")
    for logits, train_rows in zip(results, train.T, strict=True):
        rows = np.flatnonzero(train_rows)
        head = fit_head(features[rows], targets[rows].tolist(), [groups[row] for row in rows], 3, l2_values=(1e-2,))
        np.testing.assert_allclose(logits, head.logits(features[~train_rows]), atol=0.05)


def test_the_full_fraction_scores_as_a_cross_validation():
    features, labels, groups = images(groups=150)
    curve = learning_curve(features, labels, groups, 3, fractions=(1.0,), repeats=4, l2=1e-2)
    result, _ = cross_validate(features, labels, groups, 3, l2=1e-2)
    assert np.mean(curve["scores"]) == pytest.approx(result["pooled"]["accuracy"], abs=0.03)
    assert curve["fit"]["curve"] is None


def test_small_fractions_contain_every_class():
    features, labels, groups = images(groups=40, classes=8, leaf_scale=0.1)
    result = learning_curve(features, labels, groups, 8, fractions=(0.1, 0.2, 0.5, 1.0), repeats=2, l2=1e-3)
    # A tenth of 32 groups would be 3 for 8 classes, so both a tenth and a fifth become one group per class.
    assert result["sizes"] == [8, 16, 32]
    assert np.mean(result["scores"], axis=0)[0] > 0.9


def test_with_too_few_leaves_there_is_a_reason_instead_of_a_curve():
    features, labels, groups = images(groups=9)
    result = learning_curve(features, labels, groups, 3, l2=1e-2, unit="leaves")
    assert result["sizes"] == [] and "at least 10 training leaves; there are 9" in result["fit"]["says"]
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("fractions", [(), (0.0, 1.0), (0.5, 1.2)])
def test_invalid_fractions_are_refused(fractions):
    features, labels, groups = images()
    with pytest.raises(UserError, match="fractions"):
        learning_curve(features, labels, groups, 3, fractions=fractions, l2=1e-2)


def test_equal_seeds_return_equal_results_and_other_seeds_others():
    features, labels, groups = images(groups=40, leaf_scale=2.0)
    for function in (partial(repeat_splits, seeds=3), partial(learning_curve, repeats=1)):
        first, again, other = (function(features, labels, groups, 3, l2=1e-2, seed=seed) for seed in (0, 0, 1))
        assert first == again
        assert first["scores"] != other["scores"]
