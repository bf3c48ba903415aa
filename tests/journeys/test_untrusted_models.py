"""Model folders from untrusted sources: no file can run code, and invalid files get a two-line error."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from coverslip.core.config import from_mapping
from coverslip.core.runs import Run
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_stages


class Trap:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def untrusted(small_run, tmp_path):
    """Return a copy of the model folder of the small run."""
    shutil.copytree(small_run.model_folder, tmp_path / "untrusted" / "model")
    return Run(tmp_path / "untrusted")


@pytest.fixture
def assert_refused(coverslip, untrusted, leaves):
    """Return a function that asserts that predict and evaluate refuse the model with a two-line error."""

    def check(*words):
        coverslip("predict", untrusted.folder, leaves.parent / "images").refused(*words)
        coverslip("evaluate", untrusted.folder, leaves, "--out", untrusted.folder / "scored").refused(*words)
        assert not (untrusted.folder / "scored").exists()

    return check


def test_the_model_folder_alone_is_sufficient_for_predictions(coverslip, small_run, untrusted, leaves):
    paths = leaves.parent / "images"
    assert coverslip("predict", untrusted.folder, paths).done().out == coverslip("predict", small_run.folder, paths).out


def test_a_pickle_with_the_name_of_the_weights_is_not_loaded(assert_refused, untrusted, tmp_path):
    import torch

    trap = Trap(tmp_path / "ran")
    untrusted.weights_file.write_bytes(pickle.dumps({"head.weight": trap}))
    assert_refused("not a valid model")
    torch.save({"head.weight": trap}, untrusted.weights_file)
    assert_refused("not a valid model")
    untrusted.model_file.write_bytes(pickle.dumps(trap))
    assert_refused("is not JSON")
    assert not (tmp_path / "ran").exists()


def test_arrays_of_python_objects_are_not_loaded(coverslip, tmp_path):
    import numpy as np

    trap = np.array([Trap(tmp_path / "ran")] * 8, dtype=object)
    np.savez(tmp_path / "cells.npz", x=trap, y=np.arange(8) % 2)
    coverslip("train", tmp_path / "cells.npz").refused("cells.npz")
    assert not (tmp_path / "ran").exists()


def test_a_newer_format_and_invalid_or_missing_fields_are_named(assert_refused, untrusted):
    model = json.loads(untrusted.model_file.read_text())
    untrusted.model_file.write_text(json.dumps(model | {"format": 99}))
    assert_refused("format 99", "update Coverslip")
    untrusted.model_file.write_text(json.dumps(model | {"temperature": "warm"}))
    assert_refused("'temperature' in model.json is invalid")
    del model["classes"]
    untrusted.model_file.write_text(json.dumps(model))
    assert_refused("model.json lacks 'classes'")


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.9999])
def test_truncated_weights_are_refused(assert_refused, untrusted, share):
    data = untrusted.weights_file.read_bytes()
    untrusted.weights_file.write_bytes(data[: int(len(data) * share)])
    assert_refused("weights.safetensors cannot be read", "restore its files")


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
def test_weights_that_do_not_match_the_model_are_refused(assert_refused, untrusted, change):
    tensors = load_file(untrusted.weights_file)
    change(tensors)
    save_file(tensors, untrusted.weights_file)
    assert_refused("not a valid model")


@pytest.mark.parametrize(
    "change",
    [
        lambda frozen: frozen.pop("stem.conv.weight"),
        lambda frozen: frozen.update({"stem.more": frozen["stem.conv.weight"].clone()}),
        lambda frozen: frozen.update({"stem.conv.weight": frozen["stem.conv.weight"][:, :1].clone()}),
        lambda frozen: frozen.clear(),
    ],
)
def test_weights_of_another_network_with_a_matching_key_are_refused(assert_refused, untrusted, change):
    """The key in model.json is made to match, as an attacker can do; only running the network reveals the mismatch."""
    tensors = load_file(untrusted.weights_file)
    frozen = {name.removeprefix("frozen."): tensor for name, tensor in tensors.items() if name.startswith("frozen.")}
    change(frozen)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("frozen.")}
    save_file({**kept, **{f"frozen.{name}": tensor for name, tensor in frozen.items()}}, untrusted.weights_file)
    content = json.loads(untrusted.model_file.read_text())
    design = from_mapping(Design, content["design"])
    untrusted.model_file.write_text(json.dumps({**content, "weights": frozen_stages(design, frozen).key}))
    assert_refused()


@pytest.mark.parametrize("text", ["", "{", "[]", '"a"', "null", "7", "\ufeff{}", "[" * 100_000, "\0"])
def test_a_model_json_that_is_not_a_json_object_is_refused(assert_refused, untrusted, text):
    untrusted.model_file.write_text(text, encoding="utf-8")
    assert_refused("model.json")


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
        ("input.depth", "float64"),
        ("input.depth", "object"),
        ("input.mean", [0.5]),
        ("input.mean", 0.5),
        ("input.std", [0, 0, 0]),
        ("input.low", [1.0]),
        ("input.colour", 1),
    ],
)
def test_a_model_json_with_an_invalid_value_is_refused(assert_refused, untrusted, key, value):
    content = json.loads(untrusted.model_file.read_text())
    section, _, name = key.partition(".")
    if name:
        content[section][name] = value
    else:
        content[section] = value
    untrusted.model_file.write_text(json.dumps(content))
    assert_refused()


@pytest.mark.parametrize("key", ["format", "design", "classes", "temperature", "input"])
def test_a_model_json_with_a_missing_value_is_refused(assert_refused, untrusted, key):
    content = json.loads(untrusted.model_file.read_text())
    del content[key]
    untrusted.model_file.write_text(json.dumps(content))
    assert_refused()


def test_the_error_for_a_misspelt_network_suggests_the_nearest_name(assert_refused, untrusted):
    content = json.loads(untrusted.model_file.read_text())
    untrusted.model_file.write_text(
        json.dumps({**content, "design": {**content["design"], "network": "efficientnet-lite"}})
    )
    assert_refused("unknown network 'efficientnet-lite'", "'efficientnet-lite0'")


def test_the_weights_have_the_same_permissions_as_other_files(small_run):
    assert small_run.weights_file.stat().st_mode == small_run.model_file.stat().st_mode
