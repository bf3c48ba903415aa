"""How a page names a folder in a command: by the path that is typed where the program ran, never by a machine's."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coverslip.core.commands import options_text
from coverslip.reporting.run_files import RunFiles

HERE = "."


class Place(NamedTuple):
    """A run's folder in commands.

    Attributes:
        path: to be typed where the page was written; ``.``, which is right in the folder itself, where that is not
            known.
        where: where the commands are right, as a sentence.
    """

    path: str
    where: str

    @property
    def known(self) -> bool:
        """Whether the path is more than the folder's own point of view."""
        return self.path != HERE

    def command(self, name: str, file: str = "") -> str:
        """``coverslip NAME`` with the folder, or with one of its files."""
        path = file if file and not self.known else f"{self.path}/{file}" if file else self.path
        return f"coverslip {name} {shlex.quote(path)}"


def typed(path: Path) -> str:
    """A path as it is typed where the program runs; empty for one that would tell of other folders of the machine.

    >>> [typed(Path(path)) for path in ("runs/leaves-1", "runs/../../leaves", "../ada/runs/leaves-1")]
    ['runs/leaves-1', '../leaves', '']
    """
    here = Path.cwd()
    try:
        parts = Path(os.path.relpath(path, here)).parts  # keeps links as they are called
    except ValueError:  # another drive, on Windows
        return ""
    climbs = parts.count("..")
    if here == here.parent or (climbs and len(parts) != climbs + 1):
        return ""
    return "/".join(parts) or HERE


def place_of(files: RunFiles) -> Place:
    """The run's folder in commands: by its path where that is known, else as seen from the folder itself."""
    path = typed(files.run.folder)
    if path in ("", HERE):
        return Place(HERE, "Called in the run’s own folder, the one that this page is in.")
    where = "Called from where this page was written. If the run’s folder was moved since, go into it and write a "
    return Place(path, where + "dot (.) for its path.")


def source_text(files: RunFiles) -> str:
    """What a command calls the data of an audit: its path or name where that is known, else ``FOLDER``."""
    audit = files.audit or {}
    given = (audit.get("given") or {}).get("source")
    if given and (path := typed(files.run.folder / str(given))):
        return path
    name = str(audit.get("source") or "")
    folders = {root.resolve().name for root in files.roots}
    return name if name in folders or Path(name).suffix else "FOLDER"


def data_text(audit: Mapping[str, Any], place: str) -> str:
    """What follows ``coverslip audit`` and ``train``: the images, and groups and sites as they were given.

    >>> data_text({"given": {"source": "../my leaves", "group": "shots:6", "site": ""}}, "my leaves")
    "'my leaves' --group shots:6"
    """
    given = audit.get("given") or {}
    options = options_text({name: given.get(name) for name in ("group", "site")})
    return (place if place.isupper() else shlex.quote(place)) + options
