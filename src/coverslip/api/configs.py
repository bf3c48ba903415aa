"""The config of a run, from a call, from a command or from a file."""

from __future__ import annotations

import difflib
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from coverslip.core.config import from_mapping, override, to_mapping
from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.registry import nearest
from coverslip.core.renamed import current_key, current_setting, warn_renamed
from coverslip.core.runs import Run
from coverslip.data.augment import augmentation
from coverslip.pipeline.config import DataConfig, RunConfig, read_config

SHORT_NAMES = {
    "group": "data_group",
    "site": "data_site",
    "path_column": "data_path_column",
    "label_column": "data_label_column",
    "split_column": "data_split_column",
    "map": "data_map",
    "leave_out": "data_leave_out",
    "task": "data_task",
    "target": "data_target",
    "scale": "data_scale",
    "order": "data_order",
    "labels": "data_labels",
    "accept": "audit_accept",
    "drop": "audit_drop",
    "fix": "audit_fix",
    "probes": "audit_probes",
    "size": "input_size",
    "fit": "input_fit",
    "model": "model_network",
    "depth": "model_depth",
    "with_examples": "model_examples",
    "minutes": "model_minutes",
    "views": "model_views",
    "refit": "split_refit",
    "epochs": "training_epochs",
    "lr": "training_lr",
    "seed": "training_seed",
    "folds": "repeats_folds",
    "seeds": "repeats_seeds",
    "learning_curve": "repeats_learning_curve",
}
"""Option of ``coverslip train`` -> setting. ``from_scratch`` is the opposite of ``model_pretrained``."""
FROM_SCRATCH = "from_scratch"
LISTS = (
    "audit_accept",
    "audit_drop",
    "data_map",
    "data_leave_out",
    "data_target",
    "data_order",
    "data_labels",
)  # a single value is a list of one
SEPARATED = ("data_order", "data_labels")  # a text is a list, separated by commas


def configure(
    source: str | Path, *, settings: Sequence[str] = (), augment: str | None = None, **options: Any
) -> RunConfig:
    """Return the config of a run.

    Args:
        source: a folder, a table, an ``.npz`` file, or the ``experiment.toml`` of a run to repeat.
        settings: assignments such as ``"model.views=3"``; they override everything else.
        augment: name of an augmentation preset, see `coverslip.data.augment.PRESETS`. Single augmentations are
            settings, such as ``"augment.rotate=20"``.
        options: settings as ``section_key``, such as ``split_seed=1``, or named like the options of ``coverslip train``
            (see `SHORT_NAMES`), such as ``depth="tail"``; None keeps the default. As in the command, ``minutes``
            without ``depth`` means depth ``auto``.

    Raises:
        UserError: an unknown setting, the same setting under two names, an invalid value, or a source that is not a
            path.

    >>> configure("leaves", split_seed=1).split.seed, configure("leaves", depth="tail").model.depth
    (1, 'tail')
    """
    path = expand(source)
    mapping: dict[str, Any] = {"data": {"source": str(path)}}
    if path.suffix.lower() == ".toml":
        mapping = to_mapping(read_config(path))  # refuses unknown keys before anything is added
    options = _long_names({key: value for key, value in options.items() if value is not None})
    given = [(_setting(key), value) for key, value in options.items()]
    if augment is not None:
        mapping["augment"] = to_mapping(augmentation(augment))
    for (section, key), value in given:
        mapping.setdefault(section, {})[key] = value
    return from_mapping(RunConfig, override(mapping, [_current(text) for text in settings]), "experiment")


def config_of(source: str | Path | RunConfig, options: dict[str, Any]) -> RunConfig:
    """Return a config unchanged, or that of `configure`.

    Raises:
        UserError: options were given with a config, which they would not change; or see `configure`.
    """
    if not isinstance(source, RunConfig):
        return configure(source, **options)
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UserError(
            f"{given[0]} has no effect on a config", "pass it to coverslip.configure, which makes the config"
        )
    return source


def plan(source: str | Path, **options: Any) -> RunConfig:
    """Return the config of a run. Deprecated name of `configure`."""
    warnings.warn("coverslip.plan was renamed to coverslip.configure", FutureWarning, stacklevel=2)
    return configure(source, **options)


def _long_names(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with settings named ``section_key`` in place of the names of the command line.

    Raises:
        UserError: the same setting is given under both names, or ``model`` is a network itself.

    >>> _long_names({"lr": 0.01, "split_seed": 1, "minutes": 2})
    {'training_lr': 0.01, 'split_seed': 1, 'model_minutes': 2, 'model_depth': 'auto'}
    """
    result: dict[str, Any] = {}
    for name, value in options.items():
        key, setting = SHORT_NAMES.get(name, name), value
        if name == FROM_SCRATCH:
            key, setting = "model_pretrained", not value
        if key != name and key in options:
            raise UserError(f"{name} and {key} are the same setting", "give one of the two")
        if name == "model" and not isinstance(value, str):
            problem = f"model is of type {type(value).__name__}, not the name of a network"
            raise UserError(problem, "give a name such as 'cnn', or a network of your own as network=...")
        if key in LISTS and isinstance(setting, str):
            setting = setting.split(",") if key in SEPARATED else [setting]
        result[key] = setting
    if "minutes" in options:
        result.setdefault("model_depth", "auto")
    return result


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
    settings = [f"{field.name}_{key}" for field in fields(RunConfig) for key in _keys(field.name)]
    names = [*SHORT_NAMES, FROM_SCRATCH, *settings]
    if name in ("rate", "learning_rate"):
        fix = "use lr"
    elif not known and difflib.get_close_matches(name, names):
        fix = nearest(name, names)
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
