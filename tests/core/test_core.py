"""Settings, registries, runs, atomic files and events."""

import json
from dataclasses import dataclass, field

import pytest

from coverslip.core.config import from_mapping, override, to_toml
from coverslip.core.errors import UserError, optional
from coverslip.core.progress import EventLog, Progress
from coverslip.core.registry import Registry
from coverslip.core.runs import Run, new_run_folder, next_free
from coverslip.core.storage import atomic_write, create_entry, digest, entry_folder


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.1
    sizes: tuple[int, ...] = (1, 2)
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = field(default_factory=Inner)


def test_settings_survive_a_round_trip_through_toml():
    import tomllib

    settings = Outer(inner=Inner(rate=2.0, sizes=(3,), name='a "quoted" name'))
    assert from_mapping(Outer, tomllib.loads(to_toml(settings))) == settings


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"iner": {}}, "did you mean 'inner'"),
        ({"inner": {"rats": 1.0}}, "did you mean 'rate'"),
        ({"inner": {"rate": "fast"}}, "type float"),
        ({"inner": {"rate": True}}, "type float"),
        ({"inner": {"sizes": 3}}, "in brackets"),
        ({"inner": 3}, r"write \[settings.inner\]"),
    ],
)
def test_an_invalid_setting_is_an_error_and_never_ignored(mapping, message):
    with pytest.raises(UserError, match=message):
        from_mapping(Outer, mapping)


def test_an_assignment_needs_a_section():
    with pytest.raises(UserError, match=r"section\.key=value"):
        override({}, ["rate=3"])


def test_a_misspelt_name_is_answered_with_the_nearest_one():
    networks = Registry[int]("network")
    networks.register("resnet18")(1)
    with pytest.raises(UserError, match=r"unknown network 'resnet-18'\n  fix: did you mean 'resnet18'"):
        networks["resnet-18"]
    with pytest.raises(ValueError, match="network 'resnet18'"):
        networks.register("resnet18")(2)


def test_a_missing_extra_is_named():
    with pytest.raises(UserError, match=r"coverslip\[slides\]"):
        optional("no_such_package_at_all", "slides")


def test_a_run_is_never_overwritten(tmp_path):
    Run.create(tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="run-2"):
        Run.create(tmp_path / "run")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_the_error_for_an_unfinished_run_names_the_command_that_resumes_it(tmp_path):
    run = Run.create(tmp_path / "run")
    run.experiment_file.write_text("")
    with pytest.raises(UserError, match="--resume"):
        Run.create(tmp_path / "run")


def test_run_folders_are_numbered(tmp_path):
    first = new_run_folder("my leaves, 2024", tmp_path)
    first.mkdir()
    second = new_run_folder("my leaves, 2024", tmp_path)
    assert first.name.startswith("my-leaves-2024-") and first.name.endswith("-1") and second.name.endswith("-2")
    assert next_free(tmp_path / "x") == tmp_path / "x"
    (tmp_path / "rates.png").write_bytes(b"mine")
    assert next_free(tmp_path / "rates.png").name == "rates-2.png"


def test_nan_is_never_written_as_json(tmp_path):
    run = Run.create(tmp_path / "run")
    with pytest.raises(ValueError, match="JSON"):
        run.write_json(run.test_file, {"accuracy": float("nan")})
    assert not run.test_file.exists()


def test_a_file_is_written_atomically(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_entry_exists_only_when_it_is_finished(tmp_path, monkeypatch):
    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError), create_entry("pixels") as draft:
        draft.key = "one"
        raise RuntimeError
    assert entry_folder("pixels", "one") is None
    for content in ("first", "second"):  # of two processes the first one's entry is kept
        with create_entry("pixels") as draft:
            (draft.folder / "a").write_text(content)
            draft.key = "two"
    folder = entry_folder("pixels", "two")
    assert folder is not None and (folder / "a").read_text() == "first"
    assert [path.name for path in (tmp_path / "pixels").iterdir()] == ["two"]


def test_the_parts_of_a_key_are_kept_apart():
    assert digest("ab", "c") != digest("a", "bc")


def test_stages_and_notes_are_logged_as_events(tmp_path):
    log = EventLog(tmp_path / "events.jsonl", Progress())
    with log.stage("reading", 2) as stage:
        stage.advance(2)
    log.note("done")
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["start", "end", "note"]
    assert log.seconds["reading"] >= 0
