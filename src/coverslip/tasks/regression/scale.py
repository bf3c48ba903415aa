"""Scales on which values are fitted: as they are, their logarithm, or the logit of a proportion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from coverslip.core.errors import UserError

FloatArray = npt.NDArray[np.float64]
SCALES = ("", "log", "logit")
TO_SCALE: dict[str, Callable[[FloatArray], FloatArray]] = {"": np.asarray, "log": np.log, "logit": logit}
FROM_SCALE: dict[str, Callable[[FloatArray], FloatArray]] = {"": np.asarray, "log": np.exp, "logit": expit}


def to_scale(values: FloatArray, scale: str) -> FloatArray:
    """Return values on a scale.

    Raises:
        UserError: a value has no logarithm or logit.

    >>> to_scale(np.array([1.0]), "log").tolist()
    [0.0]
    """
    valid = {"": np.isfinite(values), "log": values > 0, "logit": (values > 0) & (values < 1)}[scale]
    if not valid.all():
        allowed = {"log": "above 0", "logit": "between 0 and 1, both excluded"}[scale]
        raise UserError(
            f"--scale {scale} needs values {allowed}; {int((~valid).sum())} of {valid.size} are not, for example "
            f"{values[~valid].flat[0]:g}",
            "omit --scale, or leave these images out",
        )
    return TO_SCALE[scale](values)


def from_scale(values: FloatArray, scale: str) -> FloatArray:
    """Return the values that `to_scale` was given."""
    with np.errstate(over="ignore"):
        return FROM_SCALE[scale](values)
