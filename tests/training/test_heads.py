import numpy as np
import pytest
from scipy.special import softmax

from coverslip.core.errors import UserError
from coverslip.evidence.recalibration import fit_temperature
from coverslip.tasks.classification import task
from coverslip.training import heads, repeats
from coverslip.training.heads import fit_head


def images(groups=40, shots=3, classes=3, width=20, noise=1.0, seed=0):
    """Return features of several shots per leaf: the mean of its class, plus an effect of the leaf, plus noise."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(groups) % classes, shots)
    means = rng.normal(size=(classes, width))
    leaf_effects = np.repeat(rng.normal(size=(groups, width)), shots, axis=0)
    features = means[labels] + leaf_effects + noise * 0.3 * rng.normal(size=(groups * shots, width))
    names = np.repeat([f"leaf{number}" for number in range(groups)], shots)
    return features.astype(np.float16), labels.tolist(), names.tolist()


def test_a_head_generalizes_to_other_leaves():
    features, labels, groups = images(groups=200)
    head = fit_head(features[:300], labels[:300], groups[:300], 3)
    correct = head.logits(features[300:]).argmax(1) == labels[300:]
    assert correct.mean() > 0.85


def test_the_l2_penalty_is_chosen_on_held_out_leaves():
    # Without groups, shots of the same leaf are in both sides of a fold, so a penalty that is too small looks good.
    features, labels, groups = images(groups=30, shots=8, noise=0.3)
    grouped = fit_head(features, labels, groups, 3)
    leaking = fit_head(features, labels, [str(row) for row in range(len(labels))], 3)
    assert grouped.penalties["log_loss"].min() > 1.5 * leaking.penalties["log_loss"].min()


def test_the_validation_set_is_scored_but_does_not_affect_the_head():
    features, labels, groups = images()
    other, truth, _ = images(seed=1)
    alone = fit_head(features, labels, groups, 3)
    watched = fit_head(features, labels, groups, 3, validation=(other, truth))
    np.testing.assert_array_equal(alone.weight, watched.weight)
    assert alone.temperature == watched.temperature
    assert watched.history["validation_loss"].null_count() == 0
    assert alone.history["validation_loss"].null_count() == len(alone.history)


def test_all_views_of_an_image_are_in_the_same_fold():
    features, labels, groups = images()
    once = fit_head(features, labels, groups, 3)
    twice = fit_head(np.concatenate([features, features]), labels, groups, 3, views=2)
    # An identical second view adds nothing; in both sides of a fold it would make every held-out loss tiny.
    np.testing.assert_allclose(once.penalties["log_loss"], twice.penalties["log_loss"], rtol=0.05)


def test_the_same_seed_returns_a_bit_identical_head():
    features, labels, groups = images()
    one, two = fit_head(features, labels, groups, 3, seed=4), fit_head(features, labels, groups, 3, seed=4)
    np.testing.assert_array_equal(one.weight, two.weight)
    assert one.temperature == two.temperature


def test_a_constant_feature_leads_to_finite_weights():
    features, labels, groups = images()
    features[:, 0] = 1
    assert np.isfinite(fit_head(features, labels, groups, 3).weight).all()


def test_the_temperature_is_fitted_to_the_cross_fitted_logits_by_the_shared_function():
    features, labels, groups = images()
    head = fit_head(features, labels, groups, 3)
    assert head.temperature == fit_temperature(head.held_out_logits, np.asarray(labels), groups)
    assert heads.fit_temperature is repeats.fit_temperature is task.fit_temperature is fit_temperature


@pytest.mark.parametrize("groups", [24, 60, 300])
def test_well_separated_classes_do_not_lead_to_probabilities_of_one(groups):
    rng = np.random.default_rng(0)
    labels = np.arange(groups) % 3
    features = (np.eye(3, 20)[labels] * 20 + rng.normal(size=(groups, 20))).astype(np.float16)
    head = fit_head(features, labels.tolist(), [str(row) for row in range(groups)], 3)
    assert (head.held_out_logits.argmax(1) == labels).all()
    assert head.temperature > 0.2
    assert softmax(head.held_out_logits.astype(np.float64) / head.temperature, axis=1).max() < 0.999999


def test_held_out_logits_come_from_heads_fitted_without_the_leaf():
    # A head fitted to a wrong label predicts it; a head fitted without this leaf does not.
    features, labels, groups = images(groups=60, noise=0.1)
    wrong = labels.copy()
    wrong[:3] = [(label + 1) % 3 for label in labels[:3]]
    head = fit_head(features, wrong, groups, 3, views=1, l2_values=(1e-4,))
    assert head.held_out_logits.dtype == np.float32 and head.held_out_logits.shape == (180, 3)
    assert (head.logits(features)[:3].argmax(1) == wrong[:3]).all()
    assert (head.held_out_logits[:3].argmax(1) != wrong[:3]).all()
    assert (head.held_out_logits.argmax(1) == labels).mean() == pytest.approx(head.penalties["accuracy"][0], abs=0.05)


def test_with_many_images_a_sample_chooses_the_penalty_and_every_image_gets_held_out_logits(monkeypatch):
    features, labels, groups = images(groups=120)
    double = np.concatenate([features, features])
    full = fit_head(double, labels, groups, 3, views=2)
    monkeypatch.setattr(heads, "CROSS_FIT_ROWS", 600)  # 720 rows, 360 images: one view, no sample
    first_view = fit_head(double, labels, groups, 3, views=2)
    np.testing.assert_allclose(
        first_view.held_out_logits, fit_head(features, labels, groups, 3).held_out_logits, atol=1e-3
    )
    monkeypatch.setattr(heads, "CROSS_FIT_ROWS", 150)
    sampled = fit_head(double, labels, groups, 3, views=2)
    assert sampled.held_out_logits.shape == full.held_out_logits.shape == (360, 3)
    assert (sampled.held_out_logits.argmax(1) == full.held_out_logits.argmax(1)).mean() > 0.9
    assert sampled.temperature == pytest.approx(full.temperature, rel=0.5)


def test_a_sample_with_too_few_groups_is_not_used(monkeypatch):
    features, labels, _ = images(groups=40)
    groups = [f"site{row % 6}" for row in range(len(labels))]
    full = fit_head(features, labels, groups, 3)
    monkeypatch.setattr(heads, "CROSS_FIT_ROWS", 40)  # two of the six sites, too few for five folds
    sampled = fit_head(features, labels, groups, 3)
    np.testing.assert_array_equal(sampled.held_out_logits, full.held_out_logits)


def test_one_group_per_class_is_refused_before_anything_is_fitted():
    features = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    with pytest.raises(UserError, match="3 images of 3 classes, one image per class"):
        fit_head(features, [0, 1, 2], ["a", "b", "c"], 3)
