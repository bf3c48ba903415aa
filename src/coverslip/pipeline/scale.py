"""The scale of a regression: whether all values of a table exist on it."""

from __future__ import annotations

import numpy as np

from coverslip.core.errors import UserError
from coverslip.data.table import ImageTable

SHOWN = 4  # images that the message lists


def check_scale(table: ImageTable, scale: str) -> None:
    """Refuse a scale on which some values of a regression do not exist.

    Args:
        table: the images with the values of their targets.
        scale: "", "log" or "logit".

    Raises:
        UserError: a value has no logarithm or logit; the first images are listed.
    """
    if not scale:
        return
    rows = table.rows()
    values, paths = table.target(rows).array, [table.paths[row] for row in rows]
    outside = values <= 0 if scale == "log" else (values <= 0) | (values >= 1)
    for name, column, wrong in zip(table.targets, values.T, outside.T, strict=True):
        found = np.flatnonzero(wrong)
        if not len(found):
            continue
        listed = ", ".join(f"{paths[row]!r} ({column[row]:g})" for row in found[:SHOWN])
        more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
        allowed = "above 0" if scale == "log" else "between 0 and 1, both excluded"
        fix = "omit --scale, or correct these values"
        if scale == "logit" and (column > 0).all():
            fix = "omit --scale, or use --scale log, which needs values above 0"
            if 1 < column.max() <= 100:
                fix = f"if they are percent, divide them by 100; otherwise {fix}"
        raise UserError(
            f"--scale {scale} needs values {allowed}; {len(found):,} of {len(rows):,} values of {name!r} "
            f"{'is' if len(found) == 1 else 'are'} not: {listed}{more}",
            fix,
        )
