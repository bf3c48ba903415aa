"""Images in an ``.npz`` file are read one by one, and are the same however the file was written."""

import tracemalloc

import numpy as np
import pytest

from coverslip.core.errors import UserError
from coverslip.data.scan import scan

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), np.uint8)
LABELS = np.array([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "compressed"])
@pytest.mark.parametrize(
    "images",
    [IMAGES, np.asfortranarray(IMAGES), IMAGES.astype(np.uint16) * 257, IMAGES[..., 0]],
    ids=["plain", "Fortran order", "16 bits", "grey"],
)
def test_the_pixels_do_not_depend_on_how_the_file_was_saved(tmp_path, save, images):
    save(tmp_path / "some.npz", x=images, y=LABELS)
    table = scan(tmp_path / "some.npz")
    assert list(table.paths) == [f"x/{number:05d}" for number in range(6)]
    for number, path in enumerate(table.paths):
        np.testing.assert_array_equal(table.source.read(path), images[number].reshape(8, 9, -1))


def test_images_are_not_all_in_memory(tmp_path):
    np.savez(tmp_path / "many.npz", x=np.zeros((4000, 32, 32, 3), np.uint8), y=np.arange(4000) % 2)
    tracemalloc.start()
    table = scan(tmp_path / "many.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(table) == 4000 and peak < 4000 * 32 * 32 * 3 / 2


def test_a_damaged_file_is_rejected(tmp_path):
    file = tmp_path / "some.npz"
    np.savez(file, x=IMAGES, y=LABELS)
    data = bytearray(file.read_bytes())
    data[500] ^= 255  # within the images
    file.write_bytes(data)
    with pytest.raises(UserError, match="cannot be opened"):
        scan(file)


def test_images_of_a_file_that_is_truncated_after_the_scan_are_unreadable(tmp_path):
    file = tmp_path / "some.npz"
    np.savez(file, x=IMAGES, y=LABELS)
    table = scan(file)
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(OSError, match="truncated"):
        table.source.read("x/00005")
