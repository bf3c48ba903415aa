"""Training deeper than a head: which data determines what, and frozen and trained stages combined."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch import nn

import coverslip
from coverslip import api
from coverslip.core.config import read_toml
from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.cache import read_pixels
from coverslip.data.scan import scan
from coverslip.data.synthetic import write_leaves
from coverslip.evidence.recalibration import fit_temperature
from coverslip.pipeline.prepare import run_audit, split_images
from coverslip.pipeline.resolve import resolve_config
from coverslip.pipeline.training_data import prepare_training, split_validation
from coverslip.tasks.classification import Classification
from coverslip.training import fine_tuning
from coverslip.training.forward import compute_logits

SMALL = {"input_size": 64}
COURSE = {"model_network": "cnn", "input_size": 32, "training_epochs": 3}


def split_data(config):
    table = scan(config.data.source, config.data.group)
    pixels = read_pixels(table, (config.input.size, config.input.size), config.input.fit)
    return split_images(config, run_audit(config, table, pixels, SILENT)).table, pixels


@pytest.fixture(scope="module")
def tail_run(leaves, session_cache, tmp_path_factory):
    trained = []
    train_network = fine_tuning.train_network
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            fine_tuning, "train_network", lambda *a, **k: trained.append(train_network(*a, **k)) or trained[0]
        )
        run = api.train(
            leaves, tmp_path_factory.mktemp("runs") / "tail", model_depth="tail", training_epochs=3, **SMALL
        )
    return run, trained[0].network


def test_frozen_and_trained_layers_together_predict_as_in_training(tail_run, leaves):
    """Cached activations through the folded layers give the probabilities of `predict`."""
    run, network = tail_run
    config = resolve_config(api.configure(run.experiment_file))
    table, pixels = split_data(config)
    prepared = prepare_training(config, table, pixels, SILENT)
    temperature = json.loads(run.model_file.read_text())["temperature"]
    inside = Classification(table.classes, temperature).probabilities(compute_logits(network, prepared.inputs))
    paths = [table.root / table.paths[row] for row in prepared.train]
    predictions = api.predict(run.folder, paths).select([f"p:{name}" for name in table.classes]).to_numpy()
    assert np.abs(predictions - inside).max() < 1e-3
    assert np.ptp(predictions, axis=0).max() > 0.1, "the network predicts the same for every image"


def test_the_files_of_a_tail_describe_it_completely(tail_run):
    run, _ = tail_run
    model, config = json.loads(run.model_file.read_text()), read_toml(run.experiment_file)
    assert model["depth"] == "tail"
    assert model["stage"] == "block6"
    assert not model["from_scratch"]
    assert config["training"]["epochs"] == 3
    assert config["training"]["lr"] == 5e-4
    assert config["augment"]["cutmix"] > 0
    history = pl.read_csv(run.history_file)
    assert history["epoch"].to_list() == [1, 2, 3]
    assert 1 <= model["best_epoch"] <= 3
    assert not run.checkpoints_folder.exists(), "a finished run has no checkpoint"


def test_only_trained_layers_differ_from_the_pretrained_weights(tail_run):
    from coverslip.models.weights import pretrained_weights
    from coverslip.pipeline.resolve import network_design

    run, _ = tail_run
    before = pretrained_weights(network_design(resolve_config(api.configure(run.experiment_file)), 3))
    after = {name.removeprefix("frozen."): array for name, array in load_file(run.weights_file).items()}
    changed = {name.split(".")[0] for name, array in before.items() if not np.array_equal(array.numpy(), after[name])}
    assert changed == {"block6", "block7", "top"}


def test_the_halves_of_the_validation_set_keep_groups_together_and_have_separate_roles(tmp_path):
    """Other images in the calibration half change sets and familiarity, and no trained weights."""
    leaves = write_leaves(tmp_path / "given", classes=2, leaves=16, shots=2, size=32)
    config = resolve_config(api.configure(leaves, **COURSE))
    table, _ = split_data(config)
    selection, calibration = split_validation(table, table.rows("validation"), 0)
    assert selection and calibration
    assert not set(table.groups(selection)) & set(table.groups(calibration))
    home = tmp_path / "leaves"
    shutil.copytree(leaves.parent, home)
    table.frame.write_csv(home / "divided.csv")
    one = api.train(home / "divided.csv", tmp_path / "one", **COURSE)
    rng = np.random.default_rng(0)
    for row in calibration:
        path = home / table.paths[row]
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    two = api.train(home / "divided.csv", tmp_path / "two", **COURSE)
    first, second = load_file(one.weights_file), load_file(two.weights_file)
    for name in first:
        if not name.startswith(("trust", "seen")):
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    models = [json.loads(run.model_file.read_text()) for run in (one, two)]
    assert models[0]["temperature"] == models[1]["temperature"]
    trusted = [name for name in first if name.startswith("trust")]
    assert any(not np.array_equal(first[name], second[name]) for name in trusted)


def test_the_temperature_is_fitted_on_the_selection_half_by_the_same_function_as_for_heads(tmp_path):
    leaves = write_leaves(tmp_path / "leaves", classes=2, leaves=16, shots=2, size=32)
    config = resolve_config(api.configure(leaves, **COURSE))
    table, _ = split_data(config)
    selection, _ = split_validation(table, table.rows("validation"), config.split.seed)
    run = api.train(leaves, tmp_path / "run", **COURSE)
    temperature = json.loads(run.model_file.read_text())["temperature"]
    predictions = api.predict(run.folder, [table.root / table.paths[row] for row in selection])
    probabilities = predictions.select([f"p:{name}" for name in table.classes]).to_numpy()
    logits = temperature * np.log(probabilities)  # up to a constant of each image
    expected = fit_temperature(logits, np.asarray(table.labels(selection)), table.groups(selection))
    assert temperature != 1 and temperature == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("network", ["linear", "mlp", "cnn", "cnn-full"])
def test_the_course_networks_train_and_predict(network, leaves, tmp_path):
    run = api.train(leaves, tmp_path / "run", model_network=network, input_size=32, training_epochs=2)
    model = json.loads(run.model_file.read_text())
    assert (model["depth"], model["from_scratch"], model["design"]["network"]) == ("all", True, network)
    predictions = api.predict(run.folder, [leaves.parent / "images"])
    columns = predictions.select(pl.col("^p:.*$")).to_numpy()
    np.testing.assert_allclose(columns.sum(1), 1, atol=1e-6)
    assert predictions["set"].null_count() == 0


def test_pixels_as_features_are_too_wide_for_a_covariance(leaves, tmp_path):
    """`linear` at 128 pixels has 49,152 features per image; their covariance matrix would take 10 GB."""
    run = api.train(leaves, tmp_path / "run", model_network="linear", input_size=128, training_epochs=1)
    assert api.predict(run.folder, [leaves.parent / "images"])["familiar"].null_count() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model_network": "cnn", "model_depth": "head"}, ["no pretrained weights", "--depth all"]),
        ({"model_network": "cnn", "model_depth": "block5"}, ["nor a stage", "block5"]),
        ({"model_depth": "blok5"}, ["blok5", "did you mean", "block5"]),
        ({"model_depth": "tail", "repeats_folds": 5}, ["exact solver", "tail"]),
        ({"model_network": "linear", "model_hidden": (3,)}, ["linear", "hidden"]),
        ({"model_depth": "tail", "training_lr": 0.0}, ["lr=0"]),
        ({"model_depth": "tail", "training_optimizer": "adm"}, ["adm", "did you mean 'adam'"]),
        ({"model_depth": "tail", "training_class_weights": (1.0,)}, ["class_weights"]),
        ({"model_depth": "auto", "model_minutes": 0.0}, ["minutes"]),
        ({"augment": "lihgt"}, ["lihgt", "light"]),
    ],
)
def test_invalid_settings_are_refused_before_anything_is_written(options, words, leaves, tmp_path):
    with pytest.raises(UserError) as caught:
        api.train(leaves, tmp_path / "run", input_size=64, **options)
    for word in words:
        assert word in f"{caught.value.problem} {caught.value.fix}"
    assert not (tmp_path / "run").exists()


class Notes(Progress):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_depth_auto_logs_its_choice_and_the_reason(leaves, tmp_path, monkeypatch):
    notes = Notes()
    few = api.train(leaves, tmp_path / "few", model_depth="auto", progress=notes, **SMALL)
    assert read_toml(few.experiment_file)["model"]["depth"] == "head"
    assert any("too few" in note for note in notes.notes)
    monkeypatch.setattr("coverslip.pipeline.depth.MIN_IMAGES_PER_CLASS", 1)
    notes = Notes()
    short = api.train(leaves, tmp_path / "short", model_depth="auto", model_minutes=1e-4, progress=notes, **SMALL)
    assert read_toml(short.experiment_file)["model"]["depth"] == "head"
    assert any("no other depth fits" in note for note in notes.notes)
    notes = Notes()
    long = {"model_minutes": 60.0, "training_epochs": 1, "progress": notes, **SMALL}
    deep = api.train(leaves, tmp_path / "long", model_depth="auto", **long)
    assert read_toml(deep.experiment_file)["model"]["depth"] == "all"
    assert any("the deepest possible in 60 minutes" in note for note in notes.notes)


def test_refit_trains_on_all_images_but_the_test_set(leaves, tmp_path):
    run = api.train(leaves, tmp_path / "run", split_refit=True, **COURSE)
    model, table = json.loads(run.model_file.read_text()), pl.read_csv(run.table_file)
    assert model["trained_on"]["images"] == (table["split"] != "test").sum()
    assert model["validation_roles"]["choose"]["images"] == 0
    assert model["temperature"] == 1


def test_a_killed_training_resumes_to_the_same_weights(leaves, tmp_path):
    # fmt: off
    command = [sys.executable, "-m", "coverslip", "train", str(leaves), "--model", "cnn", "--epochs", "60",
               "--set", "input.size=32", "--set", "model.dropout=0.3", "--set", "model.batch_norm=true"]
    # fmt: on
    whole = subprocess.run([*command, "--out", str(tmp_path / "whole")], capture_output=True, text=True, check=False)
    assert whole.returncode == 0, whole.stderr
    process = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], stderr=subprocess.DEVNULL)
    ended = time.monotonic() + 60
    while not any((tmp_path / "killed" / "checkpoints").glob("*")) and time.monotonic() < ended:
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "model").exists(), "killed too late for this test"
    resumed = [sys.executable, "-m", "coverslip", "train", "--resume", str(tmp_path / "killed")]
    again = subprocess.run(
        resumed, capture_output=True, text=True, check=False
    )  # in a separate process, like the complete run
    assert again.returncode == 0, again.stderr
    first, second = (load_file(tmp_path / name / "model" / "weights.safetensors") for name in ("whole", "killed"))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


class Tiny(nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.out = nn.Linear(8, outputs)

    def forward(self, images):
        return self.out(torch.relu(self.conv(images)).mean((2, 3)))


def test_a_network_of_the_user_is_trained_saved_and_loaded(leaves, tmp_path, monkeypatch):
    user_network = Tiny()
    before = user_network.conv.weight.detach().clone()
    run = coverslip.train(leaves, tmp_path / "run", network=user_network, input_size=32, training_epochs=2)
    assert torch.equal(user_network.conv.weight, before), "a copy is trained"
    predictions = coverslip.predict(run.folder, [leaves.parent / "images"])
    monkeypatch.setattr("coverslip.models.user_network._registered", {})  # as in another process
    with pytest.raises(UserError, match="Tiny") as caught:
        coverslip.load(run.folder)
    assert "network=Tiny" in caught.value.fix
    coverslip.load(run.folder, network=Tiny())
    again = coverslip.predict(run.folder, [leaves.parent / "images"])
    assert again.equals(predictions)


def test_a_network_of_the_user_with_the_wrong_number_of_outputs_is_refused(leaves, tmp_path):
    with pytest.raises(UserError, match="7"):
        coverslip.train(leaves, tmp_path / "run", network=Tiny(7), input_size=32)


def test_the_learning_rate_range_test_writes_only_its_figure(leaves, tmp_path):
    config = api.configure(leaves, **COURSE)
    lr, figure = api.find_lr(config, tmp_path / "rates.png")
    assert 1e-6 < lr < 10
    assert Image.open(figure).size[0] > 300
    assert [path.name for path in tmp_path.iterdir()] == ["rates.png"]
    with pytest.raises(UserError, match="exists"):
        api.find_lr(config, tmp_path / "rates.png")
    with pytest.raises(UserError, match="no learning rate"):
        api.find_lr(replace(config, model=replace(config.model, network="efficientnet-lite0")), tmp_path / "other.png")


def test_a_head_trained_by_the_loop_has_epochs_and_a_learning_rate_and_its_page_states_this(leaves, tmp_path):
    run = api.train(leaves, tmp_path / "run", settings=["head.solver=loop"], training_epochs=4, **SMALL)
    history = pl.read_csv(run.history_file)
    assert history["epoch"].to_list() == [1, 2, 3, 4] and history["lr"].max() > 0
    model = run.read_json(run.model_file)
    assert model["depth"] == "head" and model["stage"] == "classifier"
    page = run.report_file.read_text(encoding="utf-8")
    assert (
        "before stage 'classifier' were frozen" in page.replace("&#39;", "'") and "-fold cross-validation" not in page
    )
    exact = load_file(api.train(leaves, tmp_path / "exact", **SMALL).weights_file)
    frozen = [name for name in exact if not name.startswith("head")]
    looped = load_file(run.weights_file)
    assert frozen and all(np.array_equal(exact[name], looped[name]) for name in frozen)


def test_a_head_trained_by_the_loop_cannot_be_repeated(leaves, tmp_path):
    with pytest.raises(UserError, match="exact solver"):
        api.train(leaves, tmp_path / "run", settings=["head.solver=loop"], repeats_folds=5)
