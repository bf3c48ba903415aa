"""The best of many trials: what choosing it was worth, whether it beats the default, and how much was the seed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from coverslip.evidence.intervals import Score
from coverslip.evidence.luck import luck_sentence, repeat_spread
from coverslip.evidence.winner import compare_trials, winner

SIZE = 4


def study(chance, trials=40, groups=30, apart=0.0):
    """Losses, right, groups and the true accuracy of each trial: margins are normal, a half of them shared."""
    of_group = np.repeat(np.arange(groups), SIZE)
    means = 1.2 - apart * np.abs(chance.normal(size=trials))
    hard = chance.normal(size=groups)[of_group]
    margins = means[:, None] + np.sqrt(0.5) * hard + np.sqrt(0.5) * chance.normal(size=(trials, groups * SIZE))
    return np.logaddexp(0, -2 * margins), margins > 0, of_group, stats.norm.cdf(means)


def told_of(losses, right, groups, **options):
    return winner(losses, right, groups, range(len(losses)), resamples=200, **options)


@pytest.mark.parametrize("apart", [0.0, 0.4])
def test_the_corrected_score_is_unbiased_and_covers_where_the_plain_best_does_not(apart):
    chance, rows = np.random.default_rng(0), []
    for number in range(80):
        losses, right, groups, truth = study(chance, apart=apart)
        told = told_of(losses, right, groups, seed=number)
        true = truth[told.number]
        holds = told.corrected["low"] <= true <= told.corrected["high"]
        rows.append((told.accuracy["value"] - true, told.corrected["value"] - true, holds))
    plain, corrected, covered = np.mean(rows, axis=0)
    assert plain > 0.02
    assert abs(corrected) < 0.01
    assert covered > 0.9


def test_the_winner_is_the_lowest_loss_and_the_first_of_equals():
    losses, right, groups, _ = study(np.random.default_rng(1), trials=5)
    losses[3] = losses[1] = 0.01
    told = winner(losses, right, groups, [10, 11, 12, 13, 14])
    assert (told.number, told.trials) == (11, 5)
    assert told.accuracy["value"] == right[1].mean()
    assert told.log_loss["value"] == pytest.approx(0.01)
    assert told.chosen == ((11, 1.0),)


def test_without_a_choice_there_is_no_luck():
    losses, right, groups, _ = study(np.random.default_rng(2), trials=1)
    told = told_of(losses, right, groups)
    assert told.luck == 0
    assert told.corrected["value"] == right.mean()
    assert told.corrected["low"] < right.mean() < told.corrected["high"]
    assert "no luck" in told.sentence
    twins = told_of(np.repeat(losses, 9, axis=0), np.repeat(right, 9, axis=0), groups)
    assert twins.luck == pytest.approx(0)
    assert twins.sentence.endswith("choosing was no luck")


def test_every_trial_that_won_resamples_is_named_with_its_share():
    losses, right, groups, _ = study(np.random.default_rng(3), trials=3)
    losses[2] += 5  # never the best
    told = told_of(losses, right, groups)
    assert {number for number, _ in told.chosen} == {0, 1}
    assert sum(share for _, share in told.chosen) == pytest.approx(1)


def test_the_choice_of_the_epoch_is_corrected_where_every_epoch_is_given():
    chance, rows = np.random.default_rng(13), []
    for number in range(60):
        losses, right, groups, truth = study(chance)  # 40 rows that are equally good
        epochs = winner(losses, right, groups, np.repeat(range(4), 10), resamples=200, seed=number)
        first = losses.reshape(4, 10, -1).mean(axis=2).argmin(axis=1) + np.arange(4) * 10
        best = winner(losses[first], right[first], groups, range(4), resamples=200, seed=number)
        assert (epochs.number, epochs.trials) == (best.number, 4)
        assert sum(share for _, share in epochs.chosen) == pytest.approx(1)
        rows.append((epochs.corrected["value"] - truth[0], best.corrected["value"] - truth[0]))
    corrected, left = np.mean(rows, axis=0)
    assert abs(corrected) < 0.01 < left
    one = winner(losses, right, groups, [7] * 40, resamples=200)
    assert "for trial 7, at its best epoch;" in one.sentence
    assert one.luck > 0.01


def test_the_sentence_says_what_is_to_be_expected_and_json_holds_it_all():
    losses, right, groups, _ = study(np.random.default_rng(4))
    told = told_of(losses, right, groups)
    held = json.loads(json.dumps(told.as_json(), allow_nan=False))
    assert held["luck"] == pytest.approx(held["accuracy"]["value"] - held["corrected"]["value"])
    assert held["log_loss_luck"] == pytest.approx(held["corrected_log_loss"]["value"] - held["log_loss"]["value"])
    assert held["accuracy"]["low"] is None
    assert "chose" in held["accuracy"]["reason"]
    assert (held["corrected"]["images"], held["corrected"]["groups"]) == (120, 30)
    assert held["corrected_log_loss"]["low"] < held["corrected_log_loss"]["value"] < held["corrected_log_loss"]["high"]
    assert f"{held['accuracy']['value']:.3f} for trial {told.number}, the best of 40" in held["sentence"]
    assert f"about {held['luck']:.3f} is the luck of choosing" in held["sentence"]


def test_groups_widen_the_interval_and_their_numbering_does_not_matter():
    losses, right, groups, _ = study(np.random.default_rng(5))
    grouped, alone = told_of(losses, right, groups), told_of(losses, right, None)
    assert grouped.corrected["high"] - grouped.corrected["low"] > alone.corrected["high"] - alone.corrected["low"]
    order = np.random.default_rng(0).permutation(len(groups))
    shuffled = told_of(losses[:, order], right[:, order], groups[order] * 7 - 100)
    assert shuffled.corrected == pytest.approx(grouped.corrected)


def test_few_groups_give_no_interval_and_one_group_no_corrected_score():
    losses, right, groups, _ = study(np.random.default_rng(6), trials=6, groups=4)
    told = told_of(losses, right, groups)
    assert told.corrected["value"] is not None
    assert told.corrected["low"] is None
    assert "too few" in told.corrected["reason"]
    assert "too few" in told.corrected_log_loss["reason"]
    single = told_of(losses, right, np.zeros_like(groups))
    assert single.corrected["value"] is None
    assert "cannot be told" in single.sentence
    json.dumps(single.as_json(), allow_nan=False)


def test_a_trial_whose_losses_are_no_numbers_cannot_win():
    losses, right, groups, _ = study(np.random.default_rng(7), trials=4)
    losses[0, 3], losses[1, 5] = np.nan, -np.inf
    told = told_of(losses, right, groups)
    assert told.number in (2, 3)
    assert told.trials == 2
    assert np.isfinite(told.corrected["value"])
    with pytest.raises(ValueError, match="no trial has finite losses"):
        told_of(losses[:2], right[:2], groups)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right": np.ones((3, 5), bool)}, "both be"),
        ({"losses": np.ones((0, 6)), "right": np.ones((0, 6), bool)}, "both be"),
        ({"groups": np.arange(5)}, "each of 6 images"),
        ({"numbers": [0, 1]}, "3 trial numbers, not 2"),
        ({"level": 95.0}, "level is 95"),
        ({"resamples": 10}, "resamples 10"),
    ],
)
def test_what_is_no_table_of_trials_is_refused(change, message):
    given = {"losses": np.ones((3, 6)), "right": np.ones((3, 6), bool), "groups": None, "numbers": range(3)}
    with pytest.raises(ValueError, match=message):
        winner(**given | change)


def test_the_best_of_equal_trials_is_not_called_better_than_the_default():
    chance, plain, corrected = np.random.default_rng(8), 0, 0
    for number in range(60):
        losses, right, groups, _ = study(chance)
        best = int(losses.mean(axis=1).argmin())
        told = compare_trials(losses, right, groups, best, 0, resamples=200, seed=number)
        corrected += told["better"] is not None
        of_group = (losses[best] - losses[0]).reshape(-1, SIZE).mean(axis=1)
        plain += stats.ttest_1samp(of_group, 0).pvalue < 0.05  # as if the best had been named beforehand
        assert told["corrected"] is (best != 0)
    assert corrected <= 5
    assert plain >= 10


def test_a_better_trial_is_said_to_be_better_with_both_scores():
    losses, right, groups, _ = study(np.random.default_rng(9), groups=60, apart=0.05)
    losses[0], right[0] = losses[0] + 0.4, right[0] & (np.arange(len(groups)) % 3 > 0)
    best = int(losses.mean(axis=1).argmin())
    told = compare_trials(losses, right, groups, best, 0, names=("trial 31", "the default"))
    assert told["better"] == "trial 31"
    assert told["low"] > 0.1
    assert told["log_loss"]["high"] < 0
    assert told["sentence"].startswith("trial 31 is better than the default: accuracy +0.")
    back = compare_trials(losses, right, groups, 0, best, names=("the default", "trial 31"))
    assert (back["better"], back["corrected"]) == ("trial 31", False)
    assert back["sentence"].startswith("the default is worse than trial 31: accuracy -0.")


def test_the_epoch_of_the_default_is_chosen_too_where_every_epoch_is_given():
    chance, rows = np.random.default_rng(14), []
    for number in range(40):
        losses, right, groups, _ = study(chance)  # 4 trials of 10 epochs, all equally good
        best, default = int(losses.mean(axis=1).argmin()), int(losses[:10].mean(axis=1).argmin())
        options = {"resamples": 200, "seed": number}
        lead = compare_trials(losses, right, groups, best, default, numbers=np.repeat(range(4), 10), **options)
        unfair = compare_trials(losses, right, groups, best, default, **options)
        rows.append((lead["difference"], unfair["difference"], lead["better"] is not None))
    fair, unfair, better = np.mean(rows, axis=0)
    assert abs(fair) < 0.01
    assert unfair < -0.01
    assert better < 0.1


def test_the_best_is_known_for_the_best_though_its_mean_was_rounded_otherwise():
    losses, right, groups, _ = study(np.random.default_rng(12), trials=3)
    losses[1] = losses[2] = 0.05
    losses[1, 0] -= 1e-9
    told = compare_trials(losses.astype(np.float32), right, groups, 2, 0)
    assert told["corrected"] is True


def test_scores_that_disagree_are_both_told_and_none_is_called_better():
    chance, groups = np.random.default_rng(10), np.repeat(np.arange(40), 2)
    right = np.ones((2, 80), bool)
    right[0, ::4] = False
    losses = np.array([[0.2], [0.9]]) + 0.05 * chance.normal(size=(2, 80))
    losses += np.where(chance.random(80) < 0.5, 0.1, 0.0)
    told = compare_trials(losses, right, groups, 1, 0, names=("bold", "sure"))
    assert told["better"] is None
    assert told["sentence"].startswith("bold is worse than sure in log loss and better than it in accuracy:")


def test_equal_trials_and_few_groups_cannot_be_compared_and_say_why():
    losses, right, groups, _ = study(np.random.default_rng(11), trials=3)
    losses[1], right[1] = losses[0], right[0]
    losses[2] += 9
    same = compare_trials(losses, right, groups, 0, 1)
    assert (same["difference"], same["low"], same["better"]) == (0, None, None)
    assert "no certainty" in same["sentence"]
    assert "one trial" in compare_trials(losses, right, groups, 0, 0)["sentence"]
    few = compare_trials(losses, right, groups % 4, 0, 2)
    assert few["low"] is None
    assert "4 groups are too few" in few["sentence"]
    with pytest.raises(ValueError, match="row 3"):
        compare_trials(losses, right, groups, 3, 0)


def test_the_winner_is_held_against_its_own_settings_with_other_seeds():
    right = np.arange(200) < np.array([[188], [182], [184], [180], [182]])
    told = repeat_spread(right, np.arange(200) // 4)
    others = np.array([0.91, 0.92, 0.90, 0.91])
    assert told["mean"] == pytest.approx(0.91)
    assert told["luck"] == pytest.approx(0.03)
    assert told["number"] == 4
    half = stats.t.ppf(0.975, 3) * others.std(ddof=1) * np.sqrt(1 + 1 / 4)  # where one more seed falls
    assert (told["low"], told["high"]) == pytest.approx((0.91 - half, 0.91 + half))
    assert told["sentence"].endswith("reach 0.910 (0.900 to 0.920): 0.030 of it was the seed")
    one = repeat_spread(right[:2], None)
    assert (one["low"], one["spread"]) == (None, None)
    assert "1 other seed its settings reach 0.910" in one["sentence"]
    assert repeat_spread(right[[3, 0, 1]], None)["sentence"].endswith("the seed was no luck")
    with pytest.raises(ValueError, match="at least one repeat"):
        repeat_spread(right[:1], None)


@pytest.mark.parametrize(
    ("value", "low", "high", "end"),
    [
        (0.915, 0.88, 0.94, "as expected"),
        (0.80, 0.76, 0.84, "or the search followed the validation images"),
        (0.99, 0.97, 1.0, "its images are easier"),
        (0.80, None, None, "0.800 (no interval: 4 groups are too few)"),
    ],
)
def test_the_test_part_says_how_much_was_luck(value, low, high, end):
    score = Score(value=value, low=low, high=high, level=0.95, method="", images=400, groups=90)
    if low is None:
        score["reason"] = "4 groups are too few"
    said = luck_sentence(0.94, 0.921, 0.898, 0.943, 50, score)
    assert said.startswith("validation said 0.940; after choosing among 50, 0.921 [0.898, 0.943] was to be expected;")
    assert said.endswith(end)
