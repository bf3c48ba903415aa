"""Whether a new image is like anything seen."""

from __future__ import annotations

import numpy as np
import pytest

from coverslip.evidence import familiarity
from coverslip.evidence.familiarity import Familiarity, fit_familiarity


def features(images, seed, classes=3, width=40, shift=0.0):
    """Float16 features like a network's: 0 or more, classes apart; ``shift`` moves them elsewhere."""
    chance = np.random.default_rng(seed)
    centers = np.random.default_rng(99).gamma(2, 1, (classes, width))
    labels = np.arange(images) % classes
    other = np.random.default_rng(7).gamma(2, 1, width)
    rows = (1 - shift) * centers[labels] + shift * other + 0.25 * chance.normal(size=(images, width))
    return np.maximum(rows, 0).astype(np.float16), labels


@pytest.fixture(scope="module")
def fitted():
    rows, labels = features(300, 0)
    return fit_familiarity(rows, labels, features(400, 1)[0], None)


def test_images_from_elsewhere_are_flagged_and_images_like_the_others_seldom(fitted):
    assert not fitted.familiar(features(100, 2, shift=0.9)[0]).any()
    assert fitted.familiar(features(1000, 3)[0]).mean() > 0.97
    assert not fitted.rough and fitted.rate == 0.01


def test_the_length_of_the_features_does_not_matter(fitted):
    rows, _ = features(50, 4)
    assert fitted.score(rows.astype(np.float32) * 7) == pytest.approx(fitted.score(rows), rel=1e-3)


def test_the_nearest_training_image_of_a_training_image_is_itself(fitted):
    rows, _ = features(300, 0)
    nearest = fitted.nearest(rows[:20], 3)
    assert nearest.shape == (20, 3)
    assert fitted.rows[nearest[:, 0]].tolist() == list(range(20))
    assert fitted.nearest(rows[:2], 1000).shape == (2, 300)


def test_few_groups_give_a_rough_threshold_that_says_how_often_it_flags():
    rows, labels = features(300, 0)
    calibrate, _ = features(120, 1)
    rough = fit_familiarity(rows, labels, calibrate, np.arange(120) // 6)
    assert rough.rough and rough.calibrated_on == 20 and rough.rate == pytest.approx(1 / 21)
    assert rough.threshold == rough.score(calibrate).max()


def test_many_images_are_thinned_and_rare_classes_kept_whole(monkeypatch):
    monkeypatch.setattr(familiarity, "MOST_ROWS", 100)
    rows, _ = features(400, 0)
    labels = np.where(np.arange(400) < 390, np.arange(400) % 2, 2)
    thinned = fit_familiarity(rows, labels, rows[:50], None)
    kept = labels[thinned.rows]
    assert len(kept) == 100 and (kept == 2).sum() == 10 and abs((kept == 0).sum() - (kept == 1).sum()) <= 1
    assert (np.diff(thinned.rows) > 0).all()


def test_it_comes_back_from_its_arrays_with_equal_answers(fitted):
    rows, _ = features(30, 5)
    back = Familiarity.from_arrays(fitted.to_arrays())
    assert (back.score(rows) == fitted.score(rows)).all() and back.threshold == fitted.threshold
    assert back.rate == fitted.rate and (back.rows == fitted.rows).all()
    with pytest.raises(ValueError):
        Familiarity.from_arrays(fitted.to_arrays() | {"means": np.zeros((3, 2), np.float32)})
    with pytest.raises(KeyError):
        Familiarity.from_arrays({})


def test_blocks_give_the_same_scores_as_one_pass(fitted, monkeypatch):
    rows, _ = features(100, 6)
    whole = fitted.score(rows)
    monkeypatch.setattr(familiarity, "ROWS", 7)
    assert fitted.score(rows) == pytest.approx(whole, rel=1e-4)
    assert fitted.score(rows[:0]).shape == (0,) and fitted.nearest(rows[:0], 2).shape == (0, 2)


def test_odd_training_images_do_not_break_it():
    rows, _ = features(12, 0)
    alone = fit_familiarity(rows, np.arange(12), rows, None)  # every class has one image
    assert np.isfinite(alone.score(rows)).all()
    equal = np.ones((8, 40), np.float16)
    same = fit_familiarity(equal, np.zeros(8, int), equal, None)  # all images are equal
    assert same.familiar(equal).all() and not same.familiar(features(8, 1)[0]).any()
    assert np.isfinite(same.score(np.zeros((2, 40), np.float16))).all()


def test_what_cannot_be_is_refused():
    rows, labels = features(12, 0)
    for wrong in ((rows[:3], labels[:3], rows, None), (rows, labels[:5], rows, None), (rows, labels, rows[:0], None),
                  (rows, labels, rows[:, :5], None), (rows, labels, rows, labels[:3])):  # fmt: skip
        with pytest.raises(ValueError):
            fit_familiarity(*wrong)
