"""The ladder of imports, what a bare import costs, and that no module hides a public function."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import coverslip

SOURCE = Path(coverslip.__file__).parent
FLOORS = [
    {
        "errors",
        "registry",
        "config",
        "commands",
        "runs",
        "seeds",
        "devices",
        "progress",
        "storage",
        "paths",
        "tables",
        "ledger",
        "__init__",
    },
    {"figures"},
    {"evidence"},
    {"data"},
    {"tasks"},
    {"models", "large_images"},
    {"inference"},
    {"training"},
    {"auditing", "heatmaps"},
    {"exporting"},
    {"settings"},
    {"inspection", "assessment", "comparison", "forecast", "explaining"},
    {"learning", "depths"},
    {"experiment"},
    {"reporting"},
    {"tuning", "bench", "launch"},
    {"api"},
    {"serving", "course"},
    {"cli"},
    {"__main__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def place(module: str) -> str:
    """coverslip.data.cache -> data; the package itself -> __init__."""
    return module.split(".")[1] if "." in module else "__init__"


def imports(file: Path) -> set[str]:
    """Names of our own modules that a file imports anywhere, also inside functions; not those for types only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "coverslip":
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "coverslip"}
    return found


def test_every_module_has_a_floor():
    tops = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert tops <= set(FLOOR)


def test_a_floor_imports_only_floors_under_it():
    broken = []
    for file in sorted(SOURCE.rglob("*.py")):
        own = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        for module in imports(file):
            other = place(module)
            same_package = other == own
            both_ground = FLOOR[own] == 0 and FLOOR[other] == 0
            if not (same_package or both_ground or FLOOR[other] < FLOOR[own]):
                broken.append(f"{file.relative_to(SOURCE)} imports {module}")
    assert broken == []


def test_importing_needs_no_network_and_less_than_half_a_second():
    code = (
        "import socket, time\n"
        "def refuse(*a, **k): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse; socket.create_connection = refuse\n"
        "start = time.perf_counter()\n"
        "import coverslip\n"
        "print(time.perf_counter() - start)\n"
        "import sys; assert 'torch' not in sys.modules and 'polars' not in sys.modules\n"
        "import coverslip.cli.main\n"
        "assert 'torch' not in sys.modules\n"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.5


def test_every_public_name_is_callable_after_every_module_was_imported():
    for module in pkgutil.walk_packages(coverslip.__path__, "coverslip."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in coverslip.__all__:
        assert callable(getattr(coverslip, name)), name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="tune_everything"):
        coverslip.tune_everything  # noqa: B018


def test_openvino_is_loaded_without_its_telemetry():
    code = (
        "from coverslip.inference.engine import import_openvino\n"
        "assert import_openvino() is not None\n"
        "import openvino.tools.ovc.telemetry_utils as used, openvino.tools.ovc.telemetry_stub as stub\n"
        "assert used.tm is stub, used.tm\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
