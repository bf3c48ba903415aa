"""What users pass to the Python functions: one path, generators, arrays of all kinds, names of the command line."""

import multiprocessing
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import coverslip
from coverslip.api.configs import FROM_SCRATCH, SHORT_NAMES, _keys
from coverslip.core.runs import Run
from coverslip.core.score import RunScore
from coverslip.pipeline.config import RunConfig

SOURCE = Path(coverslip.__file__).parent
X = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), np.uint8)
Y = np.arange(24) % 3


def fit(*arguments, **options):
    """Train a linear network with the same initial weights each time, and return the loss of its epoch."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    return coverslip.fit(network, *arguments, epochs=1, verbose=0, **options).frame["train_loss"][0]


@pytest.fixture(scope="module")
def file(leaves):
    return sorted((leaves.parent / "images").rglob("*.*"))[0]


# predict


def test_one_path_is_a_list_of_one(small_run, file):
    expected = coverslip.predict(small_run.folder, [file])
    assert expected.height == 1
    for given in (str(file), file, (file,), (path for path in [file]), iter([str(file)]), pl.Series([str(file)]),
                  np.array([str(file)])):  # fmt: skip
        assert coverslip.predict(small_run, given).drop("path").equals(expected.drop("path")), type(given)
    from coverslip.api import predict_in_parts

    assert pl.concat(predict_in_parts(small_run, str(file))).height == 1


def test_a_missing_absolute_path_never_searches_the_disk(small_run):
    with pytest.raises(coverslip.UserError, match=r"'/data/a\.jpg' does not exist"):
        coverslip.predict(small_run, "/data/a.jpg")


def test_images_in_memory_are_predicted_like_files(small_run, file, tmp_path):
    image = Image.open(file).convert("RGB")
    image.save(tmp_path / "a.png")
    pixels = np.asarray(image)
    expected = coverslip.predict(small_run, tmp_path / "a.png").drop("path", "nearest")
    for given in (image, pixels, pixels / 255, [pixels], pixels[None], torch.tensor(pixels).permute(2, 0, 1),
                  (item for item in [image]), pixels[::-1, ::-1][::-1, ::-1], image.convert("RGBA")):  # fmt: skip
        table = coverslip.predict(small_run, given)
        assert table["path"].to_list() == ["image 1"]
        assert table.drop("path", "nearest").equals(expected), type(given)
    both = coverslip.predict(small_run, [pixels, pixels[:20]])
    assert both["path"].to_list() == ["image 1", "image 2"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "NoneType was given"),
        (3, "int was given"),
        (b"\xff\xd8", "bytes was given"),
        ({"a": "b"}, "dict was given"),
        ([], "no image was given"),
        ([1], "image 1 is of type int"),
        (["a.jpg", X[0]], "two calls"),
        (X[0] / 255 / 255, "divided by 255 twice"),
        (X[0].astype(float), "divide by 255"),
        (X[0].astype(np.int64), "dtype int64"),
        (np.zeros((9, 9, 9), np.uint8), "shape"),
        (pl.DataFrame({"path": ["a.jpg"]}), "give its column of paths"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_words(small_run, given, words):
    with pytest.raises(coverslip.UserError, match=words):
        coverslip.predict(small_run, given)


def test_images_in_memory_are_not_written_by_predict_to(small_run, tmp_path):
    from coverslip.api import predict_to

    with pytest.raises(coverslip.UserError, match="use predict"):
        predict_to(small_run, X[0], tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


# fit


def test_arrays_that_torch_refuses_are_copied():
    assert fit(X[..., ::-1], Y) == fit(X[..., ::-1].copy(), Y)
    assert fit(X[:, ::-1, ::-1], Y) == fit(X[:, ::-1, ::-1].copy(), Y)
    assert fit(X[::-1], Y[::-1]) == fit(X[::-1].copy(), Y[::-1].copy())
    floats = (X / 255).astype(np.float32)
    assert fit(floats.astype(">f4"), Y) == fit(floats, Y)
    assert fit(floats.astype(np.longdouble), Y) == fit(floats.astype(np.float64), Y)


class Images(torch.utils.data.Dataset):
    """A data set of images of Pillow, as of torchvision without a transform."""

    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        return Image.fromarray(X[row]), int(Y[row])


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield X[0], 0


def test_data_sets_loaders_lists_and_pairs_are_the_arrays_in_them():
    expected, tensors = fit(X, Y), TensorDataset(torch.tensor(X), torch.tensor(Y))
    for data in (tensors, DataLoader(tensors, 4), DataLoader(tensors, 4, shuffle=True), Images(), (X, Y)):
        assert fit(data) == expected, type(data)
    for images in (list(X), [torch.tensor(image) for image in X], [Image.fromarray(image) for image in X]):
        assert fit(images, Y) == expected
    assert fit(X, iter(Y.tolist())) == expected
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    assert repr(coverslip.evaluate(network, DataLoader(tensors))) == repr(coverslip.evaluate(network, X, Y))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X / 255 / 255, Y, "x has floats from 0 to 0.0039.*255 twice"),
        ((X / 255).astype(np.uint8), Y, "uint8 and values 0 and 1"),
        ([X[0], X[1, :4]] * 12, Y, r"\(8, 8, 3\) and \(4, 8, 3\) \(image 1\)"),
        ([X[0], X[1, :, :4]] * 12, Y, r"\(8, 8, 3\) and \(8, 4, 3\)"),
        ([X[0], X[1, ..., 0]] * 12, Y, r"\(8, 8, 3\) and \(8, 8\)"),
        (DataLoader(Images()), Y, "contains its own labels\n  fix: omit y"),
        (Endless(), None, "Endless has no length"),
        ((image for image in X), Y, "x is a generator, not an array"),
        (TensorDataset(torch.tensor(X)), None, "not pairs of image and label"),
        (X, None, "labels are missing"),
        (None, Y, "x is None"),
        ("leaves/", Y, "text or path 'leaves/'"),
        ({"x": X}, Y, "x is a dict"),
        (X, [[1], [1, 2]] * 12, "different lengths"),
        (np.tile(X, (1, 2, 2, 1)), Y, "rejects inputs of shape"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_words(x, y, words):
    with pytest.raises(coverslip.UserError, match=words):
        fit(x, y)


def test_a_data_set_larger_than_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr("coverslip.training.collect.MEMORY_FRACTION", 1e-12)
    with pytest.raises(coverslip.UserError, match="GB of memory"):
        fit(Images())


def test_balanced_class_weights_are_those_of_balance():
    labels = np.minimum(np.arange(24) % 6, 2)
    balanced = fit(X, labels, class_weights="balanced")
    assert balanced == fit(X, labels, balance="weights") != fit(X, labels)
    assert fit(X, labels, class_weights=None) == fit(X, labels)
    for weights, words in (("auto", "unknown class_weights='auto'"), (2.0, "are not weights")):
        with pytest.raises(coverslip.UserError, match=words):
            fit(X, Y, class_weights=weights)
    with pytest.raises(coverslip.UserError, match="contradict"):
        fit(X, Y, class_weights="balanced", balance="sampling")
    with pytest.raises(coverslip.UserError, match="augment is of type Identity"):
        fit(X, Y, augment=nn.Identity())


# train, tune, audit


class Frame:
    """Like a DataFrame of pandas."""

    def to_csv(self):
        pass


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "None"),
        (3, "type int"),
        (["a"], "type list"),
        (b"leaves", "type bytes"),
        (X, "numpy.savez"),
        (pl.DataFrame({"path": ["a.jpg"], "label": ["rust"]}), r"write_csv\('table.csv'\)"),
        (Frame(), "to_csv"),
    ],
)
@pytest.mark.parametrize("name", ["train", "audit", "tune", "scan", "configure", "load", "explain", "export", "report"])
def test_what_is_not_a_path_is_refused_in_words(name, source, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(coverslip.UserError, match=words):
        getattr(coverslip, name)(source)
    assert not list(tmp_path.iterdir())


def test_names_of_the_command_line_are_settings():
    short = coverslip.configure("x", group="parent", depth="tail", lr=0.01, epochs=3, model="cnn", seed=2)
    assert short == coverslip.configure(
        "x", data_group="parent", model_depth="tail", training_lr=0.01, training_epochs=3, model_network="cnn",
        training_seed=2,
    )  # fmt: skip
    assert coverslip.configure("x", from_scratch=True).model.pretrained is False
    assert coverslip.configure("x", minutes=2).model.depth == "auto"
    assert coverslip.configure("x", minutes=2, depth="all").model.depth == "all"


def test_every_short_name_is_the_option_of_the_command():
    """The options that `coverslip train` declares with ``setting("section.key", ...)``, and the table, are the same."""
    text = "".join((SOURCE / "cli" / name).read_text(encoding="utf-8") for name in ("train.py", "options.py"))
    declared = re.findall(r"(\w+)(?:: Annotated| = Annotated)\[[^\n]*?setting\(\"(\w+)\.(\w+)\"", text)
    options = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): f"{section}_{key}" for name, section, key in declared}
    assert {name: key for name, key in options.items() if name != key}.items() <= SHORT_NAMES.items()
    keys = {f"{section.name}_{key}" for section in fields(RunConfig) for key in _keys(section.name)}
    assert set(SHORT_NAMES.values()) <= keys
    coverslip.configure("x", **dict.fromkeys([*SHORT_NAMES, FROM_SCRATCH]))  # None keeps the default


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group": "a", "data_group": "b"}, "group and data_group are the same"),
        ({"from_scratch": True, "model_pretrained": True}, "same setting"),
        ({"depht": "tail"}, "'depth'"),
        ({"epoch": 3}, "'epochs'"),
        ({"learning_rate": 0.1}, "use lr"),
        ({"batch_size": 3}, "use training_batch_size"),
        ({"model": nn.Linear(2, 2)}, "network=..."),
    ],
)
def test_unknown_and_repeated_names_are_refused(options, words):
    with pytest.raises(coverslip.UserError, match=words):
        coverslip.configure("x", **options)


def test_options_next_to_a_config_are_refused():
    config = coverslip.configure("x")
    for function in (coverslip.train, coverslip.audit, coverslip.tune):
        with pytest.raises(coverslip.UserError, match="lr has no effect on a config"):
            function(config, lr=0.1)


# results


def test_scores_and_predictions_of_a_run(small_run):
    stored = small_run.read_json(small_run.test_file)["scores"]
    assert list(small_run.scores) == list(stored)
    accuracy = small_run.accuracy
    assert (accuracy.value, accuracy.low, accuracy.high) == tuple(
        stored["accuracy"][key] for key in ("value", "low", "high")
    )
    assert float(accuracy) == accuracy.value
    score = RunScore.of({**stored["accuracy"], "value": 0.9694, "low": 0.8451, "high": 0.9941})
    assert str(score) == repr(score) == "0.969 [0.845, 0.994]"
    table = small_run.predictions
    assert table.height == accuracy.images
    assert (table["predicted"] == table["label"]).mean() == pytest.approx(accuracy.value)
    assert table["confidence"].dtype == pl.Float64 and table["familiar"].dtype == pl.Boolean
    html = small_run._repr_html_()
    assert str(accuracy) in html and "report.html" in html


def test_the_text_of_a_score_is_that_of_the_reports(small_run):
    from coverslip.evidence import format_interval

    entry = small_run.read_json(small_run.test_file)["scores"]["accuracy"]
    for changed in ({}, {"low": 0.97, "high": 0.9702}, {"low": None, "reason": "r"}, {"value": None, "reason": "r"}):
        score = {**entry, **changed}
        assert str(RunScore.of(score)) == format_interval(score)


def test_a_folder_without_results(tmp_path):
    run = Run(tmp_path)
    assert run._repr_html_().startswith("<p>Run(")
    for name in ("scores", "accuracy", "predictions"):
        with pytest.raises(coverslip.UserError, match="has no"):
            getattr(run, name)


# processes


def _predict(run, file, queue):
    try:
        queue.put(coverslip.predict(run, file).height)
    except coverslip.UserError as error:
        queue.put(str(error))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_after_the_first_use_is_refused_instead_of_hanging(small_run, file):
    coverslip.predict(small_run, file)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=_predict, args=(small_run.folder, file, queue))
    process.start()
    process.join(20)
    alive = process.is_alive()
    process.kill()
    assert not alive
    assert "forked after Coverslip was used" in str(queue.get())
