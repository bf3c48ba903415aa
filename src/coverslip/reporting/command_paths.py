"""Paths in the commands that a page shows: as they are typed in the working directory, never absolute."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coverslip.core.commands import options_text
from coverslip.reporting.run_files import RunFiles

HERE = "."


class CommandPath(NamedTuple):
    """A run's folder as commands name it.

    Attributes:
        path: relative to the working directory in which the page was written, or ``.`` (valid in the run's own folder)
            if there is no such path.
        where: a sentence that says in which folder the commands are valid.
    """

    path: str
    where: str

    @property
    def known(self) -> bool:
        """Whether the path starts at the working directory and not at the run's own folder."""
        return self.path != HERE

    def command(self, name: str, file: str = "") -> str:
        """Return ``coverslip NAME`` with the folder, or with one of its files."""
        path = file if file and not self.known else f"{self.path}/{file}" if file else self.path
        return f"coverslip {name} {shlex.quote(path)}"


def relative_path(path: Path) -> str:
    """Return a path relative to the working directory, or "" if it would reveal other folders of the machine.

    >>> [relative_path(Path(path)) for path in ("runs/leaves-1", "runs/../../leaves", "../ada/runs/leaves-1")]
    ['runs/leaves-1', '../leaves', '']
    """
    here = Path.cwd()
    try:
        parts = Path(os.path.relpath(path, here)).parts  # does not resolve symbolic links
    except ValueError:  # another drive, on Windows
        return ""
    climbs = parts.count("..")
    if here == here.parent or (climbs and len(parts) != climbs + 1):
        return ""
    return "/".join(parts) or HERE


def run_path(files: RunFiles) -> CommandPath:
    """Return the run's folder as commands name it: relative to the working directory if possible, else ``.``."""
    path = relative_path(files.run.folder)
    if path in ("", HERE):
        return CommandPath(HERE, "Run this in the run’s own folder, which contains this page.")
    where = "Run this in the folder in which this page was written. If the run was moved, change to its folder and use "
    return CommandPath(path, where + "a dot (.) as its path.")


def source_argument(files: RunFiles) -> str:
    """Return the data of an audit as a command names it: its path or name if known, else ``FOLDER``."""
    audit = files.audit or {}
    source = (audit.get("given") or {}).get("source")
    if source and (path := relative_path(files.run.folder / str(source))):
        return path
    name = str(audit.get("source") or "")
    folders = {root.resolve().name for root in files.roots}
    return name if name in folders or Path(name).suffix else "FOLDER"


def data_arguments(audit: Mapping[str, Any], source: str) -> str:
    """Return the arguments of ``coverslip audit`` and ``train``: the images, and the group and site options in use.

    >>> data_arguments({"given": {"source": "../my leaves", "group": "shots:6", "site": ""}}, "my leaves")
    "'my leaves' --group shots:6"
    """
    options = audit.get("given") or {}
    text = options_text({name: options.get(name) for name in ("group", "site")})
    return (source if source.isupper() else shlex.quote(source)) + text
