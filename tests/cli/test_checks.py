"""Mistakes in paths are reported before anything heavy is imported."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "openvino", "matplotlib", "polars", "scipy", "sklearn", "timm", "PIL")
BLOCKED = """
import sys
for name in {heavy!r}:
    sys.modules[name] = None  # an import raises ImportError
from coverslip.cli.main import main
sys.argv = ["coverslip", *{arguments!r}]
main()
"""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["train", "nowhere"], "'nowhere' does not exist"),
        (["audit", "nowhere"], "'nowhere' does not exist"),
        (["tune", "nowhere"], "'nowhere' does not exist"),
        (["predict", "nothing", "a.jpg"], "there is no run 'nothing'"),
        (["evaluate", "nothing", "images"], "there is no run 'nothing'"),
        (["explain", "nothing", "a.jpg"], "there is no run 'nothing'"),
        (["export", "nothing"], "there is no run 'nothing'"),
        (["serve", "nothing"], "there is no run 'nothing'"),
        (["report", "nothing"], "there is no run 'nothing'"),
        (["compare", "nothing", "either"], "there is no run 'nothing'"),
        (["trian", "nowhere"], "trian"),
    ],
)
def test_a_wrong_path_needs_no_heavy_package(tmp_path, arguments, problem):
    script = BLOCKED.format(heavy=HEAVY, arguments=arguments)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=50, check=False
    )
    assert result.returncode == 2, result.stderr
    assert problem in result.stderr
    assert "Traceback" not in result.stderr
