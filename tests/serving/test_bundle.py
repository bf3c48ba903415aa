"""What a model carries along to the page: small training images where it was trained with them, and its test."""

import json
import shutil

import pytest
from PIL import Image, ImageOps

from coverslip import api
from coverslip.core.errors import UserError
from coverslip.core.runs import Run
from coverslip.serving.server import Wishes, open_service


@pytest.fixture(scope="module")
def with_examples(leaves, session_cache, tmp_path_factory):
    """The small run once more, with small training images in it, and where it was trained gone from sight."""
    folder = tmp_path_factory.mktemp("examples") / "run"
    run = api.train(leaves, folder, model_examples=True)
    moved = tmp_path_factory.mktemp("elsewhere") / "model"
    moved.mkdir()
    shutil.copytree(run.model_folder, moved / "model")
    for name in ("table.csv", "test.json"):
        shutil.copy(run.folder / name, moved)
    return Run(moved)


def shown(run, data, **wishes):
    """The model as it tells of itself, and its answer to one image."""
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app

    service = open_service(run, Wishes(maps=False, **wishes))
    with TestClient(create_app(service), base_url="http://localhost") as client:
        answer = client.post("/v1/predict", files={"files": ("leaf.png", data)}).json()["images"][0]
        return client.get("/v1/model").json(), answer


def test_a_model_trained_with_examples_shows_them_on_another_machine(with_examples, small_run, leaf_files):
    model, answer = shown(with_examples, leaf_files[0].read_bytes())
    assert model["examples"] and len(answer["nearest"]) == 3
    assert all(each["thumbnail"].startswith("data:image/jpeg;base64,/9j/") for each in answer["nearest"])
    model, without = shown(small_run, leaf_files[0].read_bytes())
    assert not model["examples"] and {each["thumbnail"] for each in without["nearest"]} == {None}
    assert answer["probabilities"] == pytest.approx(without["probabilities"], abs=1e-4)  # the model is the same


def test_examples_can_be_deleted_and_broken_ones_are_refused(with_examples, leaf_files, tmp_path):
    run = Run(shutil.copytree(with_examples.folder, tmp_path / "run"))
    run.examples_file.write_bytes(run.examples_file.read_bytes()[:100])
    with pytest.raises(UserError, match="does not hold small images") as told:
        open_service(run, Wishes(maps=False))
    assert "delete it" in told.value.fix
    run.examples_file.unlink()
    assert not shown(run, leaf_files[0].read_bytes())[0]["examples"]


def test_training_says_that_images_go_with_the_model(coverslip, leaves, tmp_path):
    run = Run(tmp_path / "run")
    said = coverslip("train", leaves, "--with-examples", "--out", run.folder).done()
    assert "small images of" in said.err and "whoever has it can look at them" in said.err
    assert run.examples_file.is_file() and "examples = true" in run.experiment_file.read_text(encoding="utf-8")
    without = Run(tmp_path / "none")
    said = coverslip("train", leaves, "--with-examples", "--refit", "--out", without.folder).done()
    assert "no examples" in said.err and not without.examples_file.exists()


def test_an_evaluation_is_told_instead_of_the_runs_own_test(small_run, leaves, leaf_files, tmp_path, coverslip):
    flipped = tmp_path / "flipped"
    for file in leaf_files[::2]:
        there = flipped / file.parent.name / f"{file.stem}.png"
        there.parent.mkdir(parents=True, exist_ok=True)
        ImageOps.mirror(Image.open(file)).save(there)
    scored = api.evaluate(small_run.folder, flipped, tmp_path / "scored")
    test = json.loads(scored.test_file.read_text(encoding="utf-8"))
    model, _ = shown(small_run, leaf_files[0].read_bytes(), tested=scored.folder)
    assert model["tested_on"]["images"] == test["images"] == len(leaf_files[::2])
    assert model["tested_on"]["seen"] == test["seen"] == 0
    assert model["score"]["value"] == test["scores"]["accuracy"]["value"]

    known = api.evaluate(small_run.folder, leaves, tmp_path / "known")  # it was trained on most of these
    seen = json.loads(known.test_file.read_text(encoding="utf-8"))["seen"]
    said = f"{seen} of the 36 images"
    coverslip("serve", small_run.folder, "--port", "0", "--tested", known.folder).refused(said, "leave --tested out")

    other = api.train(leaves, tmp_path / "other", training_seed=1, split_seed=3)
    coverslip("serve", other.folder, "--port", "0", "--tested", scored.folder).refused("not measured with this model")
    coverslip("serve", small_run.folder, "--port", "0", "--tested", tmp_path).refused("holds no test result")
    coverslip("serve", scored.folder, "--port", "0").refused("holds no trained model", "'coverslip evaluate' found")
