"""Recipes: how raw values become the numbers that a model sees.

A recipe is learnt from a reference, frozen, and saved in the model file. The one here is that of genes; a kind of data
with a recipe of its own has it in its file in :mod:`deepscore.data.modality`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..support.threads import cores, overlapped
from .blocks import CellBlocks
from .values import TOTAL, Floats, Values, check_values, typical_total

__all__ = ["Chosen", "LogNorm", "Normalization", "per_total"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The chosen features of a block of cells, in CSR form: cells x features of the model.

    Parameters
    ----------
    data, columns, indptr
        The arrays of the CSR matrix; the data are raw values.
    totals
        Of each cell: the sum over all features of the data set.
    present
        How many of the model's features the data set has.
    """

    data: Floats
    columns: npt.NDArray[np.int32]
    indptr: npt.NDArray[np.int32]
    totals: Floats
    present: int

    def spread(self, of_cells: Floats) -> Floats:
        """Return the value of each cell for each of its stored values."""
        return np.repeat(of_cells, np.diff(self.indptr))

    def sums(self, data: Floats) -> npt.NDArray[np.float64]:
        """Return the sum of each cell's stored values, given anew."""
        rows = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))
        return np.bincount(rows, data, len(self.indptr) - 1).astype(np.float64)


class Normalization(ABC):
    """A frozen recipe; each kind is a frozen dataclass of what it learnt from its reference.

    Attributes
    ----------
    method
        Its name in a model file.
    array_names
        Fields that are arrays with a value for each feature of the model; in a model file ``feature_<name>``.
    compares_totals
        Whether the total of a query's cell must mean what it means in the reference.
    """

    method: ClassVar[str]
    array_names: ClassVar[tuple[str, ...]] = ()
    compares_totals: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def learn(cls, data: CellBlocks, positions: npt.NDArray[np.intp], values: Values) -> Self:
        """Learn the recipe of a reference, given all of its features and the columns of the chosen ones."""

    @abstractmethod
    def normalised(self, chosen: Chosen, values: Values) -> Floats:
        """Return the stored values of cells as the model sees them; zeros stay zeros."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what the recipe learnt, without its arrays, as plain values for a file."""

    def arrays(self) -> dict[str, Floats]:
        """Return the arrays that the recipe learnt, by the names of their fields."""
        return {name: getattr(self, name) for name in self.array_names}

    @classmethod
    @abstractmethod
    def read(cls, facts: Mapping[str, Any], arrays: Mapping[str, Floats]) -> Self:
        """Return the recipe that :meth:`facts` and :meth:`arrays` describe."""

    def blocks(
        self, data: CellBlocks, positions: npt.NDArray[np.intp], values: Values
    ) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Stream a data set as normalised blocks of chosen features.

        Parameters
        ----------
        data
            The data set, all of its features.
        positions
            For each feature of the model its own column in `data`, or -1 where it is missing (such columns stay empty).
        values
            What the values of `data` are.

        Yields
        ------
        The first row and the normalised block, cells x features of the model.
        """
        place = np.full(data.n_features, -1, np.int32)
        place[positions[positions >= 0]] = np.flatnonzero(positions >= 0)
        kept, present = place >= 0, int((positions >= 0).sum())

        def normalised(item: tuple[int, sp.csr_matrix]) -> tuple[int, sp.csr_matrix]:
            start, block = item
            totals = check_values(block, data.source)
            found = np.flatnonzero(kept[block.indices[: block.nnz]])  # a third of the time of block[:, columns]
            columns, indptr = place[block.indices[found]], np.searchsorted(found, block.indptr).astype(np.int32)
            chosen = Chosen(block.data[found], columns, indptr, totals, present)
            x = self.normalised(chosen, values)
            rows = sp.csr_matrix((x, columns, indptr), shape=(block.shape[0], len(positions)))
            # Sums are taken in the order of the model's features, whatever the data set's. To turn it twice sorts it in
            # linear time, half of what a sort takes.
            return start, rows if rows.has_sorted_indices else rows.tocsc().tocsr()

        yield from overlapped(normalised, data, cores())

    def matrix(self, data: CellBlocks, positions: npt.NDArray[np.intp], values: Values) -> sp.csr_matrix:
        """Return a data set that fits into memory as one normalised matrix; arguments as for :meth:`blocks`."""
        return sp.vstack([block for _, block in self.blocks(data, positions, values)], format="csr")


@dataclass(frozen=True, eq=False)
class LogNorm(Normalization):
    """The recipe of genes: ``log1p(target_total * value / total of the cell)``, the total over all features.

    At 10,000, the field's target, the logarithm of a shallow cell would tell little but whether a gene was seen, and
    noise would count like signal: a reference is brought to the median total of its own cells where that is lower.

    Parameters
    ----------
    target_total
        What the total of each cell is brought to before the logarithm.
    """

    target_total: float = TOTAL

    method: ClassVar[str] = "lognorm"
    compares_totals: ClassVar[bool] = True

    @classmethod
    def learn(cls, data: CellBlocks, positions: npt.NDArray[np.intp], values: Values) -> Self:
        """Take the median total of the reference's cells, at most 10,000."""
        return cls(typical_total(check_values(data.excerpt(), data.source), values))

    def facts(self) -> dict[str, Any]:
        """Return the target, under the name that it has in files."""
        return {"scale": self.target_total}

    @classmethod
    def read(cls, facts: Mapping[str, Any], arrays: Mapping[str, Floats]) -> Self:
        """Return the recipe with the target of a file."""
        return cls(facts["scale"])

    def normalised(self, chosen: Chosen, values: Values) -> Floats:
        """Bring counts, or logarithms of them to any base and of any target, to the target."""
        x = chosen.data
        if values.form == "lognorm" and values.in_features is None:
            factor = values.factor * self.target_total / TOTAL
            if factor == 1.0:
                return x if values.base == 1.0 else x * np.float32(values.base)
            return np.log1p(values.linear(x) * np.float32(factor))
        totals = chosen.totals
        if values.in_features is not None:
            x = values.linear(x)
            totals = np.asarray(chosen.sums(x) / values.in_features, dtype=np.float32)
        x = x * chosen.spread(per_total(self.target_total, totals))
        return np.log1p(x, out=x)


def per_total(target: float, totals: Floats) -> Floats:
    """Return what to multiply the values of each cell with, so that their total becomes the target."""
    factor: Floats = np.divide(np.float32(target), np.maximum(totals, np.float32(1e-12)), dtype=np.float32)
    return factor
