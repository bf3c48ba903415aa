"""Probes for shortcuts fire where the label can be told without the subject, and are silent where it cannot."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip.auditing import shortcuts
from coverslip.auditing.clues import BorderClues, name_numbers
from coverslip.auditing.shortcuts import probe_shortcuts
from coverslip.data.cache import read_pixels, with_status
from coverslip.data.decoding import FACTS
from coverslip.data.inputs import fit_batch
from coverslip.data.scan import scan
from coverslip.data.sources.source import Files
from coverslip.data.synthetic import write_leaves
from coverslip.data.table import SCHEMA, ImageTable

DATA = Path(__file__).parents[3] / "shared" / "data"
NAMES = ["border", "border-color", "file-size", "dimensions", "encoder", "exif", "name"]


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    """What is tested here is plain enough for a small forest, which takes a quarter of the time."""
    monkeypatch.setattr(shortcuts, "TREES", 20)


def probed(source, size=(64, 64), **options):
    """The probes of a folder or table, by their names."""
    table = scan(source)
    cache = read_pixels(table, size)
    table = with_status(table, cache.facts)
    probes = probe_shortcuts(table, cache.facts, cache.pixels, "pad", table.rows(), **options)
    assert [probe.name for probe in probes] == NAMES
    return {probe.name: probe for probe in probes}


def made_up(labels, pixels=None, groups=None, **facts):
    """A table without files: images of noise, with these facts; what `probe_shortcuts` takes."""
    number = len(labels)
    paths = facts.pop("path", [f"images/{row:04d}.jpg" for row in range(number)])
    columns = {"path": paths, "label": labels, "group": groups or [None] * number}
    frame = pl.DataFrame({**columns, "split": [None] * number, "status": ["ok"] * number}, schema=SCHEMA)
    table = ImageTable(frame, Files(Path()), "made up", tuple(sorted(set(labels))))
    known = {"path": paths, "status": ["ok"] * number, "bytes": [900] * number, "width": [16] * number}
    known |= {
        "height": [16] * number,
        "mode": ["RGB"] * number,
        "format": ["JPEG"] * number,
        "turned": [False] * number,
    }
    columns = {name: (known | facts).get(name, [None] * number) for name in FACTS}
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (number, 16, 16, 3), np.uint8)
    return table, pl.DataFrame(columns, schema=FACTS), pixels, "pad", list(range(number))


def verdicts(*made, **options):
    return {probe.name: probe.verdict for probe in probe_shortcuts(*made, **options)}


@pytest.mark.parametrize(("classes", "leaves", "shots"), [(5, 24, 1), (3, 10, 3)])
def test_clean_built_in_leaves_are_silent(classes, leaves, shots, tmp_path):
    found = probed(write_leaves(tmp_path / "leaves", classes=classes, leaves=leaves, shots=shots, size=64))
    assert {probe.verdict for probe in found.values()} == {"silent"}


@pytest.mark.parametrize("shots", [1, 3])
def test_the_planted_background_is_found(shots, tmp_path):
    found = probed(
        write_leaves(tmp_path / "leaves", classes=4, leaves=24 // shots, shots=shots, size=64, shortcut=True)
    )
    for name in ("border", "border-color"):
        assert found[name].verdict == "warns" and found[name].low > 0.35 and found[name].chance == 0.25
        assert "crop to the subject" in found[name].says and "histology" in found[name].says
    assert found["file-size"].verdict != "warns"


def test_where_the_subject_fills_the_image_the_border_is_a_note(tmp_path):
    found = probed(write_leaves(tmp_path / "slides", look="tissue", leaves=40, shots=1, size=64))
    assert found["border-color"].verdict == "notes"
    assert "in the middle of the images too" in found["border-color"].says
    assert "warns" not in {probe.verdict for probe in found.values()}


def test_classes_told_apart_by_file_type_are_found(tmp_path):
    for name, ending in (("healthy", "png"), ("rust", "jpg")):
        (tmp_path / name).mkdir()
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.{ending}", quality=95)
    found = probed(tmp_path)
    assert found["encoder"].verdict == "warns" and found["encoder"].value == 1
    assert found["dimensions"].verdict == "silent" and found["dimensions"].value is None


def test_classes_told_apart_by_size_are_found_in_padded_images_too(tmp_path):
    for name, width in (("healthy", 64), ("rust", 32)):
        (tmp_path / name).mkdir()
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 256, (24, width, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    found = probed(tmp_path)
    assert found["dimensions"].verdict == "warns" and "export all classes in the same way" in found["dimensions"].says
    assert found["file-size"].verdict == "notes"


def test_padding_is_no_border():
    # The subject in the middle tells the class; the mean color, which pads the image, would give it away.
    images = np.full((2, 20, 40, 3), 90, np.uint8)
    images[1, 5:15, 10:30] = 250
    padded = fit_batch(images, (32, 32), "pad")
    assert (padded[0, 0, 0] != padded[1, 0, 0]).all()
    clues = BorderClues(padded, [0, 1], pl.DataFrame({"width": [40, 40], "height": [20, 20]}), "pad")
    assert (clues.eight == 90).all() and (clues.frame == 90).all()
    assert (clues.middle[1] > clues.middle[0]).all()


def test_sessions_told_by_camera_and_time_are_found():
    labels = ["healthy"] * 20 + ["rust"] * 20
    times = [f"2015-05-{6 + row // 20:02d}T09:{row % 20:02d}:00" for row in range(40)]
    found = verdicts(*made_up(labels, camera=["Canon"] * 40, taken=times))
    assert found["exif"] == "warns"
    mixed = [times[(row * 7) % 40] for row in range(40)]
    assert verdicts(*made_up(labels, camera=["Canon"] * 40, taken=mixed))["exif"] == "silent"


def test_broken_times_and_missing_columns_are_no_obstacle():
    table, facts, *rest = made_up(["healthy", "rust"] * 10, taken=["yesterday", None] * 10)
    for some in (facts, facts.drop("camera", "taken", "encoder")):
        probe = {each.name: each for each in probe_shortcuts(table, some, *rest)}["exif"]
        assert probe.value is None and probe.verdict == "silent" and "EXIF" in probe.reason


def test_numbers_of_separate_sessions_warn_and_numbers_that_start_anew_do_not():
    labels = ["healthy"] * 30 + ["rust"] * 30
    sessions = [f"{label}/IMG_{number}.jpg" for number, label in enumerate(labels, 4000)]
    assert verdicts(*made_up(labels, path=sessions))["name"] == "warns"
    labels = ["healthy"] * 90 + ["rust"] * 30
    anew = [f"healthy/h{number}.jpg" for number in range(90)] + [f"rust/r{number}.jpg" for number in range(30)]
    found = {probe.name: probe for probe in probe_shortcuts(*made_up(labels, path=anew))}["name"]
    assert found.verdict == "notes" and "start anew in each class" in found.says


def test_a_number_that_names_the_class_is_not_shown():
    labels = np.repeat([0, 1], 3)
    paths = [f"type{label + 1}_{number}.png" for label in range(2) for number in range(3)]
    assert np.array_equal(np.unique(name_numbers(paths, labels), axis=0).ravel(), [0, 1, 2])


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint16), (5, np.uint16)])
def test_images_of_any_depth_and_number_of_channels_are_probed(channels, dtype):
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, np.iinfo(dtype).max // 2, (60, 16, 16, channels)).astype(dtype)
    pixels[30:, :2] += np.iinfo(dtype).max // 3
    found = verdicts(*made_up(["healthy"] * 30 + ["rust"] * 30, pixels))
    assert found["border"] == "warns"


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        (["a"] * 4 + ["b"] * 4, ["one"] * 8, "two classes of two groups each"),
        (["a"] * 8, None, "two classes of two groups each"),
        (["a"] * 4 + ["b"] * 4, list("aabbccdd"), "4 groups are too few"),
    ],
)
def test_too_few_groups_are_a_reason_and_no_crash(labels, groups, reason):
    for probe in probe_shortcuts(*made_up(labels, groups=groups)):
        assert probe.value is None and probe.verdict == "silent" and reason in probe.reason and reason in probe.says


def test_a_class_of_one_group_is_left_out_and_named():
    labels = ["healthy"] * 20 + ["rust"] * 20 + ["mold"] * 5
    probe = probe_shortcuts(*made_up(labels, groups=[*map(str, range(40)), *["one leaf"] * 5]))[0]
    assert probe.chance == 0.5 and "1 of 3 classes" in probe.says


def test_groups_that_the_caller_knows_better_are_used():
    # Forty copies of four images: alone they are recognized, as groups there are too few of them.
    pixels = np.repeat(np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8), 10, axis=0)
    made = made_up(["healthy"] * 20 + ["rust"] * 20, pixels)
    assert verdicts(*made)["border"] == "warns"
    assert verdicts(*made, groups=[str(row // 10) for row in range(40)])["border"] == "silent"


def test_identical_images_and_one_pixel_images_are_no_obstacle():
    labels = ["healthy", "rust"] * 10
    same = probe_shortcuts(*made_up(labels, np.zeros((20, 16, 16, 3), np.uint8)))
    assert same[0].value is None and same[1].reason == "the border of all images has the same color"
    assert set(verdicts(*made_up(labels, width=[1] * 20, height=[1] * 20)).values()) <= {"silent", "notes"}


def test_what_is_found_can_be_written_and_repeats_itself():
    made = made_up(["healthy", "rust"] * 20)
    first, again = ([probe.to_json() for probe in probe_shortcuts(*made)] for _ in range(2))
    assert json.loads(json.dumps(first)) == again
    for entry in first:
        keys = {"name", "title", "sees", "value", "low", "high", "chance", "verdict", "says"}
        assert keys <= set(entry) <= keys | {"reason"}


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not beside this clone (../shared/data)")
def test_the_background_of_plantvillage_gives_the_disease_away(tmp_path):
    names = ["Potato___Early_blight", "Potato___Late_blight", "Potato___healthy"]
    for name in names:
        (tmp_path / name).symlink_to(DATA / "plantvillage" / name)
    found = probed(tmp_path)
    assert found["border-color"].verdict == "warns" and found["border-color"].low > 0.5
