"""Facts about every score, in one place: title, definition, direction, range, and what its interval needs."""

from __future__ import annotations

from dataclasses import dataclass

from coverslip.evidence.intervals import MIN_GROUPS

Z_SCALE, VARIANCE_SCALE = "Fisher z", "log(1 - R²)"
SHARE, CORRELATION = (0.0, 1.0), (-1.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSpec:
    """Facts about a score.

    Attributes:
        title: its name in tables and reports.
        definition: what it is, in one line.
        lower_is_better: whether a lower value is better.
        in_unit: whether it is in the unit of the target, and so has as many decimals as the mean absolute error.
        wilson_range: its range, if its interval is combined with Wilson's for the effective sample size: near the ends
            few groups contain too few errors for a bootstrap interval.
        at_most_images: whether its effective sample size never exceeds the number of images, as for a proportion; a
            score of ranks compares pairs of images and has no such bound.
        least_groups: fewest groups with which it has an interval; with fewer, intervals are useless or cover too rarely
            (``benchmarks/results/coverage_values.md``).
        scale: scale of a further interval, for scores whose resamples are skewed; empty for none.
    """

    title: str
    definition: str
    lower_is_better: bool = False
    in_unit: bool = False
    wilson_range: tuple[float, float] | None = None
    at_most_images: bool = False
    least_groups: int = MIN_GROUPS
    scale: str = ""


SCORE_SPECS = {
    "accuracy": ScoreSpec(title="Accuracy", definition="share of test images classified correctly"),
    "balanced_accuracy": ScoreSpec(
        title="Balanced accuracy",
        definition="mean recall over classes: each class has the same weight",
        wilson_range=SHARE,
        at_most_images=True,
    ),
    "macro_f1": ScoreSpec(
        title="Macro F1",
        definition="mean F1 score over classes: each class has the same weight",
        wilson_range=SHARE,
        at_most_images=True,
    ),
    "micro_f1": ScoreSpec(
        title="Micro F1",
        definition="F1 score over all pairs of image and label: frequent labels dominate",
        wilson_range=SHARE,
        at_most_images=True,
    ),
    "mcc": ScoreSpec(
        title="MCC",
        definition="Matthews correlation between predicted and true classes; 0 is chance, 1 is perfect",
        wilson_range=CORRELATION,
    ),
    "macro_auroc": ScoreSpec(
        title="Macro AUROC",
        definition="mean area under the ROC curve, each class against the rest; 0.5 is chance, 1 is perfect",
        wilson_range=SHARE,
    ),
    "macro_auprc": ScoreSpec(
        title="Macro AUPRC",
        definition="mean area under the precision–recall curve, each class against the rest",
        wilson_range=SHARE,
    ),
    "mean_average_precision": ScoreSpec(
        title="Mean average precision (mAP)",
        definition="mean over labels of the average precision, the area under the precision–recall curve",
        wilson_range=SHARE,
    ),
    "f1": ScoreSpec(
        title="F1", definition="harmonic mean of precision and recall", wilson_range=SHARE, at_most_images=True
    ),
    "auroc": ScoreSpec(title="AUROC", definition="area under the ROC curve", wilson_range=SHARE),
    "auprc": ScoreSpec(title="AUPRC", definition="area under the precision–recall curve", wilson_range=SHARE),
    "log_loss": ScoreSpec(
        title="Log loss",
        definition="mean negative log-probability of the true class; lower is better",
        lower_is_better=True,
    ),
    "brier": ScoreSpec(
        title="Brier score",
        definition="mean squared error of the predicted probabilities; lower is better",
        lower_is_better=True,
    ),
    "ece": ScoreSpec(
        title="Calibration error",
        definition="expected calibration error: mean gap between confidence and accuracy; lower is better",
        lower_is_better=True,
    ),
    "sensitivity": ScoreSpec(
        title="Sensitivity", definition="share of images of the positive class that were classified as positive"
    ),
    "specificity": ScoreSpec(
        title="Specificity", definition="share of images of the negative class that were classified as negative"
    ),
    "exact_match": ScoreSpec(title="Exact match", definition="share of test images whose labels are all right"),
    "hamming_loss": ScoreSpec(
        title="Hamming loss",
        definition="share of wrong pairs of image and label; lower is better",
        lower_is_better=True,
        wilson_range=SHARE,
    ),
    "quadratic_kappa": ScoreSpec(
        title="Quadratic-weighted kappa",
        definition="agreement with the true level beyond chance, errors weighted by squared distance; 1 is perfect",
        wilson_range=CORRELATION,
        scale=Z_SCALE,
    ),
    "level_error": ScoreSpec(
        title="Mean absolute level error",
        definition="mean number of levels between predicted and true; lower is better",
        lower_is_better=True,
        least_groups=10,
    ),
    "adjacent_accuracy": ScoreSpec(title="Adjacent accuracy", definition="share of test images at most one level off"),
    "mae": ScoreSpec(
        title="Mean absolute error",
        definition="mean size of predicted minus true, in the unit of the target; lower is better",
        lower_is_better=True,
        in_unit=True,
    ),
    "rmse": ScoreSpec(
        title="RMSE",
        definition="root of the mean squared error, in the unit of the target; lower is better",
        lower_is_better=True,
        in_unit=True,
    ),
    "r2": ScoreSpec(
        title="R²",
        definition="share of the variance of the true values that is explained; 0 is the mean of the test set, "
        "1 perfect",
        least_groups=60,
        scale=VARIANCE_SCALE,
    ),
    "bias": ScoreSpec(
        title="Bias", definition="mean of predicted minus true, in the unit of the target; 0 is best", in_unit=True
    ),
    "loa_low": ScoreSpec(
        title="Lower limit of agreement",
        definition="bias minus 1.96 standard deviations of predicted minus true",
        in_unit=True,
        least_groups=10,
    ),
    "loa_high": ScoreSpec(
        title="Upper limit of agreement",
        definition="bias plus 1.96 standard deviations of predicted minus true",
        in_unit=True,
        least_groups=10,
    ),
    "concordance": ScoreSpec(
        title="Concordance",
        definition="Lin's concordance correlation: agreement with the identity line; 1 is perfect",
        wilson_range=CORRELATION,
        scale=Z_SCALE,
    ),
    "spearman": ScoreSpec(
        title="Spearman correlation",
        definition="rank correlation of predicted and true values; 0 is chance, 1 is perfect",
        wilson_range=CORRELATION,
    ),
    "coverage": ScoreSpec(
        title="Coverage", definition="share of test images whose prediction interval contains the true value"
    ),
    "interval_width": ScoreSpec(
        title="Width of the intervals",
        definition="mean width of the prediction intervals, in the unit of the target",
        in_unit=True,
    ),
    "top_5_accuracy": ScoreSpec(
        title="Top-5 accuracy", definition="share of test images whose true class is among the five most probable"
    ),
    "difference": ScoreSpec(title="Difference", definition="mean of the paired differences", in_unit=True),
}


def score_spec(name: str) -> ScoreSpec:
    """Return the facts about a score, for its name or that of a column such as ``f1 3``.

    A name unknown to this version, in a file of a later one, is its own title.

    >>> score_spec("f1 3").title, score_spec("own_score").title
    ('F1', 'Own score')
    """
    kind = name.partition(" ")[0]
    return SCORE_SPECS.get(kind) or ScoreSpec(title=kind.replace("_", " ").capitalize(), definition="")
