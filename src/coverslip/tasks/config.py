"""Settings of calibration: coverage of prediction sets and intervals, and the decision threshold of two classes."""

from __future__ import annotations

from dataclasses import dataclass

from coverslip.core.config import option
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.evidence.threshold import positive_class


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationConfig:
    """Section ``[calibration]``: prediction sets.

    Raises:
        UserError: ``coverage`` is not between 0 and 1.
    """

    coverage: float = option(0.9, "How often the prediction set contains the true class, between 0 and 1.")

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise UserError(f"coverage={self.coverage} is not between 0 and 1", "0.9 is usual")


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdConfig:
    """Section ``[threshold]``: the decision threshold of two classes. At most one criterion is given.

    Raises:
        UserError: two criteria are given, or a value is not between 0 and 1.
    """

    positive: str = option("", "Positive class; empty: the one whose name is not healthy, normal, control, ...")
    value: float | None = option(None, "Probability of the positive class from which it is predicted. Default: 0.5.")
    sensitivity: float | None = option(None, "Choose the threshold for at least this sensitivity.")
    specificity: float | None = option(None, "Choose the threshold for at least this specificity.")
    balanced: bool = option(False, "Choose the threshold that maximizes sensitivity + specificity.")

    def __post_init__(self) -> None:
        criteria = {"value": self.value, "sensitivity": self.sensitivity, "specificity": self.specificity}
        given = [name for name, value in criteria.items() if value is not None] + ["balanced"] * self.balanced
        if len(given) > 1:
            raise UserError(
                f"threshold.{given[0]} and threshold.{given[1]} contradict each other", "give one of the two"
            )
        for name, value in criteria.items():
            if value is not None and not 0 < value < 1:
                raise UserError(f"threshold.{name}={value:g} is not between 0 and 1", "give 0.95 for 95 %")

    @property
    def fitted(self) -> bool:
        """Whether held-out images are needed to choose the threshold."""
        return self.sensitivity is not None or self.specificity is not None or self.balanced

    def positive_of(self, classes: tuple[str, ...]) -> tuple[str, str]:
        """Return the positive class of two, and the reason for the choice.

        Raises:
            UserError: the configured positive class is not among ``classes``.
        """
        if not self.positive:
            return positive_class(classes)
        if self.positive not in classes:
            raise UserError(f"threshold.positive={self.positive!r} is not a class", nearest(self.positive, classes))
        return self.positive, "as configured"
