"""Imports go one way: a module may import only modules that stand before it in ORDER."""

from __future__ import annotations

import ast
from importlib.resources import files
from pathlib import Path

import pytest

SOURCE = Path(str(files("deepscore")))
ORDER = [
    "version",
    "errors",
    "config",
    "files",
    "threads",
    "blocks",
    "labels",
    "naming",
    "normalize",
    "scale",
    "variable",
    "markers",
    "features",
    "chromatin.intervals",
    "chromatin.peaks",
    "chromatin.fragments",
    "chromatin.genes",
    "chromatin.activity",
    "chromatin.lsi",
    "structure",
    "neighbours",
    "reference",
    "novelty",
    "ranks",
    "network",
    "linear",
    "model",
    "calibrate",
    "scores",
    "schedule",
    "training",
    "modelfile",
    "queryscale",
    "taught",
    "refine",
    "annotate",
    "check",
    "chromatin.linked",
    "chromatin.bridge",
    "plots",
    "report",
    "adapters",
    "api",
    "chromatin.verbs",
    "cli",
    "rbridge",
    "rbridge_chromatin",
    "__main__",
]
ONLY_IN = {
    "anndata": {"adapters"},
    "bioframe": {"chromatin.intervals"},
    "mudata": {"adapters"},
    "h5py": {"adapters"},
    "zarr": {"adapters"},
}
NOT_AT_IMPORT = {
    "torch": {"linear", "network", "schedule", "training"},
    "bioframe": set(),
    "matplotlib": set(),
    "PIL": set(),
    "tensorboard": set(),
}


def imports(node, package=""):
    """Yield what a syntax tree imports: modules of the package as ``.name``, others by their first name.

    `package` is "chromatin." for the modules of that subpackage.
    """
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name.split(".")[0] for alias in part.names)
        elif isinstance(part, ast.ImportFrom) and part.level:
            above = package if part.level == 1 else ""
            yield from (f".{above}{name}" for name in ([part.module] if part.module else [a.name for a in part.names]))
        elif isinstance(part, ast.ImportFrom):
            yield part.module.split(".")[0]


def at_import(tree):
    """Return the imports that run when the module is imported: those outside functions and type checks."""
    top = [node for node in tree.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.If))]
    return set(imports(ast.Module(top, [])))


MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in SOURCE.rglob("*.py")
    if path.stem != "__init__"
}


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name):
    assert name in ORDER
    before = {f".{module}" for module in ORDER[: ORDER.index(name)]}
    package = name[: name.rfind(".") + 1]
    assert {found for found in imports(MODULES[name], package) if found.startswith(".")} <= before


@pytest.mark.parametrize("name", MODULES)
def test_libraries_stay_where_they_belong(name):
    assert "deepscore" not in set(imports(MODULES[name]))  # relative imports only
    assert not {library for library in imports(MODULES[name]) if name not in ONLY_IN.get(library, {name})}
    assert not {library for library in at_import(MODULES[name]) if name not in NOT_AT_IMPORT.get(library, {name})}


def test_every_module_has_its_tests():
    tested = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert {name.replace(".", "_") for name in MODULES} <= tested
