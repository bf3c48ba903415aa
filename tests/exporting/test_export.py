"""The files that `export` writes, and their use with three packages and without Coverslip."""

import json
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from coverslip import api
from coverslip.api.exporting import export
from coverslip.core.errors import UserError
from coverslip.core.runs import Run
from coverslip.exporting.formats import FORMATS, formats

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def phone_images(tmp_path, leaves):
    """A leaf with EXIF orientation, one with transparency, and a grey one."""
    home = tmp_path / "phone"
    home.mkdir()
    leaf = Image.open(next((leaves.parent / "images").rglob("*.jpg")))
    exif = Image.Exif()
    exif[0x0112] = 6
    leaf.crop((0, 0, 60, 40)).save(home / "turned.jpg", exif=exif)
    clear = leaf.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(home / "clear.png")
    leaf.convert("L").save(home / "grey.png")
    return home


def test_the_script_needs_only_onnxruntime_numpy_and_pillow(bare, tiny_run, onnx_folder, phone_images):
    images = sorted(phone_images.iterdir())
    ran = bare(["onnxruntime", "numpy", "pillow"], onnx_folder / "use_model.py", *images)
    assert ran.returncode == 0, ran.stderr
    expected = api.predict(tiny_run.folder, images)
    lines = ran.stdout.splitlines()
    assert len(lines) == len(images)
    for line, row in zip(lines, expected.iter_rows(named=True), strict=True):
        name, _, answer = line.partition(": ")
        label, confidence = answer.split(",")[0].split()
        assert (name, label) == (row["path"], row["predicted"]) and abs(float(confidence) - row["confidence"]) < 0.002
        assert f"set: {row['set']}" in line and ("unlike" in line) == (not row["familiar"])


def test_the_script_reports_unreadable_files_and_continues(bare, onnx_folder, phone_images):
    packages, script = ["onnxruntime", "numpy", "pillow"], onnx_folder / "use_model.py"
    first, last = sorted(phone_images.iterdir())[:2]
    (phone_images / "notes.txt").write_text("x")
    files = [first, phone_images / "notes.txt", phone_images / "gone.jpg", last]
    ran = bare(packages, script, *files)
    lines = ran.stdout.splitlines()
    assert ran.returncode == 1 and "Traceback" not in ran.stderr and len(lines) == 4
    assert all(line.startswith(f"{path}: ") for path, line in zip(files, lines, strict=True))
    assert [": cannot be read: " in line for line in lines] == [False, True, True, False]
    alone = bare(packages, script)
    assert alone.returncode == 1 and alone.stdout == "" and "python use_model.py IMAGE..." in alone.stderr
    code = [line for line in script.read_text().splitlines() if line.strip()]
    assert len(code) < 60  # short enough to read


def save_deep(folder):
    """Write images with 16 bits per channel, which Pillow clips or truncates: grey and color PNG, color TIFF."""
    deep = np.full((20, 30, 3), 40_000, np.uint16)
    (folder / "grey.png").write_bytes(imagecodecs.png_encode(deep[:, :, 0].copy()))
    (folder / "color.png").write_bytes(imagecodecs.png_encode(deep))
    tifffile.imwrite(folder / "color.tif", deep, photometric="rgb")
    return [folder / name for name in ("grey.png", "color.png", "color.tif")]


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_the_script_refuses_16_bits_and_images_that_are_too_large(bare, tiny_run, onnx_folder, tmp_path, form):
    deep = save_deep(tmp_path)
    Image.new("1", (12_000, 9_000)).save(tmp_path / "large.png")
    Image.new("RGB", (20, 30)).save(tmp_path / "plain.png")
    files = [*deep, tmp_path / "large.png", tmp_path / "plain.png"]
    if form == "onnx":
        ran = bare(["onnxruntime", "numpy", "pillow"], onnx_folder / "use_model.py", *files)
    else:
        script = export(tiny_run.folder, tmp_path / "out", format=form) / "use_model.py"
        ran = subprocess.run([sys.executable, script, *files], capture_output=True, text=True, check=False)
    lines = ran.stdout.splitlines()
    assert len(lines) == 5
    for file, line in zip(deep, lines[:3], strict=True):
        assert line.startswith(f"{file}: cannot be read: the image has 16 bits")
    assert "12,000 x 9,000 pixels" in lines[3] and "100 million" in lines[3]
    assert "cannot be read" not in lines[4]
    assert "Warning" not in ran.stderr and ran.returncode == 1
    assert all("16 bits" in error for error in api.predict(tiny_run.folder, deep)["error"])


