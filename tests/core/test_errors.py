"""The two lines of an error, at every door."""

import os
import subprocess
import sys

import pytest

from coverslip.core.errors import UserError


def test_a_notebook_shows_the_two_lines_and_no_traceback(tmp_path):
    pytest.importorskip("IPython", reason="a notebook needs the extra course")
    code = "import coverslip; raise coverslip.UserError('no image', 'name a folder')"
    command = [sys.executable, "-m", "IPython", "--colors=NoColor", "--no-banner", "-c", code]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | {"IPYTHONDIR": str(tmp_path)}
    )
    assert done.stdout.strip() == "error: no image\n  fix: name a folder" and "Traceback" not in done.stderr


def test_problem_and_fix_can_be_read_apart():
    error = UserError("no image", "name a folder")
    assert (error.problem, error.fix) == ("no image", "name a folder")
