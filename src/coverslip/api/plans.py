"""What is to be done: every setting of a run, from a call, a command, or a file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from coverslip.config import from_mapping, override, to_mapping
from coverslip.data.augment import augmentation
from coverslip.errors import UserError
from coverslip.experiment import read_plan
from coverslip.paths import expand
from coverslip.runs import Run
from coverslip.settings import DataConfig, Experiment


def plan(source: str | Path, *, settings: Sequence[str] = (), augment: str | None = None, **options: Any) -> Experiment:
    """All settings of a run.

    Args:
        source: a folder, a table, an ``.npz`` file, or the ``experiment.toml`` of a run to repeat.
        settings: assignments such as ``model.views=3``; they win over all else.
        augment: a preset of `coverslip.data.augment.PRESETS`; single strengths are settings, ``augment.rotate=20``.
        options: ``section_key`` of a setting, such as ``split_seed=1``; None leaves it as it is.

    Raises:
        UserError: a setting that does not exist, or a value that it cannot take.
    """
    path = expand(source)
    mapping: dict[str, Any] = {"data": {"source": str(path)}}
    if path.suffix.lower() == ".toml":
        mapping = to_mapping(read_plan(path))  # refuses unknown keys before anything else is added
    given = [(_setting(key).partition("_"), value) for key, value in options.items() if value is not None]
    if augment is not None:
        mapping["augment"] = to_mapping(augmentation(augment))
    for (section, _, key), value in given:
        mapping.setdefault(section, {})[key] = value
    return from_mapping(Experiment, override(mapping, list(settings)), "experiment")


def _setting(name: str) -> str:
    """The name as it is, if it says section and key.

    Raises:
        UserError: it says the key alone, as those of ``fit`` do.
    """
    sections = {each.name for each in fields(Experiment)}
    if name.partition("_")[0] in sections:
        return name
    whole = [f"{each.name}_{name}" for each in fields(Experiment) if name in _keys(each.name)]
    fix = f"say {' or '.join(whole)}" if whole else "a setting is named section_key, such as recipe_epochs"
    raise UserError(f"there is no setting {name!r}", fix)


def _keys(section: str) -> set[str]:
    made = getattr(Experiment(data=DataConfig(source="")), section)
    return {each.name for each in fields(made)} if is_dataclass(made) else set()


def unfinished(folder: str | Path) -> Experiment:
    """The plan of a run that was interrupted, to be passed to `train` with ``resume=True``.

    Raises:
        UserError: it is finished, or no run.
    """
    there = Run(folder)
    if not there.experiment_file.is_file():
        raise UserError(f"{str(folder)!r} holds no experiment.toml, so there is nothing to go on with", "train anew")
    if there.test_file.is_file():
        fix = f"look at {str(there.report_file)!r}"
        if not there.report_file.is_file():
            fix = f"it only lacks its page: coverslip report {shlex.quote(str(folder))}"
        raise UserError(f"the run {str(folder)!r} is finished", fix)
    return plan(there.experiment_file)