def test_the_bare_environment_has_no_other_packages(bare, tmp_path):
    (tmp_path / "look.py").write_text(
        "import importlib\n"
        "for name in ('torch', 'coverslip', 'onnx', 'scipy', 'polars'):\n"
        "    try: importlib.import_module(name); print(name)\n"
        "    except ModuleNotFoundError: pass\n"
    )
    assert bare(["onnxruntime", "numpy", "pillow"], tmp_path / "look.py").stdout == ""


def test_the_file_contains_its_metadata_and_no_paths_of_this_machine(tiny_run, onnx_folder, tmp_path_factory):
    import onnx

    model = onnx.load(str(onnx_folder / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    card = json.loads((onnx_folder / "model.json").read_text())
    assert json.loads(metadata["classes"]) == card["classes"] == list(api.load(tiny_run.folder).task.classes)
    assert json.loads(metadata["preparation"])["size"] == [32, 32] and metadata["program"].startswith("coverslip ")
    assert {"licence", "run", "threshold", "sets", "familiarity"} <= set(metadata)
    assert metadata["outputs"].split() == [output["name"] for output in card["outputs"]]
    assert [output.name for output in model.graph.output] == metadata["outputs"].split()
    assert card["check"]["images"] == 36 and card["check"]["probability"] < 0.01 and "Accuracy" in card["run"]
    home = str(tmp_path_factory.getbasetemp()).encode()
    for file in onnx_folder.iterdir():
        content = file.read_bytes()
        assert home not in content and b"site-packages" not in content and b"exporting/" not in content, file
    page = (onnx_folder / "README.md").read_text()
    assert card["input"]["about"] in page and "most probable class" in page
    assert all(sentence in page for sentence in card["check"]["sentences"])


def test_int8_reports_the_loss_of_accuracy_on_the_validation_set(tiny_run, onnx_folder, monkeypatch):
    def write(module, folder, metadata):  # copies the existing file; exporting again takes seconds
        shutil.copy(onnx_folder / "model.onnx", folder)

    monkeypatch.setitem(FORMATS._components, "onnx", replace(formats()["onnx"], write=write))
    folder = export(tiny_run.folder, onnx_folder.parent / "int8", quantize="int8")
    card = json.loads((folder / "model.json").read_text())
    (cost,) = [sentence for sentence in card["check"]["sentences"] if sentence.startswith("accuracy ")]
    assert " in int8: " in cost and "validation set" in cost
    warned = any(sentence.startswith("warning: ") for sentence in card["check"]["sentences"])
    assert warned == (card["cost"]["another_label"] > 0.005)
    page = (folder / "README.md").read_text()
    assert "not with this quantized file" in page and "8-bit integers" in page
    outputs = formats()["onnx"].open(folder)(np.zeros((1, 50, 70, 3), np.uint8))
    assert abs(outputs["probabilities"].sum() - 1) < 1e-5
    import onnx

    operations = {node.op_type for node in onnx.load(str(folder / "model.onnx")).graph.node}
    assert "QuantizeLinear" in operations


def test_the_effect_of_decoding_a_large_jpeg_at_reduced_scale_is_reported(tiny_run, tmp_path):
    big = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).resize((400, 300))
    big.save(tmp_path / "big.jpg")
    folder = export(tiny_run.folder, tmp_path / "out", format="torch", images=tmp_path / "big.jpg")
    card = json.loads((folder / "model.json").read_text())
    assert card["check"]["reduced"] == 1 and "reduced scale" in card["check"]["sentences"][-1]


def test_without_the_images_of_the_run_synthetic_leaves_are_used(tiny_run, tmp_path):
    shutil.copytree(tiny_run.folder, tmp_path / "elsewhere" / "tiny")
    folder = export(tmp_path / "elsewhere" / "tiny", format="torch")
    assert folder == tmp_path / "elsewhere" / "tiny" / "export" / "torch"
    assert "rendered" in json.loads((folder / "model.json").read_text())["check"]["about"]
    assert export(tmp_path / "elsewhere" / "tiny", format="torch").name == "torch-2"
    with pytest.raises(UserError, match="no longer exist") as caught:
        export(tmp_path / "elsewhere" / "tiny", quantize="int8")
    assert "--images FOLDER" in caught.value.fix


def test_an_existing_folder_is_never_overwritten(tiny_run, onnx_folder, snapshot):
    before = snapshot(onnx_folder)
    with pytest.raises(UserError, match="exists and is not empty"):
        export(tiny_run.folder, onnx_folder, format="torch")
    assert snapshot(onnx_folder) == before


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_a_run_without_one_of_its_model_files_is_refused(tiny_run, tmp_path, name):
    run = Run(shutil.copytree(tiny_run.folder, tmp_path / "run"))
    (run.model_folder / name).unlink()
    with pytest.raises(UserError, match="no trained model"):
        export(run.folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_that_was_never_tested_is_refused(tiny_run, tmp_path):
    run = Run(shutil.copytree(tiny_run.folder, tmp_path / "run"))
    run.test_file.unlink()
    with pytest.raises(UserError, match=r"never tested|not tested") as caught:
        export(run.folder, tmp_path / "out")
    assert "--resume" in caught.value.fix


def test_a_folder_written_by_evaluate_is_distinguished_from_an_unfinished_run(tiny_run, tmp_path):
    run = Run(shutil.copytree(tiny_run.folder, tmp_path / "run"))
    shutil.rmtree(run.model_folder)
    with pytest.raises(UserError, match="no trained model") as caught:
        export(run.folder)
    assert "coverslip train" in caught.value.fix
    run.history_file.unlink()  # 'coverslip evaluate' writes no history
    with pytest.raises(UserError) as caught:
        export(run.folder)
    assert "evaluate" in caught.value.fix and "--resume" not in caught.value.fix


def test_a_served_file_reports_the_test_result_of_its_run(tiny_run, onnx_folder):
    pytest.importorskip("fastapi")
    from coverslip.serving.server import ServeConfig, open_service

    service = open_service(Run.open(onnx_folder), ServeConfig(maps=False))
    service.close()
    test, model = json.loads(tiny_run.test_file.read_text(encoding="utf-8")), service.model
    assert model.score is not None and model.score.value == test["scores"]["accuracy"]["value"]
    assert model.tested_on is not None and model.tested_on.images == test["images"]
    assert not any("not tested" in warning for warning in model.warnings)


def test_a_model_card_of_version_0_1_can_be_opened(tiny_run, onnx_folder, phone_images, tmp_path):
    folder = shutil.copytree(onnx_folder, tmp_path / "exported")
    card = json.loads((folder / "model.json").read_text())
    for section in ("check", "licence"):  # version 0.1 wrote "pictures" for "images"
        card[section]["pictures"] = card[section].pop("images")
    (folder / "model.json").write_text(json.dumps(card))
    images = sorted(phone_images.iterdir())
    columns = ["path", "predicted", "confidence", "set"]
    assert api.predict(folder, images)[columns].equals(api.predict(onnx_folder, images)[columns])


def test_a_user_network_has_to_be_given_again(tiny_run, tmp_path):
    run = Run(shutil.copytree(tiny_run.folder, tmp_path / "run"))
    content = json.loads(run.model_file.read_text())
    content["design"]["network"] = content["network"] = "own:Net"
    run.model_file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="'Net'"):
        export(run.folder, tmp_path / "out")


def test_too_little_disk_space_is_refused_before_anything_is_written(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12 - 10**6, 10**6))
    with pytest.raises(UserError, match="1 MB"):
        export(tiny_run.folder, tmp_path / "out", format="torch")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_becomes_full_leaves_no_files(tiny_run, tmp_path, monkeypatch):
    from coverslip.exporting import export as export_module

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, "write_text", full)
    with pytest.raises(UserError, match="full"):
        export(tiny_run.folder, tmp_path / "out", format="torch")
    assert not list(tmp_path.iterdir())


def test_unreadable_check_images_are_refused(tiny_run, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match="none of the 1 images can be read"):
        export(tiny_run.folder, tmp_path / "out", format="torch", images=[tmp_path / "broken.jpg"])


def test_the_error_names_a_missing_extra(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError) as caught:
        export(tiny_run.folder, tmp_path / "out")
    assert "coverslip[export]" in caught.value.fix
