"""The one error that is a user's to mend, and the one way to ask for an optional package."""

from __future__ import annotations

import importlib
from types import ModuleType


class UserError(Exception):
    """A mistake the user can mend. Shell, notebook and web page show the same two lines.

    Args:
        problem: what is wrong and what was found, in one line.
        fix: how to mend it, in one line.

    >>> print(UserError("no image in 'leaves'", "name a folder that holds one folder a class"))
    no image in 'leaves'
      fix: name a folder that holds one folder a class
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}\n  fix: {fix}")
        self.problem, self.fix = problem, fix

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a notebook in place of a traceback."""
        return [f"error: {self}"]


class BlockedError(UserError):
    """A finding of the audit stops the work until somebody decides; the program ends with 1, not 2."""


class StoppedError(UserError):
    """Ctrl+C, where the way to go on is to be said; the program ends with 130."""


def optional(module: str, extra: str) -> ModuleType:
    """Import a package that only one extra needs.

    Raises:
        UserError: it is not installed. A package that is there but broken raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise UserError(f"this needs the package {module!r}", f"pip install 'coverslip[{extra}]'") from error
