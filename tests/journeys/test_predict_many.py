"""`predict` on many images: results are streamed, and an interrupted call is resumed to the same bytes."""

import json
import os
import re
import shutil
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip import api
from coverslip.data import decoding
from coverslip.data.sources.unlabeled import find_images
from coverslip.inference import predictor
from coverslip.inference.resumable import ResumableFile

DYING = """
import os, signal
from coverslip.inference import predictor
from coverslip.inference import resumable
predictor.CHUNK = 16
calls, append, add = [], resumable._append, resumable.ResumableFile.add
def die(path, data):
    calls.append(path)
    if len(calls) == {call}:
        append(path, data[: {share} * len(data) // 4])
        os.kill(os.getpid(), signal.{how})
        import time; time.sleep(30)
    append(path, data)
resumable._append = die
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predictor, "CHUNK", 16)


@pytest.fixture
def whole(coverslip, small_run, images):
    """The file that an undisturbed call writes."""
    min(images.rglob("*.jpg")).with_name("broken.jpg").write_bytes(b"\xff\xd8 no more")
    coverslip("predict", small_run.folder, images, "--out", "whole.csv").done()
    return Path("whole.csv").read_bytes()


@pytest.fixture
def opened(monkeypatch):
    """Paths that are decoded from now on."""
    paths, work = [], decoding._decode_chunk
    monkeypatch.setattr(
        decoding, "_decode_chunk", lambda source, some, *rest: (paths.extend(some), work(source, some, *rest))[1]
    )
    return paths


# The third write is the second part of the table, the fourth its line in the journal.
@pytest.mark.parametrize(
    ("call", "share", "how", "kept"),
    [
        (3, 0, "SIGKILL", 16),
        (3, 2, "SIGKILL", 16),
        (4, 0, "SIGKILL", 16),
        (4, 2, "SIGKILL", 16),
        (4, 4, "SIGKILL", 32),
        (3, 0, "SIGINT", 16),
    ],
)
def test_a_killed_call_is_resumed_to_the_same_bytes_and_computes_nothing_twice(
    fork, coverslip, small_run, images, whole, opened, call, share, how, kept
):
    child = fork(
        "predict", small_run.folder, images, "--out", "p.csv", before=DYING.format(call=call, share=share, how=how)
    )
    assert child.wait() == (-signal.SIGKILL if how == "SIGKILL" else 130)
    assert not Path("p.csv").exists() and Path("p.csv.partial").exists()
    if how == "SIGINT":
        errors = child.err.read_text()
        assert "after 16 of 37 images" in errors and "--resume" in errors and "Traceback" not in errors
    coverslip("predict", small_run.folder, images, "--out", "p.csv").refused("not finished", "--resume")
    opened.clear()
    said = coverslip("predict", small_run.folder, images, "--out", "p.csv", "--resume").done()
    assert f"resuming after {kept} of 37 images" in said.err and "37 images -> p.csv" in said.err
    assert Path("p.csv").read_bytes() == whole and len(opened) == 37 - kept
    summary = said.err.rpartition("predicted:")[2]
    unfamiliar = pl.read_csv("p.csv").filter(~pl.col("familiar")).height  # including those of the killed call
    assert (f"{unfamiliar} unlike the training images" in summary) == (unfamiliar > 0)
    counts = [word.rstrip(",;") for word in re.sub(r"\d+ unlike", "", summary).split()]
    assert sum(int(word) for word in counts if word.isdigit()) == 37
    assert sorted(path.name for path in Path().glob("p.csv*")) == ["p.csv"]


@pytest.fixture
def started(monkeypatch, small_run, images, whole):
    """Two parts of p.csv, as a killed call leaves them."""
    add = ResumableFile.add

    def twice(self, *rest):
        add(self, *rest)
        if len(self.notes) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ResumableFile, "add", twice)
        with pytest.raises(api.predicting.StoppedError):
            api.predict_to(small_run.folder, [images], "p.csv")
    return images


def shown(images):
    return find_images([images]).display


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("vanished early", 0),
        ("vanished late", 32),
        ("added early", 0),
        ("added between", 16),
        ("changed", 16),
        ("table edited", 0),
        ("table cut", 16),
        ("journal cut", 16),
    ],
)
def test_changes_between_the_calls_are_detected_and_the_result_is_that_of_a_new_call(
    coverslip, small_run, started, change, kept
):
    paths = [Path(name) for name in shown(started)]
    partial, journal = Path("p.csv.partial"), Path("p.csv.journal")
    if change.startswith("vanished"):
        paths[3 if change == "vanished early" else 34].unlink()
    elif change.startswith("added"):
        shutil.copy(paths[0], paths[2 if change == "added early" else 20].with_suffix(".a.jpg"))
    elif change == "changed":
        Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(paths[20])
    elif change == "table edited":
        partial.write_text(partial.read_text().replace("0.", "1.", 1))
    elif change == "table cut":
        partial.write_bytes(partial.read_bytes()[:-40])
    else:
        journal.write_text("\n".join(journal.read_text().splitlines()[:-1]) + '\n{"rows"')
    said = coverslip("predict", small_run.folder, started, "--out", "p.csv", "--resume").done()
    assert f"resuming after {kept} of" in said.err
    assert ("have changed" in said.err) == (kept < 32 and change != "journal cut")
    coverslip("predict", small_run.folder, started, "--out", "fresh.csv").done()
    assert Path("p.csv").read_bytes() == Path("fresh.csv").read_bytes()


def test_resuming_with_another_model_without_the_journal_or_during_another_process_is_refused(
    coverslip, small_run, started, tmp_path
):
    other = shutil.copytree(small_run.folder, tmp_path / "other")
    model = json.loads((other / "model" / "model.json").read_text())
    (other / "model" / "model.json").write_text(json.dumps(model | {"temperature": 1.5}))
    before = Path("p.csv.partial").read_bytes()
    coverslip("predict", other, started, "--out", "p.csv", "--resume").refused("different model", "--out")
    from coverslip.inference.resumable import _exclusive

    with _exclusive(Path("p.csv")):
        coverslip("predict", small_run.folder, started, "--out", "p.csv", "--resume").refused(
            "another process is writing"
        )
    Path("p.csv.journal").unlink()
    coverslip("predict", small_run.folder, started, "--out", "p.csv", "--resume").refused("p.csv.journal", "delete")
    assert Path("p.csv.partial").read_bytes() == before
    coverslip("predict", small_run.folder, started, "--resume").refused("--resume", "--out")


def test_resume_without_a_file_starts_and_with_a_complete_file_refuses(coverslip, small_run, images, whole):
    coverslip("predict", small_run.folder, images, "--out", "p.csv", "--resume").done()
    assert Path("p.csv").read_bytes() == whole
    resumed = "predict", small_run.folder, images, "--out", "p.csv", "--resume"
    coverslip(*resumed).refused("is complete", "another --out")
    coverslip(*resumed[:-1]).refused("already exists")
    assert Path("p.csv").read_bytes() == whole
    fewer = sorted(images.rglob("*.jpg"))[:5]
    other = coverslip("predict", small_run.folder, *fewer, "--out", "p.csv", "--resume")
    other.refused("5 of its 37 rows match the first of these 5 images", "another --out")
    Path("p.csv").write_bytes(whole[:-10])  # such as the standard output of a killed call
    coverslip(*resumed).refused("36 of its 36 rows match the first of these 37 images")
    Path("p.csv").write_text("mine")  # not a table of predictions
    coverslip(*resumed).refused("already exists")
    assert Path("p.csv").read_text() == "mine"


def test_an_error_before_the_first_row_leaves_no_file(small_run, images, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no")

    monkeypatch.setattr(predictor.Predictor, "_predict_chunk", broken)
    with pytest.raises(RuntimeError):
        api.predict_to(small_run.folder, [images], "p.csv")
    assert not list(Path().glob("p.csv*"))


def test_rows_are_returned_in_the_order_of_the_paths_while_they_are_computed(
    small_run, images, whole, opened, monkeypatch
):
    monkeypatch.setattr(decoding, "cores", lambda: 1)
    monkeypatch.setattr(decoding, "CHUNK", 4)
    parts = api.predict_in_parts(small_run.folder, [images])
    first = next(parts)
    assert first.height == 16 and len(opened) < 37  # the others are not read yet
    rows = pl.concat([first, *parts])
    assert rows["path"].to_list() == shown(images) and rows.write_csv(float_precision=6).encode() == whole
    broken = rows.filter(pl.col("error").is_not_null())
    assert broken.height == 1 and broken["predicted"][0] is None and broken["path"][0].endswith("broken.jpg")


def test_standard_output_receives_the_same_rows_in_parts(coverslip, small_run, images, whole):
    class Listener:
        def __init__(self):
            self.texts = []

        def write(self, text):
            self.texts.append(text)

        def flush(self):
            pass

    listener = Listener()
    summary = api.predict_to(small_run.folder, [images], listener)
    assert len(listener.texts) == 3 and "".join(listener.texts).encode() == whole
    assert summary.images == 37 and summary.unread == 1 and sum(summary.classes.values()) == 36
    rows = pl.read_csv(whole)
    assert summary.unfamiliar == rows.filter(~pl.col("familiar")).height and summary.rule == ""  # three classes


def test_many_images_are_not_cached_as_features_and_get_the_same_predictions(
    coverslip, small_run, images, whole, empty_cache, monkeypatch
):
    monkeypatch.setattr(predictor, "CACHE_LIMIT", 36)
    coverslip("predict", small_run.folder, images, "--out", "p.csv").done()
    assert Path("p.csv").read_bytes() == whole and not (empty_cache / "features").exists()
    few = sorted(images.rglob("*.jpg"))[:20]
    coverslip("predict", small_run.folder, *few, "--out", "few.csv").done()  # these are cached
    model = api.load(small_run.folder)
    found = find_images([images])
    list(model.stream(api.predicting.StampedFiles(found.root), found.paths))
    assert model.extractor.computed == 36 - 19  # one of the 20 is damaged


def test_listing_thousands_of_files_is_fast(tmp_path):
    """100,000 files took 0.3 s and 21 MB (36 MB at most); one path object per file would take ten times as much."""
    folders = [tmp_path / "all" / f"class_{number}" for number in range(4)]
    for folder in folders:
        folder.mkdir(parents=True)
    for number in range(4_000):
        os.close(os.open(folders[number % 4] / f"IMG_{number:06d}.jpg", os.O_CREAT))
    tracemalloc.start()
    start = time.process_time()
    found = find_images([tmp_path / "all"])
    assert time.process_time() - start < 0.5
    assert tracemalloc.get_traced_memory()[1] < 4_000 * 600
    tracemalloc.stop()
    assert len(found.paths) == 4_000 and found.paths == sorted(found.paths)
    assert found.display[0] == str(tmp_path / "all" / found.paths[0])
