import numpy as np
import pytest
from scipy.special import softmax

from coverslip.evidence.recalibration import fit_temperature
from coverslip.pipeline import fit as learning
from coverslip.training import heads, repeats
from coverslip.training.heads import fit_head


def images(groups=40, shots=3, classes=3, width=20, noise=1.0, seed=0):
    """Features of a few shots of each of some leaves: a class's mean, the leaf's own way, the shot's noise."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(groups) % classes, shots)
    means = rng.normal(size=(classes, width))
    own = np.repeat(rng.normal(size=(groups, width)), shots, axis=0)
    features = means[labels] + own + noise * 0.3 * rng.normal(size=(groups * shots, width))
    names = np.repeat([f"leaf{number}" for number in range(groups)], shots)
    return features.astype(np.float16), labels.tolist(), names.tolist()


def test_what_is_learnt_holds_for_other_leaves():
    features, labels, groups = images(groups=200)
    head = fit_head(features[:300], labels[:300], groups[:300], 3)
    right = head.scores(features[300:]).argmax(1) == labels[300:]
    assert right.mean() > 0.85


def test_the_strength_is_chosen_on_leaves_that_were_held_out():
    # Without groups, another shot of the same leaf sits on the other side of a fold and too weak a penalty looks good.
    features, labels, groups = images(groups=30, shots=8, noise=0.3)
    grouped = fit_head(features, labels, groups, 3)
    leaking = fit_head(features, labels, [str(row) for row in range(len(labels))], 3)
    assert grouped.strengths["log_loss"].min() > 1.5 * leaking.strengths["log_loss"].min()


def test_the_validation_part_is_watched_but_changes_nothing():
    features, labels, groups = images()
    other, truth, _ = images(seed=1)
    alone = fit_head(features, labels, groups, 3)
    watched = fit_head(features, labels, groups, 3, validation=(other, truth))
    np.testing.assert_array_equal(alone.weight, watched.weight)
    assert alone.temperature == watched.temperature
    assert watched.history["validation_loss"].null_count() == 0
    assert alone.history["validation_loss"].null_count() == len(alone.history)


def test_views_of_one_image_stay_on_one_side_of_a_fold():
    features, labels, groups = images()
    once = fit_head(features, labels, groups, 3)
    twice = fit_head(np.concatenate([features, features]), labels, groups, 3, views=2)
    # The very same image twice adds nothing; on both sides of a fold it would make every held-out loss tiny.
    np.testing.assert_allclose(once.strengths["log_loss"], twice.strengths["log_loss"], rtol=0.05)


def test_the_same_seed_gives_the_same_head_to_the_bit():
    features, labels, groups = images()
    one, two = fit_head(features, labels, groups, 3, seed=4), fit_head(features, labels, groups, 3, seed=4)
    np.testing.assert_array_equal(one.weight, two.weight)
    assert one.temperature == two.temperature


def test_a_constant_feature_does_no_harm():
    features, labels, groups = images()
    features[:, 0] = 1
    assert np.isfinite(fit_head(features, labels, groups, 3).weight).all()


def test_the_temperature_is_that_of_the_one_function_on_the_cross_fitted_logits():
    features, labels, groups = images()
    head = fit_head(features, labels, groups, 3)
    assert head.temperature == fit_temperature(head.held, np.asarray(labels), groups)
    assert heads.fit_temperature is repeats.fit_temperature is learning.fit_temperature is fit_temperature


@pytest.mark.parametrize("groups", [24, 60, 300])
def test_classes_far_apart_do_not_make_a_head_certain(groups):
    rng = np.random.default_rng(0)
    labels = np.arange(groups) % 3
    features = (np.eye(3, 20)[labels] * 20 + rng.normal(size=(groups, 20))).astype(np.float16)
    head = fit_head(features, labels.tolist(), [str(row) for row in range(groups)], 3)
    assert (head.held.argmax(1) == labels).all()
    assert head.temperature > 0.2
    assert softmax(head.held.astype(np.float64) / head.temperature, axis=1).max() < 0.999999


def test_held_out_scores_come_from_heads_that_never_saw_the_leaf():
    # A wrong label is called right by a head that learnt it, and wrong by one that did not.
    features, labels, groups = images(groups=60, noise=0.1)
    wrong = labels.copy()
    wrong[:3] = [(label + 1) % 3 for label in labels[:3]]
    head = fit_head(features, wrong, groups, 3, views=1, strengths=(1e-4,))
    assert head.held.dtype == np.float32 and head.held.shape == (180, 3)
    assert (head.scores(features)[:3].argmax(1) == wrong[:3]).all()
    assert (head.held[:3].argmax(1) != wrong[:3]).all()
    assert (head.held.argmax(1) == labels).mean() == pytest.approx(head.strengths["accuracy"][0], abs=0.05)


def test_above_the_bound_a_sample_chooses_and_every_image_still_has_its_held_out_scores(monkeypatch):
    features, labels, groups = images(groups=120)
    double = np.concatenate([features, features])
    full = fit_head(double, labels, groups, 3, views=2)
    monkeypatch.setattr(heads, "CROSS_ROWS", 600)  # 720 rows, 360 images: one view, no sample
    first_view = fit_head(double, labels, groups, 3, views=2)
    np.testing.assert_allclose(first_view.held, fit_head(features, labels, groups, 3).held, atol=1e-3)
    monkeypatch.setattr(heads, "CROSS_ROWS", 150)
    sampled = fit_head(double, labels, groups, 3, views=2)
    assert sampled.held.shape == full.held.shape == (360, 3)
    assert (sampled.held.argmax(1) == full.held.argmax(1)).mean() > 0.9
    assert sampled.temperature == pytest.approx(full.temperature, rel=0.5)


def test_a_sample_of_too_few_groups_is_not_used(monkeypatch):
    features, labels, _ = images(groups=40)
    groups = [f"site{row % 6}" for row in range(len(labels))]
    whole = fit_head(features, labels, groups, 3)
    monkeypatch.setattr(heads, "CROSS_ROWS", 40)  # two of the six sites: not enough for five folds
    np.testing.assert_array_equal(fit_head(features, labels, groups, 3).held, whole.held)
