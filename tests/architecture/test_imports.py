"""Layers and circles of imports, the cost of a bare import, and that no module hides a public function."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import coverslip

SOURCE = Path(coverslip.__file__).parent
LAYERS = [  # lowest first; DESIGN: core, data, inference and training, tools, pipeline, studies, api, programs
    {"core", "_version", "__init__"},
    {"data", "evidence", "models", "figures"},
    {"training"},
    {"tasks"},
    {"inference"},
    {"auditing", "explaining", "exporting"},
    {"pipeline"},
    {"tuning", "reporting"},
    {"api"},
    {"cli", "serving", "course"},
    {"__main__"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def place(module: str) -> str:
    """coverslip.data.cache -> data; the package itself -> __init__."""
    return module.split(".")[1] if "." in module else "__init__"


@cache
def imports(file: Path, names: bool = False) -> set[str]:
    """Return our modules that a file imports, also inside functions, except for types; ``names`` adds their names."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "coverslip":
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if names else {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "coverslip"}
    return found


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module of the package."""
    files = {}
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE.parent).with_suffix("").parts
        files[".".join(parts).removesuffix(".__init__")] = file
    return files


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the nodes of each circle of a graph, found by removing what imports nothing that is left."""
    left = {name: {other for other in others if other != name} for name, others in graph.items()}
    while done := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others - done for name, others in left.items() if name not in done}
    return [sorted(left)] if left else []


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_every_module_has_a_layer():
    tops = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert tops == set(LAYER)


def test_a_layer_imports_only_itself_and_lower_layers():
    wrong = []
    for file in modules().values():
        own = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        for module in imports(file):
            if LAYER[place(module)] > LAYER[own]:
                wrong.append(f"{file.relative_to(SOURCE)} imports {module}")
    assert wrong == []


def test_packages_do_not_import_in_circles():
    graph: dict[str, set[str]] = {name: set() for name in LAYER}
    for file in modules().values():
        own = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        graph[own] |= {place(module) for module in imports(file)} - {"__init__"}
    assert circles(graph) == []


def test_modules_do_not_import_in_circles():
    known = modules()
    graph = {}
    for name, file in known.items():
        found: set[str] = set()
        for module in imports(file, names=True):
            nearest = module if module in known else module.rpartition(".")[0]
            found |= {nearest} if nearest in known and nearest != "coverslip" else set()
        graph[name] = found - {name}
    assert circles(graph) == []


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
