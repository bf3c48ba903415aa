"""A path refers to the file with exactly that name: no table is read or written by a pattern."""

import ast
from pathlib import Path

import polars as pl
import pytest

import coverslip
from coverslip.core import tables

SOURCE = Path(coverslip.__file__).parent
FRAME = pl.DataFrame({"name": ["a, b", "é"], "number": [0.123456789, 2.0]})
NAMES = ["x[12].csv", "x*.csv", "x?.csv", "~.csv", "~/x.csv", "{x1,x2}.csv", "s3:/x.csv"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Change into a folder with files that a pattern would match, with another home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("x1.csv", "x2.csv", "home/x.csv", "home.csv"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("name,number\nother,0\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_written_and_read_under_exactly_its_name(tmp_path, snapshot, name):
    before = snapshot(tmp_path)
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    tables.write_csv(FRAME, path, decimals=3)
    assert (tmp_path / "." / name).read_text(encoding="utf-8") == 'name,number\n"a, b",0.123\né,2.000\n'
    assert tables.read_csv(path)["number"].to_list() == [0.123, 2.0]
    assert tables.read_csv(path, columns=["number"], text=True).rows() == [("0.123",), ("2.000",)]
    tables.write_parquet(FRAME, path.with_suffix(".parquet"))
    assert tables.read_parquet(path.with_suffix(".parquet")).equals(FRAME)
    assert {file: snapshot(tmp_path)[file] for file in before if Path(file).is_file()} == {
        file: content for file, content in before.items() if Path(file).is_file()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_table_is_not_replaced_by_another(name):
    for read in (tables.read_csv, tables.read_parquet):
        with pytest.raises(FileNotFoundError):
            read(Path(name))


def test_every_row_counts_for_the_type_of_a_column():
    tables.write_csv(pl.DataFrame({"a": ["1"] * 300 + ["x"]}), Path("late.csv"))
    assert tables.read_csv(Path("late.csv"))["a"].dtype == pl.String


def test_the_text_equals_the_content_of_the_file():
    tables.write_csv(FRAME, Path("whole.csv"), decimals=6)
    text = tables.csv_text(FRAME, decimals=6)
    assert Path("whole.csv").read_bytes() == text.encode()
    assert text == "name,number\n" + tables.csv_text(FRAME, decimals=6, header=False)


READS, WRITES = ("read_", "scan_"), ("write_", "sink_")
OURS = {"write_text", "write_bytes", "write_json"}  # of pathlib and of `coverslip.core.runs.Run`


def calls_of_polars(tree):
    """Yield the line and name of each use of a reader or writer of polars in a module."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name for alias in node.names if alias.name.split(".")[0] == "polars"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "polars":
            imported = [alias.name for alias in node.names]
            yield from ((node.lineno, name) for name in imported if name.startswith((*READS, *WRITES)))
    methods = {name for kind in (pl.DataFrame, pl.LazyFrame) for name in dir(kind) if name.startswith(WRITES)} - OURS
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_polars = isinstance(node.value, ast.Name) and node.value.id in names
            ours = isinstance(node.value, ast.Name) and node.value.id == "tables"
            if (of_polars and node.attr.startswith(READS)) or (node.attr in methods and not ours):
                yield node.lineno, node.attr


@pytest.fixture(scope="module")
def modules():
    """Parse every module of the package."""
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(SOURCE.rglob("*.py"))}


def test_only_one_module_calls_the_readers_and_writers_of_polars(modules):
    calls = []
    for file, tree in modules.items():
        if file != Path(tables.__file__):
            calls += [f"{file.relative_to(SOURCE)}:{line}: {name}" for line, name in calls_of_polars(tree)]
    assert calls == [], "use coverslip.core.tables, where a path is never a pattern"


def test_the_search_for_such_calls_finds_them():
    lines = (
        "import polars as pl",
        "import polars",
        "from polars import read_csv, DataFrame",
        "frame = pl.scan_parquet('x')",
        "polars.read_ipc('x')",
        "make().frame.write_csv('x')",
        "read = pl.read_csv",
        "tables.write_csv(frame, 'x')",
        "path.write_text('x')",
        "pl.DataFrame()",
        "frame.lazy().sink_csv('x')",
    )
    assert sorted(line for line, _ in calls_of_polars(ast.parse("\n".join(lines)))) == [3, 4, 5, 6, 7, 11]


def test_no_glob_pattern_contains_a_name_from_the_user(modules):
    allowed = {"kind", "TRIALS", "lesson.number"}  # a digest, a constant, a number
    patterns = []
    for file, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("glob", "rglob", "iglob"):
                pattern = node.args[0]
                parts = pattern.values if isinstance(pattern, ast.JoinedStr) else [pattern]
                variables = [part for part in parts if not isinstance(part, ast.Constant)]
                names = {ast.unparse(getattr(part, "value", part)) for part in variables}
                if names - allowed:
                    patterns.append(f"{file.relative_to(SOURCE)}:{node.lineno}: {ast.unparse(pattern)}")
    assert patterns == []
