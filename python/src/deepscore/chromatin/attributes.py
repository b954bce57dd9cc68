"""The last column of GTF and GFF3 files: what is said of a gene, and which words say nothing."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import unquote

import pandas as pd

__all__ = ["is_given", "read_attributes"]

# What stands for a name that is not known, in small letters: full stops and words of databases, numpy, pandas and R.
WORDS = frozenset(["", ".", "-", "--", "?", "na", "n/a", "#n/a", "<na>", "nan", "none", "null", "unknown"])
# A key, then a value. A quoted value may hold semicolons, and quotes before anything but the next semicolon.
_PAIR = re.compile(
    r"""(?:^|;)\s*([^\s;="]+)(?:\s*=\s*|\s+)("[^"\\]*(?:\\.[^"\\]*)*"(?=\s*(?:;|$))|".*?"(?=\s*(?:;|$))|[^;]*)"""
)
_GFF3 = re.compile(r"\s*[^\s;=\"]+=")


def read_attributes(text: str, keys: Collection[str]) -> dict[str, str]:
    """Read attributes of GTF (``key "value";``) or of GFF3 (``key=value;``).

    Parameters
    ----------
    text
        The ninth column.
    keys
        Which attributes to read, whatever the case of their letters where they are not spelt so.

    Returns
    -------
    The first value that says anything of each key that has one.
    """
    if text.startswith('"') and '""' in text:  # quoted once more, by a program that writes tables
        text = text.strip().removeprefix('"').removesuffix('"').replace('""', '"')
    decode = unquote if _GFF3.match(text) else str
    spelt_so, others = dict[str, str](), dict[str, str]()
    folded = {key.casefold(): key for key in keys}
    for written, quoted in _PAIR.findall(text):
        key, found = (written, spelt_so) if written in keys else (folded.get(written.casefold()), others)
        if key is not None and key not in found:
            value = decode(_bare(quoted)).strip()
            if value.casefold() not in WORDS:
                found[key] = value
    return others | spelt_so


def _bare(value: str) -> str:
    """Leave out the quotes around a value."""
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1].strip() if quoted else value.strip('"')


def is_given(value: Any) -> bool:
    """Tell a value from None, NaN and the words for a missing one."""
    return bool(pd.notna(value)) and str(value).strip().casefold() not in WORDS
