"""Arrays in, matplotlib `Figure` out. Never pyplot: a figure belongs to whoever asked for it, not to a global list."""

from __future__ import annotations

from coverslip.figures.confusion import confusion_figure
from coverslip.figures.curves import training_curves
from coverslip.figures.pictures import contact_sheet
from coverslip.figures.scores import ScoreRow, forest_plot
from coverslip.figures.split import split_figure
from coverslip.figures.style import svg_text

__all__ = [
    "ScoreRow",
    "confusion_figure",
    "contact_sheet",
    "forest_plot",
    "split_figure",
    "svg_text",
    "training_curves",
]
