"""Scores of a classifier with intervals, as stored in `test.json`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics

from coverslip.evidence import classification_evidence

CLASS = ("precision", "recall", "f1", "auroc", "auprc")


def draw_data(images=300, classes=4, leaves=10, seed=0, signal=1.5):
    """Labels, probabilities and leaves of one class each, ``leaves`` per class; errors are correlated within a leaf."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    groups = labels * leaves + rng.integers(0, leaves, images)
    scores = rng.normal(size=(images, classes)) + rng.normal(size=(classes * leaves, classes))[groups]
    scores[np.arange(images), labels] += signal
    rows = np.exp(scores)
    return labels, rows / rows.sum(axis=1, keepdims=True), groups


def names(classes=4):
    return [f"class {number}" for number in range(classes)]


def perfect(labels, classes=4):
    return np.eye(classes)[labels] * 0.96 + 0.01


def ece_by_a_loop(labels, rows):
    confidence, right = rows.max(axis=1), rows.argmax(axis=1) == labels
    order, total = np.argsort(confidence), 0.0
    for rows_of_bin in np.array_split(order, 15):  # 300 images: 15 bins of 20
        total += abs(confidence[rows_of_bin].sum() - right[rows_of_bin].sum())
    return total / len(labels)


def test_scores_equal_those_of_scikit_learn():
    labels, rows, groups = draw_data()
    evidence = classification_evidence(labels, rows, groups, names())
    predicted = rows.argmax(axis=1)
    values = {name: score["value"] for name, score in evidence["scores"].items()}
    assert values == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(labels, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
            "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
            "macro_auroc": metrics.roc_auc_score(labels, rows, multi_class="ovr", average="macro"),
            "log_loss": metrics.log_loss(labels, rows),
            "mcc": metrics.matthews_corrcoef(labels, predicted),
            "macro_auprc": metrics.average_precision_score(np.eye(4)[labels], rows, average="macro"),
            "brier": ((rows - np.eye(4)[labels]) ** 2).sum(axis=1).mean(),
            "ece": ece_by_a_loop(labels, rows),
        }
    )
    precision, recall, f1, images = metrics.precision_recall_fscore_support(labels, predicted)
    for number, name in enumerate(names()):
        entry = evidence["classes"][name]
        assert entry["precision"]["value"] == pytest.approx(precision[number])
        assert entry["recall"]["value"] == pytest.approx(recall[number])
        assert entry["f1"]["value"] == pytest.approx(f1[number])
        assert entry["auroc"]["value"] == pytest.approx(metrics.roc_auc_score(labels == number, rows[:, number]))
        assert entry["auprc"]["value"] == pytest.approx(
            metrics.average_precision_score(labels == number, rows[:, number])
        )
        assert (entry["images"], entry["groups"]) == (images[number], len(np.unique(groups[labels == number])))
        assert entry["precision"]["images"] == (predicted == number).sum()
    assert evidence["confusion"] == metrics.confusion_matrix(labels, predicted).tolist()


def test_every_score_lies_within_its_interval():
    labels, rows, groups = draw_data()
    for group_ids in (groups, None, groups % 7):
        evidence = classification_evidence(labels, rows, group_ids, names())
        everything = [*evidence["scores"].values()]
        everything += [entry[s] for entry in evidence["classes"].values() for s in CLASS]
        for score in everything:
            assert score["low"] < score["value"] < score["high"]
            assert "reason" not in score
        assert evidence["grouped"] == (group_ids is not None)


def test_the_result_is_valid_json_without_nan():
    labels, rows, groups = draw_data(images=40, leaves=3)
    labels = np.where(labels == 3, 0, labels)  # a class is absent
    text = json.dumps(classification_evidence(labels, rows, groups, names()), allow_nan=False)
    assert set(json.loads(text)) == {
        "images", "groups", "grouped", "level", "scores", "classes", "confusion", "class_names", "warnings"
    }  # fmt: skip


def test_ten_images_give_intervals_and_a_warning():
    labels, rows, _ = draw_data(images=10, classes=2)
    evidence = classification_evidence(labels, rows, None, names(2))
    assert evidence["images"] == evidence["groups"] == sum(map(sum, evidence["confusion"])) == 10
    assert evidence["scores"]["accuracy"]["low"] is not None
    assert evidence["warnings"][0].startswith("the test set has only 10 images")


