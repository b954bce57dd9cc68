"""How variable each feature of a data set is, as the field measures it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data.blocks import CellBlocks, watched
from ..data.names import Modality
from ..data.normalize import Values, check_values, detect

__all__ = ["Doubles", "moments", "variability"]

Doubles = npt.NDArray[np.float64]

logger = logging.getLogger("deepscore")

# A local fit of degree 2 over 30 % of the features needs a few points in every neighbourhood.
FEWEST_FOR_LOESS = 20


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the cells of a data set, one entry per feature."""

    n_cells: int
    detected: Doubles
    total: Doubles
    squares: Doubles

    @property
    def mean(self) -> Doubles:
        """Mean over all cells."""
        return self.total / self.n_cells

    @property
    def variance(self) -> Doubles:
        """Unbiased variance over all cells."""
        left = np.maximum(self.squares - self.n_cells * self.mean**2, 0)
        return left / max(self.n_cells - 1, 1)


def moments(data: CellBlocks, values: Values) -> Moments:
    """Gather the moments in one stream, on the linear scale (counts, or ``expm1`` of log-normalised values)."""
    sums = np.zeros((3, data.n_features))
    for _, block in watched(data, data.n_cells, "variable features"):
        check_values(block, data.source)
        x = values.linear(block.data.astype(np.float64))
        for row, weight in zip(sums, (x > 0, x, x * x), strict=True):
            row += np.bincount(block.indices, weight, minlength=data.n_features)
    return Moments(data.n_cells, *sums)


def variability(data: CellBlocks, modality: Modality) -> Doubles:
    """Score how variable each feature is; the higher the earlier it is chosen.

    Counts of genes: variance after a variance-stabilising fit (``seurat_v3``: Stuart et al., Cell 2019; the fit needs
    a second stream for the clipped values). Log-normalised genes: normalised dispersion in 20 bins of mean expression
    (``seurat``: Satija et al., Nature Biotechnology 2015). Peaks: the number of cells that have them.
    """
    values = detect(data, modality)
    found = moments(data, values)
    if modality == "peaks":
        return found.detected
    if values.kind == "counts":
        return _standardized_variance(data, found)
    return _normalized_dispersion(found)


def _standardized_variance(data: CellBlocks, found: Moments) -> Doubles:
    mean, variance, n = found.mean, found.variance, found.n_cells
    expected = _expected_deviation(mean, variance)
    clip = mean + expected * np.sqrt(n)
    total, squares = np.zeros(data.n_features), np.zeros(data.n_features)
    for _, block in watched(data, data.n_cells, "variable features"):
        x = np.minimum(block.data, clip[block.indices])
        total += np.bincount(block.indices, x, minlength=data.n_features)
        squares += np.bincount(block.indices, x * x, minlength=data.n_features)
    score = (n * mean**2 + squares - 2 * total * mean) / (max(n - 1, 1) * expected**2)
    return np.where(variance > 0, score, 0.0)


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


def _normalized_dispersion(found: Moments) -> Doubles:
    mean = np.where(found.mean > 0, found.mean, 1e-12)
    dispersion = np.log(np.where(found.variance > 0, found.variance / mean, np.nan))
    frame = pd.DataFrame({"dispersion": dispersion, "bin": pd.cut(np.log1p(mean), bins=20)})
    bins = frame.groupby("bin", observed=True)["dispersion"]
    centre, spread = bins.transform("mean"), bins.transform("std")
    alone = spread.isna()  # a bin with one feature: its dispersion counts as one deviation
    score = (frame["dispersion"] - centre.where(~alone, 0)) / spread.where(~alone, centre)
    return score.fillna(-np.inf).to_numpy()
