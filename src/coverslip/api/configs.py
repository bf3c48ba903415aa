"""The config of a run, from a call, from a command or from a file."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from coverslip.core.config import from_mapping, override, to_mapping
from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.renamed import current_key, current_setting, warn_renamed
from coverslip.core.runs import Run
from coverslip.data.augment import augmentation
from coverslip.pipeline.config import DataConfig, RunConfig, read_config


def configure(
    source: str | Path, *, settings: Sequence[str] = (), augment: str | None = None, **options: Any
) -> RunConfig:
    """Return the config of a run.

    Args:
        source: a folder, a table, an ``.npz`` file, or the ``experiment.toml`` of a run to repeat.
        settings: assignments such as ``"model.views=3"``; they override everything else.
        augment: name of an augmentation preset, see `coverslip.data.augment.PRESETS`. Single augmentations are
            settings, such as ``"augment.rotate=20"``.
        options: settings as ``section_key``, such as ``split_seed=1``; None keeps the default.

    Raises:
        UserError: an unknown setting, or an invalid value.

    >>> configure("leaves", split_seed=1).split.seed
    1
    """
    path = expand(source)
    mapping: dict[str, Any] = {"data": {"source": str(path)}}
    if path.suffix.lower() == ".toml":
        mapping = to_mapping(read_config(path))  # refuses unknown keys before anything is added
    given = [(_setting(key), value) for key, value in options.items() if value is not None]
    if augment is not None:
        mapping["augment"] = to_mapping(augmentation(augment))
    for (section, key), value in given:
        mapping.setdefault(section, {})[key] = value
    return from_mapping(RunConfig, override(mapping, [_current(text) for text in settings]), "experiment")


def plan(source: str | Path, **options: Any) -> RunConfig:
    """Return the config of a run. Deprecated name of `configure`."""
    warnings.warn("coverslip.plan was renamed to coverslip.configure", FutureWarning, stacklevel=2)
    return configure(source, **options)


def _current(assignment: str) -> str:
    """Return a ``section.key=value`` assignment with the current name of its key."""
    key, equals, value = assignment.partition("=")
    new = current_key(key.strip())
    if new != key.strip():
        warn_renamed(f"the setting {key.strip()}", new)
    return f"{new}{equals}{value}"


def _setting(name: str) -> tuple[str, str]:
    """Return section and key of a setting that is given as ``section_key``.

    Raises:
        UserError: the name lacks its section, as those of ``fit`` do, or is unknown.
    """
    section, _, key = name.partition("_")
    new = current_setting(section, key)
    if new is not None and new != (section, key):
        warn_renamed(f"the setting {name}", "_".join(new))
    if new is not None and new[0] in {field.name for field in fields(RunConfig)}:
        return new
    known = [f"{field.name}_{name}" for field in fields(RunConfig) if name in _keys(field.name)]
    fix = f"use {' or '.join(known)}" if known else "a setting is named section_key, such as training_epochs"
    raise UserError(f"unknown setting {name!r}", fix)


def _keys(section: str) -> set[str]:
    settings = getattr(RunConfig(data=DataConfig(source="")), section)
    return {field.name for field in fields(settings)} if is_dataclass(settings) else set()


def unfinished(folder: str | Path) -> RunConfig:
    """Return the config of an interrupted run, for `train` with ``resume=True``.

    Raises:
        UserError: the run is finished, or the folder contains no run.
    """
    run = Run(folder)
    if not run.experiment_file.is_file():
        raise UserError(f"{str(folder)!r} contains no experiment.toml, so there is no run to resume", "start a new run")
    if run.test_file.is_file():
        fix = f"see {str(run.report_file)!r}"
        if not run.report_file.is_file():
            fix = f"only its report is missing: coverslip report {shlex.quote(str(folder))}"
        raise UserError(f"the run {str(folder)!r} is finished", fix)
    return configure(run.experiment_file)
