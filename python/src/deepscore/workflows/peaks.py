"""Bring data sets to one set of peaks: merge theirs, or count each in given ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..chromatin import fragments as fragments_file
from ..chromatin.fragments import COUNTING
from ..chromatin.peaks import common_peaks, match, matched_blocks, wanted_intervals
from ..data.blocks import CellBlocks, Names
from ..data.mismatch import MIN_OVERLAP
from ..errors import InputError
from ..support.checks import choice, flag, keep, number

__all__ = [
    "CommonPeaksRequest",
    "FragmentsRequest",
    "MatchRequest",
    "count_fragments",
    "find_common_peaks",
    "match_peaks",
    "require_barcodes",
]


@dataclass(frozen=True, kw_only=True)
class CommonPeaksRequest:
    """The options of :func:`deepscore.find_common_peaks`; they are documented there."""

    how: str = "intersection"
    min_width: int | None = None
    max_width: int | None = None
    standard_chromosomes: bool = False


@dataclass(frozen=True, kw_only=True)
class MatchRequest:
    """The options of :func:`deepscore.match_peaks`, checked; they are documented there."""

    min_overlap: float = MIN_OVERLAP
    counting: str = "fragments"

    def __post_init__(self) -> None:
        choice("counting", self.counting, COUNTING)
        keep(self, min_overlap=number("min_overlap", self.min_overlap, 0, 1))


@dataclass(frozen=True, kw_only=True)
class FragmentsRequest:
    """The options of :func:`deepscore.count_fragments`, checked; they are documented there."""

    counting: str = "fragments"
    progress: bool = True

    def __post_init__(self) -> None:
        choice("counting", self.counting, COUNTING)
        flag("progress", self.progress)


def find_common_peaks(sets: Sequence[Names], request: CommonPeaksRequest) -> list[str]:
    """Merge the peaks of several data sets, given their names; see :func:`deepscore.find_common_peaks`."""
    return common_peaks(sets, **asdict(request)).tolist()


def match_peaks(
    query: CellBlocks, wanted: Names, request: MatchRequest, fragments: str | os.PathLike[str] | None = None
) -> tuple[sp.csr_matrix, npt.NDArray[np.bool_]]:
    """Count a query over another set of peaks; see :func:`deepscore.match_peaks`.

    Returns
    -------
    Cells x peaks, and which of the peaks the query's own cover (of fragments: which have any count).
    """
    if fragments is None:
        matched = match(query.feature_names, wanted, request.min_overlap)
        return matched_blocks(query, matched, wanted).to_csr(), matched.covered
    cells = query.cell_names.tolist()
    counts = count_fragments(fragments, wanted, cells, FragmentsRequest(counting=request.counting))
    return counts, np.diff(counts.tocsc().indptr) > 0


def count_fragments(
    fragments: str | os.PathLike[str], wanted: Names, cells: Sequence[str] | None, request: FragmentsRequest
) -> sp.csr_matrix:
    """Count a fragments file in peaks, given their names; see :func:`deepscore.count_fragments`."""
    intervals = wanted_intervals(wanted)
    return fragments_file.count_fragments(fragments, intervals, require_barcodes(cells), **asdict(request))


def require_barcodes(cells: Sequence[str] | None) -> Sequence[str]:
    """Return the barcodes to count, or refuse to count without any."""
    if cells is None:
        raise InputError(
            "no_cells", "Fragments hold barcodes of empty droplets, too: give the barcodes: cells=, or --cells FILE."
        )
    return cells
