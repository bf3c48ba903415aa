"""Names of version 0.1 that were renamed: settings, command options and keys of files. Old names are still accepted.

Each use of an old name gives one warning with the new name. Files written by version 0.1 are read without a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

# settings of experiment.toml, --set and keyword arguments: (section, key) -> (section, key); None: no longer used
SETTINGS: dict[tuple[str, str], tuple[str, str] | None] = {
    ("training", "solver"): ("head", "solver"),
    ("training", "folds"): ("head", "folds"),
    ("training", "strengths"): ("head", "l2_values"),
    ("training", "coverage"): ("calibration", "coverage"),
    ("training", "refit"): ("split", "refit"),
    ("recipe", "rate"): ("training", "lr"),
    ("recipe", "smoothing"): ("training", "label_smoothing"),
    ("recipe", "seed"): None,  # version 0.1 set it to training.seed in every run
    ("audit", "price"): ("audit", "probes"),
}
SECTIONS = {"recipe": "training", "bundle": "model"}  # keys that are not listed above keep their name


def current_setting(section: str, key: str) -> tuple[str, str] | None:
    """Return the current (section, key) of a setting; None if it is no longer used.

    >>> current_setting("recipe", "rate"), current_setting("recipe", "epochs"), current_setting("model", "views")
    (('training', 'lr'), ('training', 'epochs'), ('model', 'views'))
    """
    return SETTINGS.get((section, key), (SECTIONS.get(section, section), key))


def current_key(key: str) -> str:
    """Return the current form of a dotted key.

    >>> current_key("recipe.rate"), current_key("lr"), current_key("recipe")
    ('training.lr', 'lr', 'training')
    """
    section, dot, name = key.partition(".")
    if not dot:
        return SECTIONS.get(key, key)
    new = current_setting(section, name)
    return key if new is None else ".".join(new)


def warn_renamed(old: str, new: str) -> None:
    """Warn, in one line, that ``old`` was renamed to ``new``."""
    warnings.warn(f"{old} was renamed to {new}; please use the new name", FutureWarning, stacklevel=3)


def upgrade_settings(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of an ``experiment.toml`` of version 0.1 under their current names.

    Args:
        mapping: section -> key -> value, as read from TOML. Values that are not sections are kept as they are.

    >>> upgrade_settings({"recipe": {"rate": 0.01}, "training": {"seed": 1, "refit": True}})
    {'training': {'lr': 0.01, 'seed': 1}, 'split': {'refit': True}}
    """
    result: dict[str, Any] = {}
    for section, content in mapping.items():
        if not isinstance(content, Mapping):
            result[section] = content
            continue
        if section not in SECTIONS:
            result.setdefault(section, {})
        for key, value in content.items():
            new = current_setting(section, key)
            if new is not None:
                result.setdefault(new[0], {})[new[1]] = value
    return result


# options of commands: (command, option) -> option
OPTIONS: dict[tuple[str, str], str] = {
    ("train", "--rate"): "--lr",
    ("train", "--find-rate"): "--find-lr",
    ("train", "--price"): "--probes",
}


def current_arguments(arguments: list[str]) -> list[str]:
    """Return the arguments of the program ``coverslip`` with the current names of renamed options.

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     current_arguments(["train", "leaves", "--rate=0.01"])
    ['train', 'leaves', '--lr=0.01']
    """
    command, result = arguments[0] if arguments else "", []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        new = OPTIONS.get((command, name), name)
        if new != name:
            warn_renamed(f"the option {name}", new)
        result.append(f"{new}{equals}{value}")
    return result


