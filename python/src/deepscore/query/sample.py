"""The cells of a query that are looked at together: all of them, or a sample of a large query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ..data.linalg import Codes, Doubles
from ..data.standardise import Scale, SumsByCode
from ..model.model import Model
from .cells import QueryCells
from .settings import SETTINGS, Settings

__all__ = ["Sample"]


@dataclass(frozen=True, eq=False)
class Sample:
    """Cells of a query, before the model that is to call them.

    Parameters
    ----------
    x
        Cells x features of the model, normalised.
    batches
        Batch of each cell, from 0 to ``n_batches - 1``; of some there may be no cell.
    present
        Which of the model's features the query has.
    rows
        Position of each cell in the query.
    whole
        Whether these cells are the whole query.
    """

    model: Model
    x: sp.csr_matrix
    batches: Codes
    n_batches: int
    present: npt.NDArray[np.bool_]
    rows: Codes
    whole: bool

    @classmethod
    def of(cls, cells: QueryCells, settings: Settings = SETTINGS) -> Self:
        """Take the cells in the order of their keys: all, or the first ones and the first of every batch."""
        query, order = cells.query, np.argsort(cells.keys)
        batches, n_batches = query.batches, int(query.batches.max()) + 1
        whole = len(order) <= settings.whole
        rows = order
        if not whole:
            number = pd.Series(order).groupby(batches[order]).cumcount().to_numpy()
            rows = order[(np.arange(len(order)) < settings.sample) | (number < settings.cells_per_batch)]
        return cls(query.model, cells.at(rows), batches[rows], n_batches, query.present, rows, whole)

    def sums(self, cells: Codes | slice = slice(None)) -> SumsByCode:
        """Return the sums of some of the cells, for each batch."""
        return SumsByCode(self.n_batches, self.x.shape[1]).add(self.x[cells], self.batches[cells])

    def calls(self, scale: Scale) -> Codes:
        """Return the network's best label of each cell by a scale of each batch."""
        batches = self.batches if len(scale.centre) > 1 else None
        of_cells = Scale(scale.centre, scale.deviation, batches)
        calls: Codes = self.model.logits(self.x, of_cells, self.present).argmax(axis=1)
        return calls

    def batch_mean(self, of_cells: npt.ArrayLike) -> Doubles:
        """Return the mean of a value over the cells of each batch, 0 where it has none."""
        n = np.bincount(self.batches, minlength=self.n_batches)
        return np.bincount(self.batches, of_cells, self.n_batches) / np.maximum(n, 1)
