"""The explorables as notebook widgets, whose values are shared between Python and the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from coverslip.core.errors import optional
from coverslip.course.explorables.bundle import module, style
from coverslip.course.explorables.catalog import EXPLORABLES
from coverslip.course.explorables.options import Option


def show(name: str, **options: Any) -> Any:
    """Create the widget of an explorable; a notebook shows it as the last line of a cell.

    Raises:
        UserError: an option is unknown, a value is not possible, or `anywidget` is not installed.
    """
    values = EXPLORABLES[name].values(**options)
    return _widget(name)(**values)


@cache
def _widget(name: str) -> Any:
    """Create the widget class of an explorable when it is first shown, since anywidget takes a while to import."""
    anywidget, traitlets = optional("anywidget", "course"), optional("traitlets", "course")
    explorable = EXPLORABLES[name]
    body: dict[str, Any] = {"__doc__": explorable.opening, "_esm": module(name), "_css": style()}
    for key, option in explorable.options.items():
        body[key] = traitlets.Any().tag(sync=True)
        body[f"_{key}_checked"] = traitlets.validate(key)(_check(option))
    for key, result in explorable.results.items():
        body[key] = traitlets.Any(result.value).tag(sync=True)
    return type(name.capitalize(), (anywidget.AnyWidget,), body)


def _check(option: Option) -> Callable[[Any, Any], Any]:
    """Return a validator with the same checks and messages for later changes, such as ``widget.learning_rate = 50``."""

    def checked(_: Any, proposal: Any) -> Any:
        return option.checked(proposal["trait"].name, proposal["value"])

    return checked
