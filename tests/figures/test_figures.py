import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from coverslip.figures import (
    ScoreRow,
    confusion_figure,
    contact_sheet,
    forest_plot,
    split_figure,
    svg_text,
    training_curves,
)
from coverslip.figures.labels import wrap_name

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


def test_a_confusion_matrix_of_another_size_than_its_names_is_refused() -> None:
    with pytest.raises(ValueError, match="3 names for counts of shape"):
        confusion_figure(np.eye(2), ["a", "b", "c"])


def test_the_number_on_a_confusion_cell_can_be_read_in_light_and_in_dark_mode() -> None:
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
        text = next(each for each in figure.axes[0].texts if each.get_text() == str(count))
        for colors in modes.values():
            cell = mixed(colors["accent"], colors["card"], count / 100)
            assert contrast(cell, rgb(colors[to_hex(text.get_color())])) >= 4.45


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


def test_a_forest_plot_has_a_row_a_class_and_says_which_has_no_interval() -> None:
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


def test_panels_of_a_forest_plot_with_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="same class names"):
        forest_plot({"a": [ScoreRow("x", 1, 1, 1, 1)], "b": [ScoreRow("y", 1, 1, 1, 1)]})


def test_the_split_has_a_bar_for_every_class_and_part_and_hides_no_number() -> None:
    figure = split_figure(["a", "b"], {"train": [100, 7], "validation": [20, 1], "test": [21, 2]})
    assert len(figure.axes[0].patches) == 6
    assert {"100", "20", "21", "141", "10 = 7 + 1 + 2"} <= set(texts_of(figure))


def test_curves_leave_gaps_out_and_give_each_measured_thing_a_panel() -> None:
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
    looks = [(line.get_marker(), line.get_linestyle()) for line in figure.axes[0].lines]
    assert looks[0] != looks[1]  # never color alone


@pytest.mark.parametrize("history", [{}, {"step": [], "train_loss": []}, {"train_loss": [1.0]}])
def test_a_history_with_little_in_it_is_still_a_figure(history: dict[str, list[float | None]]) -> None:
    assert len(training_curves(history).axes) == 1


def test_the_same_figure_gives_the_same_svg_text_to_the_letter() -> None:
    one, other = (svg_text(confusion_figure(np.eye(3) * 4, ["a", "b", "$c$"]), "x") for _ in range(2))
    assert one == other


def test_svg_text_is_well_formed_small_and_asks_nothing_of_the_network() -> None:
    figure = confusion_figure([[5, 1], [0, 4]], ['<b>"x", y</b>', "健康"], link=lambda i, j: f"#pair-{i}-{j}")
    svg = svg_text(figure, "conf", label='a & "b"', titles={"cell-0-1": "<i>"})
    ET.fromstring(svg)
    assert "http" not in svg and "<?xml" not in svg and len(svg) < 20_000
    assert "&lt;b&gt;" in svg and "<b>" not in svg and "健康" in svg
    assert '<g id="conf-cell-0-1"><title>&lt;i&gt;</title>' in svg
    assert 'href="#pair-0-1"' in svg
    assert all(each.startswith("conf-") for each in re.findall(r'\bid="([^"]+)"', svg))


def test_two_figures_in_one_page_share_no_id() -> None:
    figure = training_curves({"step": [1, 2], "train_loss": [1.0, 0.5]})
    one, other = (set(re.findall(r'\bid="([^"]+)"', svg_text(figure, name))) for name in ("one", "two"))
    assert one and not one & other


@pytest.mark.parametrize("name", ["", "a", LONG, "x" * 200, "Blé / maïs_" * 9, "健康的叶子" * 12])
@pytest.mark.parametrize("lines", [1, 2, 4])
def test_a_wrapped_name_keeps_within_its_box(name: str, lines: int) -> None:
    rows = wrap_name(name, 14, lines).split("\n")
    assert len(rows) <= lines and max(map(len, rows)) <= 14


def test_a_contact_sheet_shows_every_picture_whole() -> None:
    wide, tall = Image.new("RGB", (300, 100), "red"), Image.new("L", (10, 40), 0)
    sheet = contact_sheet([wide, tall, wide], ["one", LONG, ""], columns=2, side=64, gap=4)
    assert sheet.mode == "RGB" and sheet.size == (4 + 2 * 68, 4 + 2 * (64 + 32 + 4))
    assert sheet.getpixel((4, 4 + 32)) == (255, 0, 0) and sheet.getpixel((67, 4 + 32)) == (255, 0, 0)


def test_drawing_a_figure_leaves_the_users_own_matplotlib_settings_alone() -> None:
    program = (
        "import matplotlib as m, sys\n"
        "settings = lambda: [m.rcParams[key] for key in m.rcParams if key != 'backend']\n"  # that one starts pyplot
        "from coverslip.figures import confusion_figure, svg_text\n"
        "before = settings(); svg_text(confusion_figure([[1]], ['a']), 'x')\n"
        "assert settings() == before and not {'matplotlib.pyplot', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
