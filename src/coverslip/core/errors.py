"""Errors that a user can fix, and the import of optional packages."""

from __future__ import annotations

import importlib
from types import ModuleType


class UserError(Exception):
    """An error that the user can fix. Shell, notebook and web page show the same two lines.

    Args:
        problem: what is wrong and what was found, in one line.
        fix: what to do about it, in one line, as an imperative.

    >>> print(UserError("no image in 'leaves'", "give a folder that contains one folder per class"))
    no image in 'leaves'
      fix: give a folder that contains one folder per class
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}\n  fix: {fix}")
        self.problem, self.fix = problem, fix

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in a notebook instead of a traceback."""
        return [f"error: {self}"]


class BlockedError(UserError):
    """An audit finding that blocks the run until the user accepts or fixes it; exit code 1, not 2."""


class StoppedError(UserError):
    """An interruption (Ctrl+C) whose message explains how to resume; exit code 130."""


def optional(module: str, extra: str) -> ModuleType:
    """Import a package that is needed by one extra only.

    Args:
        module: dotted name of the module.
        extra: name of the extra of the distribution ``coverslip`` that installs it.

    Raises:
        UserError: the package is not installed. A package that is installed but broken raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise UserError(f"the package {module!r} is not installed", f"pip install 'coverslip[{extra}]'") from error
