import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from coverslip.training.stack import fit_lanes


def data(rows=300, width=8, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    features = rng.normal(size=(rows, width)).astype(np.float32)
    features[np.arange(rows), labels] += 1.5
    return torch.from_numpy(features), torch.from_numpy(labels)


def test_each_lane_equals_its_solo_run():
    features, labels = data()
    weights = torch.ones(len(features), 4)
    weights[:100, 1] = 0
    weights[100:200, 2] = 0
    penalties = torch.tensor([1e-3, 1e-2, 1e-1, 1.0])
    together = fit_lanes(features, labels, weights, penalties, 3, steps=200, tolerance=1e-5)
    for lane in range(4):
        alone = fit_lanes(
            features, labels, weights[:, lane : lane + 1], penalties[lane : lane + 1], 3, steps=200, tolerance=1e-5
        )
        torch.testing.assert_close(together.weight[lane], alone.weight[0], atol=2e-3, rtol=0)
        torch.testing.assert_close(together.bias[lane], alone.bias[0], atol=2e-3, rtol=0)


@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_the_optimum_is_that_of_logistic_regression(penalty):
    features, labels = data()
    lanes = fit_lanes(
        features, labels, torch.ones(len(features), 1), torch.tensor([penalty]), 3, steps=300, tolerance=1e-6
    )
    theirs = LogisticRegression(C=1 / (penalty * len(features)), tol=1e-8, max_iter=2000).fit(features, labels)
    ours = torch.softmax(lanes.scores(features)[0], 1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(features), atol=2e-3)


def test_a_left_out_row_has_no_influence():
    features, labels = data()
    weights = torch.ones(len(features), 1)
    weights[:50] = 0
    spoiled = features.clone()
    spoiled[:50] = 1e3
    kept = fit_lanes(features, labels, weights, torch.tensor([1e-2]), 3)
    other = fit_lanes(spoiled, labels, weights, torch.tensor([1e-2]), 3)
    torch.testing.assert_close(kept.weight, other.weight)


def test_the_loss_never_rises_and_every_lane_converges():
    features, labels = data()
    lanes = fit_lanes(features, labels, torch.ones(len(features), 3), torch.tensor([1e-4, 1e-2, 1.0]), 3, steps=300)
    assert (lanes.losses[1:] <= lanes.losses[:-1] + 1e-5).all()
    assert lanes.converged.all()


def test_a_class_without_rows_does_no_harm():
    features, labels = data()
    lanes = fit_lanes(features, labels, torch.ones(len(features), 1), torch.tensor([1e-2]), 4)
    assert torch.isfinite(lanes.weight).all()
    assert (lanes.scores(features)[0].argmax(1) != 3).all()
