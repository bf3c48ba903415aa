"""Mistakes of new users and the error messages. No file of the user is ever changed."""

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Change to a new working directory, in which runs without --out are created."""
    home = tmp_path / "current folder"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


def table(path, rows, header="path,label"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


# ---------------------------------------------------------------- folders


def test_a_folder_that_does_not_exist(coverslip, tmp_path):
    coverslip("train", tmp_path / "leafs").refused("does not exist", "leafs", "check the path")


def test_an_empty_folder(coverslip, tmp_path):
    (tmp_path / "leaves").mkdir()
    coverslip("train", tmp_path / "leaves").refused("contains no image", "one folder per class")


def test_class_folders_without_images(coverslip, tmp_path):
    for name in ("rust", "healthy"):
        (tmp_path / "leaves" / name).mkdir(parents=True)
        (tmp_path / "leaves" / name / "notes.txt").write_text("to do")
    coverslip("train", tmp_path / "leaves").refused("contains no image", "2 folders without images")


def test_images_outside_class_folders(coverslip, paint):
    coverslip("train", paint(rust=4) / "rust").refused("4 images, but none in a class folder", "one folder per class")


def test_one_class(coverslip, paint):
    coverslip("train", paint(rust=6)).refused("one class, 'rust'", "two or more")


def test_a_class_with_one_image(coverslip, paint):
    problem, _ = coverslip("train", paint(rust=6, healthy=1), "--out", "run").refused("class 'healthy' has 1 image;")
    assert "train, validation and test" in problem


def test_fewer_groups_than_splits(coverslip, paint, tmp_path):
    home = paint(rust=6, healthy=6)
    rows = [f"rust/{number:02d}.png,rust,leaf{number}" for number in range(6)]
    rows += [f"healthy/{number:02d}.png,healthy,leaf{10 + number % 2}" for number in range(6)]
    file = table(home / "leaves.csv", rows, "path,label,leaf")
    coverslip("train", file, "--group", "leaf").refused("class 'healthy' has 6 images of 2 groups", "other leaves")


def test_a_group_that_contains_the_whole_class(coverslip, paint):
    coverslip("train", paint(rust=6, healthy=6), "--group", "parent").refused("class folder")


def test_a_folder_that_cannot_be_read(coverslip, paint, monkeypatch):
    home = paint(rust=4, healthy=4)
    scandir = os.scandir

    def refuse(path="."):
        if str(path).endswith("healthy"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # tests may run as root, whom no permission stops
    coverslip("train", home).refused("cannot read the folder", "healthy", "ermission")


def test_an_image_instead_of_a_folder(coverslip, paint):
    coverslip("train", paint(rust=1) / "rust" / "00.png").refused("neither a folder nor a table nor an array file")


def test_train_and_test_folders_next_to_class_folders(coverslip, paint):
    coverslip("train", paint(train=3, rust=3)).refused("other folders: 'rust'")


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("where,label\na.png,rust\n", ["no column 'path'", "'where', 'label'"], id="no path column"),
        pytest.param("path,kind\na.png,rust\n", ["no column 'label'", "rename"], id="no label column"),
        pytest.param("path,label\n", ["has no rows"], id="no rows"),
        pytest.param("", ["is not a table"], id="empty"),
        pytest.param("path,label\na.png,rust\n,rust\n", ["no path in line 3"], id="a row without a path"),
        pytest.param("path,label\na.png,rust\nb.png,\n", ["no label in line 3"], id="a row without a label"),
        pytest.param("path,label\na.png,rust\na.png,rust\n", ["'a.png' more than once"], id="a path twice"),
        pytest.param("path,label\na.png,rust,x\n", ["is not a table"], id="a row too long"),
        pytest.param("path,label,split\na.png,rust,trian\n", ["split 'trian' in line 2"], id="unknown split"),
        pytest.param("path,label\nnot/there.png,rust\n", ["no file listed", "not/there.png"], id="all gone"),
        pytest.param("path;label\na.png;rust\n", ["no file listed", "a.png"], id="semicolons"),
        pytest.param("path,label\na.png,bl\u00e9\n".encode("latin1"), ["no file listed", "a.png"], id="not UTF-8"),
        pytest.param("path,label\na.png,rust\n".encode("utf-16"), ["leaves.csv"], id="UTF-16"),
        pytest.param(b"PAR1" + b"\0\1\2\xff" * 30, ["leaves.csv"], id="noise"),
    ],
)
def test_an_invalid_table(coverslip, tmp_path, content, words):
    file = tmp_path / "leaves.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    coverslip("train", file).refused(*words)


def test_a_file_that_is_not_a_parquet_table(coverslip, tmp_path):
    (tmp_path / "leaves.parquet").write_bytes(b"path,label")
    coverslip("train", tmp_path / "leaves.parquet").refused("is not a table")


def test_missing_files_of_a_table_are_listed_and_the_others_are_used(coverslip, paint):
    home = paint(rust=5, healthy=5)
    rows = [f"{name}/{number:02d}.png,{name}" for name in ("rust", "healthy") for number in range(5)]
    file = table(home / "leaves.csv", [*rows, "rust/99.png,rust", "healthy,healthy"])
    said = coverslip("train", file, "--out", "run").done()
    assert "2 files cannot be read" in said.err
    status = dict(pl.read_csv("run/table.csv").select("path", "status").iter_rows())
    assert status["rust/99.png"] == "no such file or directory" and status["healthy"] == "is not a file"


def test_absolute_paths_in_a_table_are_used(coverslip, paint, tmp_path):
    home = paint(rust=4, healthy=4)
    rows = [f"{path},{path.parent.name}" for path in sorted(home.rglob("*.png"))]
    coverslip("train", table(tmp_path / "elsewhere.csv", rows), "--out", "run").done()
    assert set(pl.read_csv("run/table.csv")["status"]) == {"ok"}


def test_a_table_written_on_windows_is_read(coverslip, paint):
    home = paint(rust=4, healthy=4)
    rows = [f"{name}\\{number:02d}.png,{name}" for name in ("rust", "healthy") for number in range(4)]
    (home / "leaves.csv").write_text("\r\n".join(["\ufeffpath,label", *rows]), encoding="utf-8", newline="")
    coverslip("train", home / "leaves.csv", "--out", "run").done()
    assert set(pl.read_csv("run/table.csv")["status"]) == {"ok"}


def test_predictions_saved_next_to_the_images_are_not_used_as_their_table(coverslip, small_run, paint):
    home = paint(rust=5, healthy=5)
    coverslip("predict", small_run.folder, home, "--out", home / "predictions.csv").done()
    said = coverslip("train", home, "--out", "run").done()
    assert "of 2 classes" in said.err


def test_a_misspelled_group_column_is_refused_with_the_nearest_name(coverslip, leaves, tmp_path):
    coverslip("train", leaves, "--group", "specie", "--out", "run").refused("no column 'specie'", "'species'")
    assert not (tmp_path / "current folder" / "run").exists()


def test_a_group_pattern_without_a_match(coverslip, paint):
    home = paint(rust=4, healthy=4)
    coverslip("train", home, "--group", "(patient").refused("not a regular expression")
    coverslip("train", home, "--group", r"(patient\d+)_").refused("matches no path", "healthy/00.png")


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 cut off", b"not arrays at all", "truncated", "no arrays", "floats", "lengths", "pickled"],
    ids=str,
)
def test_invalid_array_files(coverslip, tmp_path, content):
    file = tmp_path / "cells.npz"
    x, y = np.zeros((8, 6, 6), np.uint8), np.arange(8) % 2
    arrays = {
        "no arrays": {"a": x},
        "floats": {"x": x.astype(float), "y": y},
        "lengths": {"x": x, "y": y[:5]},
        "pickled": {"x": x, "y": np.array([None] * 8)},
    }
    if content == "truncated":
        np.savez(file, x=x, y=y)
        file.write_bytes(file.read_bytes()[:-100])
    elif isinstance(content, str):
        np.savez(file, **arrays[content])
    else:
        file.write_bytes(content)
    coverslip("train", file).refused("cells.npz")


# ---------------------------------------------------------------- files


def write_damaged(folder):
    """Write a damaged file of each kind; return name -> part of the expected reason."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    image.save(folder / "cut off.jpg")
    (folder / "cut off.jpg").write_bytes((folder / "cut off.jpg").read_bytes()[:900])
    (folder / "nothing.png").write_bytes(b"")
    (folder / "a text.jpg").write_text("not an image")
    (folder / "gone.jpg").symlink_to(folder / "not there.jpg")
    os.mkfifo(folder / "pipe.png")
    with (folder / "slide.tif").open("wb") as file:
        file.truncate(50_000_000_000)  # a sparse file
    return {
        "cut off.jpg": "truncated",
        "nothing.png": "empty",
        "a text.jpg": "not an image",
        "gone.jpg": "no such file",
        "pipe.png": "not a file",
        "slide.tif": "too large: 50.0 GB",
    }


