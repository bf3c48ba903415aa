"""The pieces as widgets of a notebook: values that Python and the page share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from coverslip.core.errors import optional
from coverslip.course.explorables.bundle import module, style
from coverslip.course.explorables.options import Option
from coverslip.course.explorables.pieces import PIECES


def show(name: str, **options: Any) -> Any:
    """The widget of a piece; its last line in a cell shows it.

    Raises:
        UserError: an unknown option, an impossible value, or `anywidget` is not installed.
    """
    values = PIECES[name].values(**options)
    return _widget(name)(**values)


@cache
def _widget(name: str) -> Any:
    """A class of its own for each piece, made when it is first shown: anywidget takes a while to import."""
    anywidget, traitlets = optional("anywidget", "course"), optional("traitlets", "course")
    piece = PIECES[name]
    body: dict[str, Any] = {"__doc__": piece.opening, "_esm": module(name), "_css": style()}
    for key, option in piece.options.items():
        body[key] = traitlets.Any().tag(sync=True)
        body[f"_{key}_checked"] = traitlets.validate(key)(_check(option))
    for key, result in piece.results.items():
        body[key] = traitlets.Any(result.value).tag(sync=True)
    return type(name.capitalize(), (anywidget.AnyWidget,), body)


def _check(option: Option) -> Callable[[Any, Any], Any]:
    """The same check, and the same words, where an option is changed later: ``widget.learning_rate = 50``."""

    def checked(_: Any, proposal: Any) -> Any:
        return option.checked(proposal["trait"].name, proposal["value"])

    return checked
