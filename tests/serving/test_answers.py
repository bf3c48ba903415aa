"""Answers are the same as those of `coverslip predict`, in the order of the files, as JSON and CSV, with maps."""

import base64
import csv
import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip import api
from coverslip.data.inputs import InputSpec
from coverslip.serving.maps import map_over_image


def test_answers_equal_those_of_predict_in_the_order_of_the_files(predict, small_run, leaf_files):
    files = [leaf_files[number] for number in (7, 0, 20, 3, 30)]
    predicted = api.predict(small_run.folder, files)
    rows = dict(zip(predicted["path"], predicted.iter_rows(named=True), strict=True))
    response = predict({f"{number}.jpg": path.read_bytes() for number, path in enumerate(files)}).json()
    assert response["model"] == small_run.folder.name and response["threshold"] is None  # three classes
    assert [answer["file"] for answer in response["images"]] == [f"{number}.jpg" for number in range(len(files))]
    for path, answer in zip(files, response["images"], strict=True):
        row = rows[str(path)]
        assert answer["label"] == row["predicted"] and answer["error"] is None
        assert answer["confidence"] == pytest.approx(row["confidence"], abs=1e-4)
        assert {f"p:{name}": pytest.approx(p, abs=1e-4) for name, p in answer["probabilities"].items()} == {
            name: value for name, value in row.items() if name.startswith("p:")
        }
        assert " | ".join(answer["set"]) == row["set"] and answer["familiar"] == row["familiar"]
        assert (answer["unfamiliarity"] <= 1) == row["familiar"]
        folders = [name.split("/")[-2] for name in row["nearest"].split(" | ")]
        assert [neighbor["label"] for neighbor in answer["nearest"]] == folders
        distances = [neighbor["distance"] for neighbor in answer["nearest"]]
        assert distances == sorted(distances)
        assert all(neighbor["thumbnail"] is None for neighbor in answer["nearest"])
        assert (answer["width"], answer["height"]) == (64, 64)


def test_an_image_gets_the_same_answer_alone_and_in_a_batch(predict, leaf_files):
    files = {path.name + str(number): path.read_bytes() for number, path in enumerate(leaf_files[:5])}
    together = predict(files).json()["images"]
    alone = [predict({name: data}).json()["images"][0] for name, data in files.items()]
    for one, other in zip(together, alone, strict=True):
        assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=1e-6)
        assert one.pop("confidence") == pytest.approx(other.pop("confidence"), abs=1e-6)
        assert one == other


def test_every_file_format_is_decoded_as_by_other_entry_points(predict, image, small_run, tmp_path):
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
    expected = {path.rpartition("/")[2]: value for path, value in predicted.select("path", "confidence").iter_rows()}
    for name, data in files.items():
        assert predict({name: data}).json()["images"][0]["confidence"] == pytest.approx(expected[name], abs=1e-4), name


def test_the_size_of_an_image_is_reported_with_exif_orientation_applied(predict, image):
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = predict({"phone.jpg": image("JPEG", (40, 30), exif=exif)}).json()["images"][0]
    assert (answer["width"], answer["height"]) == (30, 40)


def test_a_map_has_the_aspect_ratio_of_the_image_and_states_its_reliability(predict, image, leaf_files):
    files = {"leaf.jpg": leaf_files[0].read_bytes(), "bad.jpg": b"text", "wide.jpg": image("JPEG", (90, 30))}
    answers = predict(files, explain="true").json()["images"]
    assert answers[1]["map"] is None and answers[1]["error"]
    for answer, shape in ((answers[0], (64, 64)), (answers[2], (21, 64))):
        heat = answer["map"]
        values = np.frombuffer(base64.b64decode(heat["values"]), np.uint8).reshape(heat["height"], heat["width"])
        assert values.shape == shape and values.max() == 255 and heat["class"] == answer["label"]
        assert heat["method"] == "grad-cam" and heat["layer"] and "not tested" in heat["trust"]
    assert predict(files).json()["images"][0]["map"] is None


@pytest.mark.parametrize(("fit", "hot"), [("pad", (10, 32)), ("squash", (10, 32)), ("crop", (10, 32))])
def test_a_map_is_aligned_with_the_image(fit, hot):
    """A bright spot of an image is resized like its pixels, and mapped back to the same position."""
    from coverslip.data.inputs import fit_batch

    spec = InputSpec(size=(224, 224), fit=fit, mean=(0.5,) * 3, std=(0.5,) * 3)
    pixels = np.zeros((1, 320, 640, 1), np.uint8)
    pixels[0, hot[0] * 10 - 30 : hot[0] * 10 + 30, hot[1] * 10 - 30 : hot[1] * 10 + 30] = 255
    frame = fit_batch(pixels, spec.size, fit)[0, :, :, 0].astype(np.float32)
    frame[frame < 200] = 0  # remove the color of the padding
    values = map_over_image(frame, 640, 320, spec)
    assert values.shape == (32, 64)
    center = np.argwhere(values > 128).mean(axis=0)
    assert np.abs(center - hot).max() <= 1.5


def test_cropped_areas_are_zero_in_the_map():
    spec = InputSpec(size=(224, 224), fit="crop", mean=(0.5,) * 3, std=(0.5,) * 3)
    values = map_over_image(np.ones((7, 7), np.float32) + np.eye(7, dtype=np.float32), 640, 320, spec)
    assert values[:, :15].max() == 0 and values[:, 49:].max() == 0 and values[:, 17:47].min() > 0


def test_csv_has_the_columns_of_predict_and_no_formulas(predict, leaf_files):
    files = {"=cmd|calc.jpg": leaf_files[0].read_bytes(), "bad.jpg": b"text"}
    for response in (predict(files, format="csv"), predict(files, headers={"accept": "text/csv"})):
        assert response.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert [row["path"] for row in rows] == ["'=cmd|calc.jpg", "bad.jpg"]
        assert rows[0]["predicted"] and not rows[1]["predicted"] and "text, not an image" in rows[1]["error"]
        frame = pl.read_csv(io.StringIO(response.text))
        assert {"confidence", "set", "familiar", "unfamiliarity", "nearest_labels"} <= set(frame.columns)


def test_the_model_description_contains_the_test_result(client, small_run):
    model = client.get("/v1/model").json()
    test = small_run.read_json(small_run.test_file)
    assert model["classes"] == test["class_names"] and model["name"] == small_run.folder.name
    assert model["tested_on"]["images"] == test["images"]
    accuracy = test["scores"]["accuracy"]
    assert {key: model["score"][key] for key in ("value", "low", "high", "images")} == {
        key: accuracy[key] for key in ("value", "low", "high", "images")
    }
    assert model["familiarity"] and model["maps"] and not model["examples"] and model["coverage"] == 0.9
    assert model["limits"] == {"bytes": 2_000_000, "images": 5, "pixels": 1_000_000}
    assert any("familiarity threshold" in warning for warning in model["warnings"])  # calibrated on few groups
