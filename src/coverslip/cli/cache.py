"""``coverslip cache``."""

from __future__ import annotations

import datetime
from typing import Annotated

import typer


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything; runs and images are not touched.")] = False,
) -> None:
    """List what was computed once and kept: decoded images, features, networks; or clear it."""
    from coverslip.core.storage import cache_entries, cache_folder, cache_limit, clear_cache, size_text

    if clear:
        typer.echo(f"removed {size_text(clear_cache())} from {cache_folder()}")
        return
    entries = cache_entries()
    for kind in ("pixels", "features", "weights", "engines"):
        mine = [entry for entry in entries if entry.kind == kind]
        if mine:
            used = datetime.datetime.fromtimestamp(max(entry.used for entry in mine)).strftime("%Y-%m-%d %H:%M")
            size = size_text(sum(entry.bytes for entry in mine))
            typer.echo(f"{kind:<10} {len(mine):>5} entries  {size:>9}  last used {used}")
    total = sum(entry.bytes for entry in entries)
    typer.echo(f"{size_text(total)} of at most {size_text(cache_limit())} in {cache_folder()}")
