"""Folders as users have them: what is left out is reported, and folders that are not classes are refused."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coverslip.core.errors import UserError
from coverslip.core.runs import ExplanationFolder, Run
from coverslip.data.files import OUTPUT_FILES, is_image
from coverslip.data.image import decode
from coverslip.data.scan import scan
from coverslip.data.sources.unlabeled import find_images


@pytest.fixture
def put(tmp_path):
    """Creates empty files below a folder, as a scan reads names only: ``put("rust/1.png", "rust/2.png")``."""

    def write(*names, folder="leaves"):
        for name in names:
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path / folder

    return write


CLASSES = ("rust/1.png", "rust/2.png", "healthy/1.png")


def notes_of(home, **options):
    return "\n".join(scan(home, **options).notes)


def refusal(home, **options):
    with pytest.raises(UserError) as error:
        scan(home, **options)
    return error.value.problem, error.value.fix


# ---------------------------------------------------------------- what is left out


def test_ordinary_folders_give_no_notes(put):
    put(*CLASSES, ".DS_Store", "rust/Thumbs.db", "rust/.hidden.txt", "__MACOSX/rust/._1.png")
    assert scan(put("rust/canon/1.png", "healthy/nikon/1.png")).notes == ()
    assert scan(put("train/a/1.png", "train/b/1.png", "test/a/1.png", folder="split")).notes == ()


def test_a_class_folder_of_unreadable_files_is_reported(put):
    notes = notes_of(put(*CLASSES, "mildew/1.czi", "mildew/2.czi", "mildew/readme.txt"))
    assert "'mildew' is not a class: it contains no image (.czi 2, .txt 1)" in notes and "from ZEN" in notes


def test_empty_folders_and_broken_links_are_reported(put):
    home = put(*CLASSES)
    (home / "mildew").mkdir()
    (home / "blight").symlink_to(home / "nowhere")
    notes = notes_of(home)
    assert "'mildew' is not a class: it contains no file" in notes
    assert "'blight' is not used: it is a broken link" in notes


def test_a_class_called_runs_is_a_class(put):
    assert scan(put("walks/1.png", "Runs/1.png", "runs/1.png")).classes == ("Runs", "runs", "walks")


def test_outputs_are_recognized_by_their_content(put):
    home = put(*CLASSES, "runs/site/experiment.toml", "runs/site/explain/map.png", "heatmaps/explain.json")
    put("heatmaps/map.png", "rust/tried/study.json", "rust/tried/curve.png")
    table = scan(home)
    assert table.classes == ("healthy", "rust") and len(table) == 3
    assert "'runs' is not a class: it contains only outputs of Coverslip" in "\n".join(table.notes)
    assert "'heatmaps' is not a class: it is an output of Coverslip" in "\n".join(table.notes)
    assert find_images([home]).paths == ["healthy/1.png", "rust/1.png", "rust/2.png"]
    for output in ("head", "study"):
        shutil.copytree(Path(__file__).parent / "version_0_1_0" / output, home / f"mildew {output}")
    assert scan(home).classes == ("healthy", "rust")
    assert {Run(home).experiment_file.name, ExplanationFolder(home).numbers_file.name} <= OUTPUT_FILES


def test_images_next_to_class_folders_are_counted(put):
    assert "2 images are not used: no class folder contains them, for example 'a.png'" in notes_of(
        put(*CLASSES, "a.png", "b.jpg")
    )


def test_a_test_folder_without_class_folders_is_reported(put):
    home = put("train/rust/1.png", "train/healthy/1.png", "train/loose.png", "test/1.png", "test/2.png")
    table = scan(home)
    assert set(table.frame["split"]) == {"train"}
    assert "'test' gives no test set: its 2 images are not in class folders" in "\n".join(table.notes)
    assert "for example 'train/loose.png'" in "\n".join(table.notes)


def test_files_that_are_not_images_are_counted_by_kind(put):
    table = scan(put(*CLASSES, "rust/a.txt", "rust/b.nd2", "healthy/c.nd2"))
    assert "3 files are not images and were ignored: .nd2 2, .txt 1 (.nd2 are Nikon" in "\n".join(table.notes)
    assert table.num_ignored == 3


def test_tables_that_are_not_used_are_reported(put):
    home = put(*CLASSES)
    (home / "train.csv").write_text("image_id,class\n1,rust\n", encoding="utf-8")
    assert "'train.csv' is not used: it has the columns 'image_id', 'class'" in notes_of(home)
    for name in ("a.csv", "b.csv"):
        (home / name).write_text("path,label\nrust/1.png,rust\nhealthy/1.png,fine\n", encoding="utf-8")
    assert "2 tables in this folder have the columns path and label, and none is used" in notes_of(home)


def test_images_that_the_table_of_the_folder_does_not_list_are_counted(put):
    home = put(*CLASSES)
    (home / "a.csv").write_text("path,label\nrust/1.png,rust\nhealthy/1.png,fine\n", encoding="utf-8")
    notes = notes_of(home)
    assert "'a.csv' in this folder was used" in notes
    assert "1 image in this folder is not used: the table does not list them, for example 'rust/2.png'" in notes
    assert scan(home / "a.csv").notes == ()


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize("name", ["a.gif", "a.avif", "a.jp2", "a.j2k"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_further_formats_are_read(name, mode):
    pixels = np.zeros((12, 20) if mode == "L" else (12, 20, 3), np.uint8)
    pixels[:, 10:] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, {"gif": "GIF", "avif": "AVIF"}.get(name[2:], "JPEG2000"))
    decoded = decode(file.getvalue())
    assert is_image(name)
    assert decoded.pixels.shape[:2] == (12, 20) and decoded.pixels.dtype == np.uint8
    assert np.abs(decoded.pixels.astype(int) - pixels.reshape(12, 20, -1)).mean() < 8


def test_the_first_frame_of_a_gif_is_read():
    file = io.BytesIO()
    first, second = (Image.new("RGB", (8, 6), color) for color in ("red", "blue"))
    first.save(file, "GIF", save_all=True, append_images=[second])
    decoded = decode(file.getvalue())
    assert decoded.pages == 2 and decoded.pixels[3, 3].tolist() == [255, 0, 0]


def test_deep_jpeg_2000_keeps_its_samples():
    from imagecodecs import jpeg2k_encode

    pixels = (np.arange(16 * 24, dtype=np.uint16) * 150).reshape(16, 24)
    for codec in ("jp2", "j2k"):
        decoded = decode(jpeg2k_encode(pixels, level=0, reversible=True, codecformat=codec))
        assert decoded.mode == "uint16x1" and np.array_equal(decoded.pixels[:, :, 0], pixels)
    color = np.stack([pixels, pixels // 2, pixels // 3], axis=-1)
    assert np.array_equal(decode(jpeg2k_encode(color, level=0, reversible=True)).pixels, color)


def test_an_avif_is_turned_upright():
    exif = Image.Exif()
    exif[274] = 6
    file = io.BytesIO()
    Image.new("RGB", (20, 12)).save(file, "AVIF", exif=exif)
    assert decode(file.getvalue()).pixels.shape == (20, 12, 3)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [("a.czi", "ZEN"), ("a.lif", "LAS X"), ("a.CR2", "darktable"), ("a.svs", "QuPath"), ("a.nii.gz", "3D Slicer")],
)
def test_formats_that_are_not_read_are_named_with_the_way_out(put, name, way_out):
    home = put(f"rust/{name}", f"healthy/{name}")
    problem, fix = refusal(home)
    assert "contains no image (found: 2 folders without images, ." in problem and way_out in fix
    with pytest.raises(UserError) as error:
        find_images([home / "rust" / name])
    assert "not an image file" in error.value.problem and way_out in error.value.fix


def test_dicom_without_extension_is_named(put):
    home = put("rust/IM0001", "healthy/IM0001")
    (home / "rust" / "IM0001").write_bytes(b"\0" * 128 + b"DICM")
    assert "DICOM 1" in refusal(home)[0]


# ---------------------------------------------------------------- folders that are not classes


@pytest.mark.parametrize(
    "names",
    [("training_set", "test_set"), ("train_images", "test_images"), ("seg_train", "seg_test"), ("Train", "test_data")],
)
def test_split_folders_with_longer_names(put, names):
    home = put(*(f"{name}/{label}/1.png" for name in names for label in ("rust", "healthy")))
    table = scan(home)
    assert table.classes == ("healthy", "rust")
    assert dict(zip(table.paths, table.frame["split"], strict=True)) == {
        f"{name}/{label}/1.png": split
        for name, split in zip(names, ("train", "test"), strict=True)
        for label in ("rust", "healthy")
    }
    assert f"{names[0]!r} as the train set" in "\n".join(table.notes)


def test_a_folder_between_split_and_classes(put):
    home = put(*(f"seg_{x}/seg_{x}/{c}/1.png" for x in ("train", "test") for c in ("rust", "healthy")))
    assert scan(home).classes == ("healthy", "rust")
    home = put(*(f"{x}/images/{c}/1.png" for x in ("train", "val") for c in ("rust", "healthy")), folder="b")
    assert scan(home).classes == ("healthy", "rust")


def test_val_and_test_alone_are_refused(put):
    problem, fix = refusal(put("val/rust/1.png", "val/healthy/1.png", "test/rust/1.png", "test/healthy/1.png"))
    assert "'test', 'val', which looks like a split without a train folder" in problem and "table" in fix


def test_classes_with_similar_names_stay_classes(put):
    home = put("freight_train/1.png", "bus/1.png", "untrained/1.png", "test/1.png")
    assert scan(home).classes == ("bus", "freight_train", "test", "untrained")
    problem, fix = refusal(put("train/1.png", "bus/1.png", folder="b"))
    assert "other folders: 'bus'" in problem and "if 'train' is a class, rename it" in fix


def test_versions_of_the_same_images_are_refused(put):
    home = put(*(f"{kind}/{c}/1.png" for kind in ("color", "grayscale", "segmented") for c in ("rust", "healthy")))
    problem, fix = refusal(home)
    assert "'color', 'grayscale', 'segmented'" in problem and "'healthy', 'rust'" in problem and "/color'" in fix


def test_equal_folders_inside_the_classes_are_reported(put):
    home = put(*(f"{site}/{c}/1.png" for site in ("kenya", "peru") for c in ("rust", "healthy")))
    table = scan(home)
    assert table.classes == ("kenya", "peru")
    assert "each contains the folders 'healthy', 'rust'" in "\n".join(table.notes)
    assert scan(home, group="parent").notes == ()
    assert scan(put(*(f"{c}/leaf{n}/1.png" for c in "ab" for n in "12"), folder="b")).notes == ()


def test_split_folders_inside_class_folders_are_refused(put):
    home = put(*(f"{c}/{x}/1.png" for x in ("train", "test") for c in ("rust", "healthy")))
    assert "split folders inside its class folders" in refusal(home)[0]


def test_images_and_masks_are_refused(put):
    problem, fix = refusal(put("images/1.jpg", "images/2.jpg", "masks/1_mask.png", "masks/2_mask.png"))
    assert "looks like a segmentation data set" in problem and "not supported yet" in fix
    home = put("train/images/1.jpg", "train/labels/1.txt", "val/images/2.jpg", "val/labels/2.txt", folder="b")
    assert "looks like an object detection data set" in refusal(home)[0]
    assert scan(put("mask/1.png", "no_mask/1.png", folder="c")).classes == ("mask", "no_mask")


def test_one_folder_around_the_class_folders(put):
    problem, fix = refusal(put("leaves/a/1.png", "leaves/b/1.png", "leaves/c/1.png", "notes.txt"))
    assert "its folder 'leaves' contains 3 folders with images" in problem and "/leaves/leaves'" in fix
    assert "has only one class, 'rust'" in refusal(put("rust/1.png", "rust/2.png", folder="b"))[0]


def test_numbered_classes_are_in_natural_order(put):
    home = put(*(f"{number}/1.png" for number in range(1, 13)))
    assert scan(home).classes == tuple(map(str, range(1, 13)))
    home = put(*(f"grade {number}/1.png" for number in (2, 10)), folder="b")
    assert scan(home).classes == ("grade 2", "grade 10")
    assert scan(put("b10/1.png", "a9/1.png", "a10/1.png", folder="c")).classes == ("a10", "a9", "b10")


@pytest.mark.skipif(os.name == "nt", reason="names are bytes only on Unix")
def test_a_class_folder_whose_name_is_not_utf8_is_refused(put):
    home = put(*CLASSES)
    try:
        os.rename(os.fsencode(home / "rust"), os.fsencode(home) + b"/rouill\xe9e")  # noqa: PTH104
    except OSError:
        pytest.skip("the file system accepts only UTF-8")
    problem, fix = refusal(home)
    assert "is not UTF-8" in problem and "convmv" in fix
