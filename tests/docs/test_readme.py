"""What the documents say is there, is there."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_and_image_leads_to_a_file(document):
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_that_is_named_exists(document):
    from coverslip.cli.main import app

    helps: dict[str, str] = {}
    named = re.findall(r"(?:`|^\$ |^)coverslip ([a-z]+)([^`\n|#]*)", document.read_text(encoding="utf-8"), re.M)
    for command, options in named:
        if command not in helps:
            result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
            assert result.exit_code == 0, f"{document.name}: coverslip {command}"
            helps[command] = result.output
        for option in re.findall(r"--[a-z-]+", options):
            assert option in helps[command], f"{document.name}: coverslip {command} {option}"


def test_the_readme_opens_with_the_two_commands():
    first = (ROOT / "README.md").read_text(encoding="utf-8").split("```")[1]
    assert [line.split("#")[0].strip() for line in first.strip().splitlines()] == ["make demo", "make test"]


def test_make_targets_that_are_named_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for document in DOCUMENTS:
        for target in re.findall(r"make ([a-z]+)(?=\s+#|`)", document.read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.M), f"{document.name}: make {target}"
