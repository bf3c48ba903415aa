"""The best of many trials: correction for selection bias, comparison with the default, effect of the seed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from coverslip.evidence.intervals import Score
from coverslip.evidence.selection_bias import seed_effect, selection_sentence
from coverslip.evidence.winner import assess_winner, compare_trials

SIZE = 4


def study(rng, trials=40, groups=30, apart=0.0):
    """Losses, correctness, groups and true accuracy of each trial; half of the variance is shared by all trials."""
    of_group = np.repeat(np.arange(groups), SIZE)
    means = 1.2 - apart * np.abs(rng.normal(size=trials))
    hard = rng.normal(size=groups)[of_group]
    margins = means[:, None] + np.sqrt(0.5) * hard + np.sqrt(0.5) * rng.normal(size=(trials, groups * SIZE))
    return np.logaddexp(0, -2 * margins), margins > 0, of_group, stats.norm.cdf(means)


def assess(losses, right, groups, **options):
    return assess_winner(losses, right, groups, range(len(losses)), resamples=200, **options)


@pytest.mark.parametrize("apart", [0.0, 0.4])
def test_the_corrected_score_is_unbiased_and_the_plain_score_is_not(apart):
    rng, rows = np.random.default_rng(0), []
    for number in range(80):
        losses, right, groups, truth = study(rng, apart=apart)
        result = assess(losses, right, groups, seed=number)
        true = truth[result.number]
        holds = result.corrected["low"] <= true <= result.corrected["high"]
        rows.append((result.accuracy["value"] - true, result.corrected["value"] - true, holds))
    plain, corrected, covered = np.mean(rows, axis=0)
    assert plain > 0.02
    assert abs(corrected) < 0.01
    assert covered > 0.9


def test_the_winner_has_the_lowest_loss_and_is_the_first_of_equals():
    losses, right, groups, _ = study(np.random.default_rng(1), trials=5)
    losses[3] = losses[1] = 0.01
    result = assess_winner(losses, right, groups, [10, 11, 12, 13, 14])
    assert (result.number, result.trials) == (11, 5)
    assert result.accuracy["value"] == right[1].mean()
    assert result.log_loss["value"] == pytest.approx(0.01)
    assert result.chosen == ((11, 1.0),)


def test_without_selection_there_is_no_bias():
    losses, right, groups, _ = study(np.random.default_rng(2), trials=1)
    result = assess(losses, right, groups)
    assert result.selection_bias == 0
    assert result.corrected["value"] == right.mean()
    assert result.corrected["low"] < right.mean() < result.corrected["high"]
    assert "no selection bias" in result.sentence
    copies = assess(np.repeat(losses, 9, axis=0), np.repeat(right, 9, axis=0), groups)
    assert copies.selection_bias == pytest.approx(0)
    assert copies.sentence.endswith("no bias was found")


def test_every_trial_selected_in_a_resample_is_listed_with_its_share():
    losses, right, groups, _ = study(np.random.default_rng(3), trials=3)
    losses[2] += 5  # never the best
    result = assess(losses, right, groups)
    assert {number for number, _ in result.chosen} == {0, 1}
    assert sum(share for _, share in result.chosen) == pytest.approx(1)


def test_the_selection_of_the_epoch_is_corrected_if_all_epochs_are_given():
    rng, rows = np.random.default_rng(13), []
    for number in range(60):
        losses, right, groups, truth = study(rng)  # 40 rows that are equally good
        epochs = assess_winner(losses, right, groups, np.repeat(range(4), 10), resamples=200, seed=number)
        first = losses.reshape(4, 10, -1).mean(axis=2).argmin(axis=1) + np.arange(4) * 10
        best = assess_winner(losses[first], right[first], groups, range(4), resamples=200, seed=number)
        assert (epochs.number, epochs.trials) == (best.number, 4)
        assert sum(share for _, share in epochs.chosen) == pytest.approx(1)
        rows.append((epochs.corrected["value"] - truth[0], best.corrected["value"] - truth[0]))
    corrected, left = np.mean(rows, axis=0)
    assert abs(corrected) < 0.01 < left
    one = assess_winner(losses, right, groups, [7] * 40, resamples=200)
    assert "trial 7, at its best epoch," in one.sentence
    assert one.selection_bias > 0.01


def test_the_sentence_and_the_json_contain_the_corrected_score():
    losses, right, groups, _ = study(np.random.default_rng(4))
    result = assess(losses, right, groups)
    content = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert content["luck"] == pytest.approx(content["accuracy"]["value"] - content["corrected"]["value"])
    assert content["log_loss_luck"] == pytest.approx(
        content["corrected_log_loss"]["value"] - content["log_loss"]["value"]
    )
    assert content["accuracy"]["low"] is None
    assert "selected" in content["accuracy"]["reason"]
    assert (content["corrected"]["images"], content["corrected"]["groups"]) == (120, 30)
    assert (
        content["corrected_log_loss"]["low"]
        < content["corrected_log_loss"]["value"]
        < content["corrected_log_loss"]["high"]
    )
    assert (
        f"trial {result.number}, the best of 40, has validation accuracy {content['accuracy']['value']:.3f}"
        in content["sentence"]
    )
    assert f"the estimated bias is {content['luck']:.3f}" in content["sentence"]


def test_groups_widen_the_interval_and_their_numbering_does_not_matter():
    losses, right, groups, _ = study(np.random.default_rng(5))
    grouped, alone = assess(losses, right, groups), assess(losses, right, None)
    assert grouped.corrected["high"] - grouped.corrected["low"] > alone.corrected["high"] - alone.corrected["low"]
    order = np.random.default_rng(0).permutation(len(groups))
    shuffled = assess(losses[:, order], right[:, order], groups[order] * 7 - 100)
    assert shuffled.corrected == pytest.approx(grouped.corrected)


def test_few_groups_give_no_interval_and_one_group_no_corrected_score():
    losses, right, groups, _ = study(np.random.default_rng(6), trials=6, groups=4)
    result = assess(losses, right, groups)
    assert result.corrected["value"] is not None
    assert result.corrected["low"] is None
    assert "too few" in result.corrected["reason"]
    assert "too few" in result.corrected_log_loss["reason"]
    single = assess(losses, right, np.zeros_like(groups))
    assert single.corrected["value"] is None
    assert "cannot be estimated" in single.sentence
    json.dumps(single.as_json(), allow_nan=False)


def test_a_trial_with_non_finite_losses_is_never_selected():
    losses, right, groups, _ = study(np.random.default_rng(7), trials=4)
    losses[0, 3], losses[1, 5] = np.nan, -np.inf
    result = assess(losses, right, groups)
    assert result.number in (2, 3)
    assert result.trials == 2
    assert np.isfinite(result.corrected["value"])
    with pytest.raises(ValueError, match="no trial has finite losses"):
        assess(losses[:2], right[:2], groups)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right": np.ones((3, 5), bool)}, "must both have shape"),
        ({"losses": np.ones((0, 6)), "right": np.ones((0, 6), bool)}, "must both have shape"),
        ({"groups": np.arange(5)}, r"shape \(6,\)"),
        ({"numbers": [0, 1]}, "3 trial numbers, not 2"),
        ({"level": 95.0}, "not 95"),
        ({"resamples": 10}, "and 10"),
    ],
)
def test_invalid_input_is_an_error(change, message):
    given = {"losses": np.ones((3, 6)), "right": np.ones((3, 6), bool), "groups": None, "numbers": range(3)}
    with pytest.raises(ValueError, match=message):
        assess_winner(**given | change)


def test_the_best_of_equal_trials_is_not_called_better_than_the_default():
    rng, plain, corrected = np.random.default_rng(8), 0, 0
    for number in range(60):
        losses, right, groups, _ = study(rng)
        best = int(losses.mean(axis=1).argmin())
        result = compare_trials(losses, right, groups, best, 0, resamples=200, seed=number)
        corrected += result["better"] is not None
        of_group = (losses[best] - losses[0]).reshape(-1, SIZE).mean(axis=1)
        plain += stats.ttest_1samp(of_group, 0).pvalue < 0.05  # as if the best had been chosen in advance
        assert result["corrected"] is (best != 0)
    assert corrected <= 5
    assert plain >= 10


def test_a_better_trial_is_called_better_with_both_scores():
    losses, right, groups, _ = study(np.random.default_rng(9), groups=60, apart=0.05)
    losses[0], right[0] = losses[0] + 0.4, right[0] & (np.arange(len(groups)) % 3 > 0)
    best = int(losses.mean(axis=1).argmin())
    result = compare_trials(losses, right, groups, best, 0, names=("trial 31", "the default"))
    assert result["better"] == "trial 31"
    assert result["low"] > 0.1
    assert result["log_loss"]["high"] < 0
    assert result["sentence"].startswith("trial 31 is better than the default: accuracy +0.")
    back = compare_trials(losses, right, groups, 0, best, names=("the default", "trial 31"))
    assert (back["better"], back["corrected"]) == ("trial 31", False)
    assert back["sentence"].startswith("the default is worse than trial 31: accuracy -0.")


def test_the_epoch_of_the_default_is_selected_as_well_if_all_epochs_are_given():
    rng, rows = np.random.default_rng(14), []
    for number in range(40):
        losses, right, groups, _ = study(rng)  # 4 trials of 10 epochs, all equally good
        best, default = int(losses.mean(axis=1).argmin()), int(losses[:10].mean(axis=1).argmin())
        options = {"resamples": 200, "seed": number}
        lead = compare_trials(losses, right, groups, best, default, numbers=np.repeat(range(4), 10), **options)
        unfair = compare_trials(losses, right, groups, best, default, **options)
        rows.append((lead["difference"], unfair["difference"], lead["better"] is not None))
    fair, unfair, better = np.mean(rows, axis=0)
    assert abs(fair) < 0.01
    assert unfair < -0.01
    assert better < 0.1


def test_the_best_trial_is_recognized_despite_rounding():
    losses, right, groups, _ = study(np.random.default_rng(12), trials=3)
    losses[1] = losses[2] = 0.05
    losses[1, 0] -= 1e-9
    result = compare_trials(losses.astype(np.float32), right, groups, 2, 0)
    assert result["corrected"] is True


def test_contradicting_scores_are_both_reported_and_neither_trial_is_called_better():
    rng, groups = np.random.default_rng(10), np.repeat(np.arange(40), 2)
    right = np.ones((2, 80), bool)
    right[0, ::4] = False
    losses = np.array([[0.2], [0.9]]) + 0.05 * rng.normal(size=(2, 80))
    losses += np.where(rng.random(80) < 0.5, 0.1, 0.0)
    result = compare_trials(losses, right, groups, 1, 0, names=("bold", "sure"))
    assert result["better"] is None
    assert result["sentence"].startswith("bold is worse than sure in log loss and better than it in accuracy:")


def test_equal_trials_and_few_groups_cannot_be_compared():
    losses, right, groups, _ = study(np.random.default_rng(11), trials=3)
    losses[1], right[1] = losses[0], right[0]
    losses[2] += 9
    same = compare_trials(losses, right, groups, 0, 1)
    assert (same["difference"], same["low"], same["better"]) == (0, None, None)
    assert "variance cannot be estimated" in same["sentence"]
    assert "the same trial" in compare_trials(losses, right, groups, 0, 0)["sentence"]
    few = compare_trials(losses, right, groups % 4, 0, 2)
    assert few["low"] is None
    assert "4 groups are too few" in few["sentence"]
    with pytest.raises(ValueError, match="row 3"):
        compare_trials(losses, right, groups, 3, 0)


def test_the_winner_is_compared_with_repeats_with_other_seeds():
    right = np.arange(200) < np.array([[188], [182], [184], [180], [182]])
    result = seed_effect(right, np.arange(200) // 4)
    others = np.array([0.91, 0.92, 0.90, 0.91])
    assert result["mean"] == pytest.approx(0.91)
    assert result["luck"] == pytest.approx(0.03)
    assert result["number"] == 4
    half = stats.t.ppf(0.975, 3) * others.std(ddof=1) * np.sqrt(1 + 1 / 4)  # prediction interval
    assert (result["low"], result["high"]) == pytest.approx((0.91 - half, 0.91 + half))
    assert result["sentence"].endswith("mean accuracy 0.910 (range 0.900 to 0.920); 0.030 is attributed to the seed")
    one = seed_effect(right[:2], None)
    assert (one["low"], one["spread"]) == (None, None)
    assert "1 other seed, the same settings have accuracy 0.910" in one["sentence"]
    assert seed_effect(right[[3, 0, 1]], None)["sentence"].endswith("the seed was not favorable")
    with pytest.raises(ValueError, match="at least one repeat"):
        seed_effect(right[:1], None)


@pytest.mark.parametrize(
    ("value", "low", "high", "end"),
    [
        (0.915, 0.88, 0.94, "consistent with this expectation"),
        (0.80, 0.76, 0.84, "or the search overfitted the validation set"),
        (0.99, 0.97, 1.0, "the test images are easier"),
        (0.80, None, None, "0.800 (no interval: 4 groups are too few)"),
    ],
)
def test_validation_and_test_score_are_compared(value, low, high, end):
    score = Score(value=value, low=low, high=high, level=0.95, method="", images=400, groups=90)
    if low is None:
        score["reason"] = "4 groups are too few"
    sentence = selection_sentence(0.94, 0.921, 0.898, 0.943, 50, score)
    assert sentence.startswith(
        "validation accuracy 0.940; expected after selection among 50 trials: 0.921 [0.898, 0.943];"
    )
    assert sentence.endswith(end)