# keys of JSON files, as paths with * for any key or position: old path -> new last part
KEYS: dict[str, dict[str, str]] = {
    "model.json": {
        "strength": "l2",
        "trained_on.pictures": "images",
        "validation_roles.*.pictures": "images",
        "trust.calibrated_on.pictures": "images",
    },
    "test.json": {"*.calibrated_on.pictures": "images"},  # of sets, familiarity and threshold
    "audit.json": {
        "pictures": "images",
        "twins": "duplicates",
        "twins.pictures": "images",
        "findings.*.pictures": "images",
        "groups.proposals.*.pictures": "images",
    },
    "repeats.json": {
        "*.strength": "l2",
        "folds.pictures": "images",
        "seeds.held.pictures": "images",
        "seeds.trained.pictures": "images",
        "seeds.of_pictures": "of_images",
    },
    "learning_curve.json": {"pictures": "images", "strength": "l2"},
    "explain.json": {
        "pictures": "images",
        "trust.pictures": "images",
        "pictures.*.trust.pictures": "images",
        "review.pictures": "images",
        "review.trust.pictures": "images",
        "review.examples.*.items.*.picture": "image",
        "review.confident_mistakes.*.picture": "image",
        "review.looked_away.*.picture": "image",
        "review.clusters.*.pictures": "images",
        "review.clusters.*.items.*.picture": "image",
    },
    "study.json": {"pictures": "images"},
}


def upgrade_json(name: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a JSON file of version 0.1 with the current names of its keys.

    Args:
        name: the file's name, such as ``test.json``.
        content: the parsed content, which is not modified. Current keys are kept as they are.

    >>> upgrade_json("model.json", {"trained_on": {"pictures": 3}, "classes": ["pictures"]})
    {'trained_on': {'images': 3}, 'classes': ['pictures']}
    """
    rules = KEYS.get(name, {})
    if rules:
        content = _renamed(content, [(path.split("."), new) for path, new in rules.items()])
    if name == "learning_curve.json" and content.get("unit") == "pictures":
        return {**content, "unit": "images"}
    return _upgrade_study(content) if name == "study.json" else content


def current_study_key(key: str) -> str:
    """Return the current name of a setting, or of a column, in the files of a study.

    >>> current_study_key("recipe.rate"), current_study_key("recipe.seed"), current_study_key("rate")
    ('training.lr', 'training.seed', 'lr')
    """
    return {"recipe.seed": "training.seed", "rate": "lr"}.get(key) or current_key(key)


def with_study_keys(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with the settings of a study as keys under their current names."""
    return {current_study_key(key): value for key, value in mapping.items()}


def upgrade_study_facts(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the facts that identify a study, from its database, under the current names of settings.

    Args:
        facts: see `coverslip.tuning.search.study_facts`; not changed.

    >>> upgrade_study_facts({"data": {"pictures": "1a"}, "space": {}, "plan": {"recipe.rate": 0.1}})
    {'data': {'images': '1a'}, 'space': {}, 'plan': {'training.lr': 0.1}}
    """
    plan = dict(facts.get("plan", {}))
    if any(key.startswith("recipe.") for key in plan):
        sections: dict[str, dict[str, Any]] = {}
        for key, value in plan.items():
            section, _, name = key.partition(".")
            sections.setdefault(section, {})[name] = value
        upgraded = upgrade_settings(sections)
        plan = {f"{section}.{name}": value for section, values in upgraded.items() for name, value in values.items()}
    data = {key.replace("pictures", "images"): value for key, value in facts.get("data", {}).items()}
    return {"data": data, "space": with_study_keys(facts.get("space", {})), "plan": plan}


def _upgrade_study(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of ``study.json`` with the current names of settings."""
    content = dict(content)
    if isinstance(content.get("keys"), dict):
        content["keys"] = with_study_keys(content["keys"])
    for name in ("best", "default"):
        trial = content.get(name)
        if isinstance(trial, dict) and isinstance(trial.get("values"), dict):
            content[name] = {**trial, "values": with_study_keys(trial["values"])}
    for name in ("importance", "steps"):
        if isinstance(content.get(name), list):
            content[name] = [
                {**row, "key": current_study_key(row["key"])} if isinstance(row, dict) and "key" in row else row
                for row in content[name]
            ]
    return content


def _renamed(content: Any, rules: list[tuple[list[str], str]]) -> Any:
    if isinstance(content, list):
        inner = [(path[1:], new) for path, new in rules if path[0] == "*" and len(path) > 1]
        return [_renamed(item, inner) for item in content] if inner else content
    if not isinstance(content, dict) or not rules:
        return content
    result = {}
    for key, value in content.items():
        new_key = next((new for path, new in rules if path == [key]), key)
        inner = [(path[1:], new) for path, new in rules if len(path) > 1 and path[0] in (key, "*")]
        result[new_key] = _renamed(value, inner)
    return result
