"""How variable each feature of a data set is, as the field measures it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import CellBlocks
from ..data.linalg import Doubles
from ..data.modality import Modality
from ..data.moments import Moments, column_sums, moments
from ..data.standardise import SumsByCode
from ..data.values import Values
from ..support.notices import logger
from ..support.progress import progress_bar
from ..support.threads import cores, overlapped

__all__ = ["variability"]

# A local fit of degree 2 over 30 % of the features needs a few points in every neighbourhood.
FEWEST_FOR_LOESS = 20


def variability(data: CellBlocks, kind: Modality) -> Doubles:
    """Measure how variable each feature is; the higher the earlier it is chosen.

    ``"variance"``, of counts: variance after a variance-stabilising fit (``seurat_v3``: Stuart et al., Cell 2019; the
    fit needs a second stream for the clipped values); of log-normalised values: normalised dispersion in 20 bins of
    mean expression (``seurat``: Satija et al., Nature Biotechnology 2015). ``"cells"``: the number of cells that have
    the feature. ``"spread"``: the variance of its normalised values.
    """
    values = kind.detect(data)
    if kind.ranking == "spread":
        return _spread(data, kind, values)
    sums = moments(data, values)
    if kind.ranking == "cells":
        return sums.detected
    return _standardized_variance(data, sums) if values.form == "counts" else _normalized_dispersion(sums)


def _spread(data: CellBlocks, kind: Modality, values: Values) -> Doubles:
    everything = np.arange(data.n_features)
    recipe = kind.recipe.learn(data, everything, values)
    sums = SumsByCode(1, data.n_features)
    with progress_bar(data.n_cells, "variable features", "cell") as bar:
        for of_range in data.over_ranges(_spread_in, (recipe, values)):
            sums += of_range
            bar.update(int(of_range.n.sum()))
    return (sums.squares / data.n_cells - (sums.total / data.n_cells) ** 2)[0]


def _spread_in(cells: CellBlocks, start: int, each: tuple[Any, ...], shared: tuple[Any, ...]) -> SumsByCode:
    (recipe, values), sums = shared, SumsByCode(1, cells.n_features)
    for _, block in recipe.blocks(cells, np.arange(cells.n_features), values):
        sums.add(block, np.zeros(block.shape[0], np.intp))
    return sums


def _standardized_variance(data: CellBlocks, sums: Moments) -> Doubles:
    mean, variance, n = sums.mean, sums.variance, sums.n_cells
    expected = _expected_deviation(mean, variance)
    clip = mean + expected * np.sqrt(n)
    clipped = np.zeros((2, data.n_features))
    with progress_bar(data.n_cells, "variable features", "cell") as bar:
        for n_cells, of_range in data.over_ranges(_clipped_in, (clip,)):
            clipped += of_range
            bar.update(n_cells)
    total, squares = clipped
    standardised = (n * mean**2 + squares - 2 * total * mean) / (max(n - 1, 1) * expected**2)
    return np.where(variance > 0, standardised, 0.0)


def _clipped_in(cells: CellBlocks, start: int, each: tuple[Any, ...], shared: tuple[Any, ...]) -> tuple[int, Doubles]:
    """Return how many cells a range has, and the sums of its clipped values and of their squares."""
    clip: Doubles = shared[0]

    def clipped(item: tuple[int, sp.csr_matrix]) -> Doubles:
        block = item[1]
        x = np.minimum(block.data, clip[block.indices])
        return column_sums(block, x, x * x)

    sums: Doubles = sum(overlapped(clipped, cells, cores()), np.zeros((2, cells.n_features)))
    return cells.n_cells, sums


def _expected_deviation(mean: Doubles, variance: Doubles) -> Doubles:
    """Fit the standard deviation that the mean predicts: a loess of degree 2 on the logarithms."""
    expected = np.ones_like(mean)
    varies = np.flatnonzero(variance > 0)
    varies = varies[np.lexsort((variance[varies], mean[varies]))]  # the fit must not depend on the order of features
    x, y = np.log10(mean[varies]), np.log10(variance[varies])
    expected[varies] = np.sqrt(10 ** _trend(x, y))
    return expected


def _trend(x: Doubles, y: Doubles) -> Doubles:
    """Fit y by a loess of degree 2 in x, or by a straight line where there are too few points for one."""
    from skmisc.loess import loess

    different = len(np.unique(x))
    if different >= FEWEST_FOR_LOESS:
        fit = loess(x, y, span=0.3, degree=2)
        try:
            fit.fit()
        except ValueError:  # neighbourhoods that hold too few different values
            pass
        else:
            return np.asarray(fit.outputs.fitted_values)
    logger.info("too few features for a local fit of the variance: a straight line is used")
    return np.asarray(np.polyval(np.polyfit(x, y, 1), x)) if different > 1 else y


def _normalized_dispersion(sums: Moments) -> Doubles:
    mean = np.where(sums.mean > 0, sums.mean, 1e-12)
    dispersion = np.log(np.where(sums.variance > 0, sums.variance / mean, np.nan))
    frame = pd.DataFrame({"dispersion": dispersion, "bin": pd.cut(np.log1p(mean), bins=20)})
    bins = frame.groupby("bin", observed=True)["dispersion"]
    centre, spread = bins.transform("mean"), bins.transform("std")
    alone = spread.isna()  # a bin with one feature: its dispersion counts as one deviation
    standardised = (frame["dispersion"] - centre.where(~alone, 0)) / spread.where(~alone, centre)
    return standardised.fillna(-np.inf).to_numpy()
