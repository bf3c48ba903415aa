"""The program ``coverslip``: finds the command, and turns every failure into an exit code and a clear word."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from coverslip.cli import cache, demo, evaluate, leaves, predict, report, train
from coverslip.cli.terminal import say_error
from coverslip.errors import UserError

DONE, BLOCKED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="coverslip",
    help="From a folder of pictures to a result you can defend.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (demo, leaves, train, evaluate, predict, report, cache):
    name = module.__name__.rpartition(".")[2]
    app.command(name)(getattr(module, name))


def _version(wanted: bool) -> None:
    if wanted:
        from coverslip import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a folder of pictures to a result you can defend."""


def main() -> None:
    """Run the program and exit: 0 done, 1 blocked by a finding, 2 a user's error, 130 interrupted."""
    try:
        app()
    except UserError as error:
        say_error(error.problem, error.fix)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        say_error("interrupted; what was computed so far is kept", "run the same command again to go on", "stopped")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(DONE)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        where = f" ({error.filename})" if error.filename else ""
        say_error(f"{(error.strerror or str(error)).lower()}{where}", "free some space, or write to another folder")
        sys.exit(USER_ERROR)
