import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from coverslip.training.stacked_heads import fit_stacked_heads


def data(rows=300, width=8, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    features = rng.normal(size=(rows, width)).astype(np.float32)
    features[np.arange(rows), labels] += 1.5
    return torch.from_numpy(features), torch.from_numpy(labels)


def test_each_head_equals_a_separate_fit():
    features, labels = data()
    weights = torch.ones(len(features), 4)
    weights[:100, 1] = 0
    weights[100:200, 2] = 0
    penalties = torch.tensor([1e-3, 1e-2, 1e-1, 1.0])
    together = fit_stacked_heads(features, labels, weights, penalties, 3, steps=200, tolerance=1e-5)
    for head in range(4):
        alone = fit_stacked_heads(
            features, labels, weights[:, head : head + 1], penalties[head : head + 1], 3, steps=200, tolerance=1e-5
        )
        torch.testing.assert_close(together.weight[head], alone.weight[0], atol=2e-3, rtol=0)
        torch.testing.assert_close(together.bias[head], alone.bias[0], atol=2e-3, rtol=0)


@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_the_optimum_equals_that_of_scikit_learn(penalty):
    features, labels = data()
    heads = fit_stacked_heads(
        features, labels, torch.ones(len(features), 1), torch.tensor([penalty]), 3, steps=300, tolerance=1e-6
    )
    theirs = LogisticRegression(C=1 / (penalty * len(features)), tol=1e-8, max_iter=2000).fit(features, labels)
    ours = torch.softmax(heads.logits(features)[0], 1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(features), atol=2e-3)


def test_a_row_of_weight_zero_has_no_influence():
    features, labels = data()
    weights = torch.ones(len(features), 1)
    weights[:50] = 0
    changed = features.clone()
    changed[:50] = 1e3
    kept = fit_stacked_heads(features, labels, weights, torch.tensor([1e-2]), 3)
    other = fit_stacked_heads(changed, labels, weights, torch.tensor([1e-2]), 3)
    torch.testing.assert_close(kept.weight, other.weight)


def test_the_loss_never_increases_and_every_head_converges():
    features, labels = data()
    penalties = torch.tensor([1e-4, 1e-2, 1.0])
    heads = fit_stacked_heads(features, labels, torch.ones(len(features), 3), penalties, 3, steps=300)
    assert (heads.losses[1:] <= heads.losses[:-1] + 1e-5).all()
    assert heads.converged.all()


def test_a_class_without_rows_leads_to_finite_weights_and_is_not_predicted():
    features, labels = data()
    heads = fit_stacked_heads(features, labels, torch.ones(len(features), 1), torch.tensor([1e-2]), 4)
    assert torch.isfinite(heads.weight).all()
    assert (heads.logits(features)[0].argmax(1) != 3).all()
