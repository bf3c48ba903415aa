"""Rendering of templates; names of classes and files are always escaped."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def fill(template: str, **context: Any) -> str:
    """Render a template of ``templates/`` to HTML.

    Args:
        template: its file name.
        context: its variables; a missing one is an error.
    """
    return _templates().get_template(template).render(**context)


@cache
def _templates() -> Environment:
    """Create the environment once, so that each template is compiled once: a study writes its page every epoch."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("coverslip.reporting", "templates"), PackageLoader("coverslip", "look")]),
        autoescape=True,  # a class may be named <b>"x", y</b>
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment


def breakable(name: str) -> Markup:
    """Return a name as safe HTML with optional line breaks after ``_`` and ``/``.

    >>> breakable("a_b & c")
    Markup('a_<wbr>b &amp; c')
    """
    return Markup(re.sub(r"(_+|/+)", r"\1<wbr>", str(escape(name))))
