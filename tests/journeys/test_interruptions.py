"""Ctrl+C, kill -9 and a second process: results are kept, incomplete files are not used."""

import shutil
import signal
import time
from pathlib import Path

import pytest

from coverslip import api
from coverslip.core.runs import Run

TOTAL = 62  # views of the small run: 26 train images twice, and 10 others once

SLOW = """
import time
from coverslip.data.inputs import InputSpec
prepare, calls = InputSpec.prepare, []
def slow(self, pixels):
    calls.append(1)
    if len(calls) == {batch}:
        print("now", flush=True)
        time.sleep(60)
    return prepare(self, pixels)
InputSpec.prepare = slow
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def views(run):
    return run.read_json(run.environment_file)["computed"]["views through the network"]


def wait_for(file, text, seconds=60):
    end = time.monotonic() + seconds
    while not file.exists() or text not in file.read_text():
        assert time.monotonic() < end, f"{text!r} never came"
        time.sleep(0.02)


def test_ctrl_c_ends_with_130_and_the_run_can_be_resumed(start, coverslip, leaves, small_run, empty_cache, tmp_path):
    before = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)" + SLOW.format(batch=5)
    process = start("train", leaves, "--out", tmp_path / "run", before=before)
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors and errors.rstrip().splitlines()[-2].startswith("stopped: interrupted")
    assert "--resume" in errors.rstrip().splitlines()[-1]

    coverslip("train", leaves, "--out", tmp_path / "run").refused(
        "contains an unfinished run", "coverslip train --resume"
    )
    coverslip("train", "--resume", tmp_path / "run").done()
    run = Run(tmp_path / "run")
    assert run.test_file.read_bytes() == small_run.test_file.read_bytes()
    assert 0 < views(run) < TOTAL  # features of the interrupted run were reused


def test_ctrl_c_and_the_same_command_with_another_out(fork, coverslip, leaves, small_run, empty_cache, tmp_path):
    child = fork("train", leaves, "--out", tmp_path / "run", before=SLOW.format(batch=4))
    wait_for(child.out, "now")
    child.send(signal.SIGINT)
    assert child.wait() == 130 and "Traceback" not in child.err.read_text()
    coverslip("train", leaves, "--out", tmp_path / "another").done()
    another = Run(tmp_path / "another")
    assert another.test_file.read_bytes() == small_run.test_file.read_bytes() and 0 < views(another) < TOTAL


@pytest.mark.parametrize("moment", ["reading", "fitting", "reporting"])
def test_ctrl_c_at_other_moments(fork, coverslip, leaves, small_run, empty_cache, tmp_path, moment):
    where = {
        "reading": ("coverslip.data.decoding", "_decode_chunk"),
        "fitting": ("coverslip.tasks.classification.task", "fit_head"),
        "reporting": ("coverslip.api.training", "write_report"),
    }[moment]
    before = """
import importlib, time
def wait(*_, **__):
    print("now", flush=True)
    time.sleep({seconds})
setattr(importlib.import_module({module!r}), {name!r}, wait)
""".format(module=where[0], name=where[1], seconds=2 if moment == "reading" else 60)
    child = fork("train", leaves, "--out", tmp_path / "run", before=before)
    wait_for(child.out, "now")
    child.send(signal.SIGINT)
    assert child.wait() == 130
    assert "Traceback" not in child.err.read_text()
    if moment == "reporting":
        coverslip("train", "--resume", tmp_path / "run").refused("is finished", "coverslip report")
        coverslip("report", tmp_path / "run").done()
    else:
        coverslip("train", "--resume", tmp_path / "run").done()
    assert Run(tmp_path / "run").report_file.is_file()
    assert Run(tmp_path / "run").test_file.read_bytes() == small_run.test_file.read_bytes()


KILL = """
import os, signal
from pathlib import Path
replace, calls = Path.replace, []
def killing(self, target):
    calls.append(target)
    if len(calls) == {call} and not {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    result = replace(self, target)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
Path.replace = killing
import coverslip.inference.features as features
features.BLOCK = 16
"""


def test_kill_9_before_and_after_every_file_that_is_written(fork, coverslip, leaves, small_run, empty_cache, tmp_path):
    """Files and cache entries are written under another name and renamed; the process is killed before or after that.

    All killed processes share one cache; the last run is complete and has the numbers of an undisturbed one.
    """
    shutil.rmtree(empty_cache / "weights")
    ends = []
    for call in range(1, 40):
        out = tmp_path / f"run{call}"
        child = fork("train", leaves, "--out", out, before=KILL.format(call=call, after=bool(call % 2)))
        ends.append(child.wait())
        if ends[-1] == 0:
            break
        assert "Traceback" not in child.err.read_text()
        if call % 3 == 0 and (out / "experiment.toml").exists() and not (out / "test.json").exists():
            api.train(api.unfinished(out), out, resume=True)
            assert Run(out).test_file.read_bytes() == small_run.test_file.read_bytes()
    assert set(ends[:-1]) == {-signal.SIGKILL} and len(ends) > 6 and ends[-1] == 0
    last = Run(tmp_path / f"run{len(ends)}")
    assert last.test_file.read_bytes() == small_run.test_file.read_bytes()
    assert last.predictions_file.read_bytes() == small_run.predictions_file.read_bytes()


def test_kill_9_between_two_blocks_of_features_keeps_the_first(fork, leaves, small_run, empty_cache, tmp_path):
    before = "import coverslip.inference.features as features; features.BLOCK = 16" + SLOW.format(
        batch=21
    )  # 40 images have been computed
    child = fork("train", leaves, "--out", tmp_path / "run", before=before)
    wait_for(child.out, "now")
    child.send(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    again = api.train(leaves, tmp_path / "again")
    assert again.test_file.read_bytes() == small_run.test_file.read_bytes()
    assert again.read_json(again.environment_file)["computed"]["images decoded"] == 0
    assert TOTAL - 40 <= views(again) <= TOTAL - 16


def test_kill_9_at_any_time(fork, leaves, small_run, empty_cache, tmp_path):
    for number in range(5):
        child = fork("train", leaves, "--out", tmp_path / f"run{number}")
        time.sleep(0.05 + 0.2 * number)
        child.send(signal.SIGKILL)
        child.wait()
    again = api.train(leaves, tmp_path / "again")
    assert again.test_file.read_bytes() == small_run.test_file.read_bytes()


def test_two_processes_on_one_folder_at_once_both_succeed_with_equal_numbers(
    fork, leaves, small_run, empty_cache, tmp_path
):
    children = [fork("train", leaves) for _ in range(2)]  # without --out, each creates its own run folder
    assert [child.wait() for child in children] == [0, 0]
    runs = [Run(folder) for folder in sorted(Path("runs").iterdir())]
    assert len(runs) == 2
    for run in runs:
        assert run.test_file.read_bytes() == small_run.test_file.read_bytes()
        assert run.report_file.is_file()
    decoded = [run.read_json(run.environment_file)["computed"]["images decoded"] for run in runs]
    assert sorted(decoded) == [0, 36]  # one decoded the images, the other waited for it
