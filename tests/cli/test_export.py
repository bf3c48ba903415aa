"""`coverslip export`: its output and its errors."""

import pytest

from coverslip import api


@pytest.fixture(scope="module")
def run(leaves, session_cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("to export") / "linear"
    return api.train(leaves, folder, model_network="linear", input_size=16, training_epochs=1)


def test_the_result_of_the_verification_and_the_next_step_are_printed(coverslip, run, tmp_path):
    said = coverslip("export", run.folder, "--format", "torch", "--out", tmp_path / "out").done()
    assert "checked on 36 images" in said.err and "100.0% (limit 99.5%)" in said.err
    for name in ("model.pt", "model.json", "use_model.py", "README.md"):
        assert (tmp_path / "out" / name).is_file() and name in said.out
    assert "next: python" in said.out
    coverslip("export", run.folder, "--out", tmp_path / "out").refused("exists and is not empty", "out-2")


def test_errors_suggest_the_nearest_name_or_the_missing_file(coverslip, run, tmp_path):
    coverslip("export", run.folder, "--format", "onxx").refused("unknown format 'onxx'", "did you mean 'onnx'")
    coverslip("export", run.folder, "--quantize", "int9").refused("int9", "did you mean 'int8'")
    coverslip("export", run.folder, "--format", "torch", "--quantize", "int8").refused("ONNX or OpenVINO")
    coverslip("export", tmp_path / "nowhere").refused("there is no run", "coverslip train")
    coverslip("export", tmp_path).refused("contains no trained model")
    coverslip("export", run.folder, "--images", tmp_path / "gone.jpg").refused("gone.jpg", "check the path")
