"""Figures for notebooks: examples, history and confusion."""

import importlib
import pkgutil

import numpy as np
import polars as pl
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from coverslip import figures
from coverslip.core.errors import UserError
from coverslip.figures import svg_text
from coverslip.figures.pixels import find_layout, shown_pixels

EPOCHS = {
    "epoch": [1, 2, 3, 4],
    "lr": [0.1, 0.2, 0.1, 0.0],
    "train_loss": [2.0, 1.0, 0.5, 0.2],
    "validation_loss": [2.1, 1.2, 0.9, 1.1],
    "train_accuracy": [0.3, 0.6, 0.8, None],
    "validation_accuracy": [0.2, 0.5, 0.7, 0.65],
    "seconds": [1.0, 2.0, 3.0, 4.0],
}


def titles(figure: Figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes]


def test_every_public_name_is_callable_after_all_modules_are_imported() -> None:
    for module in pkgutil.iter_modules(figures.__path__):
        importlib.import_module(f"coverslip.figures.{module.name}")
    assert all(callable(getattr(figures, name)) for name in figures.__all__)
    assert {"examples", "history", "confusion"} <= set(figures.__all__)


@pytest.mark.parametrize("frame", [EPOCHS, pl.DataFrame(EPOCHS)])
def test_a_history_has_loss_accuracy_the_best_epoch_and_the_learning_rate(frame) -> None:
    figure = figures.history(frame, best=3)
    assert titles(figure) == ["loss", "accuracy", "learning rate"]
    for ax, value in zip(figure.axes, (0.9, 0.7), strict=False):
        train, validation = ax.lines[:2]
        assert (train.get_marker(), train.get_linestyle()) != (validation.get_marker(), validation.get_linestyle())
        ring = ax.lines[-1]
        assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([3], [value])
        assert "best epoch (3)" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(figure.axes[1].lines[0].get_xdata()) == 3  # missing values are skipped
    assert list(figure.axes[2].lines[0].get_ydata()) == EPOCHS["lr"]


def test_a_constant_learning_rate_is_not_drawn_and_the_best_epoch_can_be_on_the_training_line() -> None:
    plain = {"epoch": [1, 2], "lr": [0.1, 0.1], "train_loss": [2.0, 1.0], "validation_loss": [None, None]}
    figure = figures.history(plain, best=2)
    assert titles(figure) == ["loss"]
    assert list(figure.axes[0].lines[-1].get_ydata()) == [1.0]
    assert "best" not in svg_text(figures.history(plain), "h")


@pytest.mark.parametrize("frame", [{}, {"epoch": [], "train_loss": []}, {"train_loss": [1.0]}])
def test_a_short_history_can_be_drawn(frame) -> None:
    figure = figures.history(frame, best=1)
    assert len(figure.axes) == 1
    ticks = [tick for tick in figure.axes[0].get_xticks() if figure.axes[0].axison]
    assert all(tick == round(tick) for tick in ticks)


def test_a_notebook_displays_a_figure_without_pyplot() -> None:
    for figure in (figures.history(EPOCHS), figures.confusion([[1]], ["a"]), figures.examples(np.zeros((1, 8, 8, 3)))):
        assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.fixture
def leaves():
    """Twelve sorted images of three classes; the grey value is given by the class id."""
    y = np.repeat([0, 1, 2], 4)
    return np.broadcast_to((y * 80).astype(np.uint8)[:, None, None, None], (12, 10, 9, 3)).copy(), y


def test_examples_alternate_the_classes_of_sorted_images(leaves) -> None:
    x, y = leaves
    figure = figures.examples(x, y, ["early", "late", "rust"], most=4)
    assert titles(figure) == ["early", "late", "rust", "early"]
    greys = [int(np.asarray(ax.images[0].get_array())[0, 0, 0]) for ax in figure.axes]
    assert greys == [0, 80, 160, 0]
    assert len(figures.examples(x, most=5).axes) == 5


def test_a_wrong_prediction_is_marked_by_sign_frame_and_text_not_by_color_alone(leaves) -> None:
    x, y = leaves
    predicted = np.full((12, 3), 0.05)
    predicted[np.arange(12), np.where(np.arange(12) == 1, 2, y)] = 0.9
    figure = figures.examples(x, y, ["early", "late", "rust"], predicted=predicted)
    right, wrong = figure.axes[:2]
    assert titles(figure)[:2] == ["✓ early 0.90", "✗ rust 0.90\ntrue early"]
    frames = [(ax.spines["left"].get_linewidth(), ax.spines["left"].get_linestyle()) for ax in (right, wrong)]
    assert frames[0] != frames[1] and frames[0][1] != frames[1][1]
    assert to_hex(right.spines["left"].get_edgecolor()) != to_hex(wrong.spines["left"].get_edgecolor())
    unknown = figures.examples(x, classes=["early", "late", "rust"], predicted=y)
    assert titles(unknown)[0] == "early"  # without true classes, there is no mark


@pytest.mark.parametrize("labels", [["a", "b"], np.eye(2)[[0, 1]], torch.tensor([0, 1]), [[0], [1]]])
def test_examples_take_labels_in_any_form(labels) -> None:
    assert titles(figures.examples(torch.zeros(2, 3, 12, 12), labels, ["a", "b"])) == ["a", "b"]


def test_examples_with_invalid_arguments_are_errors() -> None:
    x = np.zeros((2, 12, 12, 3), np.uint8)
    for call, words in (
        (lambda: figures.examples(x, [0]), "2 images, but 1 labels"),
        (lambda: figures.examples(x, [0, 5], ["a", "b"]), "there are 2 class names"),
        (lambda: figures.examples(x[:0]), "no images"),
        (lambda: figures.examples(x + 0.5 + 200), "divide by 255"),
        (lambda: figures.examples(np.zeros((2, 3, 3, 3))), "layout="),
    ):
        with pytest.raises(UserError, match=words):
            call()


def test_images_of_any_number_of_channels_can_be_shown() -> None:
    for channels in (1, 2, 3, 5):
        x = np.random.default_rng(channels).random((2, 20, 24, channels))
        assert shown_pixels(x).shape == shown_pixels(np.moveaxis(x, 3, 1)).shape == (2, 20, 24, 3)
        assert np.array_equal(shown_pixels(x), shown_pixels(np.moveaxis(x, 3, 1)))
    assert shown_pixels(np.zeros((2, 20, 24))).shape == (2, 20, 24, 3)
    assert find_layout((9, 10, 64, 64)) == "NCHW" and find_layout((9, 64, 64, 10)) == "NHWC"
