"""The templates of every page, filled so that no name of a class or file is ever obeyed as markup."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def fill(template: str, **context: Any) -> str:
    """A template of ``templates/`` with its context, as HTML."""
    return _templates().get_template(template).render(**context)


@cache
def _templates() -> Environment:
    """One for all pages, so that each template is compiled once: the page of a running study is written every epoch."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("coverslip.reporting", "templates"), PackageLoader("coverslip", "look")]),
        autoescape=True,  # a class may be called <b>"x", y</b>
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment


def breakable(name: str) -> Markup:
    """A name as safe HTML that may be broken into lines after ``_`` and ``/``.

    >>> breakable("a_b & c")
    Markup('a_<wbr>b &amp; c')
    """
    return Markup(re.sub(r"(_+|/+)", r"\1<wbr>", str(escape(name))))
