"""An exported file returns the model's outputs: for every network, any channels and depth, and every format."""

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
from coverslip.evidence.support import Support
from coverslip.evidence.threshold import Threshold
from coverslip.explaining.maps.cam import cam_grid
from coverslip.exporting import images
from coverslip.exporting.export import ExportImages, export_model
from coverslip.exporting.formats import FORMATS, formats
from coverslip.exporting.module import ExportModule
from coverslip.exporting.parity import model_outputs
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
    """Use two synthetic images instead of 24."""
    monkeypatch.setattr(images, "RENDERED_PER_SIZE", 1)


@pytest.mark.parametrize(("network", "options", "mapped"), CASES, ids=[case[0] for case in CASES])
def test_the_exported_file_of_every_network_agrees_with_the_model(untrained, tmp_path, network, options, mapped):
    predictor = untrained(network, **options)
    sentences = export_model(predictor, tmp_path / "out", ExportImages(), format="torch")
    assert "2 images (leaves rendered" in sentences[0]
    check = json.loads((tmp_path / "out" / "model.json").read_text())["check"]
    assert check["grey"] <= 1 and check["network"] < 1e-5 and check["probability"] < 2e-3
    opened = formats()["torch"].open(tmp_path / "out")
    top = np.iinfo(predictor.spec.depth).max
    noise = np.random.default_rng(0).integers(0, top, (2, 90, 50, predictor.spec.channels))
    outputs = opened(noise.astype(predictor.spec.depth))
    assert ("map" in outputs) == mapped
    expected = model_outputs(predictor, outputs["seen"])
    np.testing.assert_allclose(outputs["probabilities"], expected["probabilities"], atol=2e-3)
    np.testing.assert_allclose(outputs["unfamiliarity"], expected["unfamiliarity"], rtol=0.01)
    assert np.array_equal(outputs["set"], expected["set"])
    assert np.array_equal(outputs["familiar"], expected["familiar"])


def test_a_network_can_be_exported_to_openvino(untrained, tmp_path):
    predictor = untrained("cnn-full", filters=(4, 8))
    export_model(predictor, tmp_path / "out", ExportImages(), format="openvino")
    outputs = formats()["openvino"].open(tmp_path / "out")(np.zeros((3, 20, 31, 3), np.uint8))
    assert outputs["probabilities"].shape == (3, 3) and outputs["seen"].shape == (3, 64, 64, 3)


def test_one_file_accepts_images_of_any_size_and_batches_of_one_size(onnx_folder):
    opened = formats()["onnx"].open(onnx_folder)
    rng = np.random.default_rng(0)
    for height, width in [(8, 8), (500, 20), (33, 333)]:
        batch = rng.integers(0, 256, (3, height, width, 3), np.uint8)
        together = opened(batch)
        for number in range(3):
            alone = opened(batch[number : number + 1])
            for name, values in alone.items():
                np.testing.assert_allclose(values[0], together[name][number], atol=1e-5, err_msg=name)


def test_the_map_output_is_the_class_activation_map(tiny_run, onnx_folder):
    predictor = load_predictor(Run.open(tiny_run.folder))
    module = ExportModule(predictor)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), np.uint8)
    outputs = formats()["onnx"].open(onnx_folder)(pixels)
    prepared = torch.from_numpy(predictor.spec.prepare(outputs["seen"]))
    expected = cam_grid(module.network, prepared, np.arange(3), method="cam")[0]
    np.testing.assert_allclose(np.maximum(outputs["map"], 0), expected, atol=1e-4)
    bias = module.network.get_submodule("classifier").bias.numpy()
    logits = outputs["map"].mean((2, 3)) + bias
    np.testing.assert_allclose(torch.from_numpy(logits).softmax(1), outputs["probabilities"], atol=1e-5)


def test_the_stored_threshold_decides_between_two_classes(untrained, tmp_path, monkeypatch, capsys):
    unknown = Support(0, 0, 0.95, False).score(None, None, "", "not measured")
    predictor = untrained("linear", classes=("healthy", "rust"))
    predictor.task = replace(predictor.task, threshold=Threshold("rust", 0.2, unknown, unknown))
    export_model(predictor, tmp_path / "out", ExportImages(), format="torch")
    opened = formats()["torch"].open(tmp_path / "out")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), np.uint8)
    outputs = opened(pixels)
    rust = outputs["probabilities"][:, 1]
    assert ((rust >= 0.2) & (rust < 0.5)).any() and (rust < 0.2).any()
    assert outputs["label"].tolist() == (rust >= 0.2).astype(int).tolist()

    card = json.loads((tmp_path / "out" / "model.json").read_text())
    (label,) = [output["about"] for output in card["outputs"] if output["name"] == "label"]
    assert "1 (rust)" in label and "at least 0.2" in label and "0 (healthy)" in label
    assert label in (tmp_path / "out" / "README.md").read_text()
    rows = [int(np.abs(rust - 0.35).argmin()), int(rust.argmin())]
    for row in rows:
        Image.fromarray(pixels[row]).save(tmp_path / f"{row}.png")
    monkeypatch.setattr(sys, "argv", ["use_model.py", *(str(tmp_path / f"{row}.png") for row in rows)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(tmp_path / "out" / "use_model.py"), run_name="__main__")
    below_half, healthy = capsys.readouterr().out.splitlines()
    assert not ended.value.code
    shown = float(below_half.partition(": rust ")[2].split()[0])
    assert shown == pytest.approx(rust[rows[0]], abs=0.002)
    assert "threshold for rust: 0.2" in below_half
    assert ": healthy " in healthy and "(decision threshold" not in healthy


def test_a_file_with_other_outputs_is_not_kept(tiny_run, tmp_path, monkeypatch):
    torch_format = formats()["torch"]

    def shifted(folder):
        opened = torch_format.open(folder)
        return lambda pixels: {**opened(pixels), "seen": np.roll(opened(pixels)["seen"], 3, axis=1)}

    monkeypatch.setitem(FORMATS._components, "torch", replace(torch_format, open=shifted))
    with pytest.raises(UserError, match="differ from the model's"):
        export(tiny_run.folder, tmp_path / "out", format="torch")
    assert not list(tmp_path.iterdir())


def test_a_network_that_returns_nan_is_not_kept(untrained, tmp_path):
    predictor = untrained("linear")
    predictor.bias = predictor.bias + np.nan
    with pytest.raises(UserError, match="differ from the model's"):
        export_model(predictor, tmp_path / "out", ExportImages(), format="torch")
    assert not list(tmp_path.iterdir())
