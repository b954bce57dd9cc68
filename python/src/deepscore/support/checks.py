"""Checks of arguments: each returns the value in its proper type, or refuses it with ``bad_argument``."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import ConfigError

__all__ = [
    "choice",
    "flag",
    "is_number",
    "keep",
    "made",
    "number",
    "optional",
    "optional_name",
    "path_like",
    "refusal",
    "texts",
    "whole",
]

Number = TypeVar("Number", int, float)
Request = TypeVar("Request")
# Beyond it no seed and no size makes sense.
MOST = 2**63 - 1


def refusal(name: str, expected: str, value: object) -> ConfigError:
    """Return the error for an argument that is not what was expected."""
    return ConfigError("bad_argument", f"{name} must be {expected}, not {value!r:.80}.")


def whole(name: str, value: Any, least: int, most: int = MOST) -> int:
    """Return a whole number in ``[least, most]`` (R sends 512 as 512.0), or refuse it."""
    # nan and infinity are no multiples of 1
    if not is_number(value) or value % 1 != 0 or not least <= value <= most:
        limits = f"of at least {least}" if most == MOST else f"between {least} and {most:,}"
        raise refusal(name, f"a whole number {limits}", value)
    return int(value)


def number(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """Return a finite number in ``[low, high]``, or refuse it."""
    if not is_number(value) or not low <= value <= high or math.isinf(value):
        limits = f"of at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
        raise refusal(name, f"a number {limits}", value)
    return float(value)


def optional(check: Callable[[str, Any, Number], Number], name: str, value: Any, least: Number) -> Number | None:
    """Return None, or what :func:`whole` or :func:`number` makes of a value."""
    return None if value is None else check(name, value, least)


def is_number(value: Any) -> bool:
    """Tell numbers, also those of numpy, from truth values and the rest."""
    return isinstance(value, Real) and not isinstance(value, bool)


def flag(name: str, value: Any) -> bool:
    """Return a truth value, or refuse it."""
    if not isinstance(value, (bool, np.bool_)):
        raise refusal(name, "True or False", value)
    return bool(value)


def choice(name: str, value: Any, options: Sequence[str]) -> str:
    """Return one of the options, or refuse it."""
    if not isinstance(value, str) or value not in options:  # an array compares item by item
        raise refusal(name, "one of " + ", ".join(options), value)
    return str(value)


def optional_name(name: str, value: Any) -> str | None:
    """Return a name or None, or refuse it."""
    if value is not None and not isinstance(value, str):
        raise refusal(name, "a name", value)
    return value


def texts(name: str, value: Any) -> tuple[str, ...] | None:
    """Return several texts (one may be given by itself) or None, or refuse them."""
    if value is None or isinstance(value, str):
        return None if value is None else (str(value),)
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise refusal(name, "a list of texts", value)
    found = list(value)
    if not all(isinstance(text, str) for text in found):
        raise refusal(name, "a list of texts", found)
    return tuple(map(str, found))


def path_like(name: str, value: Any) -> Path:
    """Return a path, or refuse what is none."""
    if not isinstance(value, (str, os.PathLike)):
        raise refusal(name, "the path of a file", value)
    return Path(value)


def made(kind: type[Request], values: Mapping[str, Any]) -> Request:
    """Return a request, a frozen dataclass that checks itself, from its fields by name; refuse any other name."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError("bad_argument", f"There is no argument {name!r}.")
    return kind(**values)


def keep(request: object, **values: Any) -> None:
    """Put checked values into a frozen request, while it is made."""
    for name, value in values.items():
        object.__setattr__(request, name, value)