def test_the_result_does_not_depend_on_the_order_of_rows():
    labels, rows, groups = draw_data(images=120)
    order = np.random.default_rng(5).permutation(120)
    for group_ids in (groups, None, groups % 7):
        moved = None if group_ids is None else group_ids[order]
        assert classification_evidence(labels, rows, group_ids, names()) == classification_evidence(
            labels[order], rows[order], moved, names()
        )


def test_fewer_than_five_groups_have_no_interval():
    labels, rows, _ = draw_data(images=60, classes=2)
    evidence = classification_evidence(labels, rows, np.arange(60) % 4, names(2))
    for score in evidence["scores"].values():
        assert score["value"] is not None
        assert score["low"] is None
        assert score["reason"] == "4 groups are too few for an interval (at least 5 are needed)"


def test_a_class_of_few_leaves_has_no_interval_although_overall_scores_have_one():
    labels, rows, groups = draw_data(classes=2)
    groups = np.where(labels == 1, 10, groups)  # one leaf, many images
    evidence = classification_evidence(labels, rows, groups, names(2))
    assert evidence["classes"]["class 0"]["recall"]["low"] is not None
    for score in ("recall", "f1", "auroc", "auprc"):
        assert evidence["classes"]["class 1"][score]["reason"].startswith("1 group is too few")
    assert evidence["classes"]["class 0"]["auroc"]["low"] is None  # AUROC is about both sides
    assert all(score["low"] is not None for score in evidence["scores"].values())
    assert "fewer than 5 groups in the test set, so there is no interval: class 1" in evidence["warnings"]


def test_an_absent_class_scores_null_and_is_excluded_from_averages():
    labels, rows, groups = draw_data()
    kept = labels != 2
    labels, rows, groups = labels[kept], rows[kept], groups[kept]
    assert (rows.argmax(axis=1) == 2).any()  # although it is predicted
    evidence = classification_evidence(labels, rows, groups, names())
    for score in CLASS:
        entry = evidence["classes"]["class 2"][score]
        assert entry["value"] is entry["low"] is entry["high"] is None
        assert entry["reason"] == "no image of this class in the test set"
    f1 = metrics.f1_score(labels, rows.argmax(axis=1), labels=[0, 1, 3], average="macro")
    assert evidence["scores"]["macro_f1"]["value"] == pytest.approx(f1)
    assert "not in the test set and excluded from the averages: class 2" in evidence["warnings"]


def test_a_class_that_is_never_predicted_has_no_precision_and_an_f1_of_zero():
    labels, rows, groups = draw_data(classes=3)
    rows = rows * [1, 1, 0.0] + [0, 0, 1e-9]
    evidence = classification_evidence(labels, rows / rows.sum(axis=1, keepdims=True), groups, names(3))
    entry = evidence["classes"]["class 2"]
    assert entry["precision"]["value"] is None
    assert entry["precision"]["reason"] == "no image was predicted as this class"
    assert (entry["f1"]["value"], entry["f1"]["low"]) == (0.0, 0.0)
    assert entry["f1"]["high"] > 0.2
    assert entry["recall"]["high"] > 0  # none of ten leaves does not prove zero recall


def test_a_class_that_is_missing_from_some_resamples_keeps_its_interval():
    labels, rows, groups = draw_data(images=80, classes=2)
    labels = np.where(groups % 9 < 5, 0, labels)  # leaves of both classes, and of one
    evidence = classification_evidence(labels, rows, groups % 9, names(2))
    assert evidence["scores"]["macro_f1"]["method"] == (
        "BCa bootstrap over groups, 2000 resamples, combined with Wilson's interval for the effective sample size"
    )
    assert evidence["scores"]["macro_f1"]["low"] is not None


