import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.resources import files

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from coverslip.figures import (
    FittedCurve,
    ProbeRow,
    ReliabilityBin,
    ScoreRow,
    SpreadRow,
    class_bars,
    confusion_figure,
    contact_sheet,
    forest_plot,
    histogram_figure,
    inflation_figure,
    learning_curve_figure,
    probe_figure,
    reliability_figure,
    repeats_figure,
    sets_figure,
    split_figure,
    svg_text,
    training_curves,
)
from coverslip.figures.labels import wrap_name
from coverslip.figures.style import PAGE_VARIABLES

LONG = "Tomato___Spider_mites Two-spotted_spider_mite"


def names_of(count: int) -> list[str]:
    return [f"{LONG} {index}" for index in range(count)]


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("classes", [2, 6, 7, 15, 40])
def test_a_confusion_matrix_has_a_cell_for_every_count_above_zero_and_stays_readable(classes: int) -> None:
    counts = np.eye(classes, dtype=int) * 5
    counts[0, 1] = 3
    figure = confusion_figure(counts, names_of(classes))
    cells = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert len(cells) == classes + 1
    assert {cell.get_gid() for cell in cells} >= {"cell-0-0", "cell-0-1", "cell-1-1"}
    assert min(text.get_fontsize() for text in figure.axes[0].texts) >= 6.5
    width, height = figure.get_size_inches()
    assert width < 13 and height < 12


def test_the_color_of_a_confusion_cell_is_the_share_of_its_row_and_its_number_the_count() -> None:
    figure = confusion_figure([[3, 1], [0, 0]], ["a", "b"])
    shares = {patch.get_gid(): patch.get_alpha() for patch in figure.axes[0].patches}
    assert shares == {"cell-0-0": 0.75, "cell-0-1": 0.25}
    assert {"3", "0.75", "1", "0.25", "4", "0"} <= set(texts_of(figure))


def test_a_confusion_matrix_with_a_wrong_number_of_names_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 names for counts of shape"):
        confusion_figure(np.eye(2), ["a", "b", "c"])


def test_numbers_in_a_confusion_matrix_have_enough_contrast_in_light_and_dark_mode() -> None:
    modes = {
        "light": {
            "card": "#fffefb",
            "accent": "#2f6f4f",
            "#101512": "#101512",
            "#000000": "#000000",
            "#ffffff": "#ffffff",
        },
        "dark": {
            "card": "#1b211d",
            "accent": "#8accab",
            "#101512": "#ffffff",
            "#000000": "#000000",
            "#ffffff": "#000000",
        },
    }
    for count in (1, 20, 40, 53, 54, 70, 87, 88, 99):
        figure = confusion_figure([[count, 100 - count], [0, 1]], ["a", "b"])
        text = next(text for text in figure.axes[0].texts if text.get_text() == str(count))
        for colors in modes.values():
            cell = mixed(colors["accent"], colors["card"], count / 100)
            assert contrast(cell, rgb(colors[to_hex(text.get_color())])) >= 4.45


def test_the_colors_of_figures_are_the_light_ones_of_the_pages() -> None:
    theme = files("coverslip").joinpath("look", "theme.css").read_text(encoding="utf-8")
    light = re.findall(r"--[a-z-]+: #[0-9a-f]{6}", theme.partition("@media")[0])
    assert {f"{variable}: {color}" for color, variable in PAGE_VARIABLES.items()} <= set(light)


def rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def mixed(over: str, under: str, alpha: float) -> tuple[float, ...]:
    return tuple(a * alpha + b * (1 - alpha) for a, b in zip(rgb(over), rgb(under), strict=True))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2.1, relative luminance."""

    def luminance(color: tuple[float, ...]) -> float:
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_a_forest_plot_has_a_row_per_class_and_open_markers_without_interval() -> None:
    rows = [
        ScoreRow("a", 0.9, 0.8, 0.95, 30),
        ScoreRow(LONG, 0.5, None, None, 2),
        ScoreRow("c", None, None, None, 0),
    ]
    figure = forest_plot({"Recall": rows, "Precision": rows}, reference={"Recall": 0.7})
    assert len(figure.axes) == 2
    markers = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [to_hex(line.get_markerfacecolor()) for line in markers] == ["#2f6f4f", "#fffefb"]  # filled, then open
    assert {"0.90", "[0.80, 0.95]", "0.50", "not defined", "30", "2", "0"} <= set(texts_of(figure))


def test_panels_of_a_forest_plot_with_different_classes_are_an_error() -> None:
    with pytest.raises(ValueError, match="same class names"):
        forest_plot({"a": [ScoreRow("x", 1, 1, 1, 1)], "b": [ScoreRow("y", 1, 1, 1, 1)]})


@pytest.mark.parametrize("small", [True, False])
def test_a_reliability_diagram_is_square_with_equal_limits_on_both_axes(small: bool) -> None:
    bins = [
        ReliabilityBin(0.62, 0.55, 0.7, 0.41, 0.33, 0.7),
        ReliabilityBin(0.9, 0.8, 1.0, 0.95, None, None),
        ReliabilityBin(0.99, 0.99, 1.0, None, None, None),
    ]
    figure = reliability_figure(bins, title=LONG, small=small)
    ax = figure.axes[0]
    (low, high), (width, height) = ax.get_xlim(), figure.get_size_inches() * ax.get_position().size
    assert ax.get_ylim() == (low, high) and 0.2 < low <= 0.33 and high >= 1 and width == pytest.approx(height)
    markers = [line for line in ax.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in markers] == [[0.62], [0.9]]  # filled, then open: no interval
    assert to_hex(markers[1].get_markerfacecolor()) == "#fffefb"
    assert ax.get_xticks()[0] == ax.get_yticks()[0] == pytest.approx(0.3)


def test_a_reliability_diagram_can_be_empty_and_does_not_magnify_small_differences() -> None:
    assert reliability_figure([]).axes[0].get_xlim()[0] <= 0
    sure = reliability_figure([ReliabilityBin(0.99, 0.98, 1.0, 0.97, 0.95, 0.99)])
    assert sure.axes[0].get_xlim()[0] < 0.5


def test_sets_are_drawn_with_the_nominal_coverage_and_an_axis_for_all_sizes() -> None:
    coverage = [ScoreRow("a", 0.93, 0.85, 0.97, 30), ScoreRow(LONG, None, None, None, 0)]
    sizes = [ScoreRow("a", 3.2, 2.9, 3.6, 30), ScoreRow(LONG, None, None, None, 0)]
    left, right = sets_figure(coverage, sizes, 0.9, 15).axes
    assert left.get_xlim() == (0, 1) and right.get_xlim() == (0, 4)
    assert any(list(line.get_xdata()) == [0.9, 0.9] for line in left.lines)
    assert not any(list(line.get_xdata()) == [0.9, 0.9] for line in right.lines)
    assert sets_figure(coverage, sizes[:1] + coverage[1:], None, 3).axes[1].get_xlim()[1] >= 3.6


def test_repeats_show_every_score_and_do_not_magnify_small_differences() -> None:
    rows = [
        SpreadRow("3 seeds", [0.901, 0.902, 0.903], 0.902, 0.9, 0.904),
        SpreadRow(LONG, [0.9], 0.9, None, None),
        SpreadRow("none", [], None, None, None),
    ]
    ax = repeats_figure(rows).axes[0]
    low, high = ax.get_xlim()
    assert high - low >= 0.1 - 1e-9 and low < 0.9 < high <= 1
    rings = [line for line in ax.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in rings] == [[0.901, 0.902, 0.903], [0.9], []]
    assert {"0.902", "[0.900, 0.904]", "0.900"} <= {text.get_text() for text in ax.texts}
    means = [line for line in ax.lines if line.get_marker() == "D"]
    assert [to_hex(line.get_markerfacecolor()) for line in means] == ["#2f6f4f", "#fffefb"]
    assert repeats_figure([rows[2]]).axes[0].get_xlim() == (0, 1)


def test_a_learning_curve_is_dashed_beyond_its_largest_size() -> None:
    sizes, scores = [80, 10, 20, 40], [[0.9, 0.6, np.nan, 0.85], [0.92, 0.64, 0.75, np.nan]]
    grid = np.geomspace(10, 160, 9)
    curve = FittedCurve(grid, 0.95 - grid**-0.5, 0.9 - grid**-0.5, 1 - grid**-0.5)
    ax = learning_curve_figure(sizes, scores, curve, unit="leaves").axes[0]
    dashed = [line for line in ax.lines if line.is_dashed() and line.get_linewidth() > 1]
    assert dashed[0].get_xdata()[0] == pytest.approx(80) and dashed[0].get_xdata()[-1] == pytest.approx(160)
    means = {line.get_xdata()[0]: line.get_ydata()[0] for line in ax.lines if line.get_marker() == "D"}
    assert means[10] == pytest.approx(0.62) and means[20] == pytest.approx(0.75) and means[160] == curve.value[-1]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["10", "20", "40", "80", "160"]
    assert ax.get_xlabel() == "leaves used for training"


@pytest.mark.parametrize("scores", [[[0.9, 0.9]], [[np.nan, np.nan]]])
def test_a_learning_curve_without_a_fit_or_a_score_can_be_drawn(scores: list[list[float]]) -> None:
    ax = learning_curve_figure([5, 10], scores, None, unit="images").axes[0]
    low, high = ax.get_ylim()
    assert high - low >= 0.1 - 1e-9
    with pytest.raises(ValueError, match=r"sizes must have shape \(S,\)"):
        learning_curve_figure([5], scores, None, unit="images")


def test_the_split_has_a_bar_for_every_class_and_split_and_all_numbers() -> None:
    figure = split_figure(["a", "b"], {"train": [100, 7], "validation": [20, 1], "test": [21, 2]})
    assert len(figure.axes[0].patches) == 6
    assert {"100", "20", "21", "141", "10 = 7 + 1 + 2"} <= set(texts_of(figure))


@pytest.mark.parametrize("classes", [1, 15, 60])
def test_every_class_has_a_bar_with_its_number(classes: int) -> None:
    figure = class_bars(names_of(classes), list(range(classes)))
    assert [patch.get_width() for patch in figure.axes[0].patches] == list(range(classes))
    assert {str(count) for count in range(classes)} <= set(texts_of(figure))
    with pytest.raises(ValueError, match="1 names for 2 counts"):
        class_bars(["a"], [1, 2])


def test_a_histogram_has_a_bar_per_bin() -> None:
    figure = histogram_figure([0.0, 0.5, 2.0], [3, 0], "Brightness", "0 to 1")
    bars = [(patch.get_x(), patch.get_width(), patch.get_height()) for patch in figure.axes[0].patches]
    assert bars == [(0.0, 0.5, 3), (0.5, 1.5, 0)]
    with pytest.raises(ValueError, match="2 edges for 2 counts"):
        histogram_figure([0, 1], [1, 2], "x")


def test_a_probe_is_drawn_with_its_chance_level_and_not_by_color_alone() -> None:
    rows = [
        ProbeRow("border", 0.8, 0.7, 0.9, 0.5, "warns", "shortcut"),
        ProbeRow("size", 0.6, None, None, 0.5, "notes", "note"),
        ProbeRow(LONG, 0.5, 0.4, 0.6, 0.5, "silent", "no evidence"),
        ProbeRow("exif", None, None, None, 0.5, "silent", "not run"),
    ]
    figure = probe_figure(rows)
    points = [line for line in figure.axes[0].lines if line.get_marker() in "Dso"]
    assert [(line.get_marker(), line.get_xdata()[0]) for line in points] == [("D", 0.8), ("s", 0.6), ("o", 0.5)]
    assert to_hex(points[1].get_markerfacecolor()) == "#fffefb"  # open: no interval
    assert {"0.80", "[0.70, 0.90]", "shortcut", "not run", "chance 0.50"} <= set(texts_of(figure))
    ticks = [line for line in figure.axes[0].lines if list(line.get_xdata()) == [0.5, 0.5]]
    assert len(ticks) == len(rows)


def test_probes_with_different_chance_levels_are_marked_individually() -> None:
    rows = [ProbeRow(str(c), 0.7, 0.6, 0.8, c, "silent", "no evidence") for c in (0.1, 0.3)]
    figure = probe_figure(rows)
    assert [list(line.get_xdata()) for line in figure.axes[0].lines[::3]] == [[0.1, 0.1], [0.3, 0.3]]
    assert not [text for text in texts_of(figure) if text.startswith("chance")]


@pytest.mark.parametrize("pairs", [[], [(0.9, 0.8)], [(0.98, 0.94), (0.97, 0.95)]])
def test_the_inflation_figure_connects_the_random_and_the_grouped_mean(pairs: list[tuple[float, float]]) -> None:
    ax = inflation_figure(pairs, 0.975, 0.945, by="leaf").axes[0]
    assert [tuple(line.get_ydata()) for line in ax.lines[: len(pairs) + 1]] == [*pairs, (0.975, 0.945)]
    assert {"0.975", "0.945"} <= {text.get_text() for text in ax.texts}
    low, high = ax.get_ylim()
    assert high - low >= 0.1  # small differences are not magnified


def test_training_curves_skip_missing_values_and_have_a_panel_per_metric() -> None:
    history = {
        "step": [0, 10, 20],
        "train_loss": [2.0, 1.0, 0.5],
        "validation_loss": [2.1, None, float("nan")],
        "validation_accuracy": [None, 0.5, 0.7],
        "never_measured": [None, None, None],
    }
    figure = training_curves(history)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["loss", "accuracy"]
    assert [list(line.get_xdata()) for line in figure.axes[0].lines] == [[0, 10, 20], [0]]
    styles = [(line.get_marker(), line.get_linestyle()) for line in figure.axes[0].lines]
    assert styles[0] != styles[1]  # not by color alone


@pytest.mark.parametrize("history", [{}, {"step": [], "train_loss": []}, {"train_loss": [1.0]}])
def test_a_history_with_few_values_can_be_drawn(history: dict[str, list[float | None]]) -> None:
    assert len(training_curves(history).axes) == 1


def test_the_same_figure_gives_the_same_svg_text() -> None:
    one, other = (svg_text(confusion_figure(np.eye(3) * 4, ["a", "b", "$c$"]), "x") for _ in range(2))
    assert one == other


def test_svg_text_is_well_formed_small_and_needs_no_network() -> None:
    figure = confusion_figure([[5, 1], [0, 4]], ['<b>"x", y</b>', "健康"], link=lambda i, j: f"#pair-{i}-{j}")
    svg = svg_text(figure, "conf", label='a & "b"', titles={"cell-0-1": "<i>"})
    ET.fromstring(svg)
    assert "http" not in svg and "<?xml" not in svg and len(svg) < 20_000
    assert "&lt;b&gt;" in svg and "<b>" not in svg and "健康" in svg
    assert '<g id="conf-cell-0-1"><title>&lt;i&gt;</title>' in svg
    assert 'href="#pair-0-1"' in svg
    assert all(id_.startswith("conf-") for id_ in re.findall(r'\bid="([^"]+)"', svg))


def test_two_figures_in_one_page_share_no_id() -> None:
    figure = training_curves({"step": [1, 2], "train_loss": [1.0, 0.5]})
    one, other = (set(re.findall(r'\bid="([^"]+)"', svg_text(figure, name))) for name in ("one", "two"))
    assert one and not one & other


@pytest.mark.parametrize("name", ["", "a", LONG, "x" * 200, "Blé / maïs_" * 9, "健康的叶子" * 12])
@pytest.mark.parametrize("lines", [1, 2, 4])
def test_a_wrapped_name_fits_its_box(name: str, lines: int) -> None:
    rows = wrap_name(name, 14, lines).split("\n")
    assert len(rows) <= lines and max(map(len, rows)) <= 14


def test_a_contact_sheet_does_not_crop_images() -> None:
    wide, tall = Image.new("RGB", (300, 100), "red"), Image.new("L", (10, 40), 0)
    sheet = contact_sheet([wide, tall, wide], ["one", LONG, ""], columns=2, side=64, gap=4)
    assert sheet.mode == "RGB" and sheet.size == (4 + 2 * 68, 4 + 2 * (64 + 32 + 4))
    assert sheet.getpixel((4, 4 + 32)) == (255, 0, 0) and sheet.getpixel((67, 4 + 32)) == (255, 0, 0)


def test_drawing_a_figure_does_not_change_matplotlib_settings() -> None:
    program = (
        "import matplotlib as m, sys\n"
        "settings = lambda: [m.rcParams[key] for key in m.rcParams if key != 'backend']\n"  # reading it imports pyplot
        "from coverslip.figures import confusion_figure, svg_text\n"
        "before = settings(); svg_text(confusion_figure([[1]], ['a']), 'x')\n"
        "assert settings() == before and not {'matplotlib.pyplot', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
