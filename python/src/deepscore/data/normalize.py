"""What the values are (counts or log-normalised), and the recipe that brings them to the scale of a model.

RNA and protein: counts are scaled to a common total per cell over all features that the data set holds, then
``log1p``. The total is that of the reference's median cell (at most 10,000): at 10,000 the logarithm of a shallow cell
would tell little but whether a gene was seen, and noise would count like signal.
Peaks: TF-IDF with the terms of the reference, ``log1p(scale * tf * idf)``. The term frequency and the logarithmic
inverse document frequency, ``log1p(cells / counts of the peak)``, are those of Cusanovich, Hill et al. (Cell 2018), the
second method of Signac's RunTFIDF. The scale is 0.3 of the reference's median total (at most 10,000): with 10,000 the
logarithm of a shallow cell would tell, here too, little but whether a peak was seen.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from .blocks import CellBlocks
from ..errors import InputError
from .names import Modality
from ..support.threads import overlapped

__all__ = [
    "IN_SEURAT",
    "SCALE",
    "Floats",
    "Normalization",
    "Values",
    "check_values",
    "detect",
    "feature_share",
    "typical_total",
]

SCALE = 10_000.0
# Totals below this are no counts of molecules (proportions, say): such data are scaled to 10,000 as the field does.
LEAST_TOTAL = 100.0
# A count of a median cell in a peak of middling frequency becomes about one.
PEAK_SCALE = 0.3
# Natural logarithms of what logarithms are taken to: the field has e, Bioconductor 2.
BASES = {"": 1.0, "log2-": float(np.log(2)), "log10-": float(np.log(10))}
# How another assay is chosen, where the one in use holds other values, or other features, than those that are wanted.
IN_SEURAT = 'DefaultAssay(x) <- "RNA" (or the assay of peaks)'
logger = logging.getLogger("deepscore")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Values:
    """What the values of a data set are.

    Parameters
    ----------
    kind
        ``"counts"`` (any linear scale) or ``"lognorm"`` (logarithm of one plus a normalised value).
    factor
        For log-normalised data, what brings their normalisation to 10,000 per cell.
    base
        Natural logarithm of the base of their logarithm.
    share
        Where the totals of the cells say little, the share of them that the features of the model are taken to have.
    """

    kind: Literal["counts", "lognorm"]
    factor: float = 1.0
    base: float = 1.0
    share: float | None = None

    def linear(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values on the linear scale, in their precision."""
        return x if self.kind == "counts" else np.expm1(x * x.dtype.type(self.base))


def check_values(block: sp.csr_matrix, source: str) -> Floats:
    """Refuse values that no recipe can use; return each cell's total.

    Raises
    ------
    InputError
        ``non_finite``, ``negative_values`` or ``scaled_data``.
    """
    totals = np.zeros(block.shape[0], dtype=np.float32)
    filled = np.flatnonzero(np.diff(block.indptr))
    if filled.size:
        totals[filled] = np.add.reduceat(block.data[: block.indptr[-1]], block.indptr[filled])
    if not np.isfinite(totals).all() and not np.isfinite(block.data).all():
        raise InputError("non_finite", f"{source} holds NaN or infinite values. Remove them, or use the raw counts.")
    if block.data.size and block.data.min() < 0:
        negative = float((block.data < 0).mean())
        if negative > 0.1 and (block.data % 1 != 0).any():
            raise InputError(
                "scaled_data",
                f"{source} looks scaled (z-scores): {negative:.0%} of its values are negative. Give raw counts or "
                "log-normalised values: a layer (layer='counts'), adata.raw.to_adata(), or in Seurat the counts slot "
                f"or another assay: {IN_SEURAT}.",
            )
        raise InputError(
            "negative_values",
            f"{source} holds negative values (the lowest is {block.data.min():g}). Give raw counts or log-normalised "
            f"values; in Seurat perhaps of another assay: {IN_SEURAT}.",
        )
    return totals


def detect(blocks: CellBlocks, modality: Modality) -> Values:
    """Recognise counts and log-normalised values from cells at the start, the middle and the end.

    Values that are not whole numbers and never above 20 (log2 of a million) are taken as logarithms: to the base that
    gives all cells one total, or most of a cell's values as multiples of its smallest one, as counts are; else natural.

    Raises
    ------
    InputError
        As :func:`check_values`; ``scaled_data`` for peaks that are no counts.
    """
    sample = blocks.sample()
    check_values(sample, blocks.source)
    values = sample.data
    if not (values % 1).any():
        found, words = Values("counts"), "counts"
    elif modality == "peaks":
        raise InputError(
            "scaled_data",
            f"{blocks.source} holds peaks that are not whole numbers (TF-IDF already?). Give the counts per peak; "
            f"in Seurat perhaps of another assay: {IN_SEURAT}.",
        )
    elif values.max() > 20:
        found, words = Values("counts"), "non-integer counts (a linear scale)"
    else:
        totals, multiples = zip(*(_of_base(sample, base) for base in BASES.values()), strict=True)
        best = int(np.argmax(multiples)) if max(multiples) > 0.5 else 0
        best = next((i for i, total in enumerate(totals) if total), best)
        total, (word, base) = totals[best], list(BASES.items())[best]
        found = Values("lognorm", SCALE / total if total else 1.0, base)
        words = f"{word or 'log-'}normalised values" + (f" ({total:.0f} per cell)" if total else "")
    logger.info("%s: %s, %d cells x %d features", blocks.source, words, blocks.n_cells, blocks.n_features)
    return found


