"""Gene activity: counts of peaks or fragments in and around each gene."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import CellBlocks, Names, require_unique
from ..data.names import is_peak
from ..errors import ConfigError, InputError
from ..support.checks import choice, whole
from ..support.notices import logger
from .fragments import count_fragments
from .intervals import overlaps, parse_peaks, require_common_chromosomes
from .peaks import of_counts

__all__ = ["activity_blocks", "activity_from_fragments", "gene_regions", "region_weights"]

WEIGHTINGS = ("none", "distance")
# Weighted counts are given in hundredths.
HUNDREDTHS = 100


def gene_regions(genes: pd.DataFrame, upstream: int = 2000, downstream: int = 0) -> pd.DataFrame:
    """Return the body of each gene with its promoter.

    Parameters
    ----------
    genes
        Table of :func:`read_annotation`: chrom, start, end, gene, strand.
    upstream, downstream
        Bases before the first and after the last base of the gene, as it is read. Either end of a gene without a
        strand may be the first, so that both are extended by the larger of the two.

    Returns
    -------
    The table with new starts (at least 0) and ends, in the same order.

    Raises
    ------
    ConfigError
        ``bad_argument`` for negative numbers.
    """
    before_gene, after_gene = whole("upstream", upstream, 0), whole("downstream", downstream, 0)
    longer = max(before_gene, after_gene)
    strand = genes["strand"].to_numpy(object)
    is_known = [strand == "+", strand == "-"]
    before = np.select(is_known, [before_gene, after_gene], longer)
    after = np.select(is_known, [after_gene, before_gene], longer)
    regions = genes[["chrom", "start", "end", "gene", "strand"]].reset_index(drop=True)
    return regions.assign(
        start=np.maximum(genes["start"].to_numpy(np.int64) - before, 0), end=genes["end"].to_numpy(np.int64) + after
    )


def region_weights(
    peaks: pd.DataFrame, regions: pd.DataFrame, weighting: str = "none", reach: int = 100_000, decay: int = 5_000
) -> sp.csr_array:
    """Return how much each peak counts for each gene.

    Parameters
    ----------
    peaks, regions
        Interval tables; the regions as :func:`gene_regions` gives them.
    weighting
        ``"none"``: 1 where a peak overlaps a region. ``"distance"``: ``exp(-d / decay)`` for peaks up to `reach` away,
        where d is the number of bases between peak and region, 0 where they overlap. This is the exponential model of
        ArchR (Granja et al., Nature Genetics 2021), without its factor for the size of genes and without its stop at
        neighbouring genes.
    reach, decay
        Bases; only for ``"distance"``.

    Returns
    -------
    Peaks x regions, float32.

    Raises
    ------
    ConfigError
        ``bad_argument`` for another weighting, a negative reach or a decay below 1.
    """
    if choice("weighting", weighting, WEIGHTINGS) == "none":
        return overlaps(peaks, regions)
    whole("reach", reach, 0)
    whole("decay", decay, 1)
    start, end = (regions[column].to_numpy(np.int64) for column in ("start", "end"))
    # One base more than the reach: two intervals with nothing between them touch and do not overlap.
    near = overlaps(peaks, regions.assign(start=np.maximum(start - reach - 1, 0), end=end + reach + 1)).tocoo()
    row, column = near.row, near.col
    first, last = (peaks[name].to_numpy(np.int64)[row] for name in ("start", "end"))
    between = np.maximum(np.maximum(start[column] - last, first - end[column]), 0)
    near.data = np.exp(-between / decay).astype(np.float32)
    return near.tocsr()


def activity_blocks(
    data: CellBlocks,
    genes: pd.DataFrame,
    upstream: int = 2000,
    downstream: int = 0,
    weighting: str = "none",
) -> CellBlocks:
    """Sum the peaks of each gene; the result is read block by block, as the data are.

    With ``weighting="distance"`` the values are whole hundredths of a count (100 times the weighted sum, rounded):
    whole numbers are how counts are told from logarithms.

    Parameters
    ----------
    data
        Counts of cells x peaks. Features that are no peaks are ignored.
    genes
        Table of :func:`read_annotation`.
    upstream, downstream
        As in :func:`gene_regions`.
    weighting
        As in :func:`region_weights`.

    Returns
    -------
    Cells x genes; genes without a peak are left out.

    Raises
    ------
    ConfigError
        ``bad_argument``.
    InputError
        ``no_shared_features`` where there are no peaks or no gene has one; ``no_common_chromosomes``.
    """
    regions = gene_regions(genes, upstream, downstream)
    weights = _feature_weights(data, regions, weighting)
    has_peak = np.diff(weights.tocsc().indptr) > 0
    if not has_peak.any():
        raise InputError(
            "no_shared_features",
            f"None of the {len(regions)} genes (such as {regions['gene'].iloc[0]!r}) has a peak in {data.source}. "
            "Check that peaks and annotation are of the same species and genome build.",
        )
    data = of_counts(data)
    logger.info("%d of %d genes have a peak; the others are left out", has_peak.sum(), len(regions))
    weights = weights[:, np.flatnonzero(has_peak)]

    def read(start: int, stop: int) -> sp.csr_matrix:
        found = sp.csr_matrix(data.read(start, stop).astype(np.float32) @ weights)
        if weighting == "distance":
            found.data = np.rint(found.data * HUNDREDTHS)
            found.eliminate_zeros()
        found.sort_indices()
        return found

    names = regions["gene"].to_numpy(object)[has_peak]
    return CellBlocks(names, data.cell_names, read, data.rows, f"gene activity of {data.source}")


def _feature_weights(data: CellBlocks, regions: pd.DataFrame, weighting: str) -> sp.csr_array:
    """Return the weights of all features; the rows of those that are no peaks are empty."""
    rows = np.flatnonzero([is_peak(name) for name in data.feature_names])
    if not rows.size:
        raise InputError(
            "no_shared_features",
            f"{data.source} holds no peaks: its features are named like {data.feature_names[0]!r}. Gene activity is "
            "computed from peaks such as chr1:1000-2000.",
        )
    peaks = parse_peaks(data.feature_names[rows])
    require_common_chromosomes(peaks, regions, f"The peaks of {data.source}", "the annotation")
    found = region_weights(peaks, regions, weighting).tocoo()
    require_unique(data.feature_names[rows[np.unique(found.row)]], "feature")  # copies would be added up
    return sp.csr_array((found.data, (rows[found.row], found.col)), shape=(data.n_features, len(regions)))


def activity_from_fragments(
    path: str | os.PathLike[str],
    cells: Sequence[str],
    genes: pd.DataFrame,
    upstream: int = 2000,
    downstream: int = 0,
    *,
    counting: str = "fragments",
    weighting: str = "none",
) -> tuple[sp.csr_matrix, Names]:
    """Count the fragments of each gene and its promoter, as Signac's GeneActivity does.

    Arguments and errors are those of :func:`count_fragments` and :func:`gene_regions`; `weighting` is only ``"none"``.

    Returns
    -------
    Counts of cells x genes, and the names of the genes; genes without a count are kept.
    """
    if choice("weighting", weighting, WEIGHTINGS) == "distance":
        raise ConfigError("bad_argument", "distance weights need a peak matrix; count fragments with weighting='none'.")
    regions = gene_regions(genes, upstream, downstream)
    return count_fragments(path, regions, cells, counting=counting), regions["gene"].to_numpy(object)
