"""Options shared by several commands, with help texts from the config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.pipeline.schema import description

DATA, MODEL, TRAINING, EVALUATION, OUTPUT = "Data", "Model", "Training", "Evaluation", "Output"  # panels of --help


def setting(key: str, panel: str, *names: str, note: str = "") -> Any:
    """Return a Typer option for the setting ``key``, its help taken from the config.

    Args:
        key: ``section.key``.
        panel: heading of the help under which it is listed.
        names: option names, where they differ from the parameter's.
        note: appended to the help.
    """
    text = description(key) + (f" {note}" if note else "")
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=False)


Group = Annotated[str | None, setting("data.group", DATA)]
Site = Annotated[str | None, setting("data.site", DATA)]
PathColumn = Annotated[str | None, setting("data.path_column", DATA)]
LabelColumn = Annotated[str | None, setting("data.label_column", DATA)]
SplitColumn = Annotated[str | None, setting("data.split_column", DATA)]
Map = Annotated[list[str] | None, setting("data.map", DATA)]
LeaveOut = Annotated[list[str] | None, setting("data.leave_out", DATA)]
Task = Annotated[str | None, setting("data.task", DATA)]
Target = Annotated[list[str] | None, setting("data.target", DATA, note="Can be given several times.")]
Scale = Annotated[str | None, setting("data.scale", DATA)]
Order = Annotated[str | None, setting("data.order", DATA, note="Separated by commas.")]
Labels = Annotated[str | None, setting("data.labels", DATA, note="Separated by commas.")]
Size = Annotated[int | None, setting("input.size", DATA)]
Accept = Annotated[list[str] | None, setting("audit.accept", DATA)]
Drop = Annotated[list[str] | None, setting("audit.drop", DATA)]
Fix = Annotated[bool, setting("audit.fix", DATA, "--fix")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Read every file again instead of trusting the cache.", rich_help_panel=DATA)
]
AUGMENT_HELP = "Augmentation: none, flips, light, strong or tissue."
Augment = Annotated[str | None, typer.Option(help=f"{AUGMENT_HELP} Not for depth head.", rich_help_panel=TRAINING)]
FromScratch = Annotated[
    bool, typer.Option("--from-scratch", help="Random initial weights; trains all layers.", rich_help_panel=MODEL)
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other setting, such as model.views=3 (docs/settings.md).", rich_help_panel=OUTPUT),
]

Command = TypeVar("Command", bound=Callable[..., Any])


def with_expanded_paths(command: Command) -> Command:
    """Return the command with every argument and option that is a path parsed by `coverslip.core.paths.expand`."""
    hints = get_type_hints(command, include_extras=True)
    for hint in hints.values():
        for parameter in getattr(hint, "__metadata__", ()):
            if isinstance(parameter, ArgumentInfo | OptionInfo) and _is_path(get_args(hint)[0]):
                parameter.parser = _path
    command.__annotations__ = hints  # Typer would evaluate annotations given as text again, without the parser
    return command


def _is_path(kind: Any) -> bool:
    """Return whether a type is a path, an optional path or a list of paths."""
    return kind is Path or any(_is_path(argument) for argument in get_args(kind))


def _path(text: str) -> Path:
    return expand(text)


_path.__name__ = "path"  # shown in the help as the type of the value


def refuse_with_resume(context: typer.Context, *allowed: str) -> None:
    """Refuse options that ``--resume`` would ignore, since a resumed run keeps its settings.

    Args:
        context: the command's context.
        allowed: names of parameters that may be combined with ``--resume``.

    Raises:
        UserError: another option or a source was given.
    """
    for parameter in context.command.params:
        name, source = str(parameter.name), context.get_parameter_source(str(parameter.name))
        if source is not None and source.name == "COMMANDLINE" and name not in ("resume", *allowed):
            given = parameter.opts[0] if parameter.opts[0].startswith("-") else repr(str(context.params[name]))
            raise UserError(
                f"{given} cannot be combined with --resume, which keeps the original settings",
                f"omit {given}, or start again without --resume",
            )
