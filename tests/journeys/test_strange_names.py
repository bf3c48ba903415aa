"""Folders and files may have any name: none breaks a run, shifts a column or is changed."""

import csv
import os
import shutil
from pathlib import Path

import polars as pl
import pytest

CLASSES = ["late blight, 'severe'", 'spot "A"', "feuille d\u2019\u00e9t\u00e9\nnext line", "\u5065\u5eb7 \U0001f33f"]
FILES = ["a b.png", "a,b.png", 'say "x".png', "it's.png", "two\nlines.png", "\u00e9\u4e2d\U0001f331.png"]
FILES += ["tab\there.png", "[bold]x[red].png", "<b>&amp;.png", "back\\slash.png", "%s{0}.png", "-rf.png", " .png"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def unusual(paint):
    """13 images with unusual names in each of 4 classes with unusual names."""
    home = paint(**{str(number): len(FILES) for number in range(4)})
    for number, class_name in enumerate(CLASSES):
        for path, name in zip(sorted((home / str(number)).iterdir()), FILES, strict=True):
            path.rename(path.with_name(name))
        (home / str(number)).rename(home / class_name)
    return home


def test_unusual_names_survive_training_prediction_evaluation_and_repetition(coverslip, unusual, snapshot, monkeypatch):
    before = snapshot(unusual)
    coverslip("train", unusual, "--out", "run, one").done()
    rows = pl.read_csv("run, one/table.csv")
    assert set(rows["path"]) == {f"{class_name}/{name}" for class_name in CLASSES for name in FILES}
    assert set(rows["label"]) == set(CLASSES) and set(rows["status"]) == {"ok"}

    tested = pl.read_csv("run, one/predictions.csv")
    assert set(tested["label"]) == set(CLASSES)
    with Path("run, one/predictions.csv").open(
        encoding="utf-8", newline=""
    ) as file:  # polars does not unescape quotes in the header
        columns = next(csv.reader(file))
    assert [name for name in columns if name.startswith("p:")] == [f"p:{name}" for name in sorted(CLASSES)]

    coverslip("predict", "run, one", unusual, "--out", "p.csv").done()
    predicted = pl.read_csv("p.csv")
    assert set(predicted["path"]) == {str(unusual / path) for path in rows["path"]}
    single = coverslip("predict", "run, one", unusual / CLASSES[2] / "two\nlines.png").done()
    assert pl.read_csv(single.out.encode())["path"].to_list() == [str(unusual / CLASSES[2] / "two\nlines.png")]

    coverslip("evaluate", "run, one", unusual, "--out", "scored").done()
    assert set(pl.read_csv("scored/predictions.csv")["path"]) == set(rows["path"])

    coverslip("train", "run, one/table.csv", "--out", "again").done()
    assert Path("again/table.csv").read_bytes() == Path("run, one/table.csv").read_bytes()
    assert Path("again/test.json").read_bytes() == Path("run, one/test.json").read_bytes()
    coverslip("train", "run, one/experiment.toml", "--out", "and again").done()
    assert Path("and again/test.json").read_bytes() == Path("run, one/test.json").read_bytes()
    assert snapshot(unusual) == before


def test_a_class_may_be_named_like_a_column(coverslip, paint):
    home = paint(path=4, label=4, error=4, null=4, **{"1": 4, "NaN": 4})
    coverslip("train", home, "--out", "run").done()
    tested = pl.read_csv("run/predictions.csv", infer_schema=False)
    assert set(tested["label"]) == {"path", "label", "error", "null", "1", "NaN"}
    coverslip("train", "run/table.csv", "--out", "again").done()
    assert Path("again/test.json").read_bytes() == Path("run/test.json").read_bytes()


def test_the_run_folder_of_a_folder_with_an_unusual_name_has_a_plain_name(coverslip, paint):
    home = paint("my leaves, 2024 \u00e9/\U0001f33f", rust=4, healthy=4)
    coverslip("train", home.parent / "\U0001f33f").done()
    shutil.move(home, "x" * 200)
    coverslip("train", "x" * 200).done()
    for run in Path("runs").iterdir():
        assert (run / "test.json").is_file() and len(run.name) < 100


def test_a_name_that_is_not_utf8_is_refused_with_a_fix(coverslip, small_run, paint):
    home = paint(rust=4, healthy=4)
    broken = Path(os.fsdecode(os.fsencode(home / "rust") + b"/feuille d'\xe9t\xe9.png"))
    (home / "rust" / "00.png").rename(broken)
    for arguments in (["train", home], ["predict", small_run.folder, home]):
        coverslip(*arguments).refused("is not UTF-8", "rename it")
    coverslip("predict", small_run.folder, broken).refused("is not UTF-8", "rename it")


def test_labels_are_escaped_in_the_page(coverslip, paint):
    home = paint(a=5, b=5)
    labels = {"a": "<script>alert(1)</script>", "b": "</script><img src=x onerror=alert(2)>"}
    rows = [f"{path},{labels[path.parent.name]},<b>{path.stem}" for path in sorted(home.rglob("*.png"))]
    (home / "leaves.csv").write_text("\n".join(["path,label,group", *rows]))
    coverslip("train", home / "leaves.csv", "--out", "run").done()
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page
    assert not any(text in page for text in ("<script>alert", "<img src=x", "<b>0"))
