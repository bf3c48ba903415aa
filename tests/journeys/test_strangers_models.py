"""A model folder from a stranger: nothing in it can run code, and what is wrong with it is said in two lines."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from coverslip.core.config import from_mapping
from coverslip.core.runs import Run
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_part


class Trap:
    """Unpickled, it leaves a mark."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def stranger(small_run, tmp_path):
    shutil.copytree(small_run.model_folder, tmp_path / "stranger" / "model")
    return Run(tmp_path / "stranger")


@pytest.fixture
def refused(coverslip, stranger, leaves):
    """Both doors say no, in two lines."""

    def check(*words):
        coverslip("predict", stranger.folder, leaves.parent / "images").refused(*words)
        coverslip("evaluate", stranger.folder, leaves, "--out", stranger.folder / "scored").refused(*words)
        assert not (stranger.folder / "scored").exists()

    return check


def test_a_model_folder_alone_is_enough_to_predict(coverslip, small_run, stranger, leaves):
    paths = leaves.parent / "images"
    assert coverslip("predict", stranger.folder, paths).done().out == coverslip("predict", small_run.folder, paths).out


def test_a_pickle_under_the_name_of_weights_is_not_opened(refused, stranger, tmp_path):
    import torch

    trap = Trap(tmp_path / "ran")
    stranger.weights_file.write_bytes(pickle.dumps({"head.weight": trap}))
    refused("not a model of this program")
    torch.save({"head.weight": trap}, stranger.weights_file)
    refused("not a model of this program")
    stranger.model_file.write_bytes(pickle.dumps(trap))
    refused("is not JSON")
    assert not (tmp_path / "ran").exists()


def test_arrays_that_hold_objects_are_not_opened(coverslip, tmp_path):
    import numpy as np

    trap = np.array([Trap(tmp_path / "ran")] * 8, dtype=object)
    np.savez(tmp_path / "cells.npz", x=trap, y=np.arange(8) % 2)
    coverslip("train", tmp_path / "cells.npz").refused("cannot be opened")
    assert not (tmp_path / "ran").exists()


def test_a_model_of_a_newer_program_and_a_field_that_makes_no_sense_are_named(refused, stranger):
    model = json.loads(stranger.model_file.read_text())
    stranger.model_file.write_text(json.dumps(model | {"format": 99}))
    refused("a newer Coverslip wrote", "bundle 99", "update Coverslip")
    stranger.model_file.write_text(json.dumps(model | {"temperature": "warm"}))
    refused("'temperature' in model.json makes no sense")
    del model["classes"]
    stranger.model_file.write_text(json.dumps(model))
    refused("model.json lacks 'classes'")


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.9999])
def test_truncated_weights(refused, stranger, share):
    data = stranger.weights_file.read_bytes()
    stranger.weights_file.write_bytes(data[: int(len(data) * share)])
    refused("not a model of this program: weights.safetensors cannot be read", "restore its files")


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("head.bias"),
        lambda tensors: tensors.pop("frozen.stem.conv.weight"),
        lambda tensors: tensors.update({"head.weight": tensors["head.weight"][:2].clone()}),
        lambda tensors: tensors.update({"head.weight": tensors["head.weight"].T.contiguous()}),
        lambda tensors: tensors.update({"head.weight": tensors["head.weight"] * float("nan")}),
        lambda tensors: tensors.update({"head.bias": tensors["head.bias"].bfloat16()}),
        lambda tensors: tensors.update({"frozen.stem.more": tensors["head.bias"].clone()}),
        lambda tensors: tensors.update({"frozen.stem.conv.weight": tensors["head.weight"].clone()}),
    ],
)
def test_weights_that_do_not_belong_to_the_model(refused, stranger, change):
    tensors = load_file(stranger.weights_file)
    change(tensors)
    save_file(tensors, stranger.weights_file)
    refused("not a model of this program")


