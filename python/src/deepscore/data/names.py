"""Feature names: which are peaks, and which two spellings mean the same feature."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import numpy.typing as npt

from ..support.notices import logger
from .blocks import Names

__all__ = ["as_peak", "canonical", "is_peak", "match_names"]

# No chromosome is longer than 12 digits can say.
_PEAK = re.compile(r"(.*?[^:_-])[:_-](\d{1,12})[-_](\d{1,12})", re.ASCII)
_ENSEMBL = re.compile(r"(ENS[A-Z]*\d{6,})\.\d+", re.IGNORECASE)
_IN_SEURAT = str.maketrans("_|", "--")


def as_peak(name: str) -> re.Match[str] | None:
    """Match chromosome, start and end of a genomic interval: chr1:10-20, chr1-10-20 or chr1_10_20."""
    match = _PEAK.fullmatch(name)
    return match if match is not None and int(match[2]) < int(match[3]) else None


def is_peak(name: str) -> bool:
    """Tell whether a name is that of a genomic interval."""
    return as_peak(name) is not None


def canonical(name: str) -> str:
    """Return one spelling for all spellings of a name that mean the same feature.

    Peaks get one separator and lose a "chr", Ensembl ids lose their version, case no longer matters, and ``_`` and
    ``|`` are ``-``, as Seurat writes them. Nothing else is taken to be equal: a symbol never matches an Ensembl id.
    """
    peak = as_peak(name)
    if peak is not None:
        return f"{peak[1].lower().removeprefix('chr').translate(_IN_SEURAT)}:{peak[2]}-{peak[3]}"
    versioned = _ENSEMBL.fullmatch(name)
    return (versioned[1] if versioned else name).casefold().translate(_IN_SEURAT)


def match_names(wanted: Names, available: Names) -> npt.NDArray[np.intp]:
    """Find each wanted feature among the available ones.

    An equal name wins. What is left is compared in its canonical spelling, and matched only where exactly one name on
    either side has that spelling.

    Returns
    -------
    Position in `available` for each wanted name, -1 where there is none.
    """
    position = {name: i for i, name in enumerate(available)}
    found = np.array([position.get(name, -1) for name in wanted], dtype=np.intp)
    missing = np.flatnonzero(found < 0)
    if not missing.size:
        return found
    wanted_keys = [canonical(name) for name in wanted]
    taken = set(found.tolist())
    free = [(canonical(name), i) for i, name in enumerate(available) if i not in taken]
    # A spelling that an equal name has used already is counted too: "ACTB" found leaves "Actb" ambiguous.
    times_wanted, times_free = Counter(wanted_keys), Counter(key for key, _ in free)
    other = {key: i for key, i in free if times_free[key] == 1}
    for i in missing:
        if times_wanted[wanted_keys[i]] == 1:
            found[i] = other.get(wanted_keys[i], -1)
    respelt = int((found[missing] >= 0).sum())
    if respelt:
        logger.info("%d features matched by another spelling (version suffix, case or separator)", respelt)
    return found
