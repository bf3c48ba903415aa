"""Words that the project does not use, checked in strings, comments, names, pages and documents.

The list holds words that were common before and that a native reader of scientific software stumbles over. A word of
the list inside a quotation of code, such as a key of a file of version 0.1, is written in backticks and not counted.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

import coverslip

SOURCE = Path(coverslip.__file__).parent
ROOT = Path(__file__).parents[2]

# pattern -> what to write instead
WORDS = {
    r"pictures?": "image",
    r"(test|training|validation) parts?": "test (training, validation) set",
    r"go(es)? on with|gone on with": "resume, continue",
    r"(begin|begun|began|train) anew": "start over, start again",
    r"mend(s|ed|ing)?": "fix",
    r"spoilt": "damaged",
    r"for ever": "permanently",
    r"whoever": "name the person",
    r"straddles?": "is divided between",
    r"looked for was|named so": "positive class, predicted",
    r"what (was|is) said": "the prediction",
    r"is told of|told of": "receives",
    r"foretell": "predict",
    r"price of a leak": "estimated inflation of the score by leakage",
    r"twins?": "duplicate",
    r"every door|at a door|each door|doors": "entry point",
    r"from chance": "from random weights",
    r"so large a|so many (?!as)": "a number of",
    r"flatters?": "is optimistic",
    r"luck of (having been )?cho": "selection bias",
}
PATTERN = re.compile("|".join(rf"\b(?:{word})\b" for word in WORDS), re.IGNORECASE)
EXEMPT = {"core/renamed.py", "tuning/storage.py"}  # they name keys of version 0.1


def found(text: str) -> list[str]:
    plain = re.sub(r"``[^`]*``|`[^`]*`|https?://\S+", "", text)
    return [match.group(0) for match in PATTERN.finditer(plain)]


def python_texts(file: Path):
    """Line and text of every string and comment."""
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline)
    for token in tokens:
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            yield token.start[0], token.string


def modules():
    files = [file for file in sorted(SOURCE.rglob("*.py")) if "course/lessons" not in file.as_posix()]
    return [file for file in files if file.relative_to(SOURCE).as_posix() not in EXEMPT]


def test_strings_and_comments_use_the_words_of_the_field():
    wrong = [
        f"{file.relative_to(SOURCE)}:{line}: {word}"
        for file in modules()
        for line, text in python_texts(file)
        for word in found(text)
    ]
    assert wrong == []


def test_names_use_the_words_of_the_field():
    wrong = []
    for file in modules():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [
                getattr(node, key) for key in ("name", "arg", "id", "attr") if isinstance(getattr(node, key, None), str)
            ]
            for name in names:
                if re.search(r"picture|spoilt|(^|_)(told|jury|pile|wish|wishes|crew|twins?)(_|$)", name.lower()):
                    wrong.append(f"{file.relative_to(SOURCE)}: {name}")
    assert sorted(set(wrong)) == []


PAGES = sorted([*SOURCE.rglob("*.j2"), *SOURCE.rglob("*.js"), *SOURCE.rglob("*.html")])
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "lessons").glob("*.py")])


@pytest.mark.parametrize("file", [*PAGES, *DOCUMENTS], ids=lambda file: file.name)
def test_pages_and_documents_use_the_words_of_the_field(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    if file.name == "CHANGELOG.md":
        lines = lines[: next((n for n, line in enumerate(lines) if line.startswith("## 0.1.0")), len(lines))]
    assert [f"{number}: {word}" for number, line in enumerate(lines, 1) for word in found(line)] == []


def test_the_check_finds_a_word():
    assert found("no picture was read; see `pictures`") == ["picture"]
    assert found("the image was read") == []
