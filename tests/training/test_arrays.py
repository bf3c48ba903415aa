"""`coverslip.fit`: train and evaluate networks on arrays."""

import io
import re

import numpy as np
import polars as pl
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from coverslip.core.errors import UserError
from coverslip.data.augment import Augmentation
from coverslip.training.array_data import read_images, read_labels
from coverslip.training.arrays import evaluate_arrays, fit_arrays
from coverslip.training.epoch_printer import EpochPrinter

CPU = torch.device("cpu")


def linear(classes=2, values=8 * 8 * 3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(values, classes))


@pytest.fixture
def squares():
    """Return 80 images of 8 x 8 pixels, sorted by class (dark, then bright), with four images per group."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 128, (80, 8, 8, 3), np.uint8)
    x[40:] += 120
    return x, np.repeat([0, 1], 40), [f"leaf {row // 4}" for row in range(80)]


def read(x, **options):
    """Return the inputs of the network, float32 on the CPU, and the description."""
    inputs, description = read_images(x, **options)
    return inputs.take(np.arange(len(inputs)), None, CPU), description


def test_images_are_read_equally_in_any_layout_dtype_and_library(squares):
    x = squares[0]
    expected = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
    for array in (x, x.transpose(0, 3, 1, 2), x / 255, (x / 255).astype(np.float32), torch.from_numpy(x.copy())):
        images, description = read(array)
        assert torch.allclose(images, expected, atol=1e-6) and images.dtype == torch.float32
        assert "80 images of 8 × 8 pixels, 3 channels" in description
        assert ("NHWC" in description) == (array.shape[3] == 3)
        assert ("NCHW" in description) == (array.shape[1] == 3)


def test_grayscale_images_and_feature_vectors_are_accepted():
    assert read(np.zeros((5, 28, 28), np.uint8))[0].shape == (5, 1, 28, 28)
    rows, description = read(np.array([[-3.0, 700.0], [0.5, 2.0]]))
    assert rows.tolist() == [[-3.0, 700.0], [0.5, 2.0]] and "2 feature vectors of 2 values" in description


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (4, 3, 9, 3), (4, 28, 28, 28), (4, 4, 64, 3), (4, 64, 32, 50)])
def test_an_ambiguous_shape_is_refused_with_both_layouts(shape):
    with pytest.raises(UserError, match=r"layout='NHWC'.*layout='NCHW'"):
        read_images(np.zeros(shape, np.uint8))
    assert read(np.zeros(shape, np.uint8), layout="NCHW")[0].shape == shape
    assert read(np.zeros(shape, np.uint8), layout="NHWC")[0].shape == (shape[0], shape[3], shape[1], shape[2])
    with pytest.raises(UserError, match="did you mean 'NHWC'"):
        read_images(np.zeros(shape, np.uint8), layout="NHC")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((2, 9, 9, 3), 255.0), "divide by 255"),
        (np.full((2, 9, 9, 3), 4095.0), "divide by the largest"),
        (np.full((2, 9, 9, 3), -0.5), "normaliz"),
        (np.full((2, 9, 9, 3), np.nan), "NaN"),
        (np.ones((2, 9, 9, 3), np.int64), "x has dtype int64"),
        (np.ones((2, 9, 9, 3), np.uint16), "65535"),
        (np.ones((2, 2, 9, 9, 3), np.uint8), "not four-dimensional"),
        (np.ones((0, 9, 9, 3), np.uint8), "give images"),
        (np.ones(7, np.uint8), "give images"),
    ],
)
def test_invalid_images_are_refused_with_a_fix(x, message):
    with pytest.raises(UserError, match=message):
        read_images(x)


@pytest.mark.parametrize(
    "y",
    [
        [0, 2, 1, 2],
        np.array([0, 2, 1, 2], np.uint8),
        np.array([[0.0], [2.0], [1.0], [2.0]]),  # as in the data sets of Keras
        torch.tensor([0, 2, 1, 2]),
        np.eye(3)[[0, 2, 1, 2]],
        torch.eye(3)[[0, 2, 1, 2]],
        ["early", "rust", "healthy", "rust"],
        np.array(["early", "rust", "healthy", "rust"], object),
    ],
)
def test_labels_can_be_ids_one_hot_rows_or_names(y):
    labels, names = read_labels(y, 4, None)
    assert labels.tolist() == [0, 2, 1, 2] and labels.dtype == np.int64 and len(names) == 3


@pytest.mark.parametrize(
    ("y", "classes", "words"),
    [
        ([0, 1, 2], None, "4 images and y has 3 labels"),
        ([0, 1, 2, -1], None, "from -1 to 2"),
        ([0, 1, 2, 3], ["a", "b"], "from 0 to 3, but there are 2 classes"),
        ([0, 1, 0.5, 1], None, "not integers"),
        (np.full((4, 3), 0.3), None, "not one-hot"),
        (["rust", "rust", "helthy", "rust"], ["healthy", "rust"], "did you mean 'healthy'"),
    ],
)
def test_invalid_labels_are_refused(y, classes, words):
    with pytest.raises(UserError, match=words):
        read_labels(y, 4, classes)


def test_the_validation_set_is_random_and_stratified_with_groups_kept_intact(squares):
    x, y, groups = squares
    history = fit_arrays(linear(), x, y, epochs=1, verbose=0)
    held = history.validation_rows
    assert np.bincount(y[held]).tolist() == [8, 8]  # Keras would use the last 16, all of one class
    assert sorted([*history.train_rows, *held]) == list(range(80))
    history = fit_arrays(linear(), x, y, epochs=1, groups=groups, verbose=0)
    held = {groups[row] for row in history.validation_rows}
    assert len(held) == 4 and not held & {groups[row] for row in history.train_rows}
    other = fit_arrays(linear(), x, y, epochs=1, seed=1, verbose=0)
    assert other.validation_rows.tolist() != fit_arrays(linear(), x, y, epochs=1, verbose=0).validation_rows.tolist()


def test_a_network_is_trained_in_place_and_the_history_has_one_row_per_epoch(squares):
    x, y, _ = squares
    network = linear()
    before = network[1].weight.detach().clone()
    history = fit_arrays(network, x, y, epochs=12, batch_size=8, lr=3e-2, verbose=0)
    assert history.network is network and not torch.equal(network[1].weight, before)
    assert history.frame["epoch"].to_list() == list(range(1, 13)) and set(history.frame["lr"]) == {3e-2}
    best = history.frame.sort("validation_loss")["epoch"][0]
    assert history.best_epoch == best
    scores = evaluate_arrays(network, x[history.validation_rows], y[history.validation_rows])
    row = history.frame.row(by_predicate=pl.col("epoch") == best, named=True)
    assert scores.loss["value"] == pytest.approx(row["validation_loss"], rel=1e-4)
    assert scores.accuracy["value"] == pytest.approx(row["validation_accuracy"]) and row["validation_accuracy"] > 0.8


def test_equal_seeds_lead_to_equal_weights_in_any_layout(squares):
    x, y, _ = squares
    weights = []
    for array in (x, x, x.transpose(0, 3, 1, 2).copy()):
        network = linear()
        fit_arrays(network, array, y, epochs=2, augment="flips", verbose=0)
        weights.append(network[1].weight.detach().clone())
    assert torch.equal(weights[0], weights[1]) and torch.allclose(weights[0], weights[2], atol=1e-6)


def test_with_validation_split_zero_there_is_no_validation_set(squares):
    x, y, _ = squares
    history = fit_arrays(linear(), x, y, epochs=2, validation_split=0, verbose=0)
    assert len(history.validation_rows) == 0 and history.best_epoch == 2
    assert history.frame["validation_loss"].null_count() == 2 and isinstance(history.plot(), Figure)


def test_the_data_are_described_once_and_one_line_is_printed_per_epoch(squares, capsys):
    x, y, groups = squares
    fit_arrays(linear(), x, y, epochs=3, groups=groups)
    text = capsys.readouterr().out
    assert text.count("NHWC") == 1
    assert "64 for training, 16 for validation (random, groups kept intact)" in text
    number = r"\d+\.\d+"
    line = (
        f"Epoch 2/3  ━+ 2/2  {number} s  loss {number}  accuracy {number}  val_loss {number}  val_accuracy {number}\n"
    )
    assert re.search(line, text) and "\r" not in text
    fit_arrays(linear(), x, y, epochs=1, verbose=0)
    assert capsys.readouterr().out == ""


class Terminal(io.StringIO):
    encoding = "ascii"

    def isatty(self):
        return True


def test_on_a_terminal_the_line_is_updated_in_place_with_supported_characters(squares, monkeypatch):
    from coverslip.training import arrays, epoch_printer

    out = Terminal()
    monkeypatch.setattr(epoch_printer, "INTERVAL", 0.0)
    monkeypatch.setattr(arrays, "EpochPrinter", lambda: EpochPrinter(out))
    fit_arrays(linear(), squares[0], squares[1], epochs=2, batch_size=16)
    lines = [line for line in out.getvalue().split("\n") if "Epoch" in line]
    assert [line.count("\r") for line in lines] == [5, 5]  # four batches, and the complete line
    assert all("==== 4/4" in line.split("\r")[-1] for line in lines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patients": 3}, "did you mean 'patience'"),
        ({"learning_rate": 0.1}, "use lr="),
        ({"lr": 0}, "lr=0"),
        ({"optimizer": "adm"}, "did you mean 'adam"),
        ({"augment": "lite"}, "did you mean 'light'"),
        ({"validation_split": 1.0}, "validation_split=1.0"),
        ({"validation_split": -0.1}, "validation_split=-0.1"),
        ({"validation_split": "a fifth"}, "validation_split='a fifth'"),
        ({"optimizer": torch.optim.Adam}, "optimizer must be a name"),
        ({"class_weights": {0: 1.0, 7: 2.0}}, "class_weights has the unknown class 7"),
        ({"groups": ["a"] * 80}, "1 group cannot be split"),
        ({"groups": ["a"]}, "80 images and groups has 1 values"),
        ({"classes": ["dark", "bright", "none"]}, "3"),
    ],
)
def test_invalid_settings_are_refused(squares, options, message):
    with pytest.raises(UserError, match=message):
        fit_arrays(linear(), squares[0], squares[1], epochs=1, verbose=0, **options)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(10, 2)), "rejects inputs of shape"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 1)), "end the network with 2 outputs"),
        (nn.Conv2d(3, 2, 3), "logits of shape"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.Softmax(dim=1)), "remove the last softmax"),
        ("resnet18", "model_network='resnet18'.*torch.nn.Module"),
    ],
)
def test_a_network_with_wrong_outputs_is_refused(squares, network, message):
    for call in (
        lambda: fit_arrays(network, *squares[:2], epochs=1, verbose=0),
        lambda: evaluate_arrays(network, *squares[:2]),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_class_ids_beyond_the_outputs_are_refused(squares):
    with pytest.raises(UserError, match=r"y has class ids up to 8, but the network has 2 outputs \(0 to 1\)"):
        evaluate_arrays(linear(), squares[0], squares[1] + 7)


def test_a_single_class_is_refused(squares):
    with pytest.raises(UserError, match="all images belong to one class, '0'"):
        fit_arrays(linear(), squares[0], squares[1] * 0, epochs=1, verbose=0)


def test_class_weights_can_be_a_mapping_or_a_list(squares):
    frames = [
        fit_arrays(linear(), *squares[:2], epochs=1, verbose=0, class_weights=weights).frame.drop("seconds")
        for weights in ({1: 5}, {"1": 5.0}, [1.0, 5.0])
    ]
    assert frames[0].equals(frames[1]) and frames[0].equals(frames[2])


def test_a_very_high_final_loss_is_noted(squares, capsys):
    fit_arrays(linear(), *squares[:2], epochs=1, lr=1e4, optimizer="sgd")
    assert "(uniform predictions: 0.69): the learning rate is too high; try 1000" in capsys.readouterr().out
    fit_arrays(linear(), *squares[:2], epochs=1)
    assert "uniform" not in capsys.readouterr().out


def test_a_class_without_images_keeps_its_place(squares):
    x, _, _ = squares
    y = np.array(["dark"] * 40 + ["light"] * 40)
    history = fit_arrays(linear(3), x, y, classes=["bright", "dark", "light"], epochs=1, verbose=0)
    scores = evaluate_arrays(history.network, x, y, classes=history.classes)
    assert scores.confusion[0].tolist() == [0, 0, 0] and scores.confusion.sum() == 80
    with pytest.raises(UserError, match="2 class names, but the network has 3 outputs"):
        evaluate_arrays(history.network, x, y)
    assert evaluate_arrays(linear(3), x, squares[1]).classes == ("0", "1", "2")


def test_confidence_intervals_are_over_groups_if_there_are_any(squares):
    x, y, groups = squares
    network = fit_arrays(linear(), x, y, epochs=3, verbose=0).network
    alone, grouped = evaluate_arrays(network, x[:71], y[:71]), evaluate_arrays(network, x, y, groups=groups)
    assert alone.probabilities.shape == (71, 2) and alone.accuracy["images"] == 71
    assert grouped.accuracy["groups"] == 20 and "80 images, 20 groups" in repr(grouped)
    for scores in (alone, grouped):
        assert scores.accuracy["low"] <= scores.accuracy["value"] <= scores.accuracy["high"]
        correct = scores.probabilities.argmax(1) == y[: len(scores.probabilities)]
        assert scores.accuracy["value"] == pytest.approx(correct.mean())
    assert isinstance(grouped.plot(), Figure)


def test_a_history_can_be_displayed_and_predicts(squares):
    x, y, _ = squares
    history = fit_arrays(linear(), x, y, epochs=2, lr=1e-2, verbose=0)
    assert re.match(r"History: 2 epochs; best epoch 2 \(validation loss 0\.\d+", repr(history))
    assert "<svg" in history._repr_html_() and history.plot()._repr_png_().startswith(b"\x89PNG")
    probabilities = history.predict(x[:5])
    assert probabilities.shape == (5, 2) and probabilities.sum(1) == pytest.approx(np.ones(5))


def test_early_stopping_mixup_and_full_batches_are_supported(squares):
    x, y, _ = squares
    history = fit_arrays(
        linear(), x, y, epochs=50, lr=5.0, patience=1, batch_size=0, optimizer="sgd", momentum=0.0, verbose=0
    )
    assert history.frame.height < 50 and history.stopped and history.frame["step"][0] == 1
    mixed = fit_arrays(linear(), x, y, epochs=1, augment=Augmentation(mixup=0.2), verbose=0)
    assert mixed.frame["train_accuracy"].null_count() == 1
