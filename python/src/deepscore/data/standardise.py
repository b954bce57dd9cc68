"""Standardisation: the centre and deviation of each feature, for a whole data set or for each of its batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from .linalg import Codes
from .values import Floats

__all__ = ["LEAST_DEVIATION", "Scale", "SumsByCode", "scaled"]

# Deviations far below this (on the log scale) are noise: such features are not blown up to unit variance.
LEAST_DEVIATION = 0.1
# A batch is standardised by itself as far as its cells outnumber these.
PRIOR_CELLS = 50


@dataclass(frozen=True, eq=False)
class Scale:
    """Centre and deviation of each feature, for each batch.

    Parameters
    ----------
    centre, deviation
        Batches x features.
    batches
        Batch of each cell; None where there is one batch.
    """

    centre: Floats
    deviation: Floats
    batches: Codes | None = None

    def cells(self, which: Codes | slice) -> Scale:
        """Return the scale of some of the cells."""
        return self if self.batches is None else Scale(self.centre, self.deviation, self.batches[which])

    def of_cells(self, batches: Codes, measured: npt.NDArray[np.bool_]) -> Scale:
        """Return the scale of cells, given the batch of each, by which a missing feature counts as its mean.

        Parameters
        ----------
        measured
            Batches x features, or one row for all: what is missing is stored as zero, which then is its centre.
        """
        centre = np.where(measured, self.centre, np.float32(0))
        if len(centre) == 1:
            return Scale(centre, self.deviation)
        return Scale(centre, np.repeat(self.deviation, len(centre) // len(self.deviation), axis=0), batches)


def scaled(block: sp.csr_matrix, scale: Scale) -> sp.csr_matrix:
    """Divide the stored values by the deviation of their feature (in their cell's batch); zeros stay unstored."""
    if scale.batches is None:
        divisor = scale.deviation[0][block.indices]
    else:
        divisor = scale.deviation[np.repeat(scale.batches, np.diff(block.indptr)), block.indices]
    return sp.csr_matrix((block.data / divisor, block.indices, block.indptr), shape=block.shape)


class SumsByCode:
    """Sums of the normalised values of the cells of each code (batch or label), gathered block by block."""

    def __init__(self, n_codes: int, n_features: int) -> None:
        self.n = np.zeros((n_codes, 1))
        self.total = np.zeros((n_codes, n_features))
        self.squares = np.zeros((n_codes, n_features))

    def add(self, block: sp.csr_matrix, codes: Codes) -> SumsByCode:
        """Add a block of cells, given the code of each."""
        cells = np.arange(len(codes))
        shape = (len(self.n), len(codes))
        member = sp.csr_matrix((np.ones(len(codes)), (codes, cells)), shape=shape)
        self.n += np.bincount(codes, minlength=len(self.n))[:, None]
        self.total += (member @ block).toarray()
        self.squares += (member @ block.multiply(block)).toarray()
        return self

    def __iadd__(self, other: SumsByCode) -> SumsByCode:
        """Add the sums of other cells by the same codes."""
        self.n += other.n
        self.total += other.total
        self.squares += other.squares
        return self

    def pooled(self) -> Scale:
        """Return one centre and deviation for all cells."""
        n, total, squares = self.n.sum(), self.total.sum(axis=0), self.squares.sum(axis=0)
        mean = total / n
        variance = np.maximum(squares / n - mean**2, 0) + LEAST_DEVIATION**2
        return Scale(mean[None].astype(np.float32), np.sqrt(variance)[None].astype(np.float32))

    def by_batch(self, batches: Codes, prior: Scale, prior_cells: int = PRIOR_CELLS) -> Scale:
        """Return each batch's own centre and deviation, shrunk as if `prior` had been so many of its cells."""
        n = np.maximum(self.n, 1)
        mean = self.total / n
        variance = np.maximum(self.squares / n - mean**2, 0) + LEAST_DEVIATION**2
        weight = self.n / np.maximum(self.n + prior_cells, 1)
        centre = weight * mean + (1 - weight) * prior.centre
        deviation = np.sqrt(weight * variance + (1 - weight) * prior.deviation.astype(np.float64) ** 2)
        return Scale(centre.astype(np.float32), deviation.astype(np.float32), batches)
