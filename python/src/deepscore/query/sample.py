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
from ..support.notices import logger
from .align import AlignedQuery
from .candidates import Candidates
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
    measured
        Which of the model's features each batch has, batches x features; one row where all have the same.
    rows
        Position of each cell in the query.
    of_cells
        Of each cell of the query its position in the sample, or that of the equal cell that stands for it; None where
        the sample is not the whole query.
    """

    model: Model
    x: sp.csr_matrix
    batches: Codes
    n_batches: int
    measured: npt.NDArray[np.bool_]
    rows: Codes
    of_cells: Codes | None

    @classmethod
    def of(cls, cells: QueryCells, settings: Settings = SETTINGS, *, copies: bool = False) -> Self:
        """Take the cells in the order of what they hold: all, or the first ones and the first of every batch.

        Cells that are there several times (technical duplicates, bootstraps) say nothing new: one of them stands for
        all, unless `copies` says that equal cells differ in what is not looked at here.
        """
        query, order = cells.query, cells.order()
        batches, n_batches = query.batches, int(query.batches.max()) + 1
        if not copies:
            order = order[cells.first_equal[order] == order]
        rows, of_cells = order, None
        if len(order) <= settings.whole:
            place = np.empty(len(batches), np.intp)
            place[order] = np.arange(len(order))
            of_cells = place if copies else place[cells.first_equal]
        else:
            number = pd.Series(order).groupby(batches[order]).cumcount().to_numpy()
            rows = order[(np.arange(len(order)) < settings.sample) | (number < settings.cells_per_batch)]
        x = cells.at(rows)
        measured = query.measured & _found(x, batches[rows], n_batches, settings)
        return cls(query.model, x, batches[rows], n_batches, measured, rows, of_cells)

    @classmethod
    def of_large(cls, query: AlignedQuery, cells: Candidates, settings: Settings = SETTINGS) -> Self:
        """Take the cells of a large query that were found range by range, with their values.

        They are those that :meth:`of` takes of all.
        """
        batches, n_batches, x = cells.batches, int(query.batches.max()) + 1, cells.x
        assert x is not None
        measured = query.measured & _found(x, batches, n_batches, settings)
        return cls(query.model, x, batches, n_batches, measured, cells.rows, None)

    @property
    def whole(self) -> bool:
        """Whether these cells are the whole query."""
        return self.of_cells is not None

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which of the model's features all batches have; where there is none, those that any has."""
        by_all: npt.NDArray[np.bool_] = np.logical_and.reduce(self.measured)
        return by_all if by_all.any() else np.logical_or.reduce(self.measured)

    def sums(self, cells: Codes | slice = slice(None)) -> SumsByCode:
        """Return the sums of some of the cells, for each batch."""
        return SumsByCode(self.n_batches, self.x.shape[1]).add(self.x[cells], self.batches[cells])

    def calls(self, scale: Scale) -> Codes:
        """Return the network's best label of each cell by a scale of each batch."""
        calls: Codes = self.model.logits(self.x, scale.of_cells(self.batches, self.measured)).argmax(axis=1)
        return calls

    def batch_mean(self, of_cells: npt.ArrayLike) -> Doubles:
        """Return the mean of a value over the cells of each batch, 0 where it has none."""
        n = np.bincount(self.batches, minlength=self.n_batches)
        return np.bincount(self.batches, of_cells, self.n_batches) / np.maximum(n, 1)


def _found(x: sp.csr_matrix, batches: Codes, n_batches: int, settings: Settings) -> npt.NDArray[np.bool_]:
    """Tell which features each batch has, batches x features.

    Data sets that were merged have zeros where one of them did not measure a feature. So a feature that no cell of a
    batch has, though `expected` of them would as often as in the other batches, was not measured there.
    """
    if n_batches == 1:
        return np.ones((1, x.shape[1]), np.bool_)
    member = sp.csr_matrix((np.ones(len(batches)), (batches, np.arange(len(batches)))), shape=(n_batches, len(batches)))
    cells, n = (member @ (x != 0).astype(np.float64)).toarray(), np.bincount(batches, minlength=n_batches)[:, None]
    elsewhere = (cells.sum(axis=0) - cells) / np.maximum(len(batches) - n, 1)
    found: npt.NDArray[np.bool_] = (cells > 0) | (n * elsewhere < settings.expected_cells)
    if not found.all():
        logger.info(
            "%d of %d batches have none of up to %d features that others have: these count as missing there",
            (~found.all(axis=1)).sum(),
            n_batches,
            (~found).sum(axis=1).max(),
        )
    return found
