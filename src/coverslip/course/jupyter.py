"""Start of JupyterLab for the course, on this machine only and without network requests."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from coverslip.core.errors import UserError

PACKAGES = ("jupyterlab", "ipykernel", "ipywidgets", "anywidget")
SETTINGS = Path(__file__).with_name("lab")  # disables the question whether JupyterLab may fetch news
QUIET = (  # no news, no check for updates, no catalog of extensions: each of them is a network request
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--log-level=WARN",
)


def need_jupyter() -> None:
    """Check that the packages for the notebooks are installed.

    Raises:
        UserError: a package is missing; the fix contains the command that installs it.
    """
    for name in PACKAGES:
        if find_spec(name) is None:
            raise UserError(f"the notebooks need the package {name!r}", "pip install 'coverslip[course]'")


def jupyter_command(notebook: Path, *options: str) -> list[str]:
    """Return the command that opens a notebook, with its folder as the root of JupyterLab."""
    root = f"--ServerApp.root_dir={notebook.parent.absolute()}"
    return [sys.executable, "-m", "jupyterlab", root, *QUIET, *options, str(notebook.absolute())]


def jupyter_environment() -> dict[str, str]:
    """Return the environment variables for JupyterLab; our settings come before the user's, which stay unchanged."""
    path = os.pathsep.join(filter(None, [str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH")]))
    return {**os.environ, "JUPYTER_CONFIG_PATH": path}


def open_lab(notebook: Path, *options: str) -> int:
    """Run JupyterLab until it is closed and return its exit code."""
    try:
        return subprocess.run(jupyter_command(notebook, *options), env=jupyter_environment(), check=False).returncode
    except KeyboardInterrupt:  # Ctrl+C reaches JupyterLab too, which asks for confirmation and stops by itself
        return 0