def test_damaged_files_are_listed_with_the_reason_and_the_others_are_used(coverslip, paint, snapshot):
    home = paint(rust=6, healthy=6)
    Image.new("RGB", (1, 1), "red").save(home / "rust" / "one pixel.png")
    reasons = write_damaged(home / "rust")
    (home / "rust" / "Thumbs.db").write_bytes(b"\0")
    for junk in (".ipynb_checkpoints", "__pycache__", "__MACOSX"):
        shutil.copytree(paint(f"junk of {junk}", rust=1) / "rust", home / junk)
        shutil.copytree(home / junk, home / "rust" / junk)
    before = snapshot(home)
    said = coverslip("train", home, "--out", "run").done()
    assert f"found {13 + len(reasons)} images of 2 classes" in said.err
    assert f"{len(reasons)} files cannot be read" in said.err
    rows = pl.read_csv("run/table.csv")
    status = {path.removeprefix("rust/"): why for path, why in rows.select("path", "status").iter_rows()}
    assert {name for name, why in status.items() if why != "ok"} == set(reasons)
    for name, why in reasons.items():
        assert why in status[name], name
    assert status["one pixel.png"] == "ok"
    assert rows.filter(pl.col("status") != "ok")["split"].null_count() == len(reasons)
    assert snapshot(home) == before


