"""A path leads to the very file or folder of that name: ``~`` is the home folder, and nothing else has a meaning."""

import os
import shutil
from pathlib import Path

import polars as pl
import pytest

import coverslip as library
from coverslip import api
from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.runs import Run
from coverslip.core.storage import cache_folder
from coverslip.data.cache import read_pixels
from coverslip.explaining.image_set import run_table


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder of the test's own, and a folder beside it to work in, where nothing may be called ``~``."""
    home = tmp_path / "home"
    for folder in (home, tmp_path / "work"):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path / "work")
    yield home
    assert not (tmp_path / "work" / "~").exists()


@pytest.fixture
def furnished(home, leaves, small_run):
    """The home folder with a run, the leaves that it was trained on, and a file that no command may replace."""
    shutil.copytree(small_run.folder, home / "run")
    shutil.copytree(leaves.parent, home / "leaves")
    (home / "taken").write_text("mine")
    return home


COMMANDS = [
    ["audit", "~/leaves", "--quick"],
    ["train", "~/leaves"],
    ["train", "~/leaves", "--depth", "all", "--find-rate"],
    ["tune", "~/leaves"],
    ["evaluate", "~/run", "~/leaves/images"],
    ["compare", "~/run", "~/run"],
    ["predict", "~/run", "~/leaves/images"],
    ["explain", "~/run", "~/leaves/images"],
    ["export", "~/run"],
    ["preview", "~/leaves"],
    ["demo"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_writes_below_the_home_folder_where_it_is_told_to(coverslip, furnished, command):
    problem, _ = coverslip(*command, "--out", "~/taken").refused()
    assert str(furnished / "taken") in problem
    assert (furnished / "taken").read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [
        ["leaves", "~/taken"],
        ["train", "--resume", "~/taken"],
        ["tune", "--resume", "~/taken"],
        ["tune", "~/leaves", "--space", "~/taken/space.toml"],
        ["report", "~/taken"],
        ["serve", "~/taken"],
        ["serve", "~/run", "--port", "0", "--tested", "~/taken"],
        ["serve", "~/run", "--port", "0", "--with-examples", "~/nothing"],
        ["serve", "~/run", "--port", "0", "--keep", "~/taken"],
        ["explain", "~/run", "~/leaves/images", "--masks", "~/taken"],
        ["export", "~/run", "--images", "~/nothing"],
        ["course", "~/taken", "--progress"],
        ["train", "~/leaves", "--set", "model.weights=~/nothing", "--out", "run"],
        ["train", "~/leaves", "--set", "data.source=~/nothing", "--out", "run"],
    ],
    ids=" ".join,
)
def test_every_other_path_of_a_command_begins_at_the_home_folder(coverslip, furnished, words):
    problem, _ = coverslip(*words).refused()
    assert str(furnished) in problem and "~" not in problem


def test_every_path_of_every_command_is_parsed_by_the_one_function():
    from coverslip.cli import main, options

    paths = 0
    for info in main.app.registered_commands:
        for name, kind in info.callback.__annotations__.items():
            if options._is_path(kind):
                paths += 1
                assert [each.parser for each in kind.__metadata__] == [options._path], (info.name, name)
    assert paths > 30


def test_every_function_takes_the_home_folder(furnished):
    few, table = "~/leaves/images", "~/leaves/leaves.csv"
    assert library.scan(table).root == furnished / "leaves"
    assert library.configure(table).data.source == str(furnished / "leaves/leaves.csv")
    library.audit(table, "~/audit", probes=False)
    library.evaluate("~/run", table, "~/scored")
    library.compare(["~/run", "~/run"], "~/compared")
    assert library.report("~/run") == furnished / "run/report.html"
    library.leaves("~/more", classes=2, leaves=1, shots=1, size=32)
    image = min((furnished / "leaves/images").rglob("*.jpg"))
    written = f"~/{image.relative_to(furnished)}"
    assert library.predict("~/run", [written])["path"].to_list() == [str(image)]
    api.predict_to("~/run", [few], "~/p.csv")
    for name in ("audit/audit.json", "audit/table.csv", "scored/predictions.csv", "compared/comparison.json"):
        assert (furnished / name).is_file()
    for name in ("more/leaves.csv", "p.csv"):
        assert (furnished / name).exists()
    assert library.load("~/run").task.classes == library.scan(table).classes
    for refused in (
        lambda: library.train(table, "~/taken"),
        lambda: library.tune(table, "~/taken"),
        lambda: library.tune(table, space="~/taken/space.toml"),
        lambda: library.export("~/run", "~/taken"),
        lambda: api.find_lr(table, "~/taken", model_depth="all"),
        lambda: library.explain("~/run", written, "~/taken"),
        lambda: library.explain("~/run", written, masks="~/taken"),
        lambda: library.report("~/run", "~/answers.toml"),
        lambda: api.resume_study("~/taken"),
        lambda: api.unfinished("~/taken"),
    ):
        with pytest.raises(UserError):
            refused()
    assert (furnished / "answers.toml").is_file()
    assert not list(Path().iterdir())


def test_the_home_folder_in_a_file_of_settings_and_in_the_environment(furnished, monkeypatch):
    Path("mine.toml").write_text('[data]\nsource = "~/leaves/leaves.csv"\n[model]\nweights = "~/weights.pth"\n')
    plan = library.configure("mine.toml")
    assert plan.data.source == str(furnished / "leaves/leaves.csv")
    assert plan.model.weights == str(furnished / "weights.pth")
    monkeypatch.setenv("COVERSLIP_CACHE", "~/cache")
    assert cache_folder() == furnished / "cache"


def test_a_path_is_expanded_once():
    assert expand("~") == Path.home() and expand("~/a/~") == Path.home() / "a/~"
    assert expand("~nobody-of-that-name/a") == Path("~nobody-of-that-name/a")
    assert expand("~root") == Path("~root").expanduser()
    assert expand("a/~/b") == Path("a/~/b") and expand("") == Path()
    for given in ("./~/a", "./~root", "~", "~/[a]*"):
        assert expand(expand(given)) == expand(given)
        assert expand(expand(given)).is_absolute()
    assert expand("./~/a") == Path.cwd() / "~/a"


def test_a_folder_that_is_called_like_the_home_folder(coverslip, paint, tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path / "home")  # `home` watches the other one
    images = paint("painted", rust=4, healthy=4)
    shutil.copytree(images, "~")
    shutil.copytree(images, "runs-of-mine/~data")
    said = coverslip("audit", "./~", "--quick", "--out", "./~/audit").done()
    assert "8 images of 2 classes" in said.out
    assert Path("~/audit/table.csv").is_file() and not (home / "audit").exists()
    plan = library.configure("./runs-of-mine/~data")
    from coverslip.pipeline.config import read_config, write_config

    write_config(plan, Path("runs-of-mine/mine.toml"))
    assert read_config(Path("runs-of-mine/mine.toml")).data.source == str(Path("runs-of-mine/~data").resolve())


@pytest.fixture
def two_tables(leaves):
    """labels[2].csv, of two of the classes, beside labels2.csv, of all three."""
    rows = pl.read_csv(leaves)
    rows = rows.with_columns(pl.concat_str(pl.lit(f"{leaves.parent}/"), "path").alias("path"))
    for name, classes in (("labels[2].csv", 2), ("labels2.csv", 3)):
        kept = sorted(set(rows["label"]))[:classes]
        with Path(name).open("wb") as file:
            rows.filter(pl.col("label").is_in(kept)).write_csv(file)


def test_brackets_in_the_name_of_a_table(coverslip, two_tables):
    assert len(library.scan("labels[2].csv").classes) == 2
    assert len(library.scan("labels2.csv").classes) == 3
    coverslip("audit", "labels[2].csv", "--quick", "--out", "labels[2]").done()
    assert pl.read_csv(Path("labels[2]/table.csv").read_bytes())["label"].n_unique() == 2
    assert sorted(path.name for path in Path().iterdir()) == ["labels2.csv", "labels[2]", "labels[2].csv"]


def test_brackets_in_the_name_of_a_run(coverslip, leaves, small_run, snapshot):
    shutil.copytree(small_run.folder, "2")
    rows = pl.read_csv("2/predictions.csv").with_columns(pl.lit("nothing").alias("path"))
    rows.write_csv("2/predictions.csv")
    before = snapshot("2")
    coverslip("train", leaves, "--out", "[1-3]").done()
    run = Path("[1-3]")
    assert (run / "predictions.csv").read_bytes() == small_run.predictions_file.read_bytes()
    assert coverslip("compare", "[1-3]", "[1-3]").done().out.count("[1-3]") > 2
    assert len(library.scan("[1-3]/table.csv")) == 36
    said = coverslip("predict", "[1-3]", leaves.parent / "images", "--out", "p[1].csv")
    assert said.code == 0 and [path.name for path in Path().glob("p*")] == ["p[1].csv"]
    Path("p1.csv").write_text("other")
    coverslip("predict", "[1-3]", leaves.parent / "images", "--out", "p[1].csv", "--resume").refused("complete")
    assert len(run_table(Run("[1-3]"))) == 36  # what `explain --test` and `export` read
    assert snapshot("2") == before


@pytest.mark.parametrize("name", ["cache[1]", "cache*", "cache?#%20{x}"])
def test_special_characters_in_the_name_of_the_cache_folder(leaves, monkeypatch, name):
    monkeypatch.setenv("COVERSLIP_CACHE", name)
    table = library.scan(leaves)
    assert read_pixels(table, (32, 32)).decoded == 36
    assert read_pixels(table, (32, 32)).decoded == 0
    assert [path.name for path in Path().iterdir()] == [name]


def test_special_characters_in_the_name_of_a_study(paint):
    pytest.importorskip("optuna")
    name = "study [1]*?mode=memory#%20{x}"
    options = {"model_network": "linear", "recipe_epochs": 1, "input_size": 32}
    options["split_fractions"] = [0.4, 0.4, 0.2]
    study = library.tune(paint("../data", rust=30, healthy=30), name, sweep=["lr=0.001,0.01"], **options)
    assert study.trials.height == 2 and study.curves.height == 2
    assert [path.name for path in Path().iterdir()] == [name]
    assert Path(name, "study.db").stat().st_size
    assert api.resume_study(name).trials.height == 2


@pytest.mark.parametrize("command", ["train", "audit", "evaluate", "predict"])
def test_a_folder_with_a_name_from_an_older_system_is_answered_as_a_file_is(coverslip, small_run, paint, command):
    folder = paint(rust=4, healthy=4)
    (folder / "rust").rename(os.fsdecode(os.fsencode(folder) + b"/rouill\xe9e"))
    given = [small_run.folder, folder] if command in ("evaluate", "predict") else [folder]
    coverslip(command, *given).refused("is not UTF-8", "rouill?e", "rename it")
    inside = os.fsdecode(os.fsencode(folder) + b"/rouill\xe9e")
    coverslip("predict", small_run.folder, inside).refused("is not UTF-8", "rename it")
    coverslip("predict", small_run.folder, f"{inside}/00.png").refused("is not UTF-8", "rename it")
