"""Ranges, depths and layouts of images are read as they are meant, or refused; what differs from the model is said."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import tifffile
from PIL import Image

from coverslip.api import load
from coverslip.auditing.file_findings import file_findings
from coverslip.core.errors import UserError
from coverslip.core.progress import Stage
from coverslip.data.agreement import ImageFormats
from coverslip.data.decoding import PixelFormat, convert_format, decode_all, guess_format
from coverslip.data.image import UnreadableError, decode
from coverslip.data.inputs import InputSpec
from coverslip.data.scan import scan
from coverslip.data.sources.source import Files
from coverslip.explaining.image_set import load_images
from coverslip.exporting.export import ExportImages, export_model

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (40, 48, 3), np.uint8)  # 40 rows, 48 columns: no side can be taken for another
GREY = COLOR[:, :, 0]


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


# ---------------------------------------------------------------- arrays in .npz files


def table_of(folder, name="set.npz", **arrays):
    np.savez(folder / name, **arrays)
    return scan(folder / name)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_arrays_with_channels_first_are_refused_with_the_way_to_save_them(tmp_path, channels):
    with pytest.raises(UserError) as refused:
        table_of(tmp_path, x=np.zeros((6, channels, 16, 18), np.uint8), y=np.arange(6) % 2)
    assert "channels first" in refused.value.problem and "x.transpose(0, 2, 3, 1)" in refused.value.fix


@pytest.mark.parametrize("shape", [(16, 18, 3), (16, 18, 1), (16, 18, 20), (16, 18), (5, 5, 3)])
def test_arrays_with_channels_last_are_read(tmp_path, shape):
    table = table_of(tmp_path, x=np.zeros((6, *shape), np.uint8), y=np.arange(6) % 2)
    assert table.source.read("x/00000").shape == (shape if len(shape) == 3 else (*shape, 1))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_either_byte_order_and_of_truth_values_are_read(tmp_path, save):
    deep = RNG.integers(0, 65536, (4, 9, 8), np.uint16)
    for name, given, expected in (
        ("big", deep.astype(">u2"), deep),
        ("bool", deep > 30000, np.where(deep > 30000, 255, 0).astype(np.uint8)),
    ):
        save(tmp_path / f"{name}.npz", x=given, y=np.arange(4) % 2)
        image = scan(tmp_path / f"{name}.npz").source.read("x/00002")
        assert image.dtype == expected.dtype and image.dtype.isnative
        np.testing.assert_array_equal(image[:, :, 0], expected[2])


def test_one_hot_labels_are_class_ids(tmp_path):
    ids = np.array([2, 0, 1, 1, 0, 2])
    table = table_of(tmp_path, x=np.zeros((6, 9, 8), np.uint8), y=np.eye(3, dtype=np.int64)[ids])
    assert [int(label) for label in table.frame.sort("path")["label"]] == ids.tolist()


# ---------------------------------------------------------------- layouts of TIFF files


@pytest.mark.parametrize("channels", [2, 5])
def test_rows_written_as_pages_are_refused_with_the_likely_layout(channels):
    with pytest.raises(UnreadableError, match=f"one image of 48 x 40 pixels with {channels} channels.*contig"):
        decode(tiff(np.resize(COLOR, (40, 48, channels))))


def test_stacks_of_few_pages_are_said_to_be_perhaps_channels():
    findings = {finding.name: finding for finding in file_findings(facts(pages=5, format="TIFF"))}
    assert findings["several-pages"].severity == "warns" and "channels" in findings["several-pages"].meaning
    assert "'axes': 'CYX'" in findings["several-pages"].remedy
    mixed = facts(pages=5, format="TIFF").with_columns(pages=pl.Series([5, 3] * 5, dtype=pl.Int32))
    assert {f.name: f.severity for f in file_findings(mixed)}["several-pages"] == "notes"


def test_marked_channels_are_read_as_the_remedy_says():
    five = np.resize(COLOR, (5, 40, 48))
    decoded = decode(tiff(five, photometric="minisblack", metadata={"axes": "CYX"}))
    np.testing.assert_array_equal(decoded.pixels, five.transpose(1, 2, 0))


def test_the_first_color_image_of_an_imagej_stack_is_read():
    stack = np.stack([COLOR, COLOR // 2, COLOR // 3])
    decoded = decode(tiff(stack, imagej=True))
    np.testing.assert_array_equal(decoded.pixels, COLOR)
    assert decoded.pages == 3


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_luminance_and_color_differences_become_red_green_blue(compression):
    smooth = np.asarray(Image.fromarray(COLOR[::8, ::8]).resize((48, 40), Image.Resampling.BICUBIC))
    data = saved(
        Image.fromarray(smooth).convert("YCbCr"), "TIFF", **({"compression": compression} if compression else {})
    )
    decoded = decode(data)
    assert decoded.pixels.shape == smooth.shape and decoded.format == "TIFF"
    assert np.abs(decoded.pixels.astype(int) - smooth).mean() < 4


@pytest.mark.parametrize(
    "values",
    [
        (GREY / 255).astype(np.float32),
        GREY.astype(np.float64) - 300,
        GREY.astype(np.float16),
        GREY.astype(np.int16) - 100,
        GREY.astype(np.int32) * -70_000,
        GREY.astype(np.uint32) * 1_000_000,
        COLOR.astype(np.float32),
    ],
    ids=lambda values: f"{values.dtype} {values.ndim}",
)
def test_signed_32_bit_and_floating_point_values_are_kept(values):
    decoded = decode(tiff(values, photometric="rgb" if values.ndim == 3 else "minisblack"))
    assert decoded.pixels.dtype == np.float32
    np.testing.assert_allclose(decoded.pixels.squeeze(), values)


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(UnreadableError, match="NaN"):
        decode(tiff(np.where(GREY > 9, GREY, np.nan).astype(np.float32)))


def test_percentiles_of_floating_point_images_are_fitted_and_negative_values_kept():
    pixels = RNG.normal(-5, 0.01, (6, 8, 8, 1)).astype(np.float32)
    spec = InputSpec(size=(8, 8), channels=1, depth="float32", mean=(0.0,), std=(1.0,))
    fitted = spec.with_percentiles(pixels, [0, 1, 2, 3])
    prepared = fitted.prepare(pixels)
    assert fitted.low[0] < -5 < fitted.high[0]
    assert prepared.min() >= -1e-4 and prepared.max() <= 1 + 1e-4 and prepared.std() > 0.1
    np.testing.assert_allclose(fitted.scaled(pixels), prepared, atol=1e-3)


def test_floating_point_and_8_bit_images_do_not_mix(tmp_path):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"{number}.tif", (GREY / 255 - number).astype(np.float32))
    Image.fromarray(GREY).save(tmp_path / "3.png")
    source, paths = Files(tmp_path), ["0.tif", "1.tif", "2.tif", "3.png"]
    form = guess_format(source, paths)
    assert form == PixelFormat(1, "float32")
    (chunk,) = decode_all(source, paths, form, (40, 48), "pad", Stage())
    assert [fact["status"] for fact in chunk.facts[:3]] == ["ok"] * 3
    assert (
        chunk.facts[3]["status"] == "the image has 8 bits per channel, the others have signed or floating-point values"
    )
    np.testing.assert_allclose(chunk.pixels[2, :, :, 0], GREY / 255 - 2, atol=1e-6)


# ---------------------------------------------------------------- transparency, grey and color


@pytest.mark.parametrize(
    "data",
    [
        saved(Image.fromarray(np.dstack([COLOR, np.zeros_like(GREY)])), "PNG"),
        saved(Image.fromarray(np.dstack([COLOR, np.zeros_like(GREY)])), "WEBP", lossless=True, exact=True),
        tiff(np.dstack([COLOR, np.zeros_like(GREY)]), photometric="rgb", extrasamples=["unassalpha"]),
    ],
    ids=["PNG", "WebP", "TIFF"],
)
def test_an_image_that_is_transparent_everywhere_is_not_a_white_image(data):
    with pytest.raises(UnreadableError, match="transparent everywhere"):
        decode(data)


def test_grey_stored_as_color_is_grey_for_a_model_of_grey_images():
    grey = PixelFormat(1, "uint8")
    np.testing.assert_array_equal(convert_format(np.dstack([GREY] * 3), grey, widen=False)[:, :, 0], GREY)
    with pytest.raises(UnreadableError, match="in color"):
        convert_format(COLOR, grey, widen=False)


# ---------------------------------------------------------------- the range that a data set uses


def facts(count=10, contrast=0.2, mode="uint16x1", highest=65535.0, **columns):
    """Facts of images that differ in nothing but the columns given."""
    row = {
        "status": "ok", "width": 100, "height": 100, "mode": mode, "format": "PNG", "turned": False, "pages": 1,
        "brightness": 0.01, "contrast": contrast, "sharpness": 1.0, "lowest": 0.0, "highest": highest,
    }  # fmt: skip
    return pl.DataFrame([{"path": f"{n}.png", **row, **columns} for n in range(count)])


def test_images_of_a_10_bit_camera_in_16_bits_are_not_blank():
    names = {finding.name for finding in file_findings(facts(contrast=0.003, highest=1023.0))}
    assert "blank" not in names
    for uniform in (facts(contrast=0.00001, highest=1023.0), facts(contrast=0.003), facts(contrast=0.0, highest=0.0)):
        assert "blank" in {finding.name for finding in file_findings(uniform)}
    assert "blank" in {finding.name for finding in file_findings(facts(contrast=0.003, mode="L", highest=90.0))}


# ---------------------------------------------------------------- what differs from the training images is said

SPEC = InputSpec(size=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3)
DEEP = InputSpec(size=(8, 8), channels=1, depth="uint16", mean=(0.5,), std=(0.5,), low=(100.0,), high=(4000.0,))


def formats(count, channels=3, depth="uint8", used=(3.0, 240.0)):
    row = {"status": "ok", "channels": channels, "depth": depth, "lowest": used[0], "highest": used[1]}
    found = ImageFormats()
    found.add([row] * count + [{"status": "the file is empty"}])
    return found


@pytest.mark.parametrize(
    ("found", "spec", "trained", "word"),
    [
        (formats(9), SPEC, None, ""),
        (formats(9), SPEC, formats(9), ""),
        (formats(9, channels=1), SPEC, formats(9), "9 of 9 images are grey"),
        (formats(9, channels=1), SPEC, formats(9, channels=1), ""),
        (formats(9, used=(0.0, 15.0)), SPEC, formats(9), "values from 0 to 15"),
        (formats(1, used=(0.0, 60.0)), SPEC, formats(9), ""),
        (formats(9, 1, "uint16", (80.0, 4100.0)), DEEP, None, ""),
        (formats(9, 1, "uint16", (0.0, 65000.0)), DEEP, None, "use 100 to 4,000"),
        (formats(1, 1, "uint8", (0.0, 3000.0)), DEEP, None, "the image is of 8 bits"),
    ],
)
def test_images_that_differ_from_those_of_the_training_are_noted(found, spec, trained, word):
    notes = found.notes(spec, None if trained is None else trained.to_json())
    assert len(notes) == bool(word) and word in "".join(notes)


def test_every_entry_point_says_that_the_range_is_another(coverslip, small_run, leaves, tmp_path):
    dark = tmp_path / "dark"
    for path in sorted((Path(leaves).parent / "images").rglob("*.*"))[::4]:
        target = dark / path.parent.name / f"{path.stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(Image.open(path)) // 16).save(target)
    said = coverslip("predict", small_run.folder, dark, "--out", tmp_path / "dark.csv").done()
    assert "but those that the model was trained on use" in said.err + said.out
    said = coverslip("evaluate", small_run.folder, dark, "--out", tmp_path / "evaluated").done()
    assert "but those that the model was trained on use" in said.err + said.out
    explained = load_images(load(small_run.folder), small_run, [dark], None)  # what `explain` shows and saves
    assert "but those that the model was trained on use" in explained.notes[0]
    said = coverslip("predict", small_run.folder, Path(leaves).parent / "images", "--out", tmp_path / "ok.csv").done()
    assert "but those that the model was trained on use" not in said.err + said.out


def test_a_model_of_floating_point_images_is_not_exported(tmp_path):
    spec = InputSpec(size=(8, 8), channels=1, depth="float32", mean=(0.5,), std=(0.5,))
    with pytest.raises(UserError, match="cannot be exported"):
        export_model(SimpleNamespace(spec=spec), tmp_path / "exported", ExportImages())
    assert not (tmp_path / "exported").exists()
