"""Sums over the cells of a data set, gathered in one stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..support.progress import progress_bar
from ..support.threads import cores, overlapped
from .blocks import CellBlocks
from .linalg import Doubles
from .values import Floats, Values, check_values

__all__ = ["Moments", "column_sums", "moments"]


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
    sums, totals = np.zeros((3, data.n_features)), []
    with progress_bar(data.n_cells, "variable features", "cell") as bar:
        for of_range, of_cells in data.over_ranges(_moments_in, (values,)):
            sums += of_range
            totals.append(of_cells)
            bar.update(len(of_cells))
    return Moments(np.concatenate(totals), *sums)


def _moments_in(
    cells: CellBlocks, start: int, each: tuple[Any, ...], shared: tuple[Any, ...]
) -> tuple[Doubles, Floats]:
    """Return the sums of the cells of a range (3 x features), and their totals."""
    values: Values = shared[0]

    def gathered(item: tuple[int, sp.csr_matrix]) -> tuple[Floats, Doubles]:
        block = item[1]
        totals = check_values(block, cells.source)
        x = values.linear(block.data.astype(np.float64))
        return totals, column_sums(block, x > 0, x, x * x)

    sums, totals = np.zeros((3, cells.n_features)), []
    for of_cells, of_block in overlapped(gathered, cells, cores()):
        totals.append(of_cells)
        sums += of_block
    return sums, np.concatenate(totals)


def column_sums(block: sp.csr_matrix, *values: npt.NDArray[Any]) -> Doubles:
    """Return the sum over the cells of a block of each of several values that stand in place of its own."""
    weights = [sp.csr_matrix((x.astype(np.float64), block.indices, block.indptr), shape=block.shape) for x in values]
    return np.stack([np.ones(block.shape[0]) @ matrix for matrix in weights])
