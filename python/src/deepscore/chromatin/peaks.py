"""Peaks of several data sets: those they have in common, and counts carried from one set of peaks to another.

Peaks are called anew in every study, so the same open site has other borders in each of them. Overlapping and touching
peaks are therefore merged (as ``reduce`` of GenomicRanges does, which Signac uses for the same purpose).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import CellBlocks, Names, require_unique
from ..data.mismatch import MIN_OVERLAP
from ..data.modality import PEAKS
from ..data.names import is_peak
from ..data.values import check_values
from ..errors import ConfigError, InputError
from ..support.checks import choice, flag, number, optional, whole
from ..support.notices import logger, warn
from .intervals import (
    is_standard,
    merge,
    overlaps,
    parse_peaks,
    peak_names,
    possible_builds,
    require_common_chromosomes,
)

__all__ = ["carried_over", "common_peaks", "match", "matched_blocks", "of_counts", "peaks_among", "wanted_intervals"]

# Peaks of one genome build share more than this as a rule; those of two builds meet only by chance.
FEW = 0.1
GOOD_SHARE = 0.5


def common_peaks(
    sets: Sequence[Names],
    how: str = "intersection",
    *,
    min_width: int | None = None,
    max_width: int | None = None,
    standard_chromosomes: bool = False,
) -> Names:
    """Merge the peaks of several data sets, given their names; see :func:`deepscore.find_common_peaks`."""
    choice("how", how, ("intersection", "union"))
    flag("standard_chromosomes", standard_chromosomes)
    narrowest, widest = optional(whole, "min_width", min_width, 1) or 0, optional(whole, "max_width", max_width, 1)
    if widest is not None and widest < narrowest:
        raise ConfigError("bad_argument", f"max_width ({widest}) must not be below min_width ({narrowest}).")
    least = 2 if how == "intersection" else 1
    if len(sets) < least:
        raise ConfigError(
            "bad_argument", f"how={how!r} needs the peaks of at least {least} data sets, not {len(sets)}."
        )
    empty = [str(i) for i, names in enumerate(sets, 1) if not len(names)]
    if empty:
        raise InputError("empty_data", f"Data set {' and '.join(empty)} of {len(sets)} has no peaks.")
    tables = [parse_peaks(names) for names in sets]
    if how == "intersection":
        for i, table in enumerate(tables[1:], 2):
            _require_one_genome(tables[0], table, i)
    if standard_chromosomes:
        tables = [table[is_standard(table["chrom"])] for table in tables]
    merged = merge(tables)
    shared = merged if how == "union" else merged[merged["sets"] == len(sets)]
    width = shared["end"] - shared["start"]
    kept = shared[(width >= narrowest) & (width <= (np.inf if widest is None else widest))]
    if kept.empty:
        raise InputError(
            "no_shared_features",
            f"No peak is left: of {sum(map(len, sets))} peaks, {sum(map(len, tables))} are on the chromosomes asked "
            f"for; they give {len(merged)} merged peaks, of which {len(shared)} are kept by how={how!r} and "
            f"{len(kept)} have an allowed width. Ask for less, or check that all data sets are of one genome build.",
        )
    return peak_names(kept)


def _require_one_genome(first: pd.DataFrame, other: pd.DataFrame, number_of_other: int) -> None:
    """Refuse two data sets of different genome builds, or warn where they only look like it."""
    names = ("Data set 1", f"data set {number_of_other}")
    require_common_chromosomes(first, other, *names)
    small, large = (first, other) if len(first) <= len(other) else (other, first)
    near = small.assign(start=(small["start"] - 1).clip(lower=0), end=small["end"] + 1)  # with those that touch
    share = float((np.diff(overlaps(near, large).indptr) > 0).mean())
    if share >= FEW:
        return
    what = f"Only {share:.1%} of the peaks of one overlap or touch the other: {names[0]} and {names[1]}"
    _refuse_other_build(first, other, what)
    warn(f"{what} may be of different genome builds. If so, lift one of them over.")


def _refuse_other_build(a: pd.DataFrame, b: pd.DataFrame, what: str) -> None:
    builds = possible_builds(a), possible_builds(b)
    if all(builds) and set(builds[0]).isdisjoint(builds[1]):
        one, two = (" or ".join(names) for names in builds)
        raise InputError(
            "genome_build",
            f"{what} are of different genome builds: {one} against {two}, by the lengths of chromosomes. Lift one of "
            "them over, or count it again from fragments.",
        )


def peaks_among(data: CellBlocks) -> Names:
    """Return the features of a data set, without the genes where it holds both."""
    peaks = np.array([is_peak(name) for name in data.feature_names])
    return data.feature_names[peaks] if peaks.any() else data.feature_names


def wanted_intervals(names: Names) -> pd.DataFrame:
    """Read the names of peaks that are to be counted: at least one, each once.

    Raises
    ------
    InputError
        ``invalid_peaks``, ``empty_data`` or ``duplicate_features``.
    """
    if not len(names):
        raise InputError("empty_data", "There are no peaks to count. Give at least one, such as chr1:10-20.")
    repeated = pd.Index(names)[pd.Index(names).duplicated()].unique()
    if len(repeated):
        raise InputError(
            "duplicate_features", f"{len(repeated)} peaks are given more than once ({', '.join(repeated[:5])})."
        )
    return parse_peaks(names)


@dataclass(frozen=True, eq=False)
class PeakMatch:
    """Which available peaks overlap which wanted ones.

    Parameters
    ----------
    overlap
        Available x wanted peaks, float32: 1 where two peaks share at least one base.
    covered
        For each wanted peak, whether an available one overlaps it.
    """

    overlap: sp.csr_array
    covered: npt.NDArray[np.bool_]

    @property
    def share(self) -> float:
        """The share of wanted peaks that are covered."""
        return float(self.covered.mean())


def match(available: Names, wanted: Names, min_overlap: float = MIN_OVERLAP) -> PeakMatch:
    """Find which of the available peaks overlap which of the wanted ones.

    Parameters
    ----------
    available
        Feature names of a data set; those that are no peaks (genes of the same matrix) overlap nothing.
    wanted
        Names of peaks.
    min_overlap
        The least share of the wanted peaks that must be covered.

    Raises
    ------
    ConfigError
        ``bad_argument``.
    InputError
        ``invalid_peaks`` where a wanted name is no peak, ``modality_mismatch`` where no available one is,
        ``duplicate_features`` where an available one that overlaps a wanted one is there twice,
        ``no_common_chromosomes``, ``genome_build``, or ``low_overlap``.
    """
    least = number("min_overlap", min_overlap, 0, 1)
    needed = wanted_intervals(wanted)
    rows = np.flatnonzero([is_peak(name) for name in available])
    if not rows.size:
        shown = ", ".join(available[:3])
        raise InputError(
            "modality_mismatch", f"Peaks are needed, but no feature of the data is named as one ({shown})."
        )
    own = parse_peaks(available[rows])
    require_common_chromosomes(own, needed, "The data", "the wanted peaks")
    among_peaks = overlaps(own, needed).tocoo()
    require_unique(available[rows[np.unique(among_peaks.row)]], "feature")  # copies would be added up
    overlap = sp.csr_array(
        (among_peaks.data, (rows[among_peaks.row], among_peaks.col)), shape=(len(available), len(wanted))
    )
    overlap.sort_indices()
    covered = np.zeros(len(wanted), dtype=np.bool_)
    covered[overlap.indices] = True
    found = PeakMatch(overlap, covered)
    used = float(np.unique(among_peaks.row).size / len(rows))
    what = f"{found.share:.1%} of the {len(wanted)} wanted peaks are covered by {used:.1%} of the data's {len(rows)}"
    if found.share < GOOD_SHARE:
        _refuse_other_build(own, needed, f"Only {what}: the data and the wanted peaks")
    if found.share < least:
        raise InputError(
            "low_overlap",
            f"Only {what}; at least {least:.0%} are needed (min_overlap). Peaks that were called on another genome "
            "build look like this: lift them over, or count the wanted peaks from fragments.",
        )
    logger.info("%s peaks", what)
    return found


def matched_blocks(data: CellBlocks, match: PeakMatch, wanted: Names) -> CellBlocks:
    """Carry the counts of a data set over to the wanted peaks, block by block.

    A wanted peak gets the sum of all own peaks that overlap it. An own peak that overlaps two wanted peaks counts in
    both of them; one that overlaps none is lost.

    Parameters
    ----------
    data
        The data set whose feature names were matched.
    match
        What :func:`match` returned for them.
    wanted
        The names that were wanted.

    Returns
    -------
    Cells x wanted peaks.
    """
    data = of_counts(data)
    return data.counted_in(wanted, lambda start, stop: matched_counts(data.read(start, stop), match))


def of_counts(data: CellBlocks) -> CellBlocks:
    """Return a data set of peaks whose values are checked as they are read.

    Raises
    ------
    InputError
        As :func:`~deepscore.data.values.detect`, at once; while reading, as
        :func:`~deepscore.data.values.check_values`.
    """
    PEAKS.detect(data)

    def read(start: int, stop: int) -> sp.csr_matrix:
        block = data.read(start, stop)
        check_values(block, data.source)
        return block

    return replace(data, read=read, values="counts")


def matched_counts(block: sp.csr_matrix, match: PeakMatch) -> sp.csr_matrix:
    """Carry the counts of a block of cells over to the wanted peaks."""
    found = sp.csr_matrix(sp.csr_matrix(block).astype(np.float32, copy=False) @ match.overlap)
    found.sort_indices()
    return found


def carried_over(
    data: CellBlocks, wanted: Names, min_overlap: float = MIN_OVERLAP
) -> tuple[CellBlocks, npt.NDArray[np.intp]]:
    """Count a query in the peaks of a model; a last column holds the counts of a cell that are in none of them.

    The term frequency of a model's recipe is a share of all counts of a cell: its total is at least that of its own
    peaks, and larger where some of them overlap several of the model's.

    Parameters
    ----------
    data
        Cells x own peaks.
    wanted, min_overlap
        As for :func:`match`, which refuses what does not fit.

    Returns
    -------
    Cells x (wanted peaks + 1), and for each wanted peak its column, or -1 where no own peak overlaps it.
    """
    found = match(data.feature_names, wanted, min_overlap)
    n = len(wanted)

    def read(start: int, stop: int) -> sp.csr_matrix:
        own = data.read(start, stop)
        check_values(own, data.source)  # before a sum hides what is wrong with its parts
        block = matched_counts(own, found)
        rest = own.sum(axis=1) - block.sum(axis=1)
        return sp.hstack([block, sp.csr_matrix(np.maximum(rest, 0))], format="csr", dtype=np.float32)

    carried = data.counted_in(np.append(wanted, "elsewhere").astype(object), read)
    return carried, np.where(found.covered, np.arange(n), -1)
