"""The pages of the Python reference: one for each public name, made from its docstring when the site is built."""

import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click

from deepscore.interfaces.cli import deepscore

# Sections of the overview, in its order. A public name that none of them lists is under "More".
SECTIONS = {
    "Label transfer": ["DeepScore", "find_common_features", "annotate", "load", "inspect_model"],
    "What to trust": [
        "check_reference",
        "report",
        "performance",
        "find_thresholds",
        "select_model",
        "match_markers",
        "feature_importance",
    ],
    "Chromatin": [
        "find_common_peaks",
        "match_peaks",
        "count_fragments",
        "gene_activity",
        "find_linked_genes",
        "train_bridge",
    ],
}
# Classes without a public name of their own, which users hold all the same.
RETURNED = [
    "workflows.check_reference.ReferenceCheck",
    "output.performance.Performance",
    "output.marker_match.MarkerMatch",
]
INTRODUCTION = """\
``import deepscore`` loads neither torch nor anndata; the first call that needs them does. Data sets are cells x
features. Every function says which errors it raises, by their codes; R's conditions have the same.
"""

COMMAND_LINE = """\
# Command line

What each command says of itself, as `deepscore COMMAND --help` does. Errors go to standard error with their code,
and the exit status is 1.
"""


def sections(package: ModuleType) -> dict[str, list[str]]:
    """Return the full public names in sections: those of the package, those of its plots, and its errors."""
    public = [name for name in package.__all__ if not name.startswith("__")]
    public = [name for name in public if not inspect.ismodule(getattr(package, name))]
    found = {title: [name for name in names if name in public] for title, names in SECTIONS.items()}
    listed = {name for names in found.values() for name in names}
    found["More"] = [name for name in public if name not in listed]
    found["Plots"] = [f"plots.{name}" for name in import_module(f"{package.__name__}.plots").__all__]
    found["What functions return"] = RETURNED
    found["Errors"] = [f"errors.{name}" for name, value in vars(package.errors).items() if inspect.isclass(value)]
    return {title: [f"{package.__name__}.{name}" for name in names] for title, names in found.items() if names}


def write_python_pages(folder: Path, package: ModuleType) -> None:
    """Write the overview, and a page for each name."""
    folder.mkdir(exist_ok=True)
    overview = [_heading("Python reference", "="), INTRODUCTION]
    for title, names in sections(package).items():
        overview += [_heading(title, "-"), _listing("autosummary", "nosignatures", names), ""]
        overview += [_listing("toctree", "hidden", names), ""]
        for name in names:
            _write(folder / f"{name}.rst", _page(name, package))
    _write(folder / "index.rst", "\n".join(overview))


def write_command_line(path: Path) -> None:
    """Write what each command says of itself, and each command of a group."""
    _write(path, "\n".join([COMMAND_LINE, *_helps(deepscore, click.Context(deepscore, info_name="deepscore"))]))


def _helps(group: click.Group, context: click.Context) -> list[str]:
    parts = []
    for name in group.list_commands(context):
        command = group.commands[name]
        own = click.Context(command, parent=context, info_name=name)
        parts.append(f"## {own.command_path}\n\n```text\n{command.get_help(own)}\n```\n")
        if isinstance(command, click.Group):
            parts += _helps(command, own)
    return parts


def _page(name: str, package: ModuleType) -> str:
    *path, last = name.split(".")
    value = getattr(import_module(".".join(path)), last)
    options = "\n   :members:\n   :inherited-members: BaseException" if inspect.isclass(value) else ""
    kind = "class" if options else "function"
    return f"{_heading(name.removeprefix(package.__name__ + '.'), '=')}\n.. auto{kind}:: {name}{options}\n"


def _heading(title: str, line: str) -> str:
    return f"{title}\n{line * len(title)}\n"


def _listing(directive: str, option: str, names: list[str]) -> str:
    rows = "\n".join(f"   {name}" for name in names)
    return f".. {directive}::\n   :{option}:\n\n{rows}"


def _write(path: Path, text: str) -> None:
    """Write only where something changed, so that Sphinx reads again only what did."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
