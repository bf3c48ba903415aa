"""`images`: built-in images, a learner's own folder, and invalid folders."""

import numpy as np
import pytest
from PIL import Image

from coverslip.core.errors import UserError
from coverslip.course import images

FEW = {"leaves": 3, "shots": 2, "size": 32}


def test_built_in_images_have_groups_and_are_split_by_them():
    few = images(classes=3, **FEW)
    assert few.x.shape == (18, 32, 32, 3) and few.x.dtype == np.uint8
    assert len(few.names) == 3 and sorted(set(few.y.tolist())) == [0, 1, 2]
    train, test = few.split(seed=1, test_fraction=1 / 3)
    assert len(train) == 12 and len(test) == 6
    assert not set(train.groups) & set(test.groups)
    assert sorted(set(test.y.tolist())) == [0, 1, 2]


def test_built_in_images_are_rendered_once(monkeypatch):
    from coverslip.course import image_set

    first = images(**FEW)
    monkeypatch.setattr(image_set, "write_leaves", None)
    again = images(**FEW)
    assert np.array_equal(first.x, again.x) and first.paths == again.paths
    with pytest.raises(TypeError):
        images(**FEW, seed=1)


def test_built_in_images_can_be_scanned():
    from coverslip import scan

    few = images(**FEW)
    assert scan(few.source).grouped_by and len(scan(few.source)) == len(few)


def test_tissue_is_another_look():
    assert images(look="tissue", **FEW).names == ("healthy", "tumor")


def test_a_folder_has_the_same_fields(paint):
    own = images(paint(rust=4, healthy=3), size=48)
    assert own.x.shape == (7, 48, 48, 3) and own.names == ("healthy", "rust") and not own.built_in
    assert own.y.tolist() == [0] * 3 + [1] * 4 and len(set(own.groups)) == 7


def test_of_many_classes_the_largest_are_used_with_a_note(paint):
    own = images(paint(rust=4, healthy=3, mildew=2))
    assert own.names == ("healthy", "rust") and "classes=3 uses all" in repr(own)
    assert images(paint("again", rust=4, healthy=3, mildew=2), classes=3).names == ("healthy", "mildew", "rust")


def test_the_number_of_images_per_class_is_limited(paint):
    folder = paint(rust=30, healthy=9)
    own = images(folder, max_per_class=10)
    assert np.bincount(own.y).tolist() == [9, 10] and "20 randomly chosen images above 10" in repr(own)
    assert images(folder, max_per_class=10, seed=1).paths != own.paths


def test_grey_and_deep_images_become_color(tmp_path):
    for name, value in (("dark", 900), ("light", 3000)):
        (tmp_path / name).mkdir()
        for number in range(2):
            values = np.random.default_rng(number).normal(value, 40, (40, 40)).astype(np.uint16)
            Image.fromarray(values).save(tmp_path / name / f"{number}.png")
    own = images(tmp_path, size=32)
    assert own.x.shape == (4, 32, 32, 3) and own.x[own.y == 0].max() < own.x[own.y == 1].min()


def test_an_unreadable_file_is_left_out_with_a_note(paint):
    folder = paint(rust=4, healthy=3)
    (folder / "rust" / "00.png").write_bytes(b"no image")
    own = images(folder)
    assert len(own) == 6 and "1 file could not be read" in repr(own)


def test_invalid_folders_and_values_are_refused(paint, tmp_path):
    with pytest.raises(UserError, match="one class"):
        images(paint(rust=4))
    with pytest.raises(UserError, match="gone"):
        images(tmp_path / "gone")
    folder = paint("broken", rust=2, healthy=1)
    (folder / "healthy" / "00.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="no image of 'healthy'"):
        images(folder)
    with pytest.raises(UserError, match="size=8"):
        images(size=8)
    with pytest.raises(UserError, match="test_fraction"):
        images(**FEW).split(test_fraction=1.0)