@pytest.mark.parametrize(
    "change",
    [
        lambda frozen: frozen.pop("stem.conv.weight"),
        lambda frozen: frozen.update({"stem.more": frozen["stem.conv.weight"].clone()}),
        lambda frozen: frozen.update({"stem.conv.weight": frozen["stem.conv.weight"][:, :1].clone()}),
        lambda frozen: frozen.clear(),
    ],
)
def test_weights_of_another_network_under_a_key_that_is_right(refused, stranger, change):
    """The key in the description is made to fit, as a stranger can; only running the network can tell."""
    tensors = load_file(stranger.weights_file)
    frozen = {name.removeprefix("frozen."): tensor for name, tensor in tensors.items() if name.startswith("frozen.")}
    change(frozen)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("frozen.")}
    save_file({**kept, **{f"frozen.{name}": tensor for name, tensor in frozen.items()}}, stranger.weights_file)
    content = json.loads(stranger.model_file.read_text())
    design = from_mapping(Design, content["design"])
    stranger.model_file.write_text(json.dumps({**content, "weights": frozen_part(design, frozen).key}))
    refused()


@pytest.mark.parametrize("text", ["", "{", "[]", '"a"', "null", "7", "\ufeff{}", "[" * 100_000, "\0"])
def test_a_description_that_is_no_json_object(refused, stranger, text):
    stranger.model_file.write_text(text, encoding="utf-8")
    refused("model.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 99),
        ("format", "1"),
        ("design", None),
        ("design.network", "efficientnet-lite"),
        ("design.network", 5),
        ("design.network", "cnn"),
        ("design.size", [64, 64, 64]),
        ("design.hidden", [10**12]),
        ("design.channels", 1),
        ("classes", 3),
        ("classes", "abc"),
        ("classes", []),
        ("classes", ["a", "a", "b"]),
        ("classes", ["a", "b"]),
        ("temperature", "hot"),
        ("temperature", None),
        ("temperature", 0),
        ("temperature", -1),
        ("temperature", float("nan")),
        ("input", None),
        ("input", "x"),
        ("input", []),
        ("input", {}),
        ("input.size", [224]),
        ("input.size", [224, "a"]),
        ("input.size", [10**9, 10**9]),
        ("input.size", [-8, 224]),
        ("input.fit", "stretch"),
        ("input.channels", 0),
        ("input.channels", -3),
        ("input.channels", 4),
        ("input.channels", 10**12),
        ("input.channels", 3.0),
        ("input.channels", True),
        ("input.depth", "float32"),
        ("input.depth", "object"),
        ("input.mean", [0.5]),
        ("input.mean", 0.5),
        ("input.std", [0, 0, 0]),
        ("input.low", [1.0]),
        ("input.colour", 1),
    ],
)
def test_a_description_with_a_wrong_value(refused, stranger, key, value):
    content = json.loads(stranger.model_file.read_text())
    section, _, name = key.partition(".")
    if name:
        content[section][name] = value
    else:
        content[section] = value
    stranger.model_file.write_text(json.dumps(content))
    refused()


@pytest.mark.parametrize("key", ["format", "design", "classes", "temperature", "input"])
def test_a_description_that_lacks_a_value(refused, stranger, key):
    content = json.loads(stranger.model_file.read_text())
    del content[key]
    stranger.model_file.write_text(json.dumps(content))
    refused()


def test_a_misspelt_network_in_a_description_is_answered_with_the_nearest(refused, stranger):
    content = json.loads(stranger.model_file.read_text())
    stranger.model_file.write_text(
        json.dumps({**content, "design": {**content["design"], "network": "efficientnet-lite"}})
    )
    refused("no network is called 'efficientnet-lite'", "'efficientnet-lite0'")


def test_colleagues_may_read_the_model(small_run):
    """Its permissions are those of every other file of the run."""
    assert small_run.weights_file.stat().st_mode == small_run.model_file.stat().st_mode
