"""``coverslip cache``."""

from __future__ import annotations

import datetime
from typing import Annotated

import typer


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete the cache; runs and images are kept.")] = False,
) -> None:
    """List or clear the cache of decoded images, features and networks.

    Example: coverslip cache --clear
    """
    from coverslip.core.storage import cache_entries, cache_folder, cache_limit, clear_cache, size_text

    if clear:
        typer.echo(f"removed {size_text(clear_cache())} from {cache_folder()}")
        return
    entries = cache_entries()
    for kind in ("pixels", "features", "weights", "engines"):
        of_kind = [entry for entry in entries if entry.kind == kind]
        if of_kind:
            used = datetime.datetime.fromtimestamp(max(entry.used for entry in of_kind)).strftime("%Y-%m-%d %H:%M")
            size = size_text(sum(entry.bytes for entry in of_kind))
            typer.echo(f"{kind:<10} {len(of_kind):>5} entries  {size:>9}  last used {used}")
    total = sum(entry.bytes for entry in entries)
    typer.echo(f"{size_text(total)} of at most {size_text(cache_limit())} in {cache_folder()}")
