"""What all commands share: how they start, their files, and the options that several of them have."""

from __future__ import annotations

import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ...errors import InputError, ModelFileError, printable
from ...support.files import opened, require_writable
from ...support.notices import logger, telling_once
from ...support.progress import progress_shown
from ...training.team import is_helper

__all__ = [
    "DEBUG",
    "INPUT",
    "NUMBERS",
    "OF_QUERY",
    "READING",
    "Function",
    "Output",
    "Setting",
    "Verb",
    "Verbs",
    "conclude",
    "given",
    "lines_of",
    "manifest_in",
    "modality",
    "names_of",
    "reading",
    "say",
    "setting",
    "spoken",
    "words",
]

QUIET, DEBUG = "deepscore.quiet", "deepscore.debug"
# How a data set is read, and how a query is.
READING = ("layer", "values", "feature_names")
OF_QUERY = tuple(f"query_{name}" for name in READING)
# A word behind an option that takes several: no option, though a "-" by itself stands for a missing label.
WORD, NUMBERS = re.compile(r"-?|[^-].*", re.DOTALL), re.compile(r"[\d,]+")

Function = TypeVar("Function", bound=Callable[..., Any])


# ------------------------------------------------------------------------------------------------- what is printed


def say(text: object) -> None:
    """Print text that a terminal shows and does not obey."""
    print(printable(str(text)))


def conclude(text: str) -> None:
    """Say what was written, unless the user wants it quiet."""
    if not click.get_current_context().meta.get(QUIET):
        say(text)


# ---------------------------------------------------------------------------------------------------------- files


class Output(click.Path):
    """A file to write: it must be writable, and no file that the command reads or writes besides.

    Parameters
    ----------
    adds_to
        The argument with the data set that results are added to: a store of it may be written in place.
    stores, tables
        Whether a data set is written, as a store, or a table.
    """

    def __init__(self, adds_to: str | None = None, *, stores: bool = False, tables: bool = False) -> None:
        super().__init__()
        self.adds_to, self.stores, self.tables = adds_to, stores, tables

    def require(self, path: str, values: Mapping[str, Any], taken: Sequence[str]) -> None:
        """Refuse a path that cannot be written, or is one of those that are taken, with ``path_not_writable``."""
        own = None
        if self.adds_to is not None or self.stores or self.tables:
            from ..writers import STORES, TABLES, require_output

            if self.adds_to is None:
                require_output(path, None, STORES if self.stores else TABLES)
            else:
                query = values[self.adds_to]
                if not isinstance(query, str) and len(query) > 1:  # each store would get its own results
                    require_output(path, None, TABLES, "of several data sets a table is written: for a store, give one")
                else:
                    query = query if isinstance(query, str) else query[0]
                    require_output(path, query)
                    own = query if path.lower().endswith(STORES) else None
        else:
            require_writable(path)
        if os.path.realpath(path) in [os.path.realpath(other) for other in taken if other != own]:
            raise InputError("path_not_writable", f"{path} is read or written by this command already: name another.")


INPUT = click.Path()


# What pandas and R write above names of cells.
HEADING_OF_CELLS = re.compile(r"(x|V1|(cell[ _.]?)?(barcode|cell|name|id)s?([ _.](id|name))?)?", re.IGNORECASE)


def lines_of(path: str) -> list[str]:
    """Return the lines of a text file, plain or gzip, without those that are empty."""
    with opened(Path(path)) as file:
        return [line for line in (line.rstrip("\n") for line in file) if line.strip()]


def names_of(path: str) -> list[str]:
    """Return the names of cells in a file, one in a line, without a heading and without quotes.

    Raises
    ------
    InputError
        ``unknown_data`` where there is more in a line.
    """
    cells = [line.strip().strip("\"'") for line in lines_of(path)]
    cells = cells[1:] if cells and HEADING_OF_CELLS.fullmatch(cells[0]) else cells
    odd = next((cell for cell in cells if "," in cell or len(cell.split()) > 1), None)
    if odd is not None:
        raise InputError("unknown_data", f"{path} must hold one barcode in a line and no header; not so {odd[:80]!r}.")
    return cells


def manifest_in(path: str) -> dict[str, Any] | None:
    """Return the manifest of a model file; None of any other file."""
    from ...model.file import inspect_model
    from ..python_chromatin import is_file

    if not is_file(path):
        return None
    try:
        return inspect_model(path)
    except ModelFileError as error:
        if error.code != "not_a_model":
            raise
        return None


# -------------------------------------------------------------------------------------------------------- options


class Words(click.types.StringParamType):
    """Text that the engine checks; the shell completes the words that are known."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the words that begin so."""
        return [CompletionItem(word) for word in self.known if word.startswith(incomplete)]


def words(*known: str) -> Words:
    """Return the type of an option that is one of some words."""
    return Words(known)


