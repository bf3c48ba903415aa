"""Refusal to work in a process that was forked after Coverslip was used: the threads of libraries do not survive."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from coverslip.core.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")

_used_in: list[int] = []  # the id of the process that first used Coverslip


def refuse_forked() -> None:
    """Check that this process is the one that first used Coverslip, and record it at the first call.

    A forked process has copies of the locks of polars, OpenVINO and OpenMP, but not the threads that would release
    them, so that it would wait without end.

    Raises:
        UserError: the process was forked after the first use.
    """
    if not _used_in:
        _used_in.append(os.getpid())
    elif _used_in[0] != os.getpid():
        raise UserError(
            "this process was forked after Coverslip was used, and its libraries would hang here",
            "start processes with multiprocessing.get_context('spawn'), or use coverslip only after the fork",
        )


def unforked(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with a call of `refuse_forked` before it."""

    @functools.wraps(function)
    def checked(*arguments: P.args, **options: P.kwargs) -> R:
        refuse_forked()
        return function(*arguments, **options)

    return checked
