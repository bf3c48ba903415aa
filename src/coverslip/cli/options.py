"""Options that several commands have, in the same words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from coverslip.errors import UserError
from coverslip.paths import expand

Group = Annotated[
    str | None,
    typer.Option(
        help="What keeps pictures together: a column, a pattern of the path, parent, shots:K or burst:SECONDS."
    ),
]
Site = Annotated[str | None, typer.Option(help="Hospital, camera, batch: named like --group; each stays in one part.")]
Accept = Annotated[list[str] | None, typer.Option(help="Go on with this finding of the audit; it stays listed.")]
Drop = Annotated[list[str] | None, typer.Option(help="Leave out the pictures that this finding concerns.")]
Fix = Annotated[
    bool, typer.Option("--fix", help="Keep one of exact copies, none under two labels, groups in one part.")
]
Verify = Annotated[bool, typer.Option("--verify", help="Read every file again before trusting the cache.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Any setting, such as model.views=3.")]

Command = TypeVar("Command", bound=Callable[..., Any])


def with_expanded_paths(command: Command) -> Command:
    """Return the command with every argument and option that is a path parsed by `coverslip.paths.expand`."""
    hints = get_type_hints(command, include_extras=True)
    for hint in hints.values():
        for about in getattr(hint, "__metadata__", ()):
            if isinstance(about, ArgumentInfo | OptionInfo) and _is_path(get_args(hint)[0]):
                about.parser = _path
    command.__annotations__ = hints  # as text they would be read again, without the parser
    return command


def _is_path(kind: Any) -> bool:
    """Whether a type is a path, perhaps none, or several of them."""
    return kind is Path or any(_is_path(each) for each in get_args(kind))


def _path(text: str) -> Path:
    return expand(text)


_path.__name__ = "path"  # what the help shows in the place of a value


def refuse_beside_resume(context: typer.Context, *allowed: str) -> None:
    """What goes on keeps the settings that it began with: anything else that was given is a mistake, so it is named.

    Raises:
        UserError: an option or a source beside ``--resume`` and what is ``allowed``, by the names of parameters.
    """
    for parameter in context.command.params:
        name, source = str(parameter.name), context.get_parameter_source(str(parameter.name))
        if source is not None and source.name == "COMMANDLINE" and name not in ("resume", *allowed):
            given = parameter.opts[0] if parameter.opts[0].startswith("-") else repr(str(context.params[name]))
            raise UserError(
                f"--resume goes on with the settings that were begun with, and {given} is another",
                f"leave {given} out, or begin anew without --resume",
            )