class Setting(click.Option):
    """An option of the engine: without a value of its own, so that the default of the engine holds.

    Parameters
    ----------
    request
        Module and class of the request that has the default, for the help: looked up when it is shown.
    several
        What a word behind the option looks like, where it takes any number of them.
    """

    def __init__(self, *args: Any, request: str | None = None, several: re.Pattern[str] | None = None, **attrs: Any):
        attrs["multiple"] = several is not None
        super().__init__(*args, **attrs)
        self.request, self.several = request, several

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return what the help says of the option, with its default."""
        record = super().get_help_record(ctx)
        if record is None or self.request is None:
            return record
        module, name = self.request.split(":")
        request = getattr(import_module(f"...{module}", __package__), name)
        default = next(field.default for field in fields(request) if field.name == self.name)
        if default is None:
            return record
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        elif isinstance(default, bool):
            default = (self.opts if default else self.secondary_opts)[-1]
        return record[0], f"{record[1]}  [default: {default}]"


def setting(*names: str, **attrs: Any) -> Callable[[Function], Function]:
    """Add a :class:`Setting`; a pair of flags, too, has no value where neither is given."""
    return click.option(*names, cls=Setting, **({"default": None} | attrs))


def given(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return those of the options by name that the user gave."""
    return {name: values[name] for name in names if values[name] is not None}


def reading(data: str | None = None, of: str | None = None) -> Callable[[Function], Function]:
    """Add what says how to read a data set; other ones than the first have their name in front."""
    before, of = ("--", of or "X") if data is None else (f"--{data}-", of or f"--{data}")

    def added(function: Function) -> Function:
        for option in (
            click.option(f"{before}feature-names", metavar="COL", help=f"Column of var with names, or index ({of})."),
            click.option(
                f"{before}values",
                type=words("counts", "lognorm"),
                metavar="VALUES",
                help=f"What the values are: counts or lognorm ({of}).",
            ),
            click.option(f"{before}layer", metavar="LAYER", help=f"Layer to read in place of X; raw is .raw ({of})."),
        ):
            function = option(function)
        return function

    return added


def _read_missing(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> list[str] | None:
    return [word for word in value if word] if value else None


modality = click.option("--modality", help="Modality of an .h5mu file, or of a matrix of genes and peaks.")
spoken = setting(
    "--missing",
    several=WORD,
    callback=_read_missing,
    metavar="[WORD]...",
    help="Words that stand for a missing label (without any: no word does; default: NA, unknown and their like).",
)


def _remember(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[f"deepscore.{parameter.name}"] = True


def _everywhere() -> list[click.Option]:
    """Return the options that stand before a command or behind it."""
    common: dict[str, Any] = {"is_flag": True, "expose_value": False, "callback": _remember}
    return [
        click.Option(["-q", "--quiet"], help="Print warnings and errors only, and what was asked for.", **common),
        click.Option(["--debug"], help="Print where in the code an error came from.", **common),
    ]


class Verbs(click.Group):
    """Commands, listed in their order."""

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.params += _everywhere()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands as they were added."""
        return list(self.commands)


class Verb(click.Command):
    """A command: before it runs, its files are checked and the log is set up."""

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.params += _everywhere()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let some options take several words behind them."""
        several = {name: one for one in self.params if isinstance(one, Setting) and one.several for name in one.opts}
        return super().parse_args(ctx, list(_spread(args, several)))

    def invoke(self, ctx: click.Context) -> Any:
        """Refuse outputs that cannot be written, then run."""
        if is_helper():  # the first process speaks
            ctx.meta[QUIET] = True
            logging.disable(logging.WARNING)
        quiet = bool(ctx.meta.get(QUIET))
        logger.setLevel(logging.WARNING if quiet else logging.INFO)
        files = [(one.type, ctx.params.get(one.name or "")) for one in self.params if isinstance(one.type, click.Path)]
        taken = [path for kind, paths in files if kind is INPUT for path in _each(paths)]
        for kind, path in files:
            if isinstance(kind, Output) and path is not None:
                kind.require(path, ctx.params, taken)
                taken.append(path)
        with progress_shown(not quiet):
            return telling_once(super().invoke)(ctx)


def _each(paths: Any) -> Iterable[str]:
    if paths is None:
        return []
    return [paths] if isinstance(paths, str) else paths


def _spread(args: Iterable[str], several: Mapping[str, Setting]) -> Iterator[str]:
    """Give an option that takes several words once for each of them, as click reads it."""
    rest = deque(args)
    while rest:
        one = rest.popleft()
        option = several.get(one)
        if option is None:
            yield one
            continue
        found: list[str] = []
        while rest and (option.several or WORD).fullmatch(rest[0]):
            found.append(rest.popleft())
        if found or option.several is not WORD:  # else what is behind it, right or wrong, is its value
            yield from (text for word in found for text in (one, word)) if found else (one,)
        else:
            yield from (one, "")
