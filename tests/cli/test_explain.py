"""``coverslip explain`` and ``coverslip.explain``: what a user gets to see, and what is left in the folder."""

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
from coverslip.core.runs import Explained
from coverslip.explaining.explanation import Explanation
from coverslip.inference.whole import whole_network


@pytest.fixture(scope="module")
def run(leaves, session_cache, tmp_path_factory):
    """A small CNN on the built-in leaves; its explanations of the test set go into its own folder."""
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
        assert "is" in roles and "said" in roles and len(each.roles) == 3 == len(set(each.classes))
        assert each.heatmaps[0][0].values.shape == (16, 16)
        assert not each.seen
    assert len(grids.heatmaps) == 2 * 3 * 2 and len(grids.figures) == 2


def test_it_explains_the_very_answer_that_predict_gives(grids, run, tested):
    said = api.predict(run.folder, tested)
    for each, row in zip(grids.images, said.iter_rows(named=True), strict=True):
        assert each.predicted == row["predicted"]
        assert each.confidence == pytest.approx(row["confidence"], abs=0.01)


def test_the_maps_are_those_of_the_network(grids, run, tested):
    from coverslip.explaining.maps.cam import cam_grid

    model = api.load(run.folder)
    pixels = np.stack([np.asarray(Image.open(path).resize((32, 32), Image.Resampling.BILINEAR)) for path in tested])
    found = cam_grid(
        whole_network(model), torch.from_numpy(model.spec.prepare(pixels)), [grids.images[0].classes[:1]] * 2
    )
    mine, theirs = grids.images[0].heatmaps[0][-1].values, found[-1][0, 0]
    assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.9  # the resize of another library


def test_of_several_images_the_summary_says_that_it_is_an_average():
    trust = SimpleNamespace(sentences=lambda: ["The heat lies somewhere."])
    about = {"run": "run", "network": "cnn", "classes": ("a", "b"), "method": "grad-cam", "layer": "block2"}
    said = Explanation(**about, images=[None, None], trust=trust).sentences
    assert said[0].startswith("An average over these 2 images") and said[1:] == ["The heat lies somewhere."]
    assert Explanation(**about, images=[None, None]).sentences == []


def test_the_command_says_little_and_ends_with_the_page_and_the_next_step(coverslip, run, tested):
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
    coverslip("explain", run.folder, tested[0], "--no-trust").done()  # again: beside it, nothing is overwritten
    assert (run.folder / "explain" / f"{tested[0].stem}-2").is_dir()


def test_masks_of_built_in_leaves_are_found_and_measured(run, tested):
    found = api.explain(run.folder, tested[:1])
    places = found.images[0].trust.places
    assert set(places) <= {"subject", "lesion"} and "subject" in places
    assert any("subject" in sentence for sentence in found.sentences)


def test_a_folder_of_masks_serves_images_that_the_run_does_not_know(run, leaves, tested, tmp_path):
    strange = tmp_path / "new" / "image.jpg"
    strange.parent.mkdir()
    strange.write_bytes(tested[0].read_bytes())
    mask = np.zeros((64, 64), np.uint8)
    mask[8:40, 8:40] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "image.png")
    assert api.explain(run.folder, [strange]).images[0].trust.places == {}
    found = api.explain(run.folder, [strange], masks=tmp_path / "masks").images[0]
    assert found.trust.places["marked area"].area == pytest.approx(0.25, abs=0.01)
    assert found.label is None


def test_named_classes_get_a_row_and_a_layer_can_be_shown_alone(run, tested):
    names = api.load(run.folder).task.classes
    found = api.explain(run.folder, tested[:1], classes=[names[2]], layer="block1", trust=False)
    (each,) = found.images
    assert names[2] in [row[0].class_name for row in each.heatmaps]
    assert [heatmap.layer for heatmap in each.heatmaps[0]] == ["block1"]


def test_a_network_without_convolutions_shows_occlusion_and_its_ideal_images_and_says_so(linear, tested):
    found = api.explain(linear.folder, tested[:1], ideal=True, trust=False)
    assert found.method == "occlusion" and any("no convolutions" in note for note in found.notes)
    assert [drawing.name for drawing in found.drawings] == ["ideal-images", "first-weights"]
    assert found.drawings[0].arrays["images"].shape[2:] == (16, 16, 3)


def test_filters_of_a_layer_come_with_real_images_and_the_way_through_the_stages(run, tested):
    found = api.explain(run.folder, tested[:1], filters="block1", trust=False)
    names = [drawing.name for drawing in found.drawings]
    assert names == ["filters", "filters-images", "first-weights", "stages"]
    assert found.drawings[0].arrays["images"].shape[0] == 8


def test_an_all_black_image_is_explained_without_a_warning(run, tmp_path, recwarn):
    Image.new("RGB", (50, 40)).save(tmp_path / "black.png")
    found = api.explain(run.folder, [tmp_path / "black.png"])
    assert len(found.sentences) >= 2
    assert not [each for each in recwarn if issubclass(each.category, RuntimeWarning)]


def test_images_of_other_size_and_in_grey_are_taken_as_predict_takes_them(run, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 30), np.uint8)).save(tmp_path / "grey.png")
    found = api.explain(run.folder, [tmp_path / "grey.png"], trust=False)
    assert found.images[0].predicted == api.predict(run.folder, [tmp_path / "grey.png"])["predicted"][0]


def test_the_test_part_goes_into_the_report_with_mistakes_and_clusters_to_name(coverslip, run):
    assert "coverslip explain" in run.report_file.read_text() and "Nobody has looked yet" in run.report_file.read_text()
    answer = coverslip("explain", run.folder, "--test", "--no-trust").done()
    assert "off the subject" in answer.out
    there = Explained(run.explained_test_folder)
    review = json.loads(there.numbers_file.read_text())["review"]
    tests = pl.read_csv(run.predictions_file)
    assert review["images"] == tests.height
    assert review["mistakes"] == (tests["label"] != tests["predicted"]).sum()
    assert {"subject", "background", "border"} <= set(review["places"])
    assert all((there.folder / each["image"]).is_file() for each in review["looked_away"])
    page = run.report_file.read_text()
    assert "Nobody has looked yet" not in page and "Where it looks" in page
    with np.load(there.arrays_file("mean-maps"), allow_pickle=False) as arrays:
        assert arrays["maps"].shape == (tests.height, 8, 8) and len(arrays["paths"]) == tests.height


def test_names_of_clusters_are_kept_when_it_is_run_again(coverslip, run):
    coverslip("explain", run.folder, "--test", "--no-trust").done()
    there = Explained(run.explained_test_folder)
    with there.clusters_file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows, "the small network makes mistakes"
    rows[0]["name"] = "on gravel, dark"
    with there.clusters_file.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    before = set(there.folder.iterdir())
    coverslip("explain", run.folder, "--test", "--no-trust", "--layer", "block1").done()
    coverslip("explain", run.folder, "--test", "--no-trust").done()
    assert set(there.folder.iterdir()) == before
    assert "on gravel, dark" in there.clusters_file.read_text()
    assert json.loads(there.numbers_file.read_text())["review"]["clusters"][0]["name"] == "on gravel, dark"


def test_a_notebook_shows_the_figures_by_themselves(grids):
    assert package.explain is api.explain
    assert grids._repr_html_().count("data:image/png;base64,") == 2
