"""All entry points give the same predictions, and every image gets one."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip import api
from coverslip.core.runs import Run
from coverslip.data.sources.unlabeled import display_paths, scan_unlabeled


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_repeated_experiment_gives_the_same_bytes(coverslip, small_run, tmp_path):
    coverslip("train", small_run.experiment_file, "--out", tmp_path / "again").done()
    again = Run(tmp_path / "again")
    assert again.test_file.read_bytes() == small_run.test_file.read_bytes()
    assert again.predictions_file.read_bytes() == small_run.predictions_file.read_bytes()
    assert again.table_file.read_bytes() == small_run.table_file.read_bytes()


def test_a_repeated_experiment_with_an_empty_cache_gives_the_same_numbers(small_run, empty_cache, tmp_path):
    again = api.train(small_run.experiment_file, tmp_path / "again")
    assert again.read_json(again.environment_file)["computed"]["images decoded"] == 36
    assert again.test_file.read_bytes() == small_run.test_file.read_bytes()


def test_a_second_run_computes_nothing_again(small_run, leaves, tmp_path):
    again = api.train(leaves, tmp_path / "again", training_seed=1)
    computed = again.read_json(again.environment_file)["computed"]
    assert computed == {"images decoded": 0, "views through the network": 0}


def test_training_from_the_table_of_a_run_gives_the_same_split(coverslip, small_run, tmp_path):
    coverslip("train", small_run.table_file, "--split-seed", 7, "--out", tmp_path / "again").done()
    assert (tmp_path / "again" / "table.csv").read_bytes() == small_run.table_file.read_bytes()
    assert (tmp_path / "again" / "test.json").read_bytes() == small_run.test_file.read_bytes()


def test_the_table_of_a_run_with_damaged_files_and_copies_can_be_used(coverslip, images, tmp_path):
    classes = sorted(images.iterdir())
    (classes[0] / "broken.jpg").write_bytes(b"")
    first = min(classes[1].iterdir())
    shutil.copy(first, classes[1] / "copy.jpg")
    coverslip("train", images, "--out", "first").done()
    coverslip("train", "first/table.csv", "--out", "second").done()
    assert Path("second/table.csv").read_bytes() == Path("first/table.csv").read_bytes()
    assert Path("second/test.json").read_bytes() == Path("first/test.json").read_bytes()


def test_predict_returns_the_predictions_of_the_run(coverslip, small_run, leaves, empty_cache):
    tested = pl.read_csv(small_run.predictions_file)
    paths = [leaves.parent / path for path in tested["path"]]
    coverslip("predict", small_run.folder, *paths, "--out", "few.csv").done()  # with an empty cache
    coverslip("predict", small_run.folder, leaves.parent / "images", "--out", "all.csv").done()
    for file in ("few.csv", "all.csv"):
        rows = pl.read_csv(file).with_columns(pl.col("path").str.strip_prefix(f"{leaves.parent}/"))
        both = tested.select("path").join(rows, on="path", how="left", maintain_order="left")
        for column in tested.columns:
            if column not in ("label", "group"):
                assert both[column].to_list() == tested[column].to_list(), (file, column)


def test_evaluate_returns_the_scores_of_the_run(coverslip, small_run, leaves):
    rows = pl.read_csv(small_run.table_file).filter(pl.col("split") == "test")
    rows.select(pl.format("{}/{}", pl.lit(str(leaves.parent)), "path").alias("path"), "label", "group").write_csv(
        "t.csv"
    )
    coverslip("evaluate", small_run.folder, "t.csv", "--out", "scored").done()
    assert (
        json.loads(Path("scored/test.json").read_text())["scores"] == small_run.read_json(small_run.test_file)["scores"]
    )


def test_evaluating_ten_images_writes_ten_rows(coverslip, small_run, leaves):
    paths = [*sorted((leaves.parent / "images").rglob("*.jpg"))[::4][:9], leaves.parent / "images" / "broken.jpg"]
    rows = [f"{path},{path.parent.name if path.exists() else 'tomato_healthy'}" for path in paths]
    Path("ten.csv").write_text("\n".join(["path,label", *rows]))
    coverslip("evaluate", small_run.folder, "ten.csv", "--out", "scored").done()
    scored = pl.read_csv("scored/predictions.csv")
    assert scored.height == 10
    assert scored["error"].to_list().count(None) == 9 and scored["predicted"].null_count() == 1
    assert json.loads(Path("scored/test.json").read_text())["images"] == 9
    assert coverslip("predict", small_run.folder, *paths[:9]).done().out.count("\n") == 10  # with the header


@pytest.mark.parametrize("batch", [4, 7])
def test_no_image_of_an_incomplete_batch_is_dropped(small_run, leaves, batch, empty_cache):
    model = api.load(small_run.folder)
    table = scan_unlabeled([leaves.parent / "images"])
    expected = api.load(small_run.folder).predict(table)
    shutil.rmtree(empty_cache / "features")
    model.extractor.engine_name = "torch"
    model.extractor.engine.batch = batch
    predictions = model.predict(table)
    rows, expected_rows = (model.to_frame(batch, table.paths) for batch in (predictions, expected))
    assert rows.height == 36
    np.testing.assert_allclose(rows["confidence"], expected_rows["confidence"], atol=0.01)


def test_a_folder_sorted_by_class_has_every_class_in_every_split(coverslip, images):
    coverslip("train", images, "--out", "run").done()
    rows = pl.read_csv("run/table.csv")
    assert rows["label"].to_list() == sorted(rows["label"])
    for split in ("train", "validation", "test"):
        assert rows.filter(pl.col("split") == split)["label"].n_unique() == 3


def test_a_class_missing_from_a_given_split_shifts_no_label(coverslip, leaves):
    """The first class by name has no image in the test set: the others keep their names and ids."""
    rows = pl.read_csv(leaves).select("path", "label", "group")
    first, *others = sorted(set(rows["label"]))
    tests = pl.col("group").str.contains("00[45]$") & (pl.col("label") != first)
    table = rows.with_columns(pl.when(tests).then(pl.lit("test")).otherwise(pl.lit("train")).alias("split"))
    table.write_csv(leaves.parent / "given.csv")
    try:
        said = coverslip("train", leaves.parent / "given.csv", "--out", "run").done()
    finally:
        (leaves.parent / "given.csv").unlink()
    assert f"'{first}' in test" in said.err
    tested = pl.read_csv("run/predictions.csv")
    assert set(tested["label"]) == set(others)
    assert [name for name in tested.columns if name.startswith("p:")] == [f"p:{name}" for name in [first, *others]]
    for row in tested.iter_rows(named=True):
        assert row["confidence"] == row[f"p:{row['predicted']}"]
    assert (tested["label"] == tested["predicted"]).mean() > 0.5
    assert json.loads(Path("run/model/model.json").read_text())["classes"] == [first, *others]


def test_evaluating_a_class_that_the_model_lacks_suggests_the_nearest(coverslip, small_run, images):
    (images / "tomato_healthy").rename(images / "tomato_helthy")
    said = coverslip("evaluate", small_run.folder, images, "--out", "scored")
    said.refused("no class 'tomato_helthy'", "'tomato_healthy'", "rename")
    assert not Path("scored").exists()


@pytest.mark.parametrize("missing", [1, 2])
def test_evaluating_images_of_some_classes_shifts_no_label(coverslip, small_run, images, missing):
    names = sorted(path.name for path in images.iterdir())
    for name in names[:missing]:
        shutil.rmtree(images / name)
    coverslip("evaluate", small_run.folder, images, "--out", "scored").done()
    scored = pl.read_csv("scored/predictions.csv")
    predictions = api.predict(small_run.folder, [images])
    assert scored.height == 12 * (3 - missing) and set(scored["label"]) == set(names[missing:])
    assert scored["predicted"].to_list() == predictions["predicted"].to_list()
    accuracy = (scored["label"] == scored["predicted"]).mean()
    assert json.loads(Path("scored/test.json").read_text())["scores"]["accuracy"]["value"] == pytest.approx(accuracy)


def test_no_file_of_the_user_is_changed(coverslip, small_run, images, snapshot, tmp_path):
    (images / "notes.txt").write_text("mine")
    before = snapshot(images), snapshot(small_run.folder)
    coverslip("train", images, "--out", tmp_path / "run").done()
    coverslip("train", images, "--dry-run").done()
    coverslip("predict", small_run.folder, images).done()
    coverslip("evaluate", small_run.folder, images, "--out", tmp_path / "scored").done()
    coverslip("cache").done()
    assert (snapshot(images), snapshot(small_run.folder)) == before


# ---------------------------------------------------------------- bit depth, channels, modes


def folder_of(tmp_path, write, count=6, classes=("a", "b")):
    for number, name in enumerate(classes):
        (tmp_path / "kinds" / name).mkdir(parents=True)
        for index in range(count):
            write(tmp_path / "kinds" / name / f"{index}", number, np.random.default_rng((number, index)))
    return tmp_path / "kinds"


def model_input(run):
    return json.loads((Path(run) / "model" / "model.json").read_text())["input"]


@pytest.mark.parametrize(("channels", "depth"), [(1, "uint16"), (2, "uint8"), (5, "uint16")])
def test_bit_depth_and_channels_are_kept_by_model_and_prediction(coverslip, tmp_path, channels, depth):
    import tifffile

    def write(path, number, rng):
        top = np.iinfo(depth).max
        pixels = rng.integers(0, top // 4, (24, 24, channels)).astype(depth)
        pixels[..., number % channels] += top // 2
        layout = {"photometric": "minisblack", "planarconfig": "contig"} if channels > 1 else {}
        tifffile.imwrite(path.with_suffix(".tif"), pixels, **layout)

    home = folder_of(tmp_path, write)
    coverslip("train", home, "--set", "input.size=64", "--out", "run").done()
    spec = model_input("run")
    assert (spec["channels"], spec["depth"]) == (channels, depth)
    coverslip("predict", "run", home, "--out", "p.csv").done()
    rows = pl.read_csv("p.csv").with_columns(pl.col("path").str.strip_prefix(f"{home}/"))
    tested = pl.read_csv("run/predictions.csv")
    both = tested.join(rows, on="path", how="left", maintain_order="left", suffix="_now")
    assert both["p:a"].to_list() == both["p:a_now"].to_list()
    assert rows["error"].null_count() == 12


def test_images_of_all_modes_in_one_folder_are_read_as_color(coverslip, tmp_path):
    def write(path, number, rng):
        index = int(path.name)
        pixels = rng.integers(0, 100, (40, 40, 3), np.uint8)
        pixels[..., number] += 120
        image = Image.fromarray(pixels)
        exif = Image.Exif()
        exif[0x0112] = 6
        [
            lambda: image.save(path.with_suffix(".png")),
            lambda: image.convert("RGBA").save(path.with_suffix(".png")),
            lambda: image.quantize(64).save(path.with_suffix(".png")),
            lambda: image.convert("CMYK").save(path.with_suffix(".jpg")),
            lambda: image.convert("L").save(path.with_suffix(".jpg")),
            lambda: image.save(path.with_suffix(".jpg"), exif=exif),
            lambda: image.save(path.with_suffix(".TIFF"), save_all=True, append_images=[image]),
            lambda: image.save(path.with_suffix(".webp")),
        ][index]()

    home = folder_of(tmp_path, write, count=8)
    said = coverslip("train", home, "--set", "input.size=64", "--out", "run").done()
    assert "several-pages" in said.err
    audit = json.loads(Path("run/audit.json").read_text())
    assert {finding["name"]: finding["count"] for finding in audit["findings"]}["several-pages"] == 2
    assert audit["read"] == 16 and audit["turned"] == 2 and audit["modes"]["CMYK"] == 2
    assert model_input("run")["channels"] == 3


def test_a_few_16_bit_images_among_8_bit_ones_make_the_folder_16_bit(coverslip, tmp_path):
    """The first images are 8-bit; the 16-bit ones that follow are not reduced."""

    def write(path, number, rng):
        pixels = rng.integers(0, 200, (24, 24), np.uint8)
        deep = int(path.name) == 29
        Image.fromarray(pixels.astype(np.uint16) * 300 if deep else pixels).save(path.with_suffix(".png"))

    home = folder_of(tmp_path, write, count=30)
    coverslip("train", home, "--set", "input.size=64", "--out", "run").done()
    assert model_input("run")["depth"] == "uint16"
    assert json.loads(Path("run/audit.json").read_text())["read"] == 60


def test_a_16_bit_image_for_an_8_bit_model_is_an_error_in_its_row(coverslip, small_run, tmp_path):
    Image.fromarray(np.full((30, 30), 40_000, np.uint16)).save(tmp_path / "deep.png")
    said = coverslip("predict", small_run.folder, tmp_path / "deep.png").done()
    assert "16 bits" in said.out


def test_paths_are_written_as_given(coverslip, small_run, images, tmp_path, monkeypatch):
    monkeypatch.chdir(images)
    first, second = sorted(path.name for path in images.iterdir())[:2]
    name = min(path.name for path in Path(first).iterdir())
    said = coverslip("predict", small_run.folder, f"{first}/{name}", images / second, f"./{second}").done()
    shown = pl.read_csv(said.out.encode())["path"].to_list()
    assert len(shown) == 13 and f"{first}/{name}" in shown
    assert all(path.startswith(f"{images / second}/") for path in shown if path != f"{first}/{name}")


def test_display_names_of_thousands_of_files_take_linear_time(tmp_path):
    names = [str(tmp_path / f"{number}.jpg") for number in range(5_000)]
    start = time.monotonic()
    assert display_paths([Path(name) for name in names], names) == names
    assert time.monotonic() - start < 2
