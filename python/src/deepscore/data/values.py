"""What the values of a data set are: counts, or logarithms of normalised counts; and what no recipe can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..errors import ConfigError, InputError
from ..support.checks import choice
from ..support.notices import logger, said, warn
from .blocks import MOST_IN_EXCERPT, CellBlocks, Form
from .evidence import (
    LINEAR,
    NATURAL,
    READINGS,
    has_long_tail,
    lattice,
    near_whole,
    one_total,
    repeated,
    too_uneven,
    transformed,
)

__all__ = [
    "IN_SEURAT",
    "TOTAL",
    "Floats",
    "Values",
    "check_form",
    "check_values",
    "detect",
    "feature_share",
    "recognise",
    "typical_total",
]

# What the total of a cell is brought to where nothing else is known, as the field does.
TOTAL = 10_000.0
# Median totals below this are of proportions, whose sum is 1.
LEAST_TOTAL = 1.5
# The largest value that can be a logarithm (to the base 2, of a million); and one that is none, whatever is said.
MOST_LOGARITHM, NO_LOGARITHM = 20, 60
# What they are called, by the natural logarithm of their base.
LOGARITHMS = dict(zip(READINGS[1:], ("log-", "log2-", "log10-"), strict=True))
# Of values that are not counts so many are compared, about.
VALUES_COMPARED = 200_000
# How another assay is chosen, where the one in use holds other values, or other features, than those that are wanted.
IN_SEURAT = 'assay= names it, or DefaultAssay(x) <- "RNA" (or another)'
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

    form: Form
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
        # in doubles, so that the rounded sum of fractions is that of any order of the features
        totals[filled] = np.add.reduceat(block.data[: block.indptr[-1]], block.indptr[filled], dtype=np.float64)
    if not np.isfinite(totals).all() and not np.isfinite(block.data).all():
        raise InputError("non_finite", f"{source} holds NaN or infinite values. Remove them, or use the raw counts.")
    if block.data.size and block.data.min() < 0:
        negative = float((block.data < 0).mean())
        if negative > 0.1 and (block.data % 1 != 0).any():
            raise InputError(
                "scaled_data",
                f"{source} looks scaled (z-scores): {negative:.0%} of its values are negative. Give raw counts or "
                "log-normalised values: "
                + said(
                    python="a layer (layer='counts', layer='raw'), or in Seurat the counts slot ", r="layer='counts' "
                )
                + f"or another assay: {IN_SEURAT}.",
            )
        raise InputError(
            "negative_values",
            f"{source} holds negative values (the lowest is {block.data.min():g}). Give raw counts or log-normalised "
            f"values; in Seurat perhaps of another assay: {IN_SEURAT}.",
        )
    return totals


def check_form(name: str, value: Any) -> Form | None:
    """Return what the caller says that values are, or None; refuse any other word with ``bad_argument``."""
    return None if value is None else choice(name, value, get_args(Form))  # type: ignore[return-value]


def detect(blocks: CellBlocks, counts_of: str | None = None) -> Values:
    """Recognise counts and log-normalised values from about 2,000 cells; or do as was said.

    Whole numbers, and what is above 20 (log2 of a million), are counts. Else the cells tell: logarithms are those that,
    taken as such, give all cells one total, or many values of a cell that are multiples of its least one, as counts
    are. Counts do so as they are, or are near to whole numbers, or recur in other cells at the same feature. Where
    nothing tells, values that are spread as evenly as logarithms are taken as natural ones. The others may be either:
    they are taken as counts, with a warning; so are square roots and inverse hyperbolic sines of counts.

    Parameters
    ----------
    counts_of
        What the features are, where only counts of them make sense: other values are refused.

    Raises
    ------
    InputError
        As :func:`check_values`; ``scaled_data`` for what should be counts and is not.
    ConfigError
        ``bad_argument`` where the caller says that values are logarithms, and they cannot be.

    Warns
    -----
    UserWarning
        Where values may be fractional counts as well as logarithms, or are transformed counts.
    """
    found, words = recognise(blocks.excerpt(MOST_IN_EXCERPT), blocks.source, blocks.values, counts_of)
    logger.info("%s: %s, %d cells x %d features", blocks.source, words, blocks.n_cells, blocks.n_features)
    return found


def recognise(
    excerpt: sp.csr_matrix, source: str, told: Form | None = None, counts_of: str | None = None
) -> tuple[Values, str]:
    """Do what :func:`detect` does, of some cells; return what their values are, and that in words.

    Parameters
    ----------
    excerpt
        Cells of all of a data set, which are changed: those without values are left out, and stored zeros.
    told
        What the caller says.
    """
    excerpt.eliminate_zeros()
    excerpt = excerpt[np.diff(excerpt.indptr) > 0]
    check_values(excerpt, source)
    values = excerpt.data
    found, words = Values("counts"), "counts"
    if told == "lognorm":
        _require_logarithms(values, source, counts_of)
        found, words = _logarithms(excerpt)
    elif (values % 1).any():
        words = "non-integer counts"
        if told is None and counts_of is not None:
            raise InputError(
                "scaled_data",
                f"{source} holds {counts_of} that are not whole numbers (TF-IDF already?). Give the counts per "
                f"feature; in Seurat perhaps of another assay: {IN_SEURAT}. If these are counts, say values='counts'.",
            )
        if told is None and values.max() <= MOST_LOGARITHM and _are_logarithms(excerpt, source):
            found, words = _logarithms(excerpt)
    return found, words


def _compared(excerpt: sp.csr_matrix) -> sp.csr_matrix:
    """Return every cell of an excerpt, or every second, third, ..., in the precision of comparisons."""
    return excerpt[:: max(-(-excerpt.nnz // VALUES_COMPARED), 1)].astype(np.float64)


def _require_logarithms(values: Floats, source: str, counts_of: str | None) -> None:
    """Refuse to take values for logarithms that cannot be."""
    most = float(values.max(initial=0))
    why = f"{source} holds {counts_of}" if counts_of is not None else f"{source} goes up to {most:g}"
    if counts_of is not None or most > NO_LOGARITHM:
        raise ConfigError("bad_argument", f"values='lognorm' was given, but {why}: these are counts. Leave it out.")


def _are_logarithms(excerpt: sp.csr_matrix, source: str) -> bool:
    cells = _compared(excerpt)
    put_through = transformed(cells)
    if put_through is not None:
        warn(
            f"The values of {source} are {put_through} of counts: they are taken as counts, but calls are better on "
            "the counts themselves. Is there a layer of them (layer=, --layer)?"
        )
        return False
    total = one_total(cells)
    reading = lattice(cells) if total is None else total[0]
    if reading is not None:
        return reading != LINEAR
    if near_whole(cells) or repeated(cells):
        return False
    if not has_long_tail(cells) and not too_uneven(cells):
        return True
    warn(
        f"The values of {source} can be counts with fractions, or logarithms of normalised counts: they are taken as "
        "counts. Say what they are: values='counts' or values='lognorm' (on the command line --values)."
    )
    return False


def _logarithms(excerpt: sp.csr_matrix) -> tuple[Values, str]:
    """Tell the base of logarithms, and what they were normalised to; natural ones where nothing tells."""
    cells = _compared(excerpt)
    base, of = (one_total(cells) if cells.nnz else None) or (LINEAR, 0.0)
    if base == LINEAR:
        base, of = (lattice(cells) if cells.nnz else None) or NATURAL, 0.0
    words = f"{LOGARITHMS[base]}normalised values" + (f" ({of:.0f} per cell)" if of else "")
    return Values("lognorm", TOTAL / of if of else 1.0, base), words


def feature_share(blocks: CellBlocks, columns: npt.NDArray[np.intp], values: Values) -> float:
    """Return the share of all counts, or of what stands for them, that are in some of the columns; from an excerpt."""
    excerpt = blocks.excerpt().astype(np.float64)
    linear = sp.csr_matrix((values.linear(excerpt.data), excerpt.indices, excerpt.indptr), shape=excerpt.shape)
    return max(float(linear[:, columns].sum() / max(linear.sum(), 1e-12)), 1e-6)


def typical_total(totals: Floats, values: Values) -> float:
    """Return what to bring cells to: the median of the totals of a reference's cells, at most 10,000.

    10,000 where the totals are not known, as of logarithms, or say nothing, as of proportions, whose sum is 1.
    """
    if values.form == "lognorm":
        return TOTAL
    median = float(np.median(totals[totals > 0])) if totals.any() else 0.0
    return min(median, TOTAL) if median >= LEAST_TOTAL else TOTAL
