"""What is answered: the same as `coverslip predict`, in the order given, as JSON and as CSV, with maps."""

import base64
import csv
import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip import api
from coverslip.data.inputs import InputSpec
from coverslip.serving.maps import over_image


def test_answers_are_those_of_predict_in_the_order_given(ask, small_run, leaf_files):
    some = [leaf_files[number] for number in (7, 0, 20, 3, 30)]
    predicted = api.predict(small_run.folder, some)
    rows = dict(zip(predicted["path"], predicted.iter_rows(named=True), strict=True))
    found = ask({f"{place}.jpg": path.read_bytes() for place, path in enumerate(some)}).json()
    assert found["model"] == small_run.folder.name and found["threshold"] is None  # three classes
    assert [each["file"] for each in found["images"]] == [f"{place}.jpg" for place in range(len(some))]
    for path, each in zip(some, found["images"], strict=True):
        row = rows[str(path)]
        assert each["label"] == row["predicted"] and each["error"] is None
        assert each["confidence"] == pytest.approx(row["confidence"], abs=1e-4)
        assert {f"p:{name}": pytest.approx(p, abs=1e-4) for name, p in each["probabilities"].items()} == {
            name: value for name, value in row.items() if name.startswith("p:")
        }
        assert " | ".join(each["set"]) == row["set"] and each["familiar"] == row["familiar"]
        assert (each["unfamiliarity"] <= 1) == row["familiar"]
        folders = [name.split("/")[-2] for name in row["nearest"].split(" | ")]
        assert [near["label"] for near in each["nearest"]] == folders
        distances = [near["distance"] for near in each["nearest"]]
        assert distances == sorted(distances) and all(near["thumbnail"] is None for near in each["nearest"])
        assert (each["width"], each["height"]) == (64, 64)


def test_an_image_gets_the_same_answer_alone_and_among_others(ask, leaf_files):
    files = {path.name + str(place): path.read_bytes() for place, path in enumerate(leaf_files[:5])}
    together = ask(files).json()["images"]
    alone = [ask({name: data}).json()["images"][0] for name, data in files.items()]
    for one, other in zip(together, alone, strict=True):
        assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=1e-6)
        assert one.pop("confidence") == pytest.approx(other.pop("confidence"), abs=1e-6)
        assert one == other


def test_the_pixels_of_every_kind_of_file_are_those_of_the_other_doors(ask, image, small_run, tmp_path):
    files = {
        "grey.png": image("PNG", mode="L"),
        "clear.png": image("PNG", mode="RGBA"),
        "palette.png": image("PNG", mode="P"),
        "print.jpg": image("JPEG", mode="CMYK"),
        "web.webp": image("WEBP"),
        "old.bmp": image("BMP"),
        "lab.tif": image("TIFF"),
        "long.jpg": image("JPEG", (300, 40)),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    predicted = api.predict(small_run.folder, [tmp_path])
    said = {path.rpartition("/")[2]: value for path, value in predicted.select("path", "confidence").iter_rows()}
    for name, data in files.items():
        assert ask({name: data}).json()["images"][0]["confidence"] == pytest.approx(said[name], abs=1e-4), name


def test_a_turned_photograph_is_measured_upright(ask, image):
    exif = Image.Exif()
    exif[0x0112] = 6
    found = ask({"phone.jpg": image("JPEG", (40, 30), exif=exif)}).json()["images"][0]
    assert (found["width"], found["height"]) == (30, 40)


def test_a_map_comes_in_the_proportions_of_the_image_and_says_whether_it_was_tested(ask, image, leaf_files):
    files = {"leaf.jpg": leaf_files[0].read_bytes(), "bad.jpg": b"text", "wide.jpg": image("JPEG", (90, 30))}
    found = ask(files, explain="true").json()["images"]
    assert found[1]["map"] is None and found[1]["error"]
    for each, shape in ((found[0], (64, 64)), (found[2], (21, 64))):
        heat = each["map"]
        values = np.frombuffer(base64.b64decode(heat["values"]), np.uint8).reshape(heat["height"], heat["width"])
        assert values.shape == shape and values.max() == 255 and heat["class"] == each["label"]
        assert heat["method"] == "grad-cam" and heat["layer"] and "was not tested" in heat["trust"]
    assert ask(files).json()["images"][0]["map"] is None


@pytest.mark.parametrize(("fit", "hot"), [("pad", (10, 32)), ("squash", (10, 32)), ("crop", (10, 32))])
def test_the_map_lies_over_the_place_that_the_network_saw(fit, hot):
    """A hot place of an image of 64 x 32 is brought into the frame as its pixels are, and back by the map."""
    from coverslip.data.inputs import fit_batch

    spec = InputSpec(size=(224, 224), fit=fit, mean=(0.5,) * 3, std=(0.5,) * 3)
    pixels = np.zeros((1, 320, 640, 1), np.uint8)
    pixels[0, hot[0] * 10 - 30 : hot[0] * 10 + 30, hot[1] * 10 - 30 : hot[1] * 10 + 30] = 255
    frame = fit_batch(pixels, spec.size, fit)[0, :, :, 0].astype(np.float32)
    frame[frame < 200] = 0  # what `pad` fills in
    values = over_image(frame, 640, 320, spec)
    assert values.shape == (32, 64)
    middle = np.argwhere(values > 128).mean(axis=0)
    assert np.abs(middle - hot).max() <= 1.5


def test_outside_of_what_was_cut_off_there_is_no_heat():
    spec = InputSpec(size=(224, 224), fit="crop", mean=(0.5,) * 3, std=(0.5,) * 3)
    values = over_image(np.ones((7, 7), np.float32) + np.eye(7, dtype=np.float32), 640, 320, spec)
    assert values[:, :15].max() == 0 and values[:, 49:].max() == 0 and values[:, 17:47].min() > 0


def test_csv_has_the_columns_of_predict_and_no_formulas(ask, leaf_files):
    files = {"=cmd|calc.jpg": leaf_files[0].read_bytes(), "bad.jpg": b"text"}
    for response in (ask(files, format="csv"), ask(files, headers={"accept": "text/csv"})):
        assert response.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert [row["path"] for row in rows] == ["'=cmd|calc.jpg", "bad.jpg"]
        assert rows[0]["predicted"] and not rows[1]["predicted"] and "text, not an image" in rows[1]["error"]
        frame = pl.read_csv(io.StringIO(response.text))
        assert {"confidence", "set", "familiar", "unfamiliarity", "nearest_labels"} <= set(frame.columns)


def test_the_model_says_what_it_is_and_what_it_was_tested_on(client, small_run):
    found = client.get("/v1/model").json()
    test = small_run.read_json(small_run.test_file)
    assert found["classes"] == test["class_names"] and found["name"] == small_run.folder.name
    assert found["tested_on"]["images"] == test["images"]
    accuracy = test["scores"]["accuracy"]
    assert {key: found["score"][key] for key in ("value", "low", "high", "images")} == {
        key: accuracy[key] for key in ("value", "low", "high", "images")
    }
    assert found["familiarity"] and found["maps"] and not found["examples"] and found["coverage"] == 0.9
    assert found["limits"] == {"bytes": 2_000_000, "images": 5, "pixels": 1_000_000}
    assert any("is flagged too" in each for each in found["warnings"])  # few groups to calibrate with
