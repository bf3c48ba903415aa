"""``coverslip explain`` and ``coverslip.explain``: output, figures and files."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

import coverslip as package
from coverslip import api
from coverslip.core.runs import ExplanationFolder
from coverslip.explaining.explanation import Explanation
from coverslip.inference.full_network import full_network


@pytest.fixture(scope="module")
def run(leaves, session_cache, tmp_path_factory):
    """A small CNN on synthetic leaves; explanations of its test set are written into its folder."""
    folder = tmp_path_factory.mktemp("runs") / "cnn"
    return api.train(leaves, folder, model_network="cnn", model_filters=(8, 16), input_size=32, training_epochs=3)


@pytest.fixture(scope="module")
def linear(leaves, session_cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "linear"
    return api.train(leaves, folder, model_network="linear", input_size=16, training_epochs=2)


@pytest.fixture(scope="module")
def tested(run, leaves):
    """Paths of two test images of one class."""
    table = pl.read_csv(run.table_file).filter(pl.col("split") == "test").sort("path")
    return [leaves.parent / path for path in table["path"].head(2)]


@pytest.fixture(scope="module")
def grids(run, tested):
    return api.explain(run.folder, tested, trust=False)


def test_every_stage_and_the_true_the_predicted_and_the_next_class_are_drawn(grids, run):
    assert grids.method == "grad-cam" and len(grids.images) == 2
    for each in grids.images:
        assert [heatmap.layer for heatmap in each.heatmaps[0]] == ["block1", "block2"]
        roles = " ".join(each.roles)
        assert "true" in roles and "predicted" in roles and len(each.roles) == 3 == len(set(each.classes))
        assert each.heatmaps[0][0].values.shape == (16, 16)
        assert not each.trained_on
    assert len(grids.heatmaps) == 2 * 3 * 2 and len(grids.figures) == 2


def test_the_explained_prediction_is_that_of_predict(grids, run, tested):
    said = api.predict(run.folder, tested)
    for each, row in zip(grids.images, said.iter_rows(named=True), strict=True):
        assert each.predicted == row["predicted"]
        assert each.confidence == pytest.approx(row["confidence"], abs=0.01)


def test_the_maps_are_those_of_the_network(grids, run, tested):
    from coverslip.explaining.maps.cam import cam_grid

    model = api.load(run.folder)
    pixels = np.stack([np.asarray(Image.open(path).resize((32, 32), Image.Resampling.BILINEAR)) for path in tested])
    explanation = cam_grid(
        full_network(model), torch.from_numpy(model.spec.prepare(pixels)), [grids.images[0].classes[:1]] * 2
    )
    expected, computed = grids.images[0].heatmaps[0][-1].values, explanation[-1][0, 0]
    assert np.corrcoef(expected.ravel(), computed.ravel())[0, 1] > 0.9  # the resize of another library


def test_the_summary_of_several_images_is_an_average():
    trust = SimpleNamespace(sentences=lambda: ["The heat lies somewhere."])
    about = {"run": "run", "network": "cnn", "classes": ("a", "b"), "method": "grad-cam", "layer": "block2"}
    said = Explanation(**about, images=[None, None], trust=trust).sentences
    assert said[0].startswith("Averages over these 2 images") and said[1:] == ["The heat lies somewhere."]
    assert Explanation(**about, images=[None, None]).sentences == []


def test_the_output_is_short_and_ends_with_the_page_and_the_next_step(coverslip, run, tested):
    out = run.folder / "explain" / tested[0].stem
    answer = coverslip("explain", run.folder, tested[0]).done()
    lines = answer.out.strip().splitlines()
    assert len(lines) <= 10 and tested[0].name in lines[0]
    assert lines[-2] == f"page: {out / 'explain.html'}" and lines[-1].startswith("next: ")
    content = json.loads((out / "explain.json").read_text())
    (each,) = content["images"]
    with Image.open(out / each["figure"]) as figure:
        assert figure.width > 1000
    with np.load(out / each["arrays"], allow_pickle=False) as arrays:
        assert arrays["map.block2"].shape == (3, 8, 8)
        assert arrays["classes"].tolist() == [row["class"] for row in each["rows"]]
    assert each["trust"]["similarity"]["value"] is not None and each["sentences"]
    assert "data:image/jpeg" in (out / "explain.html").read_text()
    coverslip("explain", run.folder, tested[0], "--no-trust").done()  # a second call does not overwrite the first
    assert (run.folder / "explain" / f"{tested[0].stem}-2").is_dir()


def test_masks_of_synthetic_leaves_are_found_and_measured(run, tested):
    explanation = api.explain(run.folder, tested[:1])
    places = explanation.images[0].trust.places
    assert set(places) <= {"subject", "lesion"} and "subject" in places
    assert any("subject" in sentence for sentence in explanation.sentences)


def test_a_folder_of_masks_is_used_for_images_outside_the_run(run, leaves, tested, tmp_path):
    unknown = tmp_path / "new" / "image.jpg"
    unknown.parent.mkdir()
    unknown.write_bytes(tested[0].read_bytes())
    mask = np.zeros((64, 64), np.uint8)
    mask[8:40, 8:40] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "image.png")
    assert api.explain(run.folder, [unknown]).images[0].trust.places == {}
    explanation = api.explain(run.folder, [unknown], masks=tmp_path / "masks").images[0]
    assert explanation.trust.places["marked area"].area == pytest.approx(0.25, abs=0.01)
    assert explanation.label is None


def test_given_classes_get_a_row_and_a_single_layer_can_be_shown(run, tested):
    names = api.load(run.folder).task.classes
    explanation = api.explain(run.folder, tested[:1], classes=[names[2]], layer="block1", trust=False)
    (each,) = explanation.images
    assert names[2] in [row[0].class_name for row in each.heatmaps]
    assert [heatmap.layer for heatmap in each.heatmaps[0]] == ["block1"]


def test_a_network_without_convolutions_uses_occlusion_and_ideal_images(linear, tested):
    explanation = api.explain(linear.folder, tested[:1], ideal=True, trust=False)
    assert explanation.method == "occlusion" and any("no convolutions" in note for note in explanation.notes)
    assert [drawing.name for drawing in explanation.drawings] == ["ideal-images", "first-weights"]
    assert explanation.drawings[0].arrays["images"].shape[2:] == (16, 16, 3)


def test_filters_of_a_layer_come_with_images_and_the_stages(run, tested):
    explanation = api.explain(run.folder, tested[:1], filters="block1", trust=False)
    names = [drawing.name for drawing in explanation.drawings]
    assert names == ["filters", "filters-images", "first-weights", "stages"]
    assert explanation.drawings[0].arrays["images"].shape[0] == 8


def test_an_all_black_image_is_explained_without_a_warning(run, tmp_path, recwarn):
    Image.new("RGB", (50, 40)).save(tmp_path / "black.png")
    explanation = api.explain(run.folder, [tmp_path / "black.png"])
    assert len(explanation.sentences) >= 2
    assert not [each for each in recwarn if issubclass(each.category, RuntimeWarning)]


def test_images_of_other_sizes_and_grey_images_are_prepared_as_in_predict(run, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 30), np.uint8)).save(tmp_path / "grey.png")
    explanation = api.explain(run.folder, [tmp_path / "grey.png"], trust=False)
    assert explanation.images[0].predicted == api.predict(run.folder, [tmp_path / "grey.png"])["predicted"][0]


def test_the_review_of_the_test_set_is_added_to_the_report(coverslip, run):
    assert (
        "coverslip explain" in run.report_file.read_text()
        and "No heat maps have been computed" in run.report_file.read_text()
    )
    answer = coverslip("explain", run.folder, "--test", "--no-trust").done()
    assert "outside the subject" in answer.out
    output = ExplanationFolder(run.explained_test_folder)
    review = json.loads(output.numbers_file.read_text())["review"]
    tests = pl.read_csv(run.predictions_file)
    assert review["images"] == tests.height
    assert review["mistakes"] == (tests["label"] != tests["predicted"]).sum()
    assert {"subject", "background", "border"} <= set(review["places"])
    assert all((output.folder / each["image"]).is_file() for each in review["looked_away"])
    page = run.report_file.read_text()
    assert "No heat maps have been computed" not in page and "Heat maps" in page
    with np.load(output.arrays_file("mean-maps"), allow_pickle=False) as arrays:
        assert arrays["maps"].shape == (tests.height, 8, 8) and len(arrays["paths"]) == tests.height


def test_names_of_clusters_are_kept_when_the_review_is_repeated(coverslip, run):
    coverslip("explain", run.folder, "--test", "--no-trust").done()
    output = ExplanationFolder(run.explained_test_folder)
    with output.clusters_file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows, "the small network makes mistakes"
    rows[0]["name"] = "on gravel, dark"
    with output.clusters_file.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    before = set(output.folder.iterdir())
    coverslip("explain", run.folder, "--test", "--no-trust", "--layer", "block1").done()
    coverslip("explain", run.folder, "--test", "--no-trust").done()
    assert set(output.folder.iterdir()) == before
    assert "on gravel, dark" in output.clusters_file.read_text()
    assert json.loads(output.numbers_file.read_text())["review"]["clusters"][0]["name"] == "on gravel, dark"


def test_a_notebook_shows_the_figures(grids):
    assert package.explain is api.explain
    assert grids._repr_html_().count("data:image/png;base64,") == 2