def _of_base(sample: sp.csr_matrix, base: float) -> tuple[float, float]:
    """Return the total of all cells (0 where they differ) and the share of values that are multiples of the smallest.

    Both on the linear scale, if the values are logarithms to this base.
    """
    linear = sample.astype(np.float64)
    linear.data = np.expm1(linear.data * base)
    linear.eliminate_zeros()
    totals = np.asarray(linear.sum(axis=1)).ravel()
    totals = totals[totals > 0]
    same = totals.size > 1 and totals.std() < 0.01 * totals.mean()
    n = np.diff(linear.indptr)
    smallest = np.minimum.reduceat(linear.data, linear.indptr[:-1][n > 0]) if linear.nnz else np.empty(0)
    times = linear.data / np.repeat(smallest, n[n > 0])
    times = times[(times > 1.5) & (times < 20)]
    multiples = float((np.abs(times - np.rint(times)) < 0.01).mean()) if times.size else 0.0
    return float(totals.mean()) if same else 0.0, multiples


def feature_share(blocks: CellBlocks, columns: npt.NDArray[np.intp], values: Values) -> float:
    """Return the share of all counts, or of what stands for them, that are in some of the columns; from a sample."""
    sample = blocks.sample().astype(np.float64)
    linear = sp.csr_matrix((values.linear(sample.data), sample.indices, sample.indptr), shape=sample.shape)
    return max(float(linear[:, columns].sum() / max(linear.sum(), 1e-12)), 1e-6)


def typical_total(blocks: CellBlocks, values: Values, least: float = LEAST_TOTAL) -> float:
    """Return what to scale cells to: the median total of the reference's cells, from a sample, where that is known."""
    if values.kind == "lognorm":
        return SCALE
    totals = check_values(blocks.sample(), blocks.source)
    median = float(np.median(totals[totals > 0])) if totals.any() else 0.0
    return min(median, SCALE) if median >= least else SCALE


@dataclass(frozen=True, eq=False)
class Normalization:
    """A frozen recipe: how raw values become the numbers that a model sees.

    Parameters
    ----------
    method
        ``"lognorm"`` or ``"tfidf"``.
    idf
        For ``"tfidf"``, the weight of each feature of the model.
    scale
        What each cell's total is scaled to before the logarithm.
    """

    method: Literal["lognorm", "tfidf"]
    idf: Floats | None = None
    scale: float = SCALE

    @classmethod
    def of_peaks(cls, data: CellBlocks, counts: npt.NDArray[np.float64]) -> Self:
        """Learn the recipe of a peak reference.

        Parameters
        ----------
        data
            The reference, all of its peaks.
        counts
            Total of each of the model's peaks over all cells.
        """
        idf = np.log1p(data.n_cells / np.maximum(counts, 1)).astype(np.float32)
        return cls("tfidf", idf, PEAK_SCALE * typical_total(data, Values("counts"), least=1))

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
        kept = place >= 0

        def normalised(item: tuple[int, sp.csr_matrix]) -> tuple[int, sp.csr_matrix]:
            start, block = item
            totals = check_values(block, data.source)
            found = np.flatnonzero(kept[block.indices[: block.nnz]])  # a third of the time of block[:, columns]
            columns, indptr = place[block.indices[found]], np.searchsorted(found, block.indptr).astype(np.int32)
            x = block.data[found]
            if values.share is not None:
                x = values.linear(x)
                rows = np.repeat(np.arange(block.shape[0]), np.diff(indptr))
                totals = (np.bincount(rows, x, block.shape[0]) / values.share).astype(np.float32)
            x = self._values(x, totals, values, columns, indptr)
            return start, sp.csr_matrix((x, columns, indptr), shape=(block.shape[0], len(positions)))

        yield from overlapped(normalised, data)

    def matrix(self, data: CellBlocks, positions: npt.NDArray[np.intp], values: Values) -> sp.csr_matrix:
        """Return a data set that fits into memory as one normalised matrix; arguments as for :meth:`blocks`."""
        return sp.vstack([block for _, block in self.blocks(data, positions, values)], format="csr")

    def _values(
        self,
        x: Floats,
        totals: Floats,
        values: Values,
        columns: npt.NDArray[np.int32],
        indptr: npt.NDArray[np.int32],
    ) -> Floats:
        if values.kind == "lognorm" and values.share is None:
            factor = values.factor * self.scale / SCALE
            if factor == 1.0:
                return x if values.base == 1.0 else x * np.float32(values.base)
            return np.log1p(values.linear(x) * np.float32(factor))
        per_cell = np.float32(self.scale) / np.maximum(totals, np.float32(1e-12))
        x = x * np.repeat(per_cell, np.diff(indptr))
        if self.idf is not None:
            x *= self.idf[columns]
        return np.log1p(x, out=x)
