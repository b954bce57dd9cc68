"""The rules of the house: what a room may import, where a library may be known, which names may leave a file."""

from __future__ import annotations

import ast
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

SOURCE = Path(str(files("deepscore")))
# From the ground up: a room imports only rooms before it.
ROOMS = [
    "support",
    "data",
    "chromatin",
    "features",
    "model",
    "training",
    "query",
    "output",
    "workflows",
    "interfaces",
]
GROUND, ROOF = ["version", "errors"], ["plots", "__main__", "__init__"]  # files beside the rooms: below and above all
FLOORS = [*GROUND, *ROOMS, *ROOF]
# Libraries that only some files know; "interfaces" is every file of that room.
ONLY_IN = {
    "anndata": {"interfaces"},
    "mudata": {"interfaces"},
    "h5py": {"interfaces"},
    "zarr": {"interfaces"},
    "bioframe": {"chromatin.intervals"},
}
NOT_AT_IMPORT = {
    "torch": {"model.linear", "model.network", "training.course", "training.fit", "training.schedule"},
    "bioframe": set(),
    "matplotlib": set(),
    "PIL": set(),
    "tensorboard": set(),
}

MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in SOURCE.rglob("*.py")
}


def own_imports(name, tree):
    """Yield each import of the package's own modules: the module's dotted name and the names taken from it."""
    package = name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            path = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                module = ".".join([*path, alias.name])
                is_module = module in MODULES or f"{module}.__init__" in MODULES
                yield (module, []) if is_module else (".".join(path), [alias.name])


def libraries(tree):
    """Yield the names of the libraries that a syntax tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def at_import(tree):
    """Return the libraries that are loaded when the module is: those imported outside functions and type checks."""
    top = [node for node in tree.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.If))]
    return set(libraries(ast.Module(top, [])))


def is_in(name, homes):
    return name in homes or name.split(".")[0] in homes


def test_every_file_is_in_a_room():
    found = {name.split(".")[0] for name in MODULES}
    assert found == set(FLOORS)
    assert len(found) <= 16


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_down_the_house(name):
    room = name.split(".")[0]
    above = FLOORS[FLOORS.index(room) + 1 :]
    assert not [module for module, _ in own_imports(name, MODULES[name]) if module.split(".")[0] in above]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_no_circle(room):
    left = {
        name: {module for module, _ in own_imports(name, tree) if module.split(".")[0] == room} - {name, room}
        for name, tree in MODULES.items()
        if name.split(".")[0] == room
    }
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert not left


@pytest.mark.parametrize("name", MODULES)
def test_no_name_with_an_underscore_leaves_its_file(name):
    taken = [member for _, names in own_imports(name, MODULES[name]) for member in names]
    assert not [member for member in taken if member.startswith("_") and not member.startswith("__")]


@pytest.mark.parametrize("name", MODULES)
def test_libraries_stay_where_they_belong(name):
    assert "deepscore" not in set(libraries(MODULES[name]))  # relative imports only
    assert not [library for library in libraries(MODULES[name]) if not is_in(name, ONLY_IN.get(library, {name}))]
    assert not [library for library in at_import(MODULES[name]) if not is_in(name, NOT_AT_IMPORT.get(library, {name}))]


def test_every_module_has_its_tests():
    here = Path(__file__).parent
    untested = [
        name
        for name in MODULES
        if not name.endswith("__init__")
        and name != "plots"
        and not list(here.glob("/".join([*name.split(".")[:-1], f"test_{name.split('.')[-1]}*.py"])))
    ]
    assert not untested


def test_the_page_of_the_architecture_names_every_file():
    root = Path(__file__).parents[2]
    page = (root / "python/docs/architecture.md").read_text(encoding="utf-8")
    modules = {name.split(".")[-1] for name in MODULES} - {"__init__", "__main__"}
    assert not [
        name for name in modules | {path.stem for path in root.glob("r-package/R/*.R")} if f"`{name}`" not in page
    ]


def test_no_two_files_of_r_define_the_same_function():
    """R takes the last one without a word."""
    files = (path.read_text(encoding="utf-8") for path in Path(__file__).parents[2].glob("r-package/R/*.R"))
    defined = Counter(name for text in files for name in re.findall(r"^([\w.]+) <- function", text, re.MULTILINE))
    assert [name for name, times in defined.items() if times > 1] == []