def test_a_result_without_errors_still_has_an_interval():
    labels = np.arange(60) % 4
    evidence = classification_evidence(labels, perfect(labels), None, names())
    scores = evidence["scores"]
    assert scores["accuracy"]["low"] == pytest.approx(0.025 ** (1 / 60))
    assert scores["balanced_accuracy"]["low"] == pytest.approx(0.025 ** (1 / 60))  # four classes of fifteen
    for name in ("macro_f1", "macro_auroc", "macro_auprc", "mcc"):
        assert scores[name]["value"] == scores[name]["high"] == 1
        assert 0.8 < scores[name]["low"] < 0.95  # sixty images
    for name in ("log_loss", "brier"):
        assert scores[name]["low"] is None
        assert scores[name]["reason"] == "the score does not vary between resamples"
    leaves = classification_evidence(labels, perfect(labels), np.arange(60) // 4 * 4 % 20 + labels, names())
    assert leaves["scores"]["balanced_accuracy"]["low"] == pytest.approx(0.025 ** (1 / 20))  # twenty leaves
    mixed = classification_evidence(labels, perfect(labels), np.arange(60) // 6, names())
    assert "Buehler" not in mixed["scores"]["balanced_accuracy"]["method"]  # leaves of several classes
    assert mixed["scores"]["balanced_accuracy"]["low"] < 0.7  # ten leaves
    rare = np.where(np.arange(60) < 45, 0, np.arange(60) % 3 + 1)
    few = classification_evidence(rare, perfect(rare), None, names())["scores"]["macro_f1"]
    assert few["low"] < scores["macro_f1"]["low"] - 0.05  # a class of five images counts as much as one of 45


def test_auroc_and_mcc_require_two_classes():
    evidence = classification_evidence(np.zeros(30, int), np.tile([0.7, 0.3], (30, 1)), None, names(2))
    assert evidence["scores"]["accuracy"]["value"] == 1
    assert evidence["scores"]["macro_auroc"]["reason"] == "AUROC requires images of two classes"
    assert evidence["classes"]["class 0"]["auroc"]["reason"] == "AUROC requires images of another class"
    assert evidence["scores"]["mcc"]["reason"] == "MCC requires images of two classes"
    assert evidence["scores"]["macro_auprc"]["value"] is None


def test_copies_of_an_image_do_not_narrow_the_interval():
    labels, rows, _ = draw_data(images=100)
    once = classification_evidence(labels, rows, np.arange(100), names())
    copied = classification_evidence(*(np.repeat(a, 5, axis=0) for a in (labels, rows, np.arange(100))), names())
    del once["scores"]["ece"]  # more images have more bins of confidence
    for name, score in once["scores"].items():
        other = copied["scores"][name]
        assert (other["low"], other["high"]) == pytest.approx((score["low"], score["high"]), abs=2e-3)
    naive = classification_evidence(np.repeat(labels, 5), np.repeat(rows, 5, axis=0), None, names())
    width = {name: s["high"] - s["low"] for name, s in once["scores"].items()}
    for name, score in ((name, naive["scores"][name]) for name in width):
        assert score["high"] - score["low"] < 0.6 * width[name]


def test_resampled_intervals_have_their_nominal_coverage():
    def draw(leaves, seed):
        return draw_data(images=3 * leaves * 4, classes=3, leaves=leaves, seed=seed)

    large = classification_evidence(*draw(3000, 99), names(3), resamples=100)["scores"]
    truth = {name: score["value"] for name, score in large.items()}
    inside = dict.fromkeys(truth, 0)
    for seed in range(200):
        scores = classification_evidence(*draw(15, seed), names(3), resamples=200)["scores"]
        for name, score in scores.items():
            inside[name] += score["low"] <= truth[name] <= score["high"]
    assert all(0.9 <= number / 200 <= 0.995 for number in inside.values()), inside


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 4])}, "from 0 to 3"),
        ({"labels": np.array([0.0, 1.0])}, "integers"),
        ({"labels": np.array([], int)}, "at least one image"),
        ({"probabilities": np.full((2, 3), 1 / 3)}, r"shape \(2, 4\)"),
        ({"probabilities": np.array([[0.25] * 4, [np.nan] * 4])}, "of 1 images contain NaN"),
        ({"probabilities": np.full((2, 4), 0.5)}, "sum to 1"),
        ({"probabilities": np.array([[0.25] * 4, [-0.5, 0.5, 0.5, 0.5]])}, "lie in 0 to 1"),
        ({"probabilities": np.array([[0.25] * 4, [np.inf, 0, 0, 0]])}, "of 1 images contain NaN or infinity"),
        ({"positive": "class 1"}, "exactly two classes"),
        ({"predicted": np.array([0, 4])}, "predicted must be integers from 0 to 3"),
        ({"predicted": np.array([0])}, "predicted must be integers of shape"),
        ({"groups": np.array([1])}, "groups must be integers"),
        ({"class_names": ["a", "a", "b", "c"]}, "must differ"),
        ({"level": 95.0}, "between 0 and 1"),
        ({"resamples": 0}, "at least 100"),
    ],
)
def test_invalid_input_is_an_error(change, message):
    rows = np.full((2, 4), 0.25)
    arguments = {"labels": np.array([0, 1]), "probabilities": rows, "groups": None, "class_names": names()}
    with pytest.raises(ValueError, match=message):
        classification_evidence(**(arguments | change))