def test_a_class_with_only_damaged_files(coverslip, paint):
    home = paint(rust=5, healthy=5)
    for path in (home / "rust").iterdir():
        path.write_bytes(b"")
    coverslip("train", home, "--out", "run").refused("class 'rust' has no readable image")


def test_no_image_can_be_read(coverslip, small_run, paint):
    home = paint(rust=5, healthy=5)
    for path in home.rglob("*.png"):
        path.write_text("not an image")
    coverslip("train", home, "--out", "run").refused("none of the 10 images can be read", "not an image")
    for path in home.glob("*"):
        path.rename(home / ("tomato_healthy" if path.name == "rust" else "potato_late_blight"))
    coverslip("evaluate", small_run.folder, home, "--out", "run").refused("none of the 10 images can be read")
    assert not Path("run").exists()


def test_predict_returns_a_row_for_each_path_with_the_error_of_damaged_files(coverslip, small_run, paint):
    home = paint(rust=3)
    reasons = write_damaged(home / "rust")
    said = coverslip("predict", small_run.folder, home, "--out", "p.csv").done()
    assert f"{len(reasons)} could not be read" in said.err
    rows = pl.read_csv("p.csv")
    assert rows.height == 3 + len(reasons)
    for path, predicted, confidence, error in rows.select("path", "predicted", "confidence", "error").iter_rows():
        why = reasons.get(Path(path).name)
        assert (predicted is None) == (confidence is None) == (why is not None)
        assert error is None if why is None else why in error


def test_damaged_images_get_rows_even_without_readable_ones(coverslip, small_run, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    said = coverslip("predict", small_run.folder, tmp_path / "a.jpg").done()
    assert said.out.splitlines()[1].endswith("the file is empty,,,")  # no prediction set and no familiarity


def test_predicting_missing_files_or_other_files(coverslip, small_run, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "nothing").mkdir()
    coverslip("predict", small_run.folder, tmp_path / "a.jpg").refused("does not exist", "a.jpg")
    coverslip("predict", small_run.folder, tmp_path / "notes.txt").refused("not an image file")
    coverslip("predict", small_run.folder, tmp_path / "nothing").refused("no image in", "nothing")


def test_a_given_file_that_is_not_an_image_gets_a_row_among_images(coverslip, small_run, leaves, tmp_path):
    first, last = sorted((leaves.parent / "images").rglob("*.jpg"))[:2]
    (tmp_path / "notes.txt").write_text("x")
    shutil.copy(last, tmp_path / "image.txt")  # the extension decides, as in a folder
    given = [first, tmp_path / "notes.txt", tmp_path / "image.txt", last]
    said = coverslip("predict", small_run.folder, *given, "--out", "p.csv").done()
    assert "2 could not be read" in said.err
    rows = pl.read_csv("p.csv")
    assert rows["path"].to_list() == [str(path) for path in given]
    assert rows["predicted"].is_null().to_list() == [False, True, True, False]
    assert [error and "not an image file" in error for error in rows["error"]] == [None, True, True, None]
    problem, _ = coverslip("predict", small_run.folder, tmp_path).refused("no image in", "ignored: .txt 2")
    assert "notes.txt" not in problem  # in a folder it is ignored
    shutil.copy(first, tmp_path)
    for name in ("a.mp4", ".hidden", "b.MP4"):
        (tmp_path / name).write_text("x")
    said = coverslip("predict", small_run.folder, tmp_path).done()
    assert "note: 5 files are not images and were ignored: .mp4 2, .txt 2, .csv 1" in said.err


def test_other_functions_refuse_a_file_that_is_not_an_image(leaves, tmp_path):
    from coverslip.core.errors import UserError
    from coverslip.data.sources.unlabeled import scan_unlabeled

    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"notes\.txt' is not an image file"):
        scan_unlabeled([next((leaves.parent / "images").rglob("*.jpg")), tmp_path / "notes.txt"])


