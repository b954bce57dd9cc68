"""Genes that carry from RNA to chromatin: those whose activity follows their expression in a multiome."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..data.blocks import CellBlocks
from ..data.linalg import Doubles, clusters_of, components, moments_by_code, own_standardised
from ..data.mismatch import no_shared_features, tell_repeated_features
from ..data.modality import RNA
from ..data.normalize import LogNorm
from ..data.spellings import find_names, spellings_of
from ..data.standardise import LEAST_DEVIATION
from ..support.checks import optional, whole
from ..support.notices import logger, warn

__all__ = ["best_linked", "linked_genes"]

CELLS_PER_POOL = 50
FEW_POOLS = 4  # of fewer, a correlation says next to nothing
MOST_CELLS = 10_000


def linked_genes(rna: CellBlocks, activity: CellBlocks) -> tuple[list[str], Doubles]:
    """Rank genes by the correlation of expression and activity over pools of similar cells.

    A single cell has a handful of counts of a gene in either half. So cells are clustered by their RNA, about 50 in a
    pool, counts are summed in each pool, and Pearson's correlation of ``log1p`` of counts per 10,000 is taken.

    Parameters
    ----------
    rna, activity
        Cells x genes of the same cells in the same order. Up to 10,000 of them are used.

    Returns
    -------
    All genes that both have, as the RNA spells them, the best first, and their correlations; 0 where a gene does not
    vary.

    Raises
    ------
    InputError
        ``no_shared_features``.
    """
    positions = find_names(spellings_of(rna.feature_names, rna.other_names), activity)
    shared = np.flatnonzero((positions >= 0) & rna.single)
    if not shared.size:
        raise no_shared_features(rna.feature_names, activity)
    tell_repeated_features(rna, "RNA", activity.feature_names)
    tell_repeated_features(activity, "gene activity", rna.feature_names)
    rows = rna.spread(MOST_CELLS)
    rna = RNA.recognised(rna.take(rows))
    activity = RNA.recognised(activity.take(rows)).select(positions[shared])
    pools = _pools(rna, shared)
    expression, opened = _pooled(rna.select(shared), pools), _pooled(activity, pools)
    correlation = _correlation(expression, opened)
    order = np.argsort(-correlation, kind="stable")
    names = rna.feature_names[shared][order].tolist()
    if pools.shape[0] < FEW_POOLS:
        warn(f"{rna.n_cells} cells make {pools.shape[0]} pools of similar cells: their correlations are mostly chance.")
    logger.info("%d of %d genes have an activity that follows their expression", (correlation > 0).sum(), len(names))
    return names, correlation[order]


def best_linked(rna: CellBlocks, activity: CellBlocks, n_features: int | None = None) -> list[str]:
    """Return the best `n_features` of :func:`linked_genes`, or all, of those whose correlation is above 0."""
    most = optional(whole, "n_features", n_features, 1)
    names, correlations = linked_genes(rna, activity)
    return names[: (correlations > 0).sum()][:most]


def _pools(rna: CellBlocks, columns: npt.NDArray[np.intp]) -> sp.csr_array:
    """Cluster cells by their expression; return pools x cells."""
    values = RNA.detect(rna)
    x = LogNorm.learn(rna, columns, values).matrix(rna, columns, values)
    everyone = np.zeros(rna.n_cells, np.intp)
    deviation = np.sqrt(moments_by_code(x, everyone)[1] + LEAST_DEVIATION**2)
    coordinates = components(own_standardised(x, everyone, deviation), everyone)[0]
    pool = clusters_of(coordinates, rna.n_cells // CELLS_PER_POOL)
    return sp.csr_array((np.ones(rna.n_cells), (pool, np.arange(rna.n_cells))))


def _pooled(data: CellBlocks, pools: sp.csr_array) -> Doubles:
    """Return ``log1p`` of counts per 10,000 of each pool."""
    values = RNA.detect(data)
    counts = data.to_csr().astype(np.float64)
    counts.data = values.linear(counts.data)
    sums = (pools @ counts).toarray()
    result: Doubles = np.log1p(1e4 * sums / np.maximum(sums.sum(axis=1, keepdims=True), 1))
    return result


def _correlation(a: Doubles, b: Doubles) -> Doubles:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norms = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.divide((a * b).sum(axis=0), norms, out=np.zeros(a.shape[1]), where=norms > 1e-12)
