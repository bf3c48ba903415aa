"""The cache is believed only where it is whole; whatever else is in it, a run gives the same numbers."""

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
    """The page reads what a run wrote, and no cache; drawing it would take most of these tests' time."""
    monkeypatch.setattr(api.training, "write_report", lambda folder: None)


@pytest.fixture(scope="module")
def full_cache(small_run, session_cache, leaves, tmp_path_factory):
    """All that the small run needs, and nothing else."""
    folder = tmp_path_factory.mktemp("full") / "cache"
    for kind in ("engines", "weights"):
        shutil.copytree(session_cache / kind, folder / kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COVERSLIP_CACHE", str(folder))
        api.train(leaves, folder.parent / "run")
    return folder


@pytest.fixture
def cache(full_cache, tmp_path, monkeypatch):
    """A copy of it, for a test to spoil."""
    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(full_cache, tmp_path / "cache"))


@pytest.fixture
def again(leaves, small_run, tmp_path):
    """Trains anew, compares every number with the undisturbed run, and tells what had to be computed."""

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


def test_a_whole_cache_is_believed(cache, again):
    assert again() == (0, 0)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("pixels.npy", truncate),
        ("pixels.npy", empty),
        ("pixels.npy", Path.unlink),
        ("facts.parquet", truncate),
        ("facts.parquet", scribble),
    ],
)
def test_spoilt_images_are_decoded_anew_once(cache, again, leaves, name, spoil):
    for path in cache.rglob(name):
        spoil(path)
    assert (read_pixels(scan(leaves), (224, 224)).decoded, again()) == (36, (0, 0))


@pytest.mark.parametrize(
    ("name", "spoil"),
    [("features.npy", truncate), ("features.npy", Path.unlink), ("keys.npy", empty), ("keys.npy", scribble)],
)
def test_spoilt_features_are_computed_anew_once(cache, again, name, spoil):
    spoil(max(cache.rglob(name), key=lambda path: path.stat().st_size))  # of the train part
    decoded, computed = again()
    assert decoded == 0 and computed > 36 and again("third") == (0, 0)


@pytest.mark.parametrize(
    ("name", "spoil"), [("model.xml", truncate), ("model.bin", truncate), ("model.bin", Path.unlink)]
)
def test_a_spoilt_network_is_compiled_anew(cache, again, name, spoil):
    shutil.rmtree(cache / "features")
    for path in cache.rglob(name):
        spoil(path)
    assert again()[1] > 36


@pytest.mark.parametrize("spoil", [truncate, Path.unlink], ids=lambda each: each.__name__)
def test_spoilt_weights_are_taken_from_their_package_anew(cache, again, spoil):
    whole = {path: path.read_bytes() for path in (cache / "weights").rglob("*.safetensors")}
    for path in whole:
        spoil(path)
    assert again() == (0, 0)
    assert any(path.is_file() and path.read_bytes() == data for path, data in whole.items())


def test_a_spoilt_index_and_what_killed_processes_left_are_passed_over(cache, again):
    for path in (cache / "index").iterdir():
        path.write_text("{")
    for kind in ("pixels", "features", "engines", "weights"):
        (cache / kind / ".tmp-of-a-killed-process").mkdir()
        (cache / kind / ".tmp-of-a-killed-process" / "pixels.npy").write_bytes(b"half")
    assert again() == (36, 0)


def test_the_cache_can_be_cleared(coverslip, cache, again):
    assert "removed" in coverslip("cache", "--clear").done().out
    kept = {path.parent.name for path in cache.rglob("*") if path.is_file()}
    assert kept <= {"locks", "ledger"}  # how often a test set was scored is not a cache
    assert again()[0] == 36


def test_another_image_of_the_same_size_and_time_is_found_with_verify(cache, tmp_path):
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
