"""Sums over the cells of a data set, gathered in one stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blocks import CellBlocks, watched
from .linalg import Doubles
from .values import Floats, Values, check_values

__all__ = ["Moments", "moments"]


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the cells of a data set, one entry per feature; and the total of each cell."""

    cell_totals: Floats
    detected: Doubles
    total: Doubles
    squares: Doubles

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.cell_totals)

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
    """Gather the moments in one stream: of counts, or of what log-normalised values are the logarithms of."""
    sums, totals = np.zeros((3, data.n_features)), np.empty(data.n_cells, np.float32)
    for start, block in watched(data, data.n_cells, "variable features"):
        totals[start : start + block.shape[0]] = check_values(block, data.source)
        x = values.linear(block.data.astype(np.float64))
        for row, weight in zip(sums, (x > 0, x, x * x), strict=True):
            row += np.bincount(block.indices, weight, minlength=data.n_features)
    return Moments(totals, *sums)
