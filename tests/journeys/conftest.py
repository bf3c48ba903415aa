"""Processes to stop, kill and double, without seconds of imports for each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MOTHER = """
import json, os, signal, sys
import coverslip.api, coverslip.reporting.run_page, coverslip.models.timm_family, timm, torch
from coverslip.cli.main import main

for line in sys.stdin:  # nothing is computed here, so no thread is lost in the fork
    call = json.loads(line)
    if "wait" in call:
        print(os.waitstatus_to_exitcode(os.waitpid(call["wait"], 0)[1]), flush=True)
        continue
    child = os.fork()
    if child:
        print(child, flush=True)
        continue
    os.environ.update(call["environment"])
    os.chdir(call["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(call[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.argv = ["coverslip", *call["arguments"]]
    code = 1
    try:
        exec(call["before"], {})
        main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
"""


class Child:
    """One call of the program in a process of its own."""

    def __init__(self, mother, pid, out, err):
        self.mother, self.pid, self.out, self.err = mother, pid, out, err

    def send(self, number):
        os.kill(self.pid, number)

    def wait(self):
        """The exit code; negative is the signal that killed it."""
        return int(self.mother.ask({"wait": self.pid}))


class Mother:
    """A process that has imported everything and forks a child for each call."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", MOTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, call):
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def mother():
    mother = Mother()
    yield mother
    mother.process.stdin.close()
    mother.process.wait(30)


@pytest.fixture
def fork(mother, tmp_path):
    """``fork("train", folder, before=code)`` -> a `Child` that runs the program after ``code``."""
    children = []

    def call(*arguments, before=""):
        number = len(children)
        out, err = tmp_path / f"child{number}.out", tmp_path / f"child{number}.err"
        environment = {"COVERSLIP_CACHE": os.environ["COVERSLIP_CACHE"]}
        given = {"arguments": [*map(str, arguments)], "before": before, "environment": environment}
        given["folder"] = str(Path.cwd())
        pid = int(mother.ask({**given, "out": str(out), "err": str(err)}))
        children.append(Child(mother, pid, out, err))
        return children[-1]

    return call
