import numpy as np
import pytest

from coverslip.core.errors import UserError
from coverslip.training.balance import choose_balance
from coverslip.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("counts", "weighted", "resampled", "words"),
    [
        ([100, 80], False, False, "1.2 times the images of the smallest: no balancing needed"),
        ([100, 20], True, False, "5.0 times the images of the smallest: rare classes get larger weights"),
        ([1000, 10], False, True, "100.0 times the images of the smallest: each epoch draws equally"),
        ([100, 0, 20], True, False, "5.0 times"),
        ([50], False, False, "no balancing needed"),
    ],
)
def test_auto_chooses_by_the_ratio_of_class_sizes_and_reports_it(counts, weighted, resampled, words):
    balance = choose_balance(counts, TrainingConfig(balance="auto"))
    assert (balance.weights is not None, balance.resampled) == (weighted, resampled) and words in balance.message


def test_by_default_there_is_no_balancing_and_no_message():
    balance = choose_balance([100, 1], TrainingConfig())
    assert balance.weights is None and not balance.resampled and balance.message == ""


@pytest.mark.parametrize("config", [TrainingConfig(balance="weights"), TrainingConfig(class_weights=(1.0, 5.0, 2.0))])
def test_class_weights_average_to_one_over_the_images(config):
    counts = np.array([60, 30, 10])
    weights = choose_balance(counts.tolist(), config).weights
    assert weights.dtype == np.float32 and (counts * weights).sum() == pytest.approx(100, rel=1e-6)
    if config.balance == "weights":
        np.testing.assert_allclose(counts * weights, 100 / 3, rtol=1e-6)
    else:
        np.testing.assert_allclose(weights / weights[0], config.class_weights, rtol=1e-6)


def test_invalid_class_weights_are_refused():
    with pytest.raises(UserError, match="class_weights has 3 values for 2 classes"):
        choose_balance([5, 5], TrainingConfig(class_weights=(1.0, 2.0, 3.0)))
    with pytest.raises(UserError, match=r"class_weights\[1\] is 4, but class 1 has no training images"):
        choose_balance([5, 0], TrainingConfig(class_weights=(1.0, 4.0)))
    with pytest.raises(UserError, match="0 for every class that has images"):
        choose_balance([5, 0], TrainingConfig(class_weights=(0.0, 1.0)))
