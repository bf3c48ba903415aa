import numpy as np
import pytest

from coverslip.evidence.compare_values import compare_values


def runs(gap, groups=40, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), 3)
    truth = rng.normal(size=groups)[codes] + rng.normal(size=len(codes))
    shared = rng.normal(0, 0.3, groups)[codes]
    return truth, {"A": truth + shared + rng.normal(0, 0.4 + gap, len(truth)), "B": truth + shared * 0.9}, codes


def test_the_better_model_is_named_with_the_paired_difference():
    truth, predicted, groups = runs(0.4)
    result = compare_values(truth, predicted, groups)
    comparison = result["comparisons"][0]
    errors = [np.abs(values - truth).mean() for values in predicted.values()]
    assert comparison["difference"] == pytest.approx(errors[1] - errors[0])
    assert comparison["better"] == "B"
    assert comparison["high"] < 0 < 1 - comparison["p"]


@pytest.mark.parametrize("score", ["mae", "rmse", "r2", "concordance", "spearman"])
def test_equal_models_are_rarely_called_different(score):
    wrong = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        codes = np.repeat(np.arange(30), 3)
        truth = rng.normal(size=30)[codes] + rng.normal(size=90)
        predicted = {name: truth + rng.normal(0, 0.5, 30)[codes] + rng.normal(0, 0.5, 90) for name in "AB"}
        result = compare_values(truth, predicted, codes, score=score, resamples=200, seed=seed)
        wrong += result["comparisons"][0]["better"] is not None
    assert wrong <= 6  # 5 % of 40 are expected


def test_few_groups_give_the_reason():
    truth, predicted, groups = runs(0.4, groups=4)
    assert "too few" in compare_values(truth, predicted, groups)["comparisons"][0]["reason"]
