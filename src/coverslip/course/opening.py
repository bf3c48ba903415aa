"""JupyterLab on the course: this machine only, and without asking the network for anything."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from coverslip.core.errors import UserError

PACKAGES = ("jupyterlab", "ipykernel", "ipywidgets", "anywidget")
SETTINGS = Path(__file__).with_name("lab")  # keeps the question whether news may be fetched off the first notebook
QUIET = (  # no news, no look for updates, no catalog of extensions: all of them are requests to the network
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--log-level=WARN",
)


def need_jupyter() -> None:
    """Refuse early where the extra is not installed.

    Raises:
        UserError: says which package is missing, and what to install.
    """
    for name in PACKAGES:
        if find_spec(name) is None:
            raise UserError(f"the notebooks need the package {name!r}", "pip install 'coverslip[course]'")


def jupyter_command(notebook: Path, *options: str) -> list[str]:
    """The command that opens a notebook, its folder as the root."""
    root = f"--ServerApp.root_dir={notebook.parent.absolute()}"
    return [sys.executable, "-m", "jupyterlab", root, *QUIET, *options, str(notebook.absolute())]


def jupyter_environment() -> dict[str, str]:
    """The environment for it: ours, and our settings for JupyterLab before the user's, which stay untouched."""
    path = os.pathsep.join(filter(None, [str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH")]))
    return {**os.environ, "JUPYTER_CONFIG_PATH": path}


def open_lab(notebook: Path, *options: str) -> int:
    """Run JupyterLab until it is closed; returns its exit code."""
    try:
        return subprocess.run(jupyter_command(notebook, *options), env=jupyter_environment(), check=False).returncode
    except KeyboardInterrupt:  # Ctrl+C reaches JupyterLab too, which asks and ends by itself
        return 0
