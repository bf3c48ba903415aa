"""Options that several commands have, in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

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
