"""What many tests share: a cache folder of their own, built-in leaves, one small trained run, and the program."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Started in the background of a shell, a program and all that it starts ignore Ctrl+C, which tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory):
    """The user's own cache is never touched; what one test computed, the next one finds."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COVERSLIP_CACHE", str(folder))
        yield folder


@pytest.fixture
def empty_cache(small_run, session_cache, tmp_path, monkeypatch):
    """A cache that holds nothing but the network, which takes seconds to build and to compile."""
    folder = tmp_path / "cache of its own"
    for kind in ("engines", "weights"):
        shutil.copytree(session_cache / kind, folder / kind)
    monkeypatch.setenv("COVERSLIP_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def leaves(tmp_path_factory):
    """The table of 36 built-in images: 3 classes, 6 leaves each, 2 shots of each leaf, 64 pixels."""
    from coverslip.data.synthetic import write_leaves

    return write_leaves(tmp_path_factory.mktemp("leaves") / "leaves", classes=3, leaves=6, shots=2, size=64)


@pytest.fixture(scope="session")
def small_run(leaves, session_cache, tmp_path_factory):
    """A run trained on those leaves; tests read it and never write into it."""
    from coverslip import api

    return api.train(leaves, tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture
def images(leaves, tmp_path):
    """A copy of the leaves as a folder of class folders, for a test to spoil."""
    return Path(shutil.copytree(leaves.parent / "images", tmp_path / "images"))


@pytest.fixture
def paint(tmp_path):
    """Writes a folder of class folders of small colored squares, each another: ``paint(rust=4, healthy=3)``."""

    def write(folder="painted", **classes):
        home = tmp_path / folder
        for number, (name, count) in enumerate(classes.items()):
            (home / name).mkdir(parents=True)
            for index in range(count):
                pixels = np.random.default_rng((number, index)).integers(0, 64, (20, 24, 3), np.uint8)
                pixels[:, :, number % 3] += 150
                Image.fromarray(pixels).save(home / name / f"{index:02d}.png")
        return home

    return write


@dataclass(frozen=True)
class Answer:
    """What the program said: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    def refused(self, *words):
        """It ended with exit code 2 and two last lines, problem and fix, which hold these words."""
        assert self.code == 2, self
        assert "Traceback" not in self.err + self.out
        problem, fix = self.err.rstrip("\n").rpartition("\n  fix: ")[::2]
        problem = problem.rpartition("error: ")[2]
        assert problem and fix and "\n" not in problem + fix, self.err
        for word in words:
            assert word in f"{problem}\n{fix}", self.err
        return problem, fix

    def done(self):
        """It ended well."""
        assert self.code == 0, self
        assert "Traceback" not in self.err
        return self


@pytest.fixture
def coverslip(monkeypatch, capsys):
    """The program, within this process: ``coverslip("train", folder)`` -> `Answer`."""
    from coverslip.cli.main import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["coverslip", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Answer(ended.value.code or 0, said.out, said.err)

    return call


@pytest.fixture
def start():
    """The program in a process of its own, for tests that stop or double it; whatever is left is killed at the end."""
    started = []

    def call(*arguments, before="", **environment):
        code = f"{before}\nfrom coverslip.cli.main import main\nmain()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def snapshot():
    """Every file below a folder with its bytes and its time: equal before and after means that nothing was touched."""

    def take(folder):
        found = {}
        for path in sorted(Path(folder).rglob("*")):
            small = path.is_file() and path.stat().st_size < 10**8
            found[str(path)] = (path.lstat().st_mtime_ns, path.read_bytes() if small else path.lstat().st_size)
        return found

    return take
