"""Training images and test results that are stored with a model and shown by the server."""

import json
import shutil

import pytest
from PIL import Image, ImageOps

from coverslip import api
from coverslip.core.errors import UserError
from coverslip.core.runs import Run
from coverslip.serving.server import ServeConfig, open_service


@pytest.fixture(scope="module")
def with_examples(leaves, session_cache, tmp_path_factory):
    """Train the small run with thumbnails of training images, and copy its model to another place."""
    folder = tmp_path_factory.mktemp("examples") / "run"
    run = api.train(leaves, folder, model_examples=True)
    moved = tmp_path_factory.mktemp("elsewhere") / "model"
    moved.mkdir()
    shutil.copytree(run.model_folder, moved / "model")
    for name in ("table.csv", "test.json"):
        shutil.copy(run.folder / name, moved)
    return Run(moved)


def model_and_answer(run, data, **settings):
    """Return the description of the model and its answer for one image."""
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app

    service = open_service(run, ServeConfig(maps=False, **settings))
    with TestClient(create_app(service), base_url="http://localhost") as client:
        answer = client.post("/v1/predict", files={"files": ("leaf.png", data)}).json()["images"][0]
        return client.get("/v1/model").json(), answer


def test_a_model_trained_with_examples_shows_them_on_another_machine(with_examples, small_run, leaf_files):
    model, answer = model_and_answer(with_examples, leaf_files[0].read_bytes())
    assert model["examples"] and len(answer["nearest"]) == 3
    assert all(neighbor["thumbnail"].startswith("data:image/jpeg;base64,/9j/") for neighbor in answer["nearest"])
    model, without = model_and_answer(small_run, leaf_files[0].read_bytes())
    assert not model["examples"] and {neighbor["thumbnail"] for neighbor in without["nearest"]} == {None}
    assert answer["probabilities"] == pytest.approx(without["probabilities"], abs=1e-4)  # the model is the same


def test_examples_can_be_deleted_and_invalid_ones_are_refused(with_examples, leaf_files, tmp_path):
    run = Run(shutil.copytree(with_examples.folder, tmp_path / "run"))
    run.examples_file.write_bytes(run.examples_file.read_bytes()[:100])
    with pytest.raises(UserError, match=run.examples_file.name) as caught:
        open_service(run, ServeConfig(maps=False))
    assert "delete" in caught.value.fix
    run.examples_file.unlink()
    assert not model_and_answer(run, leaf_files[0].read_bytes())[0]["examples"]


def test_training_reports_that_the_model_contains_images(coverslip, leaves, tmp_path):
    run = Run(tmp_path / "run")
    trained = coverslip("train", leaves, "--with-examples", "--out", run.folder).done()
    assert "thumbnails of" in trained.err
    assert run.examples_file.is_file() and "examples = true" in run.experiment_file.read_text(encoding="utf-8")
    without = Run(tmp_path / "none")
    refitted = coverslip("train", leaves, "--with-examples", "--refit", "--out", without.folder).done()
    assert "no thumbnails" in refitted.err and not without.examples_file.exists()


def test_an_evaluation_replaces_the_test_result_of_the_run(small_run, leaves, leaf_files, tmp_path, coverslip):
    flipped = tmp_path / "flipped"
    for file in leaf_files[::2]:
        copy = flipped / file.parent.name / f"{file.stem}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        ImageOps.mirror(Image.open(file)).save(copy)
    scored = api.evaluate(small_run.folder, flipped, tmp_path / "scored")
    test = json.loads(scored.test_file.read_text(encoding="utf-8"))
    model, _ = model_and_answer(small_run, leaf_files[0].read_bytes(), tested=scored.folder)
    assert model["tested_on"]["images"] == test["images"] == len(leaf_files[::2])
    assert model["tested_on"]["seen"] == test["seen"] == 0
    assert model["score"]["value"] == test["scores"]["accuracy"]["value"]

    known = api.evaluate(small_run.folder, leaves, tmp_path / "known")  # it was trained on most of these
    seen = json.loads(known.test_file.read_text(encoding="utf-8"))["seen"]
    serve = ("serve", small_run.folder, "--port", "0", "--tested")
    coverslip(*serve, known.folder).refused(f"{seen} of the 36 images", "omit --tested")

    other = api.train(leaves, tmp_path / "other", training_seed=1, split_seed=3)
    coverslip("serve", other.folder, "--port", "0", "--tested", scored.folder).refused("measured with another model")
    coverslip(*serve, tmp_path).refused("contains no test result")
    coverslip("serve", scored.folder, "--port", "0").refused("no trained model", "coverslip evaluate")
