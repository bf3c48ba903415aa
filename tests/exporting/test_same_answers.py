"""An exported file gives the model's answers: every network, any channels and depth, every format."""

import json
import runpy
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from coverslip.api.exporting import export
from coverslip.core.errors import UserError
from coverslip.core.runs import Run
from coverslip.evidence.basis import Basis
from coverslip.evidence.threshold import Threshold
from coverslip.explaining.maps.cam import cam_grid
from coverslip.exporting import images
from coverslip.exporting.export import Material, export_model
from coverslip.exporting.formats import FORMATS, formats
from coverslip.exporting.instrument import Instrument
from coverslip.exporting.parity import model_answer
from coverslip.inference.model_files import load_predictor

CASES = [
    ("linear", {"depth": "uint16", "channels": 2}, False),
    ("mlp", {"fit": "squash", "batch_norm": True}, False),
    ("cnn", {"channels": 1, "batch_norm": True, "dropout": 0.5}, False),
    ("cnn-full", {"fit": "crop", "depth": "uint16", "channels": 5}, True),
    ("resnet18", {"size": (48, 80)}, True),
    ("efficientnet-lite0", {}, True),
    ("vit_tiny_patch16_224", {}, False),
]


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """Two rendered images, not two dozen."""
    monkeypatch.setattr(images, "RENDERED", 1)


@pytest.mark.parametrize(("network", "options", "mapped"), CASES, ids=[case[0] for case in CASES])
def test_every_network_becomes_a_file_that_answers_as_the_model_does(untrained, tmp_path, network, options, mapped):
    predictor = untrained(network, **options)
    said = export_model(predictor, tmp_path / "out", Material(), format="torch")
    assert "2 images (leaves rendered" in said[0]
    check = json.loads((tmp_path / "out" / "model.json").read_text())["check"]
    assert check["grey"] <= 1 and check["network"] < 1e-5 and check["probability"] < 2e-3
    opened = formats()["torch"].open(tmp_path / "out")
    top = np.iinfo(predictor.spec.depth).max
    noise = np.random.default_rng(0).integers(0, top, (2, 90, 50, predictor.spec.channels))
    answer = opened(noise.astype(predictor.spec.depth))
    assert ("map" in answer) == mapped
    wanted = model_answer(predictor, answer["seen"])
    np.testing.assert_allclose(answer["probabilities"], wanted["probabilities"], atol=2e-3)
    np.testing.assert_allclose(answer["unfamiliarity"], wanted["unfamiliarity"], rtol=0.01)
    assert np.array_equal(answer["set"], wanted["set"]) and np.array_equal(answer["familiar"], wanted["familiar"])


def test_openvino_reads_it_too(untrained, tmp_path):
    predictor = untrained("cnn-full", filters=(4, 8))
    export_model(predictor, tmp_path / "out", Material(), format="openvino")
    answer = formats()["openvino"].open(tmp_path / "out")(np.zeros((3, 20, 31, 3), np.uint8))
    assert answer["probabilities"].shape == (3, 3) and answer["seen"].shape == (3, 64, 64, 3)


def test_one_file_takes_images_of_any_size_and_batches_of_one_size(onnx_folder):
    opened = formats()["onnx"].open(onnx_folder)
    rng = np.random.default_rng(0)
    for height, width in [(8, 8), (500, 20), (33, 333)]:
        batch = rng.integers(0, 256, (3, height, width, 3), np.uint8)
        together = opened(batch)
        for number in range(3):
            alone = opened(batch[number : number + 1])
            for name, values in alone.items():
                np.testing.assert_allclose(values[0], together[name][number], atol=1e-5, err_msg=name)


def test_the_map_in_the_file_is_the_plain_class_activation_map(tiny_run, onnx_folder):
    predictor = load_predictor(Run.open(tiny_run.folder))
    instrument = Instrument(predictor)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), np.uint8)
    answer = formats()["onnx"].open(onnx_folder)(pixels)
    prepared = torch.from_numpy(predictor.spec.prepare(answer["seen"]))
    drawn = cam_grid(instrument.network, prepared, np.arange(3), method="cam")[0]
    np.testing.assert_allclose(np.maximum(answer["map"], 0), drawn, atol=1e-4)
    bias = instrument.network.get_submodule("classifier").bias.numpy()
    scores = answer["map"].mean((2, 3)) + bias
    np.testing.assert_allclose(torch.from_numpy(scores).softmax(1), answer["probabilities"], atol=1e-5)


def test_two_classes_are_told_apart_at_the_stored_threshold(untrained, tmp_path, monkeypatch, capsys):
    nobody = Basis(0, 0, 0.95, False).score(None, None, "", "not measured")
    predictor = untrained("linear", classes=("healthy", "rust"))
    predictor.task = replace(predictor.task, threshold=Threshold("rust", 0.2, nobody, nobody))
    export_model(predictor, tmp_path / "out", Material(), format="torch")
    opened = formats()["torch"].open(tmp_path / "out")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), np.uint8)
    answer = opened(pixels)
    rust = answer["probabilities"][:, 1]
    assert ((rust >= 0.2) & (rust < 0.5)).any() and (rust < 0.2).any()
    assert answer["label"].tolist() == (rust >= 0.2).astype(int).tolist()

    said = "1 (rust) where its probability is at least 0.2, else 0 (healthy)"
    card = json.loads((tmp_path / "out" / "model.json").read_text())
    (label,) = [each["about"] for each in card["outputs"] if each["name"] == "label"]
    assert said in label and said in (tmp_path / "out" / "README.md").read_text()
    rows = [int(np.abs(rust - 0.35).argmin()), int(rust.argmin())]
    for row in rows:
        Image.fromarray(pixels[row]).save(tmp_path / f"{row}.png")
    monkeypatch.setattr(sys, "argv", ["use_model.py", *(str(tmp_path / f"{row}.png") for row in rows)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(tmp_path / "out" / "use_model.py"), run_name="__main__")
    early, plain = capsys.readouterr().out.splitlines()
    assert not ended.value.code
    shown = float(early.partition(": rust ")[2].split()[0])
    assert shown == pytest.approx(rust[rows[0]], abs=0.002) and " (rust is said from 0.2 up)" in early
    assert ": healthy " in plain and "is said from" not in plain


def test_a_file_that_answers_otherwise_is_not_kept(tiny_run, tmp_path, monkeypatch):
    torch_format = formats()["torch"]

    def shifted(folder):
        opened = torch_format.open(folder)
        return lambda pixels: {**opened(pixels), "seen": np.roll(opened(pixels)["seen"], 3, axis=1)}

    monkeypatch.setitem(FORMATS._parts, "torch", replace(torch_format, open=shifted))
    with pytest.raises(UserError, match="does not give the model's answers"):
        export(tiny_run.folder, tmp_path / "out", format="torch")
    assert not list(tmp_path.iterdir())


def test_a_network_that_says_nan_is_not_kept(untrained, tmp_path):
    predictor = untrained("linear")
    predictor.bias = predictor.bias + np.nan
    with pytest.raises(UserError, match="does not give the model's answers"):
        export_model(predictor, tmp_path / "out", Material(), format="torch")
    assert not list(tmp_path.iterdir())
