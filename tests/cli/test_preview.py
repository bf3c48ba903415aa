from typing import get_type_hints

import numpy as np
import pytest
from PIL import Image

from coverslip.cli.preview import preview
from coverslip.core.errors import UserError
from coverslip.core.progress import Progress
from coverslip.data.augment import PRESETS, Augmentation
from coverslip.data.augment.preview import MAX_ROWS, augmented_versions, preview_figure, sample_rows
from coverslip.data.scan import scan
from coverslip.figures.contact import as_rgb, contact_figure


def test_a_sheet_is_written_and_the_next_command_is_printed(paint, tmp_path, capsys):
    folder = paint(rust=4, healthy=3)
    preview(folder, out=tmp_path / "sheet.png", size=32, settings=["rotate=30", "flip=false"])
    said = capsys.readouterr().out
    assert "sheet.png (light, changed: rotate 30, shift 0.06" in said
    assert (
        f"coverslip train {folder} --depth all --augment light --set augment.rotate=30 --set augment.flip=false" in said
    )
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.width > 6 * 150 and image.height > 4 * 150  # seven images across, two of each class


def test_the_help_lists_every_preset():
    words = get_type_hints(preview, include_extras=True)["augment"].__metadata__[0].help
    assert all(name in words for name in PRESETS)


def test_an_existing_file_is_never_overwritten(paint, tmp_path):
    folder, sheet = paint(rust=2, healthy=2), tmp_path / "sheet.png"
    for name in ("sheet.png", "sheet-2.png"):
        (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(UserError, match=r"sheet-3\.png"):
        preview(folder, out=sheet)
    assert sheet.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"augment": "stron"}, "did you mean 'strong'"),
        ({"settings": ["rotation=3"]}, "did you mean 'rotate'"),
        ({"settings": ["rotate"]}, "not key=value"),
        ({"settings": ["rotate=400"]}, "rotate=400.0 is not within"),
        ({"fit": "crpo"}, "did you mean 'crop'"),
        ({"size": 0}, "not within 8"),
        ({"count": 0}, "count=0"),
        ({"out": "sheet.jpg"}, r"--out .*sheet\.png"),
    ],
)
def test_invalid_options_are_refused_and_nothing_is_written(paint, tmp_path, wrong, words):
    folder = paint(rust=2, healthy=2)
    options = {"out": "sheet.png", **wrong}
    options["out"] = tmp_path / options["out"]
    with pytest.raises(UserError, match=words):
        preview(folder, **options)
    assert not list(tmp_path.glob("sheet*"))


def test_the_same_seed_selects_the_same_images_of_every_class(paint):
    table = scan(paint(rust=9, healthy=5, blight=1))
    picked = sample_rows(table, 3, seed=1)
    assert picked == sample_rows(table, 3, seed=1) != sample_rows(table, 3, seed=2)
    assert [table.classes[label] for label in table.labels(picked)] == ["blight"] + ["healthy"] * 3 + ["rust"] * 3
    assert len(sample_rows(table, 1000, seed=0)) <= MAX_ROWS


def test_damaged_images_are_reported_and_omitted(paint):
    folder = paint(rust=2, healthy=2)
    for path in sorted(folder.rglob("*.png"))[:1]:
        path.write_bytes(b"not an image")
    notes = []
    progress = Progress()
    progress.note = notes.append
    preview_figure(scan(folder), (32, 32), Augmentation(), progress=progress)
    assert any("1 of the chosen images" in note for note in notes)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"not an image")
    with pytest.raises(UserError, match="can be read"):
        preview_figure(scan(folder), (32, 32), Augmentation())


def test_the_first_image_of_a_row_is_not_augmented():
    images = np.random.default_rng(0).random((2, 5, 8, 8), np.float32)
    versions = augmented_versions(images, Augmentation(flip=True), np.array([4, 9]), seed=0, count=30)
    assert versions.shape == (2, 31, 8, 8, 5)
    assert np.array_equal(versions[:, 0], images.transpose(0, 2, 3, 1))
    kinds = {versions[0, column].tobytes() for column in range(31)}
    assert kinds == {np.ascontiguousarray(image).tobytes() for image in (versions[0, 0], versions[0, 0][:, ::-1])}


def test_16_bit_images_are_scaled_between_their_percentiles(tmp_path):
    folder = tmp_path / "deep"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for index in range(2):
            pixels = np.random.default_rng((index, ord(name))).integers(1000, 3000, (24, 24)).astype(np.uint16)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    figure = preview_figure(scan(folder), (24, 24), Augmentation())
    shown = next(artist for artist in figure.artists if hasattr(artist, "get_array")).get_array()
    assert shown.min() < 20 and shown.max() > 235


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_any_number_of_channels_can_be_shown(channels):
    cells = np.random.default_rng(0).random((2, 3, 10, 20, channels))
    assert as_rgb(cells).shape == (2, 3, 10, 20, 3)
    figure = contact_figure(cells, ["a", "b"], notes=["1.png", "2.png"], caption="nothing")
    assert len(list(figure.artists)) == 6
