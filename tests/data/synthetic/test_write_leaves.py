"""Tests of the folder written by `write_leaves`."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coverslip.core.errors import UserError
from coverslip.core.progress import Progress, Stage
from coverslip.data.synthetic import class_names, contact_sheet, render, write_leaves
from coverslip.data.synthetic import writer as writer_module


def read(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    table = write_leaves(tmp_path_factory.mktemp("plain") / "out", classes=4, leaves=3, shots=2, size=48)
    return table, read(table)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    table = write_leaves(tmp_path_factory.mktemp("copied"), classes=2, leaves=3, shots=2, size=64, duplicates=8)
    return table, read(table)


def test_the_table_lists_every_file_and_every_file_exists(plain):
    table, rows = plain
    assert table.name == "leaves.csv"
    assert len(rows) == 4 * 3 * 2
    assert list(rows[0]) == [
        *("path", "label", "group", "mask", "species", "condition", "severity", "background", "duplicate_of"),
    ]
    on_disk = {path.relative_to(table.parent).as_posix() for path in table.parent.rglob("*") if path.is_file()}
    assert on_disk == {"leaves.csv"} | {row["path"] for row in rows} | {row["mask"] for row in rows}
    assert rows[0]["path"] == "images/tomato_healthy/tomato_healthy_leaf000_shot0.jpg"


def test_classes_have_equal_numbers_of_images_and_leaves_equal_numbers_of_shots(plain):
    _, rows = plain
    labels, groups = [row["label"] for row in rows], [row["group"] for row in rows]
    assert {name: labels.count(name) for name in class_names("leaf", 4)} == dict.fromkeys(class_names("leaf", 4), 6)
    assert len(set(groups)) == 12
    assert all(groups.count(group) == 2 for group in groups)


def test_a_written_image_equals_the_rendered_one(plain):
    table, rows = plain
    row = next(row for row in rows if row["path"].endswith("potato_late_blight_leaf002_shot1.jpg"))
    rendered = render("leaf", "potato_late_blight", 2, 1, size=48)
    mask = np.asarray(Image.open(table.parent / row["mask"]))
    assert np.array_equal(mask, rendered.mask)
    image = np.asarray(Image.open(table.parent / row["path"]), float)
    assert np.abs(image - rendered.image).mean() < 8  # JPEG
    assert float(row["severity"]) == pytest.approx(rendered.severity, abs=1e-4)
    assert row["background"] == rendered.background


def test_an_image_does_not_depend_on_how_many_others_are_written(plain, tmp_path):
    table, _ = plain
    fewer = write_leaves(tmp_path / "fewer", classes=2, leaves=1, shots=1, size=48)
    for row in read(fewer):
        assert (fewer.parent / row["path"]).read_bytes() == (table.parent / row["path"]).read_bytes()


def border(row: dict[str, str], root: Path) -> np.ndarray:
    image = np.asarray(Image.open(root / row["path"]), float)
    return np.concatenate([image[:3].reshape(-1, 3), image[-3:].reshape(-1, 3)]).mean(axis=0)


def border_accuracy(table: Path) -> float:
    """Return the accuracy of a nearest-mean classifier of border color on other leaves."""
    rows = [row for row in read(table) if not row["duplicate_of"]]
    colors = np.array([border(row, table.parent) for row in rows])
    labels = np.array([row["label"] for row in rows])
    later = np.array([int(row["group"][-3:]) % 2 == 1 for row in rows])
    names = np.unique(labels)
    means = np.array([colors[(labels == name) & ~later].mean(axis=0) for name in names])
    nearest = names[np.linalg.norm(colors[later][:, None] - means, axis=2).argmin(axis=1)]
    return float((nearest == labels[later]).mean())


def test_the_background_predicts_the_class_only_with_the_shortcut(tmp_path):
    unbiased = write_leaves(tmp_path / "unbiased", classes=5, leaves=16, shots=1, size=32)
    biased = write_leaves(tmp_path / "biased", classes=5, leaves=16, shots=1, size=32, shortcut=True)
    assert border_accuracy(unbiased) < 0.45  # chance is 0.2
    assert border_accuracy(biased) > 0.65  # two of the five classes are healthy, on the same grey
    backgrounds = {(row["condition"] == "healthy", row["background"]) for row in read(biased)}
    assert backgrounds == {(True, "paper"), (False, "soil")}


def test_the_laboratory_predicts_the_class_of_tissue_only_with_the_shortcut(tmp_path):
    unbiased = read(write_leaves(tmp_path / "unbiased", look="tissue", leaves=8, shots=1, size=32))
    biased = read(write_leaves(tmp_path / "biased", look="tissue", leaves=8, shots=1, size=32, shortcut=True))
    assert len({(row["label"], row["background"]) for row in unbiased}) == 4
    assert len({(row["label"], row["background"]) for row in biased}) == 2
    assert unbiased[0]["group"] == "healthy_slide000"


def test_added_duplicates_are_recorded_and_exact_ones_are_identical_to_the_byte(copied):
    table, rows = copied
    copies = [row for row in rows if row["duplicate_of"]]
    originals = {row["path"]: row for row in rows if not row["duplicate_of"]}
    assert len(copies) == 8
    assert len(originals) == 12
    same = 0
    for row in copies:
        source = originals[row["duplicate_of"]]
        assert row["label"] == source["label"]
        assert row["group"] not in {original["group"] for original in originals.values()}
        same += (table.parent / row["path"]).read_bytes() == (table.parent / source["path"]).read_bytes()
        image, mask = Image.open(table.parent / row["path"]), Image.open(table.parent / row["mask"])
        assert image.size == mask.size
    assert same == 2
    assert len({row["path"] for row in rows}) == len(rows)


def test_a_mirrored_copy_has_a_mirrored_mask(copied):
    table, rows = copied
    mirrored = [row for row in rows if row["duplicate_of"]][3]
    source = next(row for row in rows if row["path"] == mirrored["duplicate_of"])
    first, second = (np.asarray(Image.open(table.parent / row["mask"])) for row in (source, mirrored))
    assert np.array_equal(first[:, ::-1], second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"look": "cells"}, "unknown look 'cells'"),
        ({"classes": 1}, "classes=1"),
        ({"classes": 99}, "2 to 35"),
        ({"look": "tissue", "classes": 15}, "classes=15, but the look 'tissue' has 2"),
        ({"leaves": 0}, "leaves=0 is not at least 1"),
        ({"shots": 0}, "shots=0 is not at least 1"),
        ({"size": 16}, "size=16 is not 32 to 2048"),
        ({"duplicates": -1}, "duplicates=-1"),
        ({"classes": 2, "leaves": 1, "shots": 1, "duplicates": 3}, "try duplicates=2"),
    ],
)
def test_a_wrong_setting_is_named_with_a_fix_and_writes_nothing(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        write_leaves(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_non_empty_folder_is_not_changed(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="not an empty folder"):
        write_leaves(tmp_path, classes=2, leaves=1, shots=1, size=32)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_job_leaves_no_incomplete_data_set(tmp_path, monkeypatch):
    def stop(job):
        raise KeyboardInterrupt

    monkeypatch.setattr(writer_module, "write_specimen", stop)
    with pytest.raises(KeyboardInterrupt):
        write_leaves(tmp_path / "out", classes=2, leaves=4, shots=1, size=32)
    assert list((tmp_path / "out").iterdir()) == []


def test_progress_counts_every_image(tmp_path):
    class Counting(Progress):
        total = done = 0

        def stage(self, name, total, unit="images"):
            counting = self
            counting.total = total

            class One(Stage):
                def __enter__(self):
                    return self

                def __exit__(self, *error):
                    return None

                def advance(self, units=1):
                    counting.done += units

            return One()

    progress = Counting()
    write_leaves(tmp_path / "out", classes=2, leaves=2, shots=2, size=32, progress=progress)
    assert progress.done == progress.total == 8


def test_a_contact_sheet_shows_every_species_and_condition():
    sheet = contact_sheet("leaf", tile=32)
    assert sheet.mode == "RGB"
    assert sheet.width > 7 * 32
    assert sheet.height > 5 * 32
    assert contact_sheet("tissue", tile=32, columns=3).width < sheet.width
