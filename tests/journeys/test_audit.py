"""The audit from the command line: what it reports, what blocks training, and how to resolve it."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.task_data import write_task_images

from coverslip.data.synthetic import write_leaves


def findings(folder):
    return {finding["name"]: finding for finding in json.loads((folder / "audit.json").read_text())["findings"]}


@pytest.fixture
def conflict(images):
    """Add a recompressed copy of one leaf to a second class."""
    classes = sorted(path for path in images.iterdir() if path.is_dir())
    source = next(classes[0].glob("*.jpg"))
    Image.open(source).save(classes[1] / "second_label.jpg", quality=70)
    return source, classes[1] / "second_label.jpg"


@pytest.fixture
def split_folders(leaves, tmp_path):
    """Copy the leaves into folders train, val and test; all images of a leaf are in the same one."""
    root = tmp_path / "split_folders"
    for number, path in enumerate(sorted((leaves.parent / "images").rglob("*.jpg"))):
        split = ("train", "train", "train", "train", "val", "test")[number // 2 % 6]
        (root / split / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / split / path.parent.name / path.name)
    return root


def test_clean_leaves_pass_with_notes_at_most(coverslip, leaves, tmp_path):
    result = coverslip("audit", leaves, "--out", tmp_path / "audit").done()
    assert {finding["severity"] for finding in findings(tmp_path / "audit").values()} <= {"notes"}
    assert "0 errors, 0 warnings" in result.out and "next: coverslip train" in result.out
    assert (tmp_path / "audit" / "audit.html").is_file()


def test_the_next_command_keeps_the_given_groups(coverslip, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    group = r"([a-z_]+_leaf\d+)_shot"
    first = coverslip("audit", images, "--group", group, "--quick").done()
    assert f"next: coverslip audit {images} --group '{group}' --out audit" in first.out
    second = coverslip("audit", images, "--group", group, "--quick", "--out", "look").done()
    assert second.out.rstrip().endswith(f"next: coverslip train {images} --group '{group}'")
    page = (tmp_path / "look" / "audit.html").read_text(encoding="utf-8")
    assert "--group &#39;([a-z_]+_leaf" in page


def test_the_next_command_keeps_the_decisions(coverslip, images, conflict, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = coverslip("train", images, "--group", "shots:3", "--out", "run")
    assert f"coverslip audit {images} --group shots:3 --out audit" in result.err and "--fix" in result.err
    result = coverslip("audit", images, "--group", "shots:3", "--accept", "label-conflict", "--quick").done()
    assert f"coverslip audit {images} --group shots:3 --accept label-conflict --out audit" in result.out
    result = coverslip("audit", images, "--accept", "label-conflict", "--quick", "--out", "audit").done()
    assert "next: coverslip train audit/proposed.csv --accept label-conflict (" in result.out


def test_an_image_under_two_labels_blocks_training_and_no_files_are_left(
    coverslip, images, conflict, tmp_path, snapshot
):
    before = snapshot(images)
    result = coverslip("train", images, "--out", tmp_path / "run")
    assert result.code == 1 and "Traceback" not in result.err
    assert "stopped: " in result.err and "filed under more than one class" in result.err and "--fix" in result.err
    assert not (tmp_path / "run").exists() and snapshot(images) == before
    audited = coverslip("audit", images, "--out", tmp_path / "audit", "--quick")
    assert audited.code == 1
    found = findings(tmp_path / "audit")["label-conflict"]
    assert found["images"] == [sorted(path.relative_to(images).as_posix() for path in conflict)]


@pytest.mark.parametrize(
    ("choice", "decision", "left"),
    [
        (["--fix"], "fixed", 35),
        (["--drop", "label-conflict"], "dropped", 35),
        (["--accept", "label-conflict"], "accepted", 37),
    ],
)
def test_the_decision_of_the_user_is_in_the_report(coverslip, images, conflict, tmp_path, choice, decision, left):
    coverslip("train", images, "--out", tmp_path / "run", *choice).done()
    assert findings(tmp_path / "run")["label-conflict"]["decision"] == decision
    table = pl.read_csv(tmp_path / "run" / "table.csv")
    assert table.filter(pl.col("status") == "ok").height == left
    assert "label-conflict" in (tmp_path / "run" / "report.html").read_text()
    if decision == "accepted":
        assert not (tmp_path / "run" / "corrected.csv").exists()
        return
    corrected = pl.read_csv(tmp_path / "run" / "corrected.csv")
    assert corrected.height == left and not set(corrected["path"]) & {path.as_posix() for path in conflict}
    coverslip("train", tmp_path / "run" / "corrected.csv", "--out", tmp_path / "again").done()


def test_fix_keeps_one_of_several_exact_copies(coverslip, images, tmp_path):
    home = sorted(path for path in images.iterdir() if path.is_dir())[0]
    source = sorted(home.glob("*.jpg"))[0]
    for number in range(3):
        shutil.copy(source, home / f"zz_copy_{number}.jpg")
    coverslip("audit", images, "--out", tmp_path / "audit", "--fix", "--quick").done()
    assert findings(tmp_path / "audit")["exact-copies"]["count"] == 4
    table = pl.read_csv(tmp_path / "audit" / "table.csv")
    dropped = table.filter(pl.col("status") != "ok")
    assert dropped["path"].str.contains("zz_copy").all() and dropped.height == 3
    assert dropped["status"][0] == f"dropped: copy of {source.relative_to(images).as_posix()}"
    assert len(list(home.glob("zz_copy*"))) == 3  # image files are never changed


def test_a_group_in_two_sets_of_a_given_split_blocks_training_and_fix_moves_it(coverslip, split_folders, tmp_path):
    group = r"([a-z_]+_leaf\d+)_shot"
    moved = sorted((split_folders / "train").rglob("*_shot1.jpg"))[0]
    target = split_folders / "test" / moved.parent.name / moved.name
    shutil.move(moved, target)
    result = coverslip("train", split_folders, "--group", group, "--out", tmp_path / "run")
    assert result.code == 1 and "more than one set of the given split" in result.err
    coverslip("train", split_folders, "--group", group, "--out", tmp_path / "run", "--fix").done()
    table = pl.read_csv(tmp_path / "run" / "table.csv")
    assert table.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
    assert findings(tmp_path / "run")["group-leak"]["decision"] == "fixed"


def test_a_copy_in_two_sets_of_a_given_split_blocks_training_and_is_kept_if_accepted(
    coverslip, split_folders, tmp_path
):
    source = sorted((split_folders / "train").rglob("*.jpg"))[0]
    copy = split_folders / "test" / source.parent.name / "copy.jpg"
    Image.open(source).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(copy, quality=85)
    result = coverslip("train", split_folders, "--out", tmp_path / "run")
    assert result.code == 1 and "copy in another set" in result.err
    coverslip("train", split_folders, "--out", tmp_path / "run", "--accept", "copy-leak").done()
    rows = dict(pl.read_csv(tmp_path / "run" / "table.csv").select("path", "split").rows())
    assert rows[copy.relative_to(split_folders).as_posix()] == "test"
    assert findings(tmp_path / "run")["copy-leak"]["accepted"] is True


def test_missing_groups_are_reported_and_their_images_can_be_dropped(coverslip, leaves, tmp_path):
    frame = pl.read_csv(leaves).with_columns(
        pl.when(pl.int_range(pl.len()) % 9 == 0).then(None).otherwise(pl.col("group")).alias("group"),
        (pl.lit(str(leaves.parent)) + "/" + pl.col("path")).alias("path"),
    )
    frame.write_csv(tmp_path / "gaps.csv")
    result = coverslip(
        "audit", tmp_path / "gaps.csv", "--quick", "--out", tmp_path / "audit", "--drop", "ungrouped"
    ).done()
    assert "4 of 36 images have no group" in result.out
    assert pl.read_csv(tmp_path / "audit" / "corrected.csv").height == 32


def test_all_images_in_one_group_block_training(coverslip, leaves, tmp_path):
    frame = pl.read_csv(leaves).with_columns(
        pl.lit("one").alias("group"), (pl.lit(str(leaves.parent)) + "/" + pl.col("path")).alias("path")
    )
    frame.write_csv(tmp_path / "one.csv")
    audited = coverslip("audit", tmp_path / "one.csv", "--quick")
    assert audited.code == 1 and "all 36 images are in one group" in audited.out
    trained = coverslip("train", tmp_path / "one.csv", "--out", tmp_path / "run")
    assert trained.code == 1 and "in one group" in trained.err


def test_identical_images_block_training(coverslip, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "same" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (40, 40), "olive").save(tmp_path / "same" / name / f"{number}.png")
    audited = coverslip("audit", tmp_path / "same", "--quick")
    assert audited.code == 1 and "all 12 images are identical" in audited.out


def test_many_single_pixel_files_are_reported_as_tiny(coverslip, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "dots" / name).mkdir(parents=True)
        for number in range(150):
            Image.fromarray(rng.integers(0, 256, (1, 1, 3), np.uint8)).save(tmp_path / "dots" / name / f"{number}.png")
    audited = coverslip("audit", tmp_path / "dots", "--out", tmp_path / "audit")
    assert "Traceback" not in audited.err
    assert findings(tmp_path / "audit")["tiny"]["count"] == 300


def test_classes_with_different_file_types_give_a_warning(coverslip, tmp_path):
    rng = np.random.default_rng(0)
    for name, suffix in (("a", "png"), ("b", "jpg")):
        (tmp_path / "types" / name).mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "types" / name / f"{number}.{suffix}")
    coverslip("audit", tmp_path / "types", "--out", tmp_path / "audit").done()
    assert findings(tmp_path / "audit")["shortcut-encoder"]["severity"] == "warns"


def test_a_misspelled_finding_is_answered_with_the_nearest_name(coverslip, leaves):
    coverslip("audit", leaves, "--accept", "label-conflicts").refused("'label-conflict'")


def test_labels_that_differ_only_in_case_are_reported(coverslip, images, tmp_path):
    home = sorted(path for path in images.iterdir() if path.is_dir())[0]
    other = images / home.name.upper().replace("_", " ")
    other.mkdir()
    for path in sorted(home.glob("*.jpg"))[:6]:
        shutil.move(path, other / path.name)
    result = coverslip("audit", images, "--quick").done()
    assert "similar-labels" in result.out


def test_a_planted_shortcut_is_detected(coverslip, tmp_path):
    table = write_leaves(tmp_path / "leaves", classes=4, leaves=12, shots=2, size=64, shortcut=True)
    coverslip("audit", table, "--out", tmp_path / "audit").done()
    found = findings(tmp_path / "audit")
    assert found["shortcut-border"]["severity"] == "warns"


def test_train_with_probes_estimates_the_effect_of_leakage(coverslip, leaves, tmp_path):
    coverslip("train", leaves, "--out", tmp_path / "run", "--probes").done()
    audit = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert audit["price"]["splits"] == 10 and {probe["name"] for probe in audit["shortcuts"]} >= {"border", "file-size"}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--target", "share"], "--target share"),
        (["--label-column", "spots"], "--task multilabel"),
        (["--label-column", "grade", "--order", "low,middle,high"], "--order low,middle,high"),
    ],
)
def test_a_corrected_table_is_trained_for_the_same_task(coverslip, tmp_path, options, kept):
    table = write_task_images(tmp_path / "plants", images=30)
    first = table.read_text().splitlines()[1]
    shutil.copy(tmp_path / "plants" / "images" / "000.png", tmp_path / "plants" / "images" / "copy.png")
    table.write_text(table.read_text() + first.replace("000.png", "copy.png") + "\n")
    result = coverslip("audit", table, "--group", "plant", *options, "--quick", "--fix", "--out", tmp_path / "fixed")
    corrected = tmp_path / "fixed" / "corrected.csv"
    assert f"next: coverslip train {corrected} {kept}" in result.done().out
    again = coverslip("audit", corrected, *kept.split(), "--quick").done()
    assert again.out.startswith("30 images")
