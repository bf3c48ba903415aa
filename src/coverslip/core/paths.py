"""Paths that users give: a leading ``~`` is expanded, and no other character has a special meaning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError

HOME = "~"


def expand(path: str | os.PathLike[str]) -> Path:
    """Return the path with a leading ``~`` or ``~user`` replaced by the home folder.

    Every function and command that takes a path from a user calls this function first. It is idempotent: for a file or
    folder whose name begins with ``~``, given as ``./~name``, it returns an absolute path. If no user has the name, the
    path is returned unchanged, as in a shell.

    Args:
        path: the path as the user wrote it. ``pathlib.Path("./~name")`` loses its first two characters; give a folder
            with such a name as text or by its absolute path.

    Raises:
        UserError: the value is not a path, but None, a number, a table or an array.

    >>> expand("runs/leaves-1") == Path("runs/leaves-1"), expand("~/runs") == Path.home() / "runs"
    (True, True)
    >>> expand("./~") == Path.cwd() / "~", expand("[1-3]*") == Path("[1-3]*")
    (True, True)
    """
    text = _text(path)
    if text.startswith(HOME):
        return Path(os.path.expanduser(text))  # noqa: PTH111 (unlike pathlib, it leaves an unknown user's name as it is)
    plain = Path(text)
    return Path.cwd() / plain if str(plain).startswith(HOME) else plain


def require_source(source: str | Path) -> None:
    """Refuse a folder or table of images that does not exist.

    Raises:
        UserError: it does not exist.
    """
    if not expand(source).exists():
        raise UserError(f"{str(source)!r} does not exist", "check the path; 'coverslip demo' runs without any images")


def require_path(path: Path) -> None:
    """Refuse a file or folder of images that does not exist.

    Raises:
        UserError: it does not exist.
    """
    if not path.exists():
        raise UserError(f"{str(path)!r} does not exist", "check the path")


def expand_text(path: str) -> str:
    """Expand a path in settings like `expand`; text that does not start with ``~`` is returned unchanged.

    >>> expand_text(""), expand_text("./~x"), expand_text("~/x") == str(Path.home() / "x")
    ('', './~x', True)
    """
    return str(expand(path)) if path.startswith(HOME) else path


def _text(path: Any) -> str:
    """Return a path as text.

    Raises:
        UserError: the value is not a path.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        text = None
    if isinstance(text, str):
        return text
    kind = type(path).__name__
    fix = "give the path of a file or folder, as text or pathlib.Path"
    if hasattr(path, "write_csv"):
        fix = "write it to a file, table.write_csv('table.csv'), and give 'table.csv'"
    elif hasattr(path, "to_csv"):
        fix = "write it to a file, table.to_csv('table.csv', index=False), and give 'table.csv'"
    elif hasattr(path, "__array__"):
        fix = "train on arrays with coverslip.fit, or save them with numpy.savez('images.npz', x=x, y=y)"
    what = "no path was given, but None" if path is None else f"a value of type {kind} was given, not a path"
    raise UserError(what, fix)
