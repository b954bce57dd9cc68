"""Barcodes as data sets and fragments files spell them: why those of one do not occur in the other."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import excerpt

__all__ = ["likely_reason"]

# Cells that are compared with a file; what most of them have in common is told as well by some of them.
LOOKED_AT = 1000
_BASES = re.compile(r"[ACGTN]{8,}")
_PARTS = re.compile(r"^(?:.*[^A-Za-z0-9])?([A-Za-z0-9]{3,})(?:[^A-Za-z0-9][A-Za-z0-9]{1,2})?$")


def likely_reason(missing: Sequence[str], in_file: Sequence[str]) -> str:
    """Say how cells that do not occur in a fragments file differ from barcodes that do.

    Parameters
    ----------
    missing
        Names of cells that do not occur in the file.
    in_file
        Barcodes of the file.

    Returns
    -------
    A sentence where most of the cells have a barcode of the file but for what is added before or behind it (the name
    of a sample, ``-1``); else nothing.
    """
    known: dict[str, str] = {}
    for barcode in in_file:
        known.setdefault(_core(barcode), barcode)
    some = [str(name) for name in missing[:LOOKED_AT]]
    alike = [(name, known[_core(name)]) for name in some if _core(name) in known]
    if len(alike) * 2 <= len(some):
        return ""
    name, barcode = alike[0]
    return (
        f"They differ from barcodes of the file by what is before or behind the barcode: {excerpt(name)} is perhaps "
        f"{excerpt(barcode)} there. Give the barcodes as the file spells them: often a suffix such as -1, or a prefix "
        "with the name of the sample, has to be added or removed. Cells of several samples are counted sample by "
        "sample, each in its own file."
    )


def _core(name: str) -> str:
    """Return what tells one cell of a sample from another: its bases, or else the last part that is not a number."""
    bases = _BASES.findall(name)
    if bases:
        return "+".join(bases)
    parts = _PARTS.match(name)
    return parts[1] if parts is not None else name
