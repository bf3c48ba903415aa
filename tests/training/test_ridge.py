import numpy as np
import pytest
from sklearn.linear_model import Ridge

from coverslip.core.errors import UserError
from coverslip.training.heads import HalfWhitening
from coverslip.training.ridge import RIDGE_VALUES, fit_ridge


def data(images=120, width=40, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(images, width)).astype(np.float32)
    truth = features[:, :3].sum(axis=1) + rng.normal(0, noise, images)
    return features, np.stack([truth, 100 * truth + 7], axis=1), [f"g{row // 3}" for row in range(images)]


def strata(values):
    return np.digitize(values[:, 0], np.quantile(values[:, 0], [0.25, 0.5, 0.75])).astype(np.int64)


def test_the_solution_is_that_of_scikit_learn():
    features, values, groups = data()
    head = fit_ridge(features, values[:, :1], groups, strata(values), l2_values=(0.1,))
    inputs = HalfWhitening.fit(features).transform(features).numpy()
    expected = Ridge(alpha=0.1 * len(features)).fit(inputs, values[:, 0]).predict(inputs)
    np.testing.assert_allclose(features @ head.weight[0] + head.bias[0], expected, atol=1e-4)


def test_held_out_predictions_do_not_use_the_group_of_the_image():
    features, values, groups = data()
    before = fit_ridge(features, values, groups, strata(values), l2_values=(0.1,)).held_out
    changed = values.copy()
    changed[:3] += 50  # the first group
    after = fit_ridge(features, changed, groups, strata(values), l2_values=(0.1,)).held_out
    np.testing.assert_allclose(after[:3], before[:3], atol=1e-6)
    assert np.abs(after[3:] - before[3:]).max() > 0.1


def test_the_unit_of_a_target_does_not_matter():
    features, values, groups = data()
    head = fit_ridge(features, values, groups, strata(values))
    np.testing.assert_allclose(head.held_out[:, 1], 100 * head.held_out[:, 0] + 7, rtol=1e-6)


def test_features_without_information_predict_the_mean():
    rng = np.random.default_rng(0)
    features, values = rng.normal(size=(120, 40)).astype(np.float32), rng.normal(3, 1, (120, 1))
    head = fit_ridge(features, values, [f"g{row // 3}" for row in range(120)], strata(values))
    assert head.l2 >= RIDGE_VALUES[-4]
    np.testing.assert_allclose(features @ head.weight.T + head.bias, values.mean(), atol=0.4)


def test_views_of_an_image_are_held_out_together():
    features, values, groups = data()
    both = np.concatenate([features, features + 0.01])
    head = fit_ridge(both, values, groups, strata(values), views=2)
    assert head.held_out.shape == values.shape
    assert np.corrcoef(head.held_out[:, 0], values[:, 0])[0, 1] == pytest.approx(0.95, abs=0.05)


def test_one_group_is_refused_since_nothing_could_be_held_out():
    features, values, _ = data()
    with pytest.raises(UserError, match="one group"):
        fit_ridge(features, values, ["g"] * len(values), strata(values))
