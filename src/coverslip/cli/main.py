"""The program ``coverslip``: finds the command, and turns every failure into an exit code and a clear word."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer

from coverslip.cli import (
    audit,
    cache,
    compare,
    course,
    demo,
    evaluate,
    explain,
    export,
    leaves,
    networks,
    predict,
    preview,
    report,
    serve,
    train,
    tune,
)
from coverslip.cli.options import with_expanded_paths
from coverslip.cli.terminal import say_error, show_warning
from coverslip.core.errors import BlockedError, StoppedError, UserError
from coverslip.core.renamed import current_arguments

# Typer has no public name for the class of all usage errors; older versions take it from click, newer ones from a copy.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
DONE, BLOCKED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130
NO_READER = 141  # what the system itself gives a program whose output nobody reads any more

FIXES = {
    errno.ENOSPC: "free some space, or write to another folder",
    errno.EDQUOT: "free some space, or write to another folder",
    errno.EACCES: "check the permissions, or choose another folder",
    errno.EROFS: "choose a folder on a disk that can be written",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ENOTDIR: "a file is in the way; choose another folder",
}

app = typer.Typer(
    name="coverslip",
    help="From a folder of images to a result you can defend.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    demo,
    leaves,
    audit,
    preview,
    networks,
    train,
    tune,
    evaluate,
    compare,
    predict,
    explain,
    export,
    report,
    serve,
    cache,
    course,
):
    name = module.__name__.rpartition(".")[2]
    app.command(name)(with_expanded_paths(getattr(module, name)))


def _version(wanted: bool) -> None:
    if wanted:
        from coverslip._version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a folder of images to a result you can defend."""


def main() -> None:
    """Run the program and exit: 0 done, 1 blocked by a finding, 2 a user's error, 130 interrupted."""
    warnings.showwarning = show_warning
    try:
        code = app(
            args=current_arguments(sys.argv[1:]), standalone_mode=False
        )  # standalone, Typer would end on Ctrl+C without a word
        if code == INTERRUPTED:  # so Typer passes Ctrl+C on
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else DONE)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # Typer has made a plain failure of it
            _end_unread()
        raise
    except UsageError as error:
        _say_usage(error)
        sys.exit(USER_ERROR)
    except BlockedError as error:
        say_error(error.problem, error.fix, "stopped")
        sys.exit(BLOCKED)
    except StoppedError as error:
        say_error(error.problem, error.fix, "stopped")
        sys.exit(INTERRUPTED)
    except UserError as error:
        say_error(error.problem, error.fix)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        fix = "run the same command again to go on (with --out: coverslip train --resume RUN)"
        say_error("interrupted; what was computed so far is kept", fix, "stopped")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _end_unread()
    except OSError as error:
        if error.errno not in FIXES:
            raise
        where = f" ({error.filename})" if error.filename else ""
        say_error(f"{(error.strerror or str(error)).lower()}{where}", FIXES[error.errno])
        sys.exit(USER_ERROR)


def _end_unread() -> NoReturn:
    """The reader of our output, such as `head`, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(NO_READER)


def _say_usage(error: Any) -> None:
    """A mistake in the command itself, in the same two lines as every other."""
    context = error.ctx
    if type(error).__name__ == "NoArgsIsHelpError":  # the help itself is the answer
        print(error.format_message(), file=sys.stderr)  # noqa: T201
        return
    near = getattr(error, "possibilities", None)
    message = " ".join((error.message if near else error.format_message()).split())
    problem, guess, name = message.partition(" Did you mean ")
    if near:
        guess, name = "Did you mean", f"{near[0]}?"
    fix = f"did you mean {name}" if guess else f"{context.command_path if context else 'coverslip'} --help"
    say_error(problem[:1].lower() + problem[1:].rstrip("."), fix)
