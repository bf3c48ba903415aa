"""Options that several commands have, in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

from coverslip.errors import UserError

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
