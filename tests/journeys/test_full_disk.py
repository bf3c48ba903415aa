"""A full disk: refused in advance if possible, else an error in two lines."""

import errno
import shutil
from collections import namedtuple
from pathlib import Path

import polars as pl
import pytest

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def left_over(cache):
    return [path for path in cache.rglob("*") if path.name.startswith(".tmp-") or path.name.endswith(".tmp")]


def test_a_disk_with_too_little_space_is_refused_before_images_are_decoded(coverslip, leaves, empty_cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12 - 10**6, 10**6))
    said = coverslip("train", leaves, "--out", "run")
    problem, _ = said.refused("36 decoded images need", "only 1 MB are free", "COVERSLIP_CACHE")
    assert str(empty_cache) in problem and "reading images" not in said.err
    assert not left_over(empty_cache) and not Path("run").exists()


def test_a_disk_that_becomes_full_while_images_are_written(coverslip, leaves, empty_cache, monkeypatch, tmp_path):
    """The error is raised in the middle of a write, as on a real full disk."""

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            if memoryview(data).nbytes > 1000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

    opened = Path.open
    full = True

    def open_on_full_disk(self, mode="r", *rest, **named):
        file = opened(self, mode, *rest, **named)
        return Full(file) if full and "w" in mode and self.suffix == ".npy" else file

    monkeypatch.setattr(Path, "open", open_on_full_disk)
    coverslip("train", leaves, "--out", "run").refused("became full", str(empty_cache), "run the same command again")
    assert not left_over(empty_cache) and not Path("run").exists()
    full = False
    coverslip("train", leaves, "--out", "run").done()  # the same command again, as the fix says


def test_a_disk_that_becomes_full_while_features_are_written(coverslip, leaves, empty_cache, monkeypatch):
    from coverslip.inference import features

    def full(path, array):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(features, "_save", full)
        coverslip("train", leaves, "--out", "run").refused("became full", str(empty_cache))
    assert not left_over(empty_cache)
    coverslip("train", leaves, "--out", "run").done()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("No space left on device (os error 28)"),
        pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)"),
        RuntimeError("Check 'bin' failed: No space left on device"),
    ],
    ids=lambda error: type(error).__name__ + str(error.errno if isinstance(error, OSError) else ""),
)
def test_a_full_disk_of_the_run_folder_is_reported_whichever_library_raised_the_error(
    coverslip, leaves, monkeypatch, error
):
    def full(*_, **__):
        raise error

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    coverslip("train", leaves, "--out", "run").refused("the disk of 'run' became full", "free disk space")
    assert not Path("run").exists()


def test_a_failed_write_without_a_reason_is_a_full_disk_only_if_the_disk_is_full(tmp_path, monkeypatch):
    """OpenVINO only reports that a write failed."""
    from coverslip.core.errors import UserError
    from coverslip.core.storage import explain_full_disk

    def fail():
        with explain_full_disk(tmp_path):
            raise RuntimeError("basic_ios::clear: iostream error")

    with pytest.raises(RuntimeError):
        fail()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(UserError, match="became full"):
        fail()


def test_another_error_is_not_called_a_full_disk(coverslip, leaves, monkeypatch):
    def broken(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pl.DataFrame, "write_csv", broken)
    with pytest.raises(OSError, match="Input/output error"):
        coverslip("train", leaves, "--out", "run")


def test_a_full_disk_while_predictions_are_written(coverslip, small_run, leaves, monkeypatch):
    def full(self, *_, **__):
        Path(self).touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    coverslip("predict", small_run.folder, leaves.parent / "images", "--out", "p.csv").refused("became full")
    assert not list(Path().iterdir())


def test_a_folder_that_is_not_writable(coverslip, small_run, leaves, monkeypatch):
    """Tests may run as root, which ignores permissions, so the error is simulated."""
    made = Path.mkdir

    def refuse(self, *rest, **named):
        if self.name == "run":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return made(self, *rest, **named)

    monkeypatch.setattr(Path, "mkdir", refuse)
    coverslip("train", leaves, "--out", "run").refused("cannot create the folder 'run': Permission denied", "another")

    def read_only(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "write_text", read_only)
    coverslip("predict", small_run.folder, leaves.parent / "images", "--out", "p.csv").refused("read-only", "p.csv")


def test_a_cache_folder_that_is_a_file(coverslip, leaves, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path / "file" / "cache"))
    coverslip("train", leaves, "--out", "run").refused("cannot create the folder", "choose another")
    assert (tmp_path / "file").read_text() == "x"


def test_a_cache_limit_that_is_not_a_number(coverslip, leaves, monkeypatch):
    monkeypatch.setenv("COVERSLIP_CACHE_LIMIT", "20 GB")
    coverslip("cache").refused("COVERSLIP_CACHE_LIMIT='20 GB' is not a size", "number of gigabytes")


def test_a_run_finishes_with_a_cache_limit_of_zero(coverslip, leaves, small_run, monkeypatch, empty_cache):
    monkeypatch.setenv("COVERSLIP_CACHE_LIMIT", "0")
    coverslip("train", leaves, "--out", "run").done()
    assert Path("run/test.json").read_bytes() == small_run.test_file.read_bytes()
