"""The two lines of a user error."""

import os
import subprocess
import sys

import pytest

from coverslip.core.errors import UserError


def test_a_notebook_shows_the_two_lines_and_no_traceback(tmp_path):
    pytest.importorskip("IPython", reason="a notebook needs the extra course")
    code = "import coverslip; raise coverslip.UserError('no image', 'give a folder')"
    command = [sys.executable, "-m", "IPython", "--colors=NoColor", "--no-banner", "-c", code]
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | {"IPYTHONDIR": str(tmp_path)}
    )
    assert result.stdout.strip() == "error: no image\n  fix: give a folder"
    assert "Traceback" not in result.stderr


def test_problem_and_fix_are_attributes():
    error = UserError("no image", "give a folder")
    assert (error.problem, error.fix) == ("no image", "give a folder")
