"""The program ``coverslip``: runs the command, and turns errors into messages and exit codes."""

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
from coverslip.cli.terminal import print_error, show_warning
from coverslip.core.errors import BlockedError, StoppedError, UserError
from coverslip.core.renamed import current_arguments

# Typer has no public name for the base class of usage errors: old versions take it from click, new ones from a copy.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
DONE, BLOCKED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130
NO_READER = 141  # exit code of a program that is ended by SIGPIPE, when the reader of its output has closed it

FIXES = {
    errno.ENOSPC: "free some space, or write to another folder",
    errno.EDQUOT: "free some space, or write to another folder",
    errno.EACCES: "check the permissions, or choose another folder",
    errno.EROFS: "choose a folder on a writable disk",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ENOTDIR: "choose another folder; a part of this path is a file",
}
SUMMARY = "Train an image classifier on your own images, and report a result you can defend."

app = typer.Typer(
    name="coverslip",
    help=SUMMARY,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    train,
    predict,
    evaluate,
    audit,
    explain,
    compare,
    tune,
    report,
    export,
    serve,
    preview,
    networks,
    cache,
    demo,
    leaves,
    course,
):
    name = module.__name__.rpartition(".")[2]
    app.command(name)(with_expanded_paths(getattr(module, name)))


def _version(requested: bool) -> None:
    if requested:
        from coverslip._version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train an image classifier on your own images, and report a result you can defend."""


def main() -> None:
    """Run the program and exit: 0 done, 1 blocked by a finding, 2 user error, 130 interrupted."""
    warnings.showwarning = show_warning
    try:
        # In standalone mode, Typer would end on Ctrl+C without a message.
        code = app(args=current_arguments(sys.argv[1:]), standalone_mode=False)
        if code == INTERRUPTED:  # Typer returns this for Ctrl+C
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else DONE)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # Typer turns it into exit code 1
            _exit_without_reader()
        raise
    except UsageError as error:
        _print_usage_error(error)
        sys.exit(USER_ERROR)
    except BlockedError as error:
        print_error(error.problem, error.fix, "stopped")
        sys.exit(BLOCKED)
    except StoppedError as error:
        print_error(error.problem, error.fix, "stopped")
        sys.exit(INTERRUPTED)
    except UserError as error:
        print_error(error.problem, error.fix)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        fix = "run the same command again to continue (with --out: coverslip train --resume RUN)"
        print_error("interrupted; the results so far are stored", fix, "stopped")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _exit_without_reader()
    except OSError as error:
        if error.errno not in FIXES:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print_error(f"{(error.strerror or str(error)).lower()}{where}", FIXES[error.errno])
        sys.exit(USER_ERROR)


def _exit_without_reader() -> NoReturn:
    """Exit after the reader of the output, such as `head`, has closed it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(NO_READER)


def _print_usage_error(error: Any) -> None:
    """Print a usage error of the command line in the same two lines as every other error."""
    context = error.ctx
    if type(error).__name__ == "NoArgsIsHelpError":  # without arguments, print the help
        print(error.format_message(), file=sys.stderr)  # noqa: T201
        return
    suggestions = getattr(error, "possibilities", None)
    message = " ".join((error.message if suggestions else error.format_message()).split())
    problem, suggestion, name = message.partition(" Did you mean ")
    if suggestions:
        suggestion, name = "Did you mean", f"{suggestions[0]}?"
    fix = f"did you mean {name}" if suggestion else f"{context.command_path if context else 'coverslip'} --help"
    print_error(problem[:1].lower() + problem[1:].rstrip("."), fix)
