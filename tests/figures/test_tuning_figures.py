"""The figures of a study, and the identification of trials in them."""

import math
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_hex

from coverslip.figures.style import INK
from coverslip.figures.tuning import Curve, Setting, TrialRow, best_trial, read_trials, trial_svg, value_label
from coverslip.figures.tuning_axes import loss_scale, round_values, setting_scale
from coverslip.figures.tuning_history import curves_figure, history_figure
from coverslip.figures.tuning_map import lr_batch_map
from coverslip.figures.tuning_pairs import contour_figure, smooth_surface
from coverslip.figures.tuning_settings import ImportanceRow, importance_figure, parallel_figure, slices_figure
from coverslip.figures.tuning_steps import expected_figure, step_figure
from coverslip.figures.tuning_sweeps import sweep_curves

RATE = Setting("training.lr", "learning rate", log=True, low=1e-5, high=1.0)
BATCH = Setting("training.batch_size", "batch size", kind="int")
WORD = Setting("training.optimizer", "optimizer", kind="choice", choices=("adam", "sgd"))
TRIALS = [
    TrialRow(
        number,
        "pruned" if number in (3, 7) else "finished",
        loss=0.3 + 0.1 * abs(number % 6 - 2) + 0.01 * number,
        accuracy=0.9,
        epochs=3,
        best_epoch=3,
        role="default" if number == 0 else "search",
        values={"training.lr": 10.0 ** (number % 6 - 5), "training.batch_size": 8 * 2 ** (number // 6)},
    )
    for number in range(12)
]
CURVES = {each.number: Curve([1, 2, 3], [2.0, 1.0, each.loss], [2.1, 0.9, 0.2]) for each in TRIALS}
FAILED = TrialRow(12, "failed", values={"training.lr": 1.0, "training.batch_size": 32}, why="the loss became inf")


def lit(figure, name="f") -> list[int]:
    """Return the trial of each mark in the figure's SVG."""
    return [int(number) for number in re.findall(r'data-t="(\d+)"', trial_svg(figure, name, label="x"))]


@pytest.mark.parametrize(
    "figure",
    [
        history_figure([*TRIALS, FAILED]),
        slices_figure([*TRIALS, FAILED], [RATE]),
        contour_figure([*TRIALS, FAILED], RATE, BATCH),
    ],
)
def test_every_trial_has_an_identifiable_mark(figure) -> None:
    assert set(lit(figure)) == set(range(13))


def test_marks_carry_the_number_of_their_trial() -> None:
    svg = trial_svg(history_figure(TRIALS), "f", label="x")
    places = {int(n): float(x) for n, x in re.findall(r'<use data-t="(\d+)"[^>]* x="([\d.]+)"', svg)}
    assert [number for number, _ in sorted(places.items(), key=lambda item: item[1])] == sorted(places)
    assert "trials-" not in svg


def test_the_line_of_the_best_so_far_never_rises_and_ends_at_the_best_trial() -> None:
    best = best_trial(TRIALS)
    line = next(line for line in history_figure(TRIALS).axes[0].lines if len(line.get_xdata()) > 2)
    y = np.asarray(line.get_ydata())
    assert (np.diff(y) <= 0).all() and y[-1] == best.loss


def test_every_trial_with_a_curve_is_drawn_and_best_and_default_are_labeled() -> None:
    figure = curves_figure(TRIALS, {number: CURVES[number] for number in range(9)}, chance=math.log(10))
    assert set(lit(figure)) == set(range(9))
    words = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "best, trial 2" in words and "default" in words


def test_a_trial_with_one_epoch_is_visible() -> None:
    assert lit(curves_figure([TrialRow(0, "running", loss=2.0)], {0: Curve([1], [2.0], [2.0])})) == [0]


def test_diverged_trials_do_not_affect_the_scale_of_losses() -> None:
    scale = loss_scale([0.2, 0.3, 0.9, 1e6, math.inf, math.nan, None], chance=math.log(10))
    assert scale.low < 0.2 and scale.high < 4 and scale.log
    assert scale.beyond(1e6) and scale.beyond(math.nan) and not scale.beyond(0.9)
    near = loss_scale([0.2, 0.25])
    assert not near.log and near.low < 0.2 and near.high > 0.25


@pytest.mark.parametrize("ends", [(1e-5, 1.0), (0.2, 0.9), (0.19, 0.21), (3.0, 700.0), (1e-9, 1e9)])
def test_ticks_are_round_numbers_within_the_range(ends) -> None:
    for log in (True, False):
        values = round_values(*ends, log=log)
        assert len(values) >= 2 and all(ends[0] * 0.99 <= value <= ends[1] * 1.01 for value in values)


def test_a_setting_has_a_suitable_scale() -> None:
    rate, batch, word = (setting_scale(each, TRIALS) for each in (RATE, BATCH, WORD))
    assert rate.unit(1e-5) == 0 and rate.unit(1.0) == 1 and rate.unit(10**-2.5) == pytest.approx(0.5)
    assert math.isnan(rate.unit("adam")) and math.isnan(rate.unit(0))
    assert (
        batch.unit(8) == 0
        and batch.unit(12) == 0.5
        and {text for _, text in batch.ticks()} <= {str(each) for each in range(8, 17)}
    )
    assert [text for _, text in word.ticks()] == ["adam", "sgd"] and word.unit("sgd") == 0.75
    assert setting_scale(replace(BATCH, kind="choice", choices=(32,)), TRIALS).choices == (8, 16, 32)


def test_a_map_has_a_cell_per_pair_with_a_frame_for_the_best_and_crosses_for_failures() -> None:
    figure = lr_batch_map([*TRIALS, FAILED], RATE, BATCH)
    ax = figure.axes[0]
    assert set(lit(figure)) == set(range(13))
    frame = next(patch for patch in ax.patches if not patch.get_fill() and to_hex(patch.get_edgecolor()) == INK)
    assert frame.get_xy() == (2, 0)
    words = [text.get_text() for text in ax.texts]
    assert words.count("×") == 1 and words.count("90 %") == 10 and words.count("(0.43)") == 1  # pruned
    strengths = {patch.get_xy()[0]: patch.get_alpha() for patch in ax.patches if patch.get_xy()[1] < 1}
    assert strengths[2.02] > strengths[1.02] > strengths[0.02]


def test_a_notebook_draws_a_sweep_from_its_two_tables() -> None:
    trials = pl.DataFrame(
        {
            "number": [0, 1, 2],
            "state": ["finished", "finished", "failed"],
            "validation_loss": [0.9, 0.3, None],
            "training.lr": [1e-3, 1e-2, 10.0],
            "training.batch_size": [8, 8, 8],
        }
    )
    curves = pl.DataFrame(
        {"number": [0, 0, 1, 1, 2], "epoch": [1, 2, 1, 2, 1], "validation_loss": [1.0, 0.9, 0.5, 0.3, None]}
    )
    figure = sweep_curves(trials, curves)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["lr 0.001", "lr 0.01", "lr 10"]
    assert {ax.get_ylim() for ax in figure.axes} == {figure.axes[0].get_ylim()}
    assert any(line.get_marker() == "x" for line in figure.axes[2].lines)  # its loss is not finite
    assert figure.axes[1].spines["top"].get_visible() and not figure.axes[0].spines["top"].get_visible()
    assert figure._repr_png_().startswith(b"\x89PNG") and lr_batch_map(trials)._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"model\.dropout"):
        sweep_curves(trials, curves, "model.dropout")
    with pytest.raises(ValueError, match=r"model\.dropout"):
        lr_batch_map(trials, down="model.dropout")


def test_a_sweep_of_many_values_draws_evenly_spaced_ones() -> None:
    many = [replace(TRIALS[0], number=n, values={"training.lr": float(n + 1)}) for n in range(60)]
    figure = sweep_curves(many, dict.fromkeys(range(60), CURVES[0]), RATE, most=10)
    assert len(figure.axes) == 10 and "60" in figure.axes[-1].get_title(loc="left")


def test_the_surface_of_a_plane_is_the_plane_and_the_distance_to_trials_is_returned() -> None:
    places = np.random.default_rng(0).random((40, 2)) * 0.5
    grid = np.linspace(0, 1, 11)
    surface, away = smooth_surface(places, 3 + 2 * places[:, 0] - places[:, 1], grid)
    expected = 3 + 2 * grid[None, :] - grid[:, None]
    assert np.abs(surface - expected)[1:5, 1:5].max() < 0.05
    assert away[2, 2] < 1 < away[-1, -1]


def test_text_choices_and_few_trials_have_no_surface() -> None:
    worded = [replace(each, values={**each.values, "training.optimizer": "adam"}) for each in TRIALS]
    for trials, up, there in ((TRIALS, BATCH, True), (worded, WORD, False), (TRIALS[:5], BATCH, False)):
        figure = contour_figure(trials, RATE, up)
        assert any("Contour" in type(artist).__name__ for artist in figure.axes[0].collections) is there


def test_parallel_coordinates_have_a_line_per_trial_even_if_a_setting_is_missing() -> None:
    trials = [*TRIALS, replace(TRIALS[0], number=20, role="search", values={"training.lr": 0.1})]
    assert sorted(lit(parallel_figure(trials, [RATE, BATCH]))) == [*range(12), 20]


def test_importance_without_an_interval_has_an_open_marker_and_the_largest_is_first() -> None:
    figure = importance_figure([ImportanceRow("small", 0.1, None, None), ImportanceRow("large", 0.8, 0.7, 0.9)])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words.index("large") < words.index("small") and "[0.70, 0.90]" in words
    faces = [line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert faces[0] != faces[1]


def test_a_step_shows_each_value_with_its_interval_and_fills_the_kept_one() -> None:
    rows = TRIALS[:3]
    figure = step_figure(rows, CURVES, RATE, chosen=1e-3, intervals={0: (0.4, 0.7), 2: (0.2, 0.5)})
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {"1e-5", "1e-4", "0.001", "[0.400, 0.700]", "[0.200, 0.500]"} <= set(words)
    filled = [
        each.get_facecolor()[0].tolist() == each.get_edgecolor()[0].tolist() for each in figure.axes[0].collections
    ]
    assert filled == [False, False, True] and set(lit(figure)) == {0, 1, 2}


def test_the_optimistic_accuracy_has_an_open_marker_and_no_interval() -> None:
    figure = expected_figure([("a", 0.9, None, None, False), ("b", 0.85, 0.8, 0.9, True)], title="accuracy")
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "[0.800, 0.900]" in words and sum(word.startswith("[") for word in words) == 1
    assert figure.axes[0].get_xlim()[0] < 0.8 and figure.axes[0].get_xlim()[1] <= 1


@pytest.mark.parametrize("draw", [history_figure, lambda trials: curves_figure(trials, {})])
def test_the_figure_of_a_study_without_trials_has_a_text(draw) -> None:
    assert "no " in draw([]).axes[0].texts[0].get_text()


def test_values_are_formatted_as_on_the_command_line() -> None:
    for value in (1e-5, 2.15e-4, 0.5, 32, 3e7):
        assert float(value_label(value)) == pytest.approx(value, rel=0.01)


def test_every_further_column_is_a_setting() -> None:
    trial = read_trials({"number": [3], "state": ["pruned"], "why": ["behind"], "seconds": [1.5], "a.b": [None]})[0]
    assert (trial.number, trial.state, trial.why, trial.seconds, trial.loss, trial.values) == (
        3, "pruned", "behind", 1.5, None, {},
    )  # fmt: skip
