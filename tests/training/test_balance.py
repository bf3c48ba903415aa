import numpy as np
import pytest

from coverslip.core.errors import UserError
from coverslip.training.balance import choose_balance
from coverslip.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("counts", "weighted", "sampled", "words"),
    [
        ([100, 80], False, False, "1.2 times the images of the smallest: nothing to balance"),
        ([100, 20], True, False, "5.0 times the images of the smallest: rare classes weigh more in the loss"),
        ([1000, 10], False, True, "100.0 times the images of the smallest: each epoch draws equally"),
        ([100, 0, 20], True, False, "5.0 times"),
        ([50], False, False, "nothing to balance"),
    ],
)
def test_auto_decides_from_the_counts_and_says_what(counts, weighted, sampled, words):
    chosen = choose_balance(counts, TrainingConfig(balance="auto"))
    assert (chosen.weights is not None, chosen.sampled) == (weighted, sampled) and words in chosen.sentence


def test_nothing_is_said_or_done_where_nothing_was_asked_for():
    chosen = choose_balance([100, 1], TrainingConfig())
    assert chosen.weights is None and not chosen.sampled and chosen.sentence == ""


@pytest.mark.parametrize("recipe", [TrainingConfig(balance="weights"), TrainingConfig(class_weights=(1.0, 5.0, 2.0))])
def test_weights_are_one_on_average_over_the_images(config):
    counts = np.array([60, 30, 10])
    weights = choose_balance(counts.tolist(), config).weights
    assert weights.dtype == np.float32 and (counts * weights).sum() == pytest.approx(100, rel=1e-6)
    if config.balance == "weights":
        np.testing.assert_allclose(counts * weights, 100 / 3, rtol=1e-6)
    else:
        np.testing.assert_allclose(weights / weights[0], config.class_weights, rtol=1e-6)


def test_weights_for_a_class_that_is_not_there_are_refused():
    with pytest.raises(UserError, match="class_weights has 3 numbers, but there are 2 classes"):
        choose_balance([5, 5], TrainingConfig(class_weights=(1.0, 2.0, 3.0)))
    with pytest.raises(UserError, match="weighs class 1 by 4, but no training image is of it"):
        choose_balance([5, 0], TrainingConfig(class_weights=(1.0, 4.0)))
    with pytest.raises(UserError, match="0 for every class that has images"):
        choose_balance([5, 0], TrainingConfig(class_weights=(0.0, 1.0)))
