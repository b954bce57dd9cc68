"""What the values of a data set are: counts, or logarithms of normalised counts; and what no recipe can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..errors import InputError
from ..support.notices import logger
from .blocks import CellBlocks

__all__ = [
    "IN_SEURAT",
    "TOTAL",
    "Floats",
    "Values",
    "check_values",
    "detect",
    "feature_share",
    "typical_total",
]

# What the total of a cell is brought to where nothing else is known, as the field does.
TOTAL = 10_000.0
# Median totals below this are no counts of molecules (proportions, say): such cells are brought to 10,000.
LEAST_TOTAL = 100.0
# Natural logarithms of what logarithms are taken to: the field has e, Bioconductor 2.
BASES = {"": 1.0, "log2-": float(np.log(2)), "log10-": float(np.log(10))}
# How another assay is chosen, where the one in use holds other values, or other features, than those that are wanted.
IN_SEURAT = 'modality= chooses it, or DefaultAssay(x) <- "RNA" (or another)'
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Values:
    """What the values of a data set are.

    Parameters
    ----------
    form
        ``"counts"`` (or anything proportional to them) or ``"lognorm"`` (logarithm of one plus a normalised value).
    factor
        For log-normalised data, what brings their normalisation to 10,000 per cell.
    base
        Natural logarithm of the base of their logarithm.
    in_features
        Where the totals of the cells say little, the part of them that the features of the model are taken to have.
    """

    form: Literal["counts", "lognorm"]
    factor: float = 1.0
    base: float = 1.0
    in_features: float | None = None

    def linear(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what the values are the logarithms of, in their precision; counts as they are."""
        return x if self.form == "counts" else np.expm1(x * x.dtype.type(self.base))


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


def detect(blocks: CellBlocks, counts_of: str | None = None) -> Values:
    """Recognise counts and log-normalised values from cells at the start, the middle and the end.

    Values that are not whole numbers and never above 20 (log2 of a million) are taken as logarithms: to the base that
    gives all cells one total, or most of a cell's values as multiples of its smallest one, as counts are; else natural.

    Parameters
    ----------
    counts_of
        What the features are, where only counts of them make sense: other values are refused.

    Raises
    ------
    InputError
        As :func:`check_values`; ``scaled_data`` for what should be counts and is not.
    """
    excerpt = blocks.excerpt()
    check_values(excerpt, blocks.source)
    values = excerpt.data
    if not (values % 1).any():
        found, words = Values("counts"), "counts"
    elif counts_of is not None:
        raise InputError(
            "scaled_data",
            f"{blocks.source} holds {counts_of} that are not whole numbers (TF-IDF already?). Give the counts per "
            f"feature; in Seurat perhaps of another assay: {IN_SEURAT}.",
        )
    elif values.max() > 20:
        found, words = Values("counts"), "non-integer counts"
    else:
        totals, multiples = zip(*(_of_base(excerpt, base) for base in BASES.values()), strict=True)
        best = int(np.argmax(multiples)) if max(multiples) > 0.5 else 0
        best = next((i for i, total in enumerate(totals) if total), best)
        total, (word, base) = totals[best], list(BASES.items())[best]
        found = Values("lognorm", TOTAL / total if total else 1.0, base)
        words = f"{word or 'log-'}normalised values" + (f" ({total:.0f} per cell)" if total else "")
    logger.info("%s: %s, %d cells x %d features", blocks.source, words, blocks.n_cells, blocks.n_features)
    return found


def _of_base(excerpt: sp.csr_matrix, base: float) -> tuple[float, float]:
    """Return the total of all cells (0 where they differ) and the share of values that are multiples of the smallest.

    Both of what the values are logarithms of, if they are logarithms to this base.
    """
    linear = excerpt.astype(np.float64)
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
    """Return the share of all counts, or of what stands for them, that are in some of the columns; from an excerpt."""
    excerpt = blocks.excerpt().astype(np.float64)
    linear = sp.csr_matrix((values.linear(excerpt.data), excerpt.indices, excerpt.indptr), shape=excerpt.shape)
    return max(float(linear[:, columns].sum() / max(linear.sum(), 1e-12)), 1e-6)


def typical_total(blocks: CellBlocks, values: Values, least: float = LEAST_TOTAL) -> float:
    """Return what to bring cells to: the median total of a reference's cells, from an excerpt, where it is known."""
    if values.form == "lognorm":
        return TOTAL
    totals = check_values(blocks.excerpt(), blocks.source)
    median = float(np.median(totals[totals > 0])) if totals.any() else 0.0
    return min(median, TOTAL) if median >= least else TOTAL
