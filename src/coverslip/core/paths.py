"""Paths that users give: the home folder is written out once, and nothing else in a path has a meaning."""

from __future__ import annotations

import os
from pathlib import Path

HOME = "~"


def expand(path: str | os.PathLike[str]) -> Path:
    """Return the path with a leading ``~`` or ``~user`` replaced by the home folder.

    Every function and command that takes a path from a user passes it through here before anything else is done with
    it. The result may be passed through again without harm: a file or folder whose name begins with ``~`` is given as
    ``./~name``, and its path is returned as an absolute one. Where no user has the name, the path stays as it is, as
    in a shell.

    Args:
        path: as it was given. ``pathlib.Path("./~name")`` loses its first two characters, so that a folder of such a
            name is given as text or by its absolute path.

    >>> expand("runs/leaves-1") == Path("runs/leaves-1"), expand("~/runs") == Path.home() / "runs"
    (True, True)
    >>> expand("./~") == Path.cwd() / "~", expand("[1-3]*") == Path("[1-3]*")
    (True, True)
    """
    text = os.fspath(path)
    if text.startswith(HOME):
        return Path(os.path.expanduser(text))  # noqa: PTH111 (it leaves the name of no user as it is)
    plain = Path(text)
    return Path.cwd() / plain if str(plain).startswith(HOME) else plain


def expand_text(path: str) -> str:
    """Return a path in settings as `expand` does; one without ``~`` at its start stays as it is written.

    >>> expand_text(""), expand_text("./~x"), expand_text("~/x") == str(Path.home() / "x")
    ('', './~x', True)
    """
    return str(expand(path)) if path.startswith(HOME) else path
