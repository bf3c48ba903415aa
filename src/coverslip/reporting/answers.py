"""``answers.toml``: what only a person knows of a run, in that person's words."""

from __future__ import annotations

from pathlib import Path

from coverslip.core.config import read_toml
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.reporting.checklist import KEYS, checklist
from coverslip.reporting.run_files import RunFiles


def read_answers(path: Path) -> dict[str, str]:
    """A person's words, by the key of the checklist's line; empty ones are left out.

    Raises:
        UserError: the file is not there or is not TOML, a key that no line has, or a value that is no text.
    """
    answers = {}
    for key, value in read_toml(path).items():
        if key not in KEYS:
            raise UserError(f"{path.name} answers {key!r}, which is no line of the checklist", nearest(key, KEYS))
        if not isinstance(value, str):
            raise UserError(f"{path.name}: {key} is {value!r}, no text", f'write it in quotes: {key} = "..."')
        if value.strip():
            answers[key] = " ".join(value.split())
    return answers


def answers_of(files: RunFiles) -> dict[str, str]:
    """The answers in a run's folder; none where nobody gave any."""
    path = files.run.answers_file
    return read_answers(path) if path.is_file() else {}


def template(files: RunFiles) -> str:
    """A TOML file to fill in: the lines that nobody answers, one commented key each under its question."""
    rows = ['# Take the # from a line and write between the quotes; """ and """ hold several lines.']
    rows += ["# The report shows it as your words, beside what the run answers by itself."]
    for item in checklist(files):
        if item.by == "nobody":
            rows += ["", f"# {item.question}  ({item.source})", f'# {item.key} = ""']
    return "\n".join(rows) + "\n"