def test_ten_thousand_images_take_seconds_not_minutes():
    import time

    labels, rows, groups = draw_data(images=10_000, classes=15, leaves=200)
    start = time.perf_counter()
    classification_evidence(labels, rows, groups, names(15))
    assert time.perf_counter() - start < 10  # measured: 1.2 s on two cores


def test_scores_of_predicted_classes_follow_the_given_predictions():
    labels, rows, groups = draw_data(classes=2, signal=1.0)
    flagged = rows[:, 1] >= 0.2
    evidence = classification_evidence(
        labels, rows, groups, names(2), predicted=flagged.astype(int), positive="class 1"
    )
    scores = evidence["scores"]
    plain = classification_evidence(labels, rows, groups, names(2))
    assert scores["accuracy"]["value"] == pytest.approx((flagged == labels).mean())
    assert evidence["confusion"][0][1] == (flagged & (labels == 0)).sum()
    for same in ("macro_auroc", "log_loss", "brier"):  # these depend on probabilities only
        assert scores[same] == plain["scores"][same]
    assert scores["sensitivity"]["value"] == pytest.approx(flagged[labels == 1].mean())
    assert scores["specificity"]["value"] == pytest.approx(1 - flagged[labels == 0].mean())
    assert scores["sensitivity"]["value"] == evidence["classes"]["class 1"]["recall"]["value"]
    assert scores["sensitivity"]["value"] > plain["classes"]["class 1"]["recall"]["value"]  # a low threshold
    for name, own in (("sensitivity", 1), ("specificity", 0)):
        assert scores[name]["low"] < scores[name]["value"] < scores[name]["high"]
        assert (scores[name]["images"], scores[name]["groups"]) == ((labels == own).sum(), 10)
    assert "sensitivity" not in plain["scores"]


def test_one_group_that_is_the_whole_test_part_is_named_and_has_no_interval():
    labels, rows, _ = draw_data(images=80, classes=2)
    evidence = classification_evidence(labels, rows, np.zeros(80, int), names(2))
    assert evidence["warnings"][0].startswith("all test images belong to one group")
    for score in evidence["scores"].values():
        assert score["value"] is not None
        assert score["low"] is None
    large = classification_evidence(labels, rows, np.maximum(0, np.arange(80) - 59), names(2))
    assert any("one group contains 75% of the test images" in warning for warning in large["warnings"])


def test_mcc_is_0_where_one_class_is_always_predicted():
    labels = np.arange(40) % 2
    rows = np.tile([0.8, 0.2], (40, 1))
    mcc = classification_evidence(labels, rows, None, names(2))["scores"]["mcc"]
    assert mcc["value"] == 0
    assert mcc["low"] < 0 < mcc["high"]  # forty images cannot show that it is exactly 0


def test_the_calibration_error_of_a_calibrated_model_is_compatible_with_0():
    rng = np.random.default_rng(0)
    low = []
    for _ in range(20):
        confidence = rng.uniform(0.5, 1, 600)
        labels = (rng.random(600) > confidence).astype(int)
        ece = classification_evidence(
            labels, np.stack([confidence, 1 - confidence], axis=1), None, names(2), resamples=200
        )
        low.append(ece["scores"]["ece"]["low"])
        assert ece["scores"]["ece"]["value"] > 0
    assert np.mean(np.array(low) <= 0.005) >= 0.9
