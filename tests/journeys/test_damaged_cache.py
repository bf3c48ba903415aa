"""Damaged cache entries are detected and replaced; a run gives the same numbers."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coverslip import api
from coverslip.data.cache import read_pixels
from coverslip.data.scan import scan


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    """Skip the page: it does not use the cache, and drawing it would take most of the time of these tests."""
    monkeypatch.setattr(api.training, "write_report", lambda folder: None)


@pytest.fixture(scope="module")
def full_cache(small_run, session_cache, leaves, tmp_path_factory):
    """A cache with exactly the entries that the small run needs."""
    folder = tmp_path_factory.mktemp("full") / "cache"
    for kind in ("engines", "weights"):
        shutil.copytree(session_cache / kind, folder / kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COVERSLIP_CACHE", str(folder))
        api.train(leaves, folder.parent / "run")
    return folder


@pytest.fixture
def cache(full_cache, tmp_path, monkeypatch):
    """A copy of the cache that a test can damage."""
    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(full_cache, tmp_path / "cache"))


@pytest.fixture
def again(leaves, small_run, tmp_path):
    """Train again, compare every number with the undisturbed run, and return what had to be computed."""

    def train(out="again"):
        run = api.train(leaves, tmp_path / out)
        assert run.test_file.read_bytes() == small_run.test_file.read_bytes()
        assert run.predictions_file.read_bytes() == small_run.predictions_file.read_bytes()
        computed = run.read_json(run.environment_file)["computed"]
        return computed["images decoded"], computed["views through the network"]

    return train


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def scribble(path):
    path.write_bytes(b"scribble" * 100)


def test_an_intact_cache_is_used(cache, again):
    assert again() == (0, 0)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("pixels.npy", truncate),
        ("pixels.npy", empty),
        ("pixels.npy", Path.unlink),
        ("facts.parquet", truncate),
        ("facts.parquet", scribble),
    ],
)
def test_damaged_images_are_decoded_again_once(cache, again, leaves, name, damage):
    for path in cache.rglob(name):
        damage(path)
    assert (read_pixels(scan(leaves), (224, 224)).decoded, again()) == (36, (0, 0))


@pytest.mark.parametrize(
    ("name", "damage"),
    [("features.npy", truncate), ("features.npy", Path.unlink), ("keys.npy", empty), ("keys.npy", scribble)],
)
def test_damaged_features_are_computed_again_once(cache, again, name, damage):
    damage(max(cache.rglob(name), key=lambda path: path.stat().st_size))  # of the training set
    decoded, computed = again()
    assert decoded == 0 and computed > 36 and again("third") == (0, 0)


@pytest.mark.parametrize(
    ("name", "damage"), [("model.xml", truncate), ("model.bin", truncate), ("model.bin", Path.unlink)]
)
def test_a_damaged_network_is_compiled_again(cache, again, name, damage):
    shutil.rmtree(cache / "features")
    for path in cache.rglob(name):
        damage(path)
    assert again()[1] > 36


@pytest.mark.parametrize("damage", [truncate, Path.unlink], ids=lambda function: function.__name__)
def test_damaged_weights_are_copied_from_their_package_again(cache, again, damage):
    intact = {path: path.read_bytes() for path in (cache / "weights").rglob("*.safetensors")}
    for path in intact:
        damage(path)
    assert again() == (0, 0)
    assert any(path.is_file() and path.read_bytes() == data for path, data in intact.items())


def test_a_damaged_index_and_leftovers_of_killed_processes_are_ignored(cache, again):
    for path in (cache / "index").iterdir():
        path.write_text("{")
    for kind in ("pixels", "features", "engines", "weights"):
        (cache / kind / ".tmp-of-a-killed-process").mkdir()
        (cache / kind / ".tmp-of-a-killed-process" / "pixels.npy").write_bytes(b"half")
    assert again() == (36, 0)


def test_the_cache_can_be_cleared(coverslip, cache, again):
    assert "removed" in coverslip("cache", "--clear").done().out
    kept = {path.parent.name for path in cache.rglob("*") if path.is_file()}
    assert kept <= {"locks", "ledger"}  # the ledger of test set uses is not a cache
    assert again()[0] == 36


def test_verify_detects_another_image_of_the_same_size_and_time(cache, tmp_path):
    for index, name in enumerate(("a/0", "a/1", "b/0", "b/1")):
        path = tmp_path / "images" / f"{name}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 40, 3), index, np.uint8)).save(path)
    assert read_pixels(scan(tmp_path / "images"), (32, 32)).decoded == 4
    first, second = tmp_path / "images" / "a" / "0.bmp", tmp_path / "images" / "a" / "1.bmp"
    time = first.stat().st_mtime_ns
    first.write_bytes(second.read_bytes())
    os.utime(first, ns=(time, time))
    trusted = read_pixels(scan(tmp_path / "images"), (32, 32))
    assert (trusted.decoded, trusted.pixels[0].max()) == (0, 0)
    verified = read_pixels(scan(tmp_path / "images"), (32, 32), verify=True)
    assert (verified.decoded, verified.pixels[0].max()) == (4, 1)
