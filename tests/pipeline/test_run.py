"""A run: which results each split may influence."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from coverslip.api import configure, train
from coverslip.core.errors import UserError
from coverslip.core.runs import Run
from coverslip.data.synthetic import write_leaves
from coverslip.inference.features import FeatureExtractor
from coverslip.pipeline import run as run_module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Leaves with a given split in folders: train, val, test."""
    home = tmp_path_factory.mktemp("given")
    table = write_leaves(home / "leaves", classes=2, leaves=12, shots=2, size=64)
    for number, path in enumerate(sorted((table.parent / "images").rglob("*.jpg"))):
        leaf = (number // 2) % 12
        split = "test" if leaf >= 9 else "val" if leaf >= 7 else "train"
        target = home / "split" / split / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return home / "split"


GROUP = r"(leaf\d+)_"


def group_of_class(folder):
    return {"data_group": r"([a-z_]+_leaf\d+)_shot"}


def weights(run: Run):
    return {name: array for name, array in load_file(run.weights_file).items() if name.startswith("head")}


def test_the_test_set_does_not_influence_the_model(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    rng = np.random.default_rng(0)
    for path in (tmp_path / "other" / "test").rglob("*.jpg"):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    one = train(folder, tmp_path / "one", **group_of_class(folder))
    two = train(tmp_path / "other", tmp_path / "two", **group_of_class(folder))
    for name, array in weights(one).items():
        np.testing.assert_array_equal(array, weights(two)[name])
    models = [json.loads(run.model_file.read_text()) for run in (one, two)]
    assert models[0]["temperature"] == models[1]["temperature"]
    assert one.test_file.read_text() != two.test_file.read_text()


def test_the_validation_set_does_not_influence_a_head(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    rng = np.random.default_rng(0)
    for path in (tmp_path / "other" / "val").rglob("*.jpg"):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    one = train(folder, tmp_path / "one", **group_of_class(folder))
    two = train(tmp_path / "other", tmp_path / "two", **group_of_class(folder))
    for name, array in weights(one).items():
        np.testing.assert_array_equal(array, weights(two)[name])


def test_the_test_set_is_used_once_and_after_the_model_is_saved(folder, tmp_path, monkeypatch):
    used: list[tuple[bool, list[int]]] = []
    saved = []
    extract, save = FeatureExtractor.extract, run_module.save_predictor

    def spy(self, pixels, rows, *args, **kwargs):
        used.append((bool(saved), list(rows)))
        return extract(self, pixels, rows, *args, **kwargs)

    monkeypatch.setattr(FeatureExtractor, "extract", spy)
    monkeypatch.setattr(run_module, "save_predictor", lambda *args: (save(*args), saved.append(1)))
    run = train(folder, tmp_path / "run", **group_of_class(folder))
    splits = [line.split(",")[-2] for line in run.table_file.read_text().splitlines()[1:]]
    before = {splits[row] for after, rows in used if not after for row in rows}
    after = [{splits[row] for row in rows} for after, rows in used if after]
    assert before == {"train", "validation"}
    assert after == [{"test"}]


def test_refit_trains_on_the_train_and_validation_set(folder, tmp_path):
    run = train(folder, tmp_path / "run", split_refit=True, **group_of_class(folder))
    assert json.loads(run.model_file.read_text())["trained_on"]["images"] == 36


def test_split_seed_and_training_seed_are_independent(tmp_path):
    table = write_leaves(tmp_path / "leaves", classes=2, leaves=8, shots=1, size=64)
    splits = []
    for name, options in {"a": {}, "b": {"training_seed": 5}, "c": {"split_seed": 5}}.items():
        splits.append(train(table, tmp_path / name, **options).table_file.read_text())
    assert splits[0] == splits[1] != splits[2]


def test_every_stage_logs_its_start_and_end(folder, tmp_path):
    run = train(folder, tmp_path / "run", **group_of_class(folder))
    events = [json.loads(line) for line in run.events_file.read_text().splitlines()]
    started = [event["stage"] for event in events if event["event"] == "start"]
    assert "evaluating the test set" in started or started[-1] == "fitting the head"  # features may be cached
    assert [event["stage"] for event in events if event["event"] == "end"] == started


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model_depth": "blok5"}, "did you mean .block5"),
        ({"model_network": "efficientnet-light0"}, "did you mean 'efficientnet-lite0'"),
        ({"model_views": 9}, "views=9"),
        ({"input_fit": "pda"}, "did you mean 'pad'"),
        ({"head_folds": 1}, "folds=1"),
        ({"split_fractions": (0.5, 0.5, 0.5)}, "do not add up to 1"),
        ({"model_nettwork": "x"}, "did you mean 'network'"),
    ],
)
def test_an_invalid_setting_is_refused_before_anything_is_read(options, says, folder, tmp_path):
    with pytest.raises(UserError, match=says):
        train(configure(folder, **options), tmp_path / "run")
