"""Shortcut probes warn if the label can be predicted without the subject, and only then."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip.auditing import shortcuts
from coverslip.auditing.probe_features import BorderFeatures, name_numbers
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
    """Use a small forest, which is sufficient for these simple data and takes a quarter of the time."""
    monkeypatch.setattr(shortcuts, "TREES", 20)


def probed(source, size=(64, 64), **options):
    """Return the probes of a folder or table by name."""
    table = scan(source)
    cache = read_pixels(table, size)
    table = with_status(table, cache.facts)
    probes = probe_shortcuts(table, cache.facts, cache.pixels, "pad", table.rows(), **options)
    assert [probe.name for probe in probes] == NAMES
    return {probe.name: probe for probe in probes}


def synthetic(labels, pixels=None, groups=None, **facts):
    """Return arguments for `probe_shortcuts`: a table of noise images without files, with these facts."""
    count = len(labels)
    paths = facts.pop("path", [f"images/{row:04d}.jpg" for row in range(count)])
    columns = {"path": paths, "label": labels, "group": groups or [None] * count}
    frame = pl.DataFrame({**columns, "split": [None] * count, "status": ["ok"] * count}, schema=SCHEMA)
    table = ImageTable(frame, Files(Path()), "synthetic", tuple(sorted(set(labels))))
    known = {"path": paths, "status": ["ok"] * count, "bytes": [900] * count, "width": [16] * count}
    known |= {
        "height": [16] * count,
        "mode": ["RGB"] * count,
        "format": ["JPEG"] * count,
        "turned": [False] * count,
    }
    columns = {name: (known | facts).get(name, [None] * count) for name in FACTS}
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), np.uint8)
    return table, pl.DataFrame(columns, schema=FACTS), pixels, "pad", list(range(count))


def verdicts(*data, **options):
    return {probe.name: probe.verdict for probe in probe_shortcuts(*data, **options)}


@pytest.mark.parametrize(("classes", "leaves", "shots"), [(5, 24, 1), (3, 10, 3)])
def test_built_in_leaves_give_no_evidence_of_a_shortcut(classes, leaves, shots, tmp_path):
    found = probed(write_leaves(tmp_path / "leaves", classes=classes, leaves=leaves, shots=shots, size=64))
    assert {probe.verdict for probe in found.values()} == {"silent"}


@pytest.mark.parametrize("shots", [1, 3])
def test_a_planted_background_is_detected(shots, tmp_path):
    found = probed(
        write_leaves(tmp_path / "leaves", classes=4, leaves=24 // shots, shots=shots, size=64, shortcut=True)
    )
    for name in ("border", "border-color"):
        assert found[name].verdict == "warns" and found[name].low > 0.35 and found[name].chance == 0.25
        assert "crop to the subject" in found[name].summary and "histology" in found[name].summary
    assert found["file-size"].verdict != "warns"


def test_the_border_gives_only_a_note_if_the_subject_fills_the_image(tmp_path):
    found = probed(write_leaves(tmp_path / "slides", look="tissue", leaves=40, shots=1, size=64))
    assert found["border-color"].verdict == "notes"
    assert "from the center of the image" in found["border-color"].summary
    assert "warns" not in {probe.verdict for probe in found.values()}


def test_classes_with_different_file_types_are_detected(tmp_path):
    for name, ending in (("healthy", "png"), ("rust", "jpg")):
        (tmp_path / name).mkdir()
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.{ending}", quality=95)
    found = probed(tmp_path)
    assert found["encoder"].verdict == "warns" and found["encoder"].value == 1
    assert found["dimensions"].verdict == "silent" and found["dimensions"].value is None


def test_classes_with_different_sizes_are_detected_in_padded_images(tmp_path):
    for name, width in (("healthy", 64), ("rust", 32)):
        (tmp_path / name).mkdir()
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 256, (24, width, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    found = probed(tmp_path)
    assert (
        found["dimensions"].verdict == "warns" and "export all classes in the same way" in found["dimensions"].summary
    )
    assert found["file-size"].verdict == "notes"


def test_padding_does_not_count_as_border():
    # The class depends on the subject in the center; the padding has the mean color, which would reveal it.
    images = np.full((2, 20, 40, 3), 90, np.uint8)
    images[1, 5:15, 10:30] = 250
    padded = fit_batch(images, (32, 32), "pad")
    assert (padded[0, 0, 0] != padded[1, 0, 0]).all()
    features = BorderFeatures(padded, [0, 1], pl.DataFrame({"width": [40, 40], "height": [20, 20]}), "pad")
    assert (features.eight == 90).all() and (features.frame == 90).all()
    assert (features.center[1] > features.center[0]).all()


def test_sessions_that_differ_in_camera_time_are_detected():
    labels = ["healthy"] * 20 + ["rust"] * 20
    times = [f"2015-05-{6 + row // 20:02d}T09:{row % 20:02d}:00" for row in range(40)]
    found = verdicts(*synthetic(labels, camera=["Canon"] * 40, taken=times))
    assert found["exif"] == "warns"
    mixed = [times[(row * 7) % 40] for row in range(40)]
    assert verdicts(*synthetic(labels, camera=["Canon"] * 40, taken=mixed))["exif"] == "silent"


def test_invalid_times_and_missing_columns_are_allowed():
    table, facts, *rest = synthetic(["healthy", "rust"] * 10, taken=["yesterday", None] * 10)
    for variant in (facts, facts.drop("camera", "taken", "encoder")):
        probe = {probe.name: probe for probe in probe_shortcuts(table, variant, *rest)}["exif"]
        assert probe.value is None and probe.verdict == "silent" and "EXIF" in probe.reason


def test_file_numbers_of_separate_sessions_warn_but_not_numbers_that_restart_in_each_class():
    labels = ["healthy"] * 30 + ["rust"] * 30
    sessions = [f"{label}/IMG_{number}.jpg" for number, label in enumerate(labels, 4000)]
    assert verdicts(*synthetic(labels, path=sessions))["name"] == "warns"
    labels = ["healthy"] * 90 + ["rust"] * 30
    restarting = [f"healthy/h{number}.jpg" for number in range(90)] + [f"rust/r{number}.jpg" for number in range(30)]
    found = {probe.name: probe for probe in probe_shortcuts(*synthetic(labels, path=restarting))}["name"]
    assert found.verdict == "notes" and "restart in each class" in found.summary


def test_a_number_that_encodes_the_class_is_not_used():
    labels = np.repeat([0, 1], 3)
    paths = [f"type{label + 1}_{number}.png" for label in range(2) for number in range(3)]
    assert np.array_equal(np.unique(name_numbers(paths, labels), axis=0).ravel(), [0, 1, 2])


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint16), (5, np.uint16)])
def test_any_bit_depth_and_number_of_channels_is_supported(channels, dtype):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, np.iinfo(dtype).max // 2, (60, 16, 16, channels)).astype(dtype)
    pixels[30:, :2] += np.iinfo(dtype).max // 3
    found = verdicts(*synthetic(["healthy"] * 30 + ["rust"] * 30, pixels))
    assert found["border"] == "warns"


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        (["a"] * 4 + ["b"] * 4, ["one"] * 8, "two classes with two groups each"),
        (["a"] * 8, None, "two classes with two groups each"),
        (["a"] * 4 + ["b"] * 4, list("aabbccdd"), "4 groups are too few"),
    ],
)
def test_too_few_groups_give_a_reason(labels, groups, reason):
    for probe in probe_shortcuts(*synthetic(labels, groups=groups)):
        assert probe.value is None and probe.verdict == "silent" and reason in probe.reason and reason in probe.summary


def test_a_class_with_one_group_is_excluded_and_reported():
    labels = ["healthy"] * 20 + ["rust"] * 20 + ["mold"] * 5
    probe = probe_shortcuts(*synthetic(labels, groups=[*map(str, range(40)), *["one leaf"] * 5]))[0]
    assert probe.chance == 0.5 and "1 of 3 classes" in probe.summary


def test_groups_of_the_caller_replace_those_of_the_table():
    # Forty copies of four images: as independent images they are recognized, but there are too few groups of them.
    pixels = np.repeat(np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8), 10, axis=0)
    data = synthetic(["healthy"] * 20 + ["rust"] * 20, pixels)
    assert verdicts(*data)["border"] == "warns"
    assert verdicts(*data, groups=[str(row // 10) for row in range(40)])["border"] == "silent"


def test_identical_images_and_single_pixel_images_are_allowed():
    labels = ["healthy", "rust"] * 10
    same = probe_shortcuts(*synthetic(labels, np.zeros((20, 16, 16, 3), np.uint8)))
    assert same[0].value is None and same[1].reason == "the border of all images has the same color"
    assert set(verdicts(*synthetic(labels, width=[1] * 20, height=[1] * 20)).values()) <= {"silent", "notes"}


def test_results_are_valid_json_and_reproducible():
    data = synthetic(["healthy", "rust"] * 20)
    first, again = ([probe.to_json() for probe in probe_shortcuts(*data)] for _ in range(2))
    assert json.loads(json.dumps(first)) == again
    for entry in first:
        keys = {"name", "title", "sees", "value", "low", "high", "chance", "verdict", "says"}
        assert keys <= set(entry) <= keys | {"reason"}


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not in ../shared/data")
def test_the_background_of_plantvillage_predicts_the_disease(tmp_path):
    names = ["Potato___Early_blight", "Potato___Late_blight", "Potato___healthy"]
    for name in names:
        (tmp_path / name).symlink_to(DATA / "plantvillage" / name)
    found = probed(tmp_path)
    assert found["border-color"].verdict == "warns" and found["border-color"].low > 0.5
