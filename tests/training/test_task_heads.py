"""The heads of ordered classes and of several labels reach the optimum, and choose their penalty on held-out groups."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from coverslip.core.errors import UserError
from coverslip.training.cumulative_head import fit_cumulative_head, log_loss, minimize_loss
from coverslip.training.heads import HalfWhitening
from coverslip.training.label_heads import fit_label_heads


def features(number=240, width=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(number, width)).astype(np.float32), rng


def test_the_cumulative_head_is_the_minimum_of_its_loss():
    inputs, rng = features()
    levels = np.digitize(inputs[:, 0] * 2 + rng.logistic(size=len(inputs)), [-1, 1])
    found = minimize_loss(inputs, levels, 3, 0.01, 500, 1e-12)

    def loss(x):
        thresholds = np.array([x[-2], x[-2] + np.exp(x[-1])])
        logits = (inputs @ x[:-2])[:, None] - thresholds
        return log_loss(logits, levels) + 0.005 * x[:-2] @ x[:-2]

    exact = minimize(loss, np.zeros(inputs.shape[1] + 2), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(found.weight, exact.x[:-2], atol=2e-3)
    assert (np.diff(found.thresholds) > 0).all()


def test_the_cumulative_head_predicts_levels_of_new_groups_and_their_order():
    inputs, rng = features(600)
    levels = np.digitize(inputs[:, 0] * 3 + rng.logistic(size=600), [-3, 0, 3])
    groups = [str(row // 3) for row in range(450)]
    head = fit_cumulative_head(inputs[:450], levels[:450], groups, 4, validation=(inputs[450:], levels[450:]))
    outputs = head.outputs(inputs[450:])
    assert outputs.shape == (150, 3)
    assert (np.diff(outputs, axis=1) < 0).all()
    assert np.abs((outputs > 0).sum(axis=1) - levels[450:]).mean() < 0.5
    assert head.held_out.shape == (450, 3)
    assert head.history["validation_loss"].null_count() == 0


def test_a_level_without_training_images_is_possible():
    inputs, _ = features(60)
    levels = np.where(inputs[:, 0] > 0, 3, 0)
    head = fit_cumulative_head(inputs, levels, [str(row) for row in range(60)], 4)
    assert np.isfinite(head.outputs(inputs)).all()


def test_one_level_is_refused():
    inputs, _ = features(20)
    with pytest.raises(UserError, match="1 of the ordered classes"):
        fit_cumulative_head(inputs, np.zeros(20, np.int64), [str(row) for row in range(20)], 3)


def test_label_heads_are_the_logistic_regressions_of_scikit_learn():
    inputs, rng = features()
    logits = inputs[:, :2] * 2 + np.array([0.0, -1.0])
    members = rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))
    l2 = 0.1
    strata, groups = members.sum(axis=1).astype(np.int64), [str(row) for row in range(len(inputs))]
    head = fit_label_heads(inputs, members, strata, groups, ["a", "b"], l2_values=[l2])
    whitening = HalfWhitening.fit(inputs)
    own = whitening.transform(inputs).numpy()
    for label in range(2):
        # two softmax columns with penalties l2 / 2 each are one difference with a penalty of l2 / 4
        reference = LogisticRegression(C=2 / (l2 * len(inputs)), tol=1e-8, max_iter=1000).fit(own, members[:, label])
        expected = reference.decision_function(own)
        np.testing.assert_allclose(head.outputs(inputs)[:, label], expected, atol=0.02)


def test_a_label_that_no_or_every_image_has_is_refused_by_name():
    inputs, _ = features(20)
    members = np.zeros((20, 2), bool)
    members[:10, 0] = True
    with pytest.raises(UserError, match="no image of the train set has the label 'b'"):
        fit_label_heads(inputs, members, np.zeros(20, np.int64), [str(row) for row in range(20)], ["a", "b"])
