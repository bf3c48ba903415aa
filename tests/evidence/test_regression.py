import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from coverslip.evidence.prediction_intervals import Residuals, fit_interval
from coverslip.evidence.regression import regression_evidence, value_subgroups
from coverslip.evidence.regression_scores import SUM_SCORES, ValueScorer


def values(groups=40, size=3, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), size)
    truth = rng.normal(5, 1, groups)[codes] + rng.normal(0, 0.3, groups * size)
    return truth[:, None], (truth + rng.normal(0.1, 0.4, groups * size))[:, None], codes


def test_scores_are_those_of_scikit_learn_and_scipy():
    truth, predicted, groups = values()
    scores = regression_evidence(truth, predicted, groups, ["size"])["scores"]
    assert scores["mae"]["value"] == pytest.approx(mean_absolute_error(truth, predicted))
    assert scores["rmse"]["value"] == pytest.approx(root_mean_squared_error(truth, predicted))
    assert scores["r2"]["value"] == pytest.approx(r2_score(truth, predicted))
    assert scores["spearman"]["value"] == pytest.approx(stats.spearmanr(truth[:, 0], predicted[:, 0])[0])
    difference = (predicted - truth)[:, 0]
    assert scores["bias"]["value"] == pytest.approx(difference.mean())
    assert scores["loa_high"]["value"] == pytest.approx(difference.mean() + 1.96 * difference.std(ddof=1))


def test_concordance_is_lins_formula_and_below_the_correlation_of_biased_predictions():
    truth, predicted, groups = values()
    x, y = truth[:, 0], predicted[:, 0] + 1
    expected = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    score = regression_evidence(truth, predicted + 1, groups, ["size"])["scores"]["concordance"]
    assert score["value"] == pytest.approx(expected)
    assert score["value"] < np.corrcoef(x, y)[0, 1] - 0.1


def test_ties_have_mid_ranks_in_the_data_and_in_resamples():
    truth, predicted, groups = values()
    rounded = truth.round(0), predicted.round(0)
    score = regression_evidence(*rounded, groups, ["size"])["scores"]["spearman"]
    assert score["value"] == pytest.approx(stats.spearmanr(rounded[0][:, 0], rounded[1][:, 0])[0])
    assert score["low"] < score["value"] < score["high"]


def test_every_score_has_an_interval_that_contains_it_and_does_not_depend_on_the_order():
    truth, predicted, groups = values(groups=60)
    evidence = regression_evidence(truth, predicted, groups, ["size"])
    for name, score in evidence["scores"].items():
        assert score["low"] <= score["value"] <= score["high"], name
    order = np.random.default_rng(1).permutation(len(truth))
    assert regression_evidence(truth[order], predicted[order], groups[order], ["size"]) == evidence


def test_few_groups_have_no_interval_and_the_reason():
    truth, predicted, groups = values(groups=4)
    evidence = regression_evidence(truth, predicted, groups, ["size"])
    assert evidence["scores"]["mae"]["low"] is None
    assert "4 groups are too few" in evidence["scores"]["mae"]["reason"]


def test_r_squared_has_no_interval_below_60_groups():
    truth, predicted, groups = values(groups=40)
    score = regression_evidence(truth, predicted, groups, ["size"])["scores"]["r2"]
    assert score["value"] is not None
    assert score["low"] is None
    assert "40 groups are too few for an interval (at least 60 are needed)" in score["reason"]


def test_constant_predictions_have_no_rank_correlation():
    truth, _, groups = values()
    score = regression_evidence(truth, np.full_like(truth, 5.0), groups, ["size"])["scores"]["spearman"]
    assert score["value"] is None
    assert "all equal" in score["reason"]


def test_a_rule_is_compared_on_the_same_images():
    truth, predicted, groups = values()
    rules = {"constant": np.full_like(truth, truth.mean()), "same": predicted}
    found = regression_evidence(truth, predicted, groups, ["size"], baselines=rules)["targets"]["size"]["baselines"]
    gain = np.abs(rules["constant"] - truth).mean() - np.abs(predicted - truth).mean()
    assert found["constant"]["difference"]["value"] == pytest.approx(gain)
    assert found["constant"]["difference"]["low"] > 0
    assert found["same"]["difference"]["value"] == 0


def test_several_targets_are_averaged_where_they_have_no_unit():
    truth, predicted, groups = values()
    both = np.hstack([truth, truth * 100]), np.hstack([predicted, predicted * 100])
    evidence = regression_evidence(*both, groups, ["m", "cm"])
    assert set(evidence["scores"]) == {"r2", "concordance", "spearman"}
    alone = regression_evidence(truth, predicted, groups, ["m"])["scores"]["concordance"]["value"]
    assert evidence["scores"]["concordance"]["value"] == pytest.approx(alone)
    assert evidence["targets"]["cm"]["scores"]["mae"]["value"] > 10


def test_values_that_are_not_finite_are_refused():
    truth, predicted, groups = values()
    predicted[3] = np.nan
    with pytest.raises(ValueError, match="1 images are NaN or infinite"):
        regression_evidence(truth, predicted, groups, ["size"])


def test_subgroups_have_their_own_error_and_bias():
    truth, predicted, groups = values()
    camera = np.where(groups % 2, "a", "b").tolist()
    predicted[groups % 2 == 1] += 2
    entries = {entry["value"]: entry for entry in value_subgroups(truth, predicted, groups, camera, ["size"])["values"]}
    assert entries["a"]["bias"]["value"] > entries["b"]["bias"]["value"] + 1.5


@pytest.mark.parametrize("calibration", [60, 12])
def test_prediction_intervals_cover_new_groups(calibration):
    """Group effects: the images of a plant share an error. Few groups use out-of-fold residuals as well."""
    covered = []
    for seed in range(150):
        rng = np.random.default_rng(seed)

        def draw(groups, rng=rng):
            codes = np.repeat(np.arange(groups), 3)
            scale = rng.uniform(0.5, 2, groups * 3)
            error = (rng.normal(size=groups)[codes] + rng.normal(size=groups * 3)) * scale
            return Residuals(error, scale, codes)

        interval = fit_interval(draw(calibration), draw(80), coverage=0.9)
        new = draw(200)
        covered.append(float((np.abs(new.values) <= interval.half_width * new.scale).mean()))
    assert 0.88 < np.mean(covered) < 0.95  # standard error about 0.003


def test_too_few_groups_have_no_prediction_interval():
    few = Residuals(np.ones(6), np.ones(6), np.repeat(np.arange(3), 2))
    assert fit_interval(few, coverage=0.9) is None


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_influence_is_that_of_leaving_groups_out_although_sums_of_values_are_negative(shift):
    truth, predicted, groups = values(groups=30)
    scorer = ValueScorer(truth[:, 0], predicted[:, 0] + shift, groups)
    left_out = scorer.at((1 - np.eye(30)) * 30 / 29)[:, : len(SUM_SCORES)]
    expected = (left_out.mean(axis=0) - left_out) * 29 / 30
    assert scorer.influence(np.zeros(30, np.int64))[:, : len(SUM_SCORES)] == pytest.approx(expected, abs=1e-9)


def test_scores_without_unit_do_not_depend_on_the_unit():
    truth, predicted, groups = values()
    for name in ("r2", "concordance"):
        meters, small = (
            regression_evidence(truth * unit, predicted * unit, groups, ["size"], resamples=200)["scores"][name]
            for unit in (1.0, 1e-7)
        )
        assert small["value"] == pytest.approx(meters["value"])
