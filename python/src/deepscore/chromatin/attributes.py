"""The last column of GTF and GFF3 files: what is said of a gene, and which words say nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import pandas as pd

__all__ = ["first_value", "is_given", "read_attributes"]

# What stands for a name that is not known, in small letters: full stops and words of databases, numpy, pandas and R.
WORDS = frozenset(["", ".", "-", "--", "?", "na", "n/a", "#n/a", "<na>", "nan", "none", "null", "unknown"])
# A key, then a value. A quoted value may hold semicolons, and quotes before anything but the next semicolon.
_PAIR = re.compile(
    r"""(?:^|;)\s*([^\s;="]+)(?:\s*=\s*|\s+)("(?:[^"\\]|\\.)*"(?=\s*(?:;|$))|".*?"(?=\s*(?:;|$))|[^;]*)"""
)
_GFF3 = re.compile(r"\s*[^\s;=\"]+=")


def read_attributes(text: str) -> list[tuple[str, str]]:
    """Read the attributes of GTF (``key "value";``) or of GFF3 (``key=value;``).

    Parameters
    ----------
    text
        The ninth column.

    Returns
    -------
    Keys and values in their order. A key may be there several times.
    """
    if text.startswith('"') and '""' in text:  # quoted once more, by a program that writes tables
        text = text.strip().removeprefix('"').removesuffix('"').replace('""', '"')
    pairs = [(key, _bare(value)) for key, value in _PAIR.findall(text)]
    return [(key, unquote(value).strip()) for key, value in pairs] if _GFF3.match(text) else pairs


def _bare(value: str) -> str:
    """Leave out the quotes around a value."""
    return value.strip().removeprefix('"').removesuffix('"').strip()


def is_given(value: Any) -> bool:
    """Tell a value from None, NaN and the words for a missing one."""
    return bool(pd.notna(value)) and str(value).strip().casefold() not in WORDS


def first_value(pairs: Sequence[tuple[str, str]], keys: Sequence[str]) -> str | None:
    """Return the first value that says anything, of the first key that has one."""
    return next((value for key in keys for name, value in pairs if name == key and is_given(value)), None)
