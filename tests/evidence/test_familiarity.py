"""Familiarity of images (out-of-distribution detection)."""

from __future__ import annotations

import numpy as np
import pytest

from coverslip.evidence import familiarity
from coverslip.evidence.familiarity import Familiarity, fit_familiarity


def features(images, seed, classes=3, width=40, shift=0.0):
    """Float16 features like a network's: 0 or more, classes apart; ``shift`` moves them elsewhere."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).gamma(2, 1, (classes, width))
    labels = np.arange(images) % classes
    other = np.random.default_rng(7).gamma(2, 1, width)
    rows = (1 - shift) * centers[labels] + shift * other + 0.25 * rng.normal(size=(images, width))
    return np.maximum(rows, 0).astype(np.float16), labels


@pytest.fixture(scope="module")
def fitted():
    rows, labels = features(300, 0)
    return fit_familiarity(rows, labels, features(400, 1)[0], None)


def test_images_from_elsewhere_are_flagged_and_similar_images_rarely(fitted):
    assert not fitted.familiar(features(100, 2, shift=0.9)[0]).any()
    assert fitted.familiar(features(1000, 3)[0]).mean() > 0.97
    assert not fitted.approximate and fitted.false_alarm_rate == 0.01


def test_the_length_of_the_features_does_not_matter(fitted):
    rows, _ = features(50, 4)
    assert fitted.score(rows.astype(np.float32) * 7) == pytest.approx(fitted.score(rows), rel=1e-3)


def test_the_nearest_training_image_of_a_training_image_is_itself(fitted):
    rows, _ = features(300, 0)
    nearest = fitted.nearest(rows[:20], 3)
    assert nearest.shape == (20, 3)
    assert fitted.rows[nearest[:, 0]].tolist() == list(range(20))
    assert fitted.nearest(rows[:2], 1000).shape == (2, 300)


def test_few_groups_give_an_approximate_threshold_with_its_false_alarm_rate():
    rows, labels = features(300, 0)
    calibrate, _ = features(120, 1)
    approximate = fit_familiarity(rows, labels, calibrate, np.arange(120) // 6)
    assert (
        approximate.approximate
        and approximate.calibrated_on == 20
        and approximate.false_alarm_rate == pytest.approx(1 / 21)
    )
    assert approximate.threshold == approximate.score(calibrate).max()


def test_many_images_are_subsampled_and_rare_classes_kept_complete(monkeypatch):
    monkeypatch.setattr(familiarity, "MAX_REFERENCE", 100)
    rows, _ = features(400, 0)
    labels = np.where(np.arange(400) < 390, np.arange(400) % 2, 2)
    thinned = fit_familiarity(rows, labels, rows[:50], None)
    kept = labels[thinned.rows]
    assert len(kept) == 100 and (kept == 2).sum() == 10 and abs((kept == 0).sum() - (kept == 1).sum()) <= 1
    assert (np.diff(thinned.rows) > 0).all()


def test_it_is_restored_from_its_arrays(fitted):
    rows, _ = features(30, 5)
    restored = Familiarity.from_arrays(fitted.to_arrays())
    assert (restored.score(rows) == fitted.score(rows)).all() and restored.threshold == fitted.threshold
    assert restored.false_alarm_rate == fitted.false_alarm_rate and (restored.rows == fitted.rows).all()
    with pytest.raises(ValueError):
        Familiarity.from_arrays(fitted.to_arrays() | {"means": np.zeros((3, 2), np.float32)})
    with pytest.raises(KeyError):
        Familiarity.from_arrays({})


def test_scores_do_not_depend_on_the_block_size(fitted, monkeypatch):
    rows, _ = features(100, 6)
    whole = fitted.score(rows)
    monkeypatch.setattr(familiarity, "BLOCK_ROWS", 7)
    assert fitted.score(rows) == pytest.approx(whole, rel=1e-4)
    assert fitted.score(rows[:0]).shape == (0,) and fitted.nearest(rows[:0], 2).shape == (0, 2)


def test_degenerate_training_images_are_handled():
    rows, _ = features(12, 0)
    alone = fit_familiarity(rows, np.arange(12), rows, None)  # every class has one image
    assert np.isfinite(alone.score(rows)).all()
    equal = np.ones((8, 40), np.float16)
    same = fit_familiarity(equal, np.zeros(8, int), equal, None)  # all images are equal
    assert same.familiar(equal).all() and not same.familiar(features(8, 1)[0]).any()
    assert np.isfinite(same.score(np.zeros((2, 40), np.float16))).all()


def test_invalid_input_is_an_error():
    rows, labels = features(12, 0)
    for arguments in (
        (rows[:3], labels[:3], rows, None),
        (rows, labels[:5], rows, None),
        (rows, labels, rows[:0], None),
        (rows, labels, rows[:, :5], None),
        (rows, labels, rows, labels[:3]),
    ):
        with pytest.raises(ValueError):
            fit_familiarity(*arguments)
