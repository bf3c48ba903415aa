"""Functions from arrays to matplotlib figures. They do not use pyplot, so figures are not kept in a global list."""

from __future__ import annotations

from coverslip.figures.classes import class_bars
from coverslip.figures.comparison import DifferenceRow, comparison_figure, signed
from coverslip.figures.curves import training_curves
from coverslip.figures.epochs import history
from coverslip.figures.flow import FlowBox, FlowStage, flow_figure
from coverslip.figures.gallery import examples
from coverslip.figures.histograms import histogram_figure
from coverslip.figures.images import contact_sheet
from coverslip.figures.inflation import inflation_figure
from coverslip.figures.learning import FittedCurve, learning_curve_figure
from coverslip.figures.matrix import confusion_figure
from coverslip.figures.operating import operating_figure
from coverslip.figures.probes import ProbeRow, probe_figure
from coverslip.figures.reliability import ReliabilityBin, reliability_figure
from coverslip.figures.repeats import SpreadRow, repeats_figure
from coverslip.figures.scores import ScoreRow, forest_plot
from coverslip.figures.sets import sets_figure
from coverslip.figures.split import split_figure
from coverslip.figures.style import svg_text
from coverslip.figures.tuning_map import lr_batch_map
from coverslip.figures.tuning_sweeps import sweep_curves

confusion = confusion_figure  # `confusion`, `examples` and `history` are for notebooks; no module may have these names

__all__ = [
    "DifferenceRow",
    "FittedCurve",
    "FlowBox",
    "FlowStage",
    "ProbeRow",
    "ReliabilityBin",
    "ScoreRow",
    "SpreadRow",
    "class_bars",
    "comparison_figure",
    "confusion",
    "confusion_figure",
    "contact_sheet",
    "examples",
    "flow_figure",
    "forest_plot",
    "histogram_figure",
    "history",
    "inflation_figure",
    "learning_curve_figure",
    "lr_batch_map",
    "operating_figure",
    "probe_figure",
    "reliability_figure",
    "repeats_figure",
    "sets_figure",
    "signed",
    "split_figure",
    "svg_text",
    "sweep_curves",
    "training_curves",
]
