import errno
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from coverslip.core import storage
from coverslip.core.errors import UserError
from coverslip.data.cache import read_pixels
from coverslip.data.scan import scan


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (40 + number, 50, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


def test_images_are_decoded_once(folder, cache):
    first, second = read_pixels(scan(folder), (32, 32)), read_pixels(scan(folder), (32, 32))
    assert (first.decoded, second.decoded) == (20, 0)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert second.pixels.shape == (20, 32, 32, 3)


def test_a_changed_file_is_read_again(folder, cache):
    before = read_pixels(scan(folder), (32, 32)).pixels[0].copy()
    Image.new("RGB", (40, 40), "red").save(folder / "a" / "0.png")
    after = read_pixels(scan(folder), (32, 32))
    assert after.decoded == 20 and (after.pixels[0] != before).any()


def test_verify_detects_a_file_that_changed_without_a_new_modification_time(folder, cache):
    path = folder / "a" / "0.png"
    Image.new("RGB", (40, 40), "red").save(path, compress_level=0)
    status = path.stat()
    read_pixels(scan(folder), (32, 32))
    Image.new("RGB", (40, 40), "blue").save(path, compress_level=0)
    assert path.stat().st_size == status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read_pixels(scan(folder), (32, 32)).decoded == 0
    verified = read_pixels(scan(folder), (32, 32), verify=True)
    assert verified.decoded == 20
    assert verified.pixels[0, 16, 16].tolist() == [0, 0, 255]


def test_another_size_or_fit_is_another_array(folder, cache):
    read_pixels(scan(folder), (32, 32))
    assert read_pixels(scan(folder), (24, 24)).decoded == 20
    assert read_pixels(scan(folder), (32, 32), "squash").decoded == 20


def test_a_copied_folder_has_the_same_rows(folder, cache, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    one, two = read_pixels(scan(folder), (32, 32)), read_pixels(scan(tmp_path / "copy"), (32, 32))
    assert one.facts["row_hash"].to_list() == two.facts["row_hash"].to_list()
    assert len(list((cache / "pixels").iterdir())) == 1


def test_grey_among_color_and_sixteen_among_eight_bits_widen_the_array(folder, cache):
    Image.new("L", (40, 40), 7).save(folder / "a" / "0.png")
    assert read_pixels(scan(folder), (32, 32)).pixels.shape[3] == 3
    Image.fromarray(np.full((40, 40), 4000, np.uint16)).save(folder / "b" / "3.png")
    wide = read_pixels(scan(folder), (32, 32))
    assert wide.pixels.dtype == np.uint16
    row = scan(folder).paths.index("b/3.png")
    assert wide.facts["status"][row] == "ok" and (wide.pixels[row] == 4000).all()
    assert (wide.pixels[0] == 7 * 257).all()


def test_a_killed_pass_leaves_no_cache_entry(folder, cache, monkeypatch):
    def stop(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("coverslip.data.cache._write_header", stop)
        with pytest.raises(KeyboardInterrupt):
            read_pixels(scan(folder), (32, 32))
    assert storage.cache_entries() == []
    assert read_pixels(scan(folder), (32, 32)).decoded == 20


def test_too_little_disk_space_is_an_error_before_anything_is_written(folder, cache, monkeypatch):
    monkeypatch.setattr(storage, "free_bytes", lambda _: 1000)
    with pytest.raises(UserError, match=r"20 decoded images need 61 kB.* 1 kB "):
        read_pixels(scan(folder), (32, 32))


def test_a_disk_that_fills_up_during_writing_is_reported(folder, cache, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("coverslip.data.cache._write_header", full)
    with pytest.raises(UserError, match="became full"):
        read_pixels(scan(folder), (32, 32))
    assert storage.cache_entries() == []


def test_the_least_recently_used_entry_is_deleted(folder, cache, monkeypatch):
    read_pixels(scan(folder), (32, 32))
    old = next((cache / "pixels").iterdir())
    os.utime(old, (1, 1))
    monkeypatch.setenv("COVERSLIP_CACHE_LIMIT", "0.0001")  # 100 kB: room for one array of 61 kB
    read_pixels(scan(folder), (31, 31))
    assert not old.exists()
    assert len(list((cache / "pixels").iterdir())) == 1


def test_an_invalid_limit_is_an_error(monkeypatch):
    monkeypatch.setenv("COVERSLIP_CACHE_LIMIT", "lots")
    with pytest.raises(UserError, match="COVERSLIP_CACHE_LIMIT='lots'"):
        storage.cache_limit()
