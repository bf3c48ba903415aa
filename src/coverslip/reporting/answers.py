"""``answers.toml``: answers to checklist questions that only the author of a run can give."""

from __future__ import annotations

from pathlib import Path

from coverslip.core.config import read_toml
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.reporting.checklist import KEYS, checklist
from coverslip.reporting.run_files import RunFiles


def read_answers(path: Path) -> dict[str, str]:
    """Read the author's answers by the key of the question; empty answers are omitted.

    Raises:
        UserError: the file does not exist or is not TOML, a key is not a question of the checklist, or a value is not
            text.
    """
    answers = {}
    for key, value in read_toml(path).items():
        if key not in KEYS:
            raise UserError(f"{path.name}: {key!r} is not a question of the checklist", nearest(key, KEYS))
        if not isinstance(value, str):
            raise UserError(f"{path.name}: {key} is {value!r}, not text", f'write it in quotes: {key} = "..."')
        if value.strip():
            answers[key] = " ".join(value.split())
    return answers


def answers_of(files: RunFiles) -> dict[str, str]:
    """Return the answers stored in a run's folder; empty if there are none."""
    path = files.run.answers_file
    return read_answers(path) if path.is_file() else {}


def template(files: RunFiles) -> str:
    """Return a TOML file to fill in: one commented key for each unanswered question."""
    rows = ['# Remove the # before a key and write your answer between the quotes; use """ for several lines.']
    rows += ["# The report shows your answers next to those it takes from the run, marked as the author's."]
    for item in checklist(files):
        if item.by is None:
            rows += ["", f"# {item.question}  ({item.source})", f'# {item.key} = ""']
    return "\n".join(rows) + "\n"