def test_large_images_are_resized_in_small_batches(paint, monkeypatch):
    """A chunk of 16 images must not be in memory at once; the batch size does not change any pixel."""
    from coverslip.core.progress import Stage
    from coverslip.data import decoding
    from coverslip.data.scan import scan

    table = scan(paint(rust=9, healthy=9))
    form = decoding.PixelFormat(3, "uint8")
    waiting = []
    fit = decoding.fit_batch
    monkeypatch.setattr(decoding, "fit_batch", lambda batch, *rest: waiting.append(len(batch)) or fit(batch, *rest))

    def pixels():
        waiting.clear()
        chunks = decoding.decode_all(table.source, table.paths, form, (32, 32), "pad", Stage())
        return np.concatenate([chunk.pixels for chunk in chunks])

    together, largest = pixels(), max(waiting)
    monkeypatch.setattr(decoding, "PENDING_BYTES", 20 * 24 * 3 * 2)
    few = pixels()
    assert largest == 16 and max(waiting) == 3
    np.testing.assert_array_equal(together, few)


# ---------------------------------------------------------------- existing files


def test_a_run_is_never_overwritten(coverslip, small_run, paint, tmp_path, snapshot):
    home = paint(rust=4, healthy=4)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    before = snapshot(tmp_path / "mine"), snapshot(small_run.folder)
    coverslip("train", home, "--out", small_run.folder).refused("contains a finished run", "choose another --out")
    coverslip("train", home, "--out", tmp_path / "mine").refused("exists and is not empty", "choose another --out")
    coverslip("train", home, "--out", tmp_path / "file").refused("exists", "choose another --out")
    coverslip("train", home, "--out", tmp_path / "file" / "run").refused("cannot create the folder")
    coverslip("evaluate", small_run.folder, home, "--out", tmp_path / "mine").refused()
    assert (snapshot(tmp_path / "mine"), snapshot(small_run.folder)) == before


def test_predictions_are_never_overwritten(coverslip, small_run, leaves, tmp_path):
    out = tmp_path / "predictions.csv"
    out.write_text("mine")
    coverslip("predict", small_run.folder, leaves.parent / "images", "--out", out).refused("exists", "--out")
    assert out.read_text() == "mine"


def test_a_refused_command_leaves_the_folder_free_for_the_corrected_one(coverslip, paint):
    home = paint(rust=5, healthy=5)
    (home / "healthy").rename(home.parent / "aside")
    (home / "healthy").mkdir()
    shutil.copy(home.parent / "aside" / "00.png", home / "healthy")
    coverslip("train", home, "--out", "run").refused("class 'healthy' has 1 image")
    (home / "healthy" / "00.png").unlink()
    (home / "healthy").rmdir()
    (home.parent / "aside").rename(home / "healthy")
    coverslip("train", home, "--out", "run").done()


def test_runs_that_cannot_be_resumed(coverslip, small_run, leaves, tmp_path):
    coverslip("train", "--resume", small_run.folder).refused("is finished")
    coverslip("train", "--resume", tmp_path / "nowhere").refused("no experiment.toml", "start a new run")
    coverslip("train", leaves, "--resume", small_run.folder).refused("cannot be combined with --resume")
    for other in (("--lr", "0.1"), ("--model", "linear"), ("--fix",), ("--set", "training.epochs=2")):
        coverslip("train", "--resume", small_run.folder, *other).refused(
            f"{other[0]} cannot be combined with --resume", f"omit {other[0]}"
        )


def test_a_folder_that_is_not_a_run(coverslip, leaves, tmp_path):
    (tmp_path / "empty").mkdir()
    for command, source in (("predict", leaves.parent), ("evaluate", leaves)):
        coverslip(command, tmp_path / "nowhere", source).refused("there is no run", "nowhere")
        coverslip(command, tmp_path / "empty", source).refused("contains no trained model")
    coverslip("report", tmp_path / "nowhere").refused("there is no run")
