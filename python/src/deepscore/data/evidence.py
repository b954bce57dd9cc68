"""What values tell of themselves: whether they are linear, as counts are, or logarithms, and to which base.

A reading is the natural logarithm of the base that values are taken to be logarithms to, or 0 where they are taken as
they are. Functions see cells x features (CSR of float64) without empty cells and stored zeros.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy import stats

from .linalg import SEED, Doubles

__all__ = [
    "LINEAR",
    "NATURAL",
    "READINGS",
    "has_long_tail",
    "lattice",
    "near_whole",
    "one_total",
    "repeated",
    "too_uneven",
    "transformed",
]

# The field takes natural logarithms, Bioconductor those to the base 2.
LINEAR = 0.0
NATURAL = 1.0
OF_TWO = float(np.log(2))
READINGS = (LINEAR, NATURAL, OF_TWO, float(np.log(10)))
# What else counts are put through, and what takes it back.
TAKEN_BACK = {"square roots": np.square, "inverse hyperbolic sines": np.sinh}
# Cells have one total where nine of ten are this close to the median; a few cells could be by chance, and so could
# logarithms as they are where they were smoothed: few features rule such a sum.
SAME_TOTAL, SAME_TOTAL_OF_FEW = 0.01, 0.001
FEW_CELLS = 10
# Cells whose totals are that close in every reading are equal, but for the precision of their values.
EQUAL = 1e-6
# How exact the multiples of a cell's least value are (relative), which share of the values must be multiples, chance
# taken off, and how many of them: as single precision has them; then as they are after rounding and more calculations.
EXACT = (1e-5, 0.2, 3)
LOOSE = ((1e-3, 0.5, 10), (1e-2, 0.5, 10))
# Multiples that can be told from other numbers, and the least share of doubles among them: of 1, 2, 3, ... taken as
# logarithms to the base 2 there is none.
LEAST_MULTIPLE, MOST_MULTIPLE = 1.5, 20.0
LOOSEST = 0.1
DOUBLES = 0.03
# Decimals to which people round; one would leave too little of a logarithm.
DECIMALS = (2, 3, 4)
# Share of whole numbers from which they are no chance.
SOME_WHOLE = 0.25
# How much more of the values another cell has, too, at the same feature than at any other.
REPEATED = 0.3
# Mean resultant length of the fractional parts, taken as directions: 1 where they are one, 0 where they are any; and
# where that one may be, in parts of a circle from the whole number. They say nothing of values that are small.
COHERENT = 0.4
BELOW, ABOVE = -0.3, 0.1
LEAST_MEDIAN = 0.5
# Skewness of the values. On 16 public data sets, logarithms have at most 1.4 (1.8 where the counts were corrected
# for ambient RNA), shallow counts 1.9 and more, whatever fractions they were multiplied with.
LONG_TAIL = 1.5
# Taken as logarithms to the base 2: how many times the first quartile of the cells' totals the third one is, and which
# share of a typical cell is in one of many features. On the same data sets, logarithms of many features have at most
# 1.9 and 0.45; counts without the features above 20, with noise on each value, have 2.3 times and more, as have those
# of simulated deep panels, and these 0.5 where they were smoothed.
UNEVEN = 2.0
MOST_OF_A_CELL, MANY = 0.5, 50
# Share of exact multiples from which all are.
ALL_EXACT = 0.9


def one_total(cells: sp.csr_matrix) -> tuple[float, float] | None:
    """Return the reading in which all cells have one total, and that total; None where there is none.

    Where cells are equal, or there is one, a total that is a power of ten tells.
    """
    found = []
    for reading in READINGS:
        totals = np.add.reduceat(_read(cells.data, reading), cells.indptr[:-1])
        off = float(np.quantile(np.abs(totals / np.median(totals) - 1), 0.9))
        found.append((off, reading, float(totals.mean())))
    if all(off < EQUAL for off, _, _ in found):
        round_ones = [(reading, total) for _, reading, total in found if _off_power_of_ten(total) < SAME_TOTAL_OF_FEW]
        return round_ones[0] if len(round_ones) == 1 else None
    off, reading, total = min(found)
    same = off < (SAME_TOTAL if cells.shape[0] >= FEW_CELLS and reading != LINEAR else SAME_TOTAL_OF_FEW)
    return (reading, total) if same else None


def _off_power_of_ten(total: float) -> float:
    return float(abs(total / 10.0 ** np.rint(np.log10(total)) - 1))


def lattice(cells: sp.csr_matrix) -> float | None:
    """Return the reading in which many of a cell's values are multiples of its least one, as counts are of one."""
    step = _rounded_to(cells.data)
    for exact, share, fewest in (EXACT, *LOOSE):
        error = 0.0 if exact == EXACT[0] else step / 2
        shares = [_multiples(cells, reading, exact, fewest, error, step) for reading in READINGS]
        if max(shares) > share:
            return READINGS[int(np.argmax(shares))]
    return None


def _multiples(cells: sp.csr_matrix, reading: float, exact: float, fewest: int, error: float, step: float) -> float:
    """Return the share of values that are multiples of the cell's least one, chance taken off; 0 for too few of them.

    Parameters
    ----------
    exact, error
        Relative error of multiples, and absolute error of the values; values that these make uncertain do not count.
    step
        What all values are multiples of since they were rounded. Of those, many are multiples of a few steps.
    """
    x, n = _read(cells.data, reading), np.diff(cells.indptr)
    least = np.repeat(np.minimum.reduceat(x, cells.indptr[:-1]), n)
    times = x / least
    off = times * np.maximum(exact, error * (_steepness(x, reading) + _steepness(least, reading)))
    told = (times > LEAST_MULTIPLE) & (times < MOST_MULTIPLE) & (off < LOOSEST)
    whole = np.rint(times[told])
    hits = whole[np.abs(times[told] - whole) < off[told]]
    chance = np.maximum(2 * off, 0.0 if reading else step / least)[told].sum()
    if len(hits) < fewest or (hits == 2).mean() < DOUBLES or chance >= len(whole):
        return 0.0
    return float((len(hits) - chance) / (len(whole) - chance))


def near_whole(cells: sp.csr_matrix) -> bool:
    """Tell whether many values are whole numbers, or most are near to one: counts from which a little was taken."""
    x = cells.data
    if (x % 1 == 0).mean() > SOME_WHOLE:
        return True
    direction = np.exp(2j * np.pi * x).mean()
    coherent = np.abs(direction) ** 2 - 1 / len(x) > COHERENT**2
    return bool(coherent and BELOW < np.angle(direction) / (2 * np.pi) < ABOVE and np.median(x) > LEAST_MEDIAN)


def repeated(cells: sp.csr_matrix) -> bool:
    """Tell whether values recur in other cells at the same feature, as weighted counts do until divided by totals.

    Whole numbers, and what was rounded, recur at any feature.
    """
    feature, x = cells.indices, cells.data
    anywhere = np.random.default_rng(SEED).permutation(x)
    return _recurring(feature, x) - _recurring(feature, anywhere) > REPEATED


def _recurring(feature: npt.NDArray[np.int32], x: Doubles) -> float:
    order = np.lexsort((x, feature))
    x, feature = x[order], feature[order]
    return float(((np.diff(feature) == 0) & (np.diff(x) <= 1e-6 * x[1:])).mean()) if len(x) > 1 else 0.0


def has_long_tail(cells: sp.csr_matrix) -> bool:
    """Tell whether values are spread as counts are, most of them small and few large; logarithms are more even."""
    return bool(stats.skew(cells.data) > LONG_TAIL)


def too_uneven(cells: sp.csr_matrix) -> bool:
    """Tell whether values, taken as logarithms, would be too uneven for normalised ones.

    The largest counts of a cell would then rule its total: totals would differ from cell to cell, or be that of one
    feature.
    """
    first, x = cells.indptr[:-1], _read(cells.data, OF_TWO)
    totals = np.add.reduceat(x, first)
    low, high = np.quantile(totals, (0.25, 0.75))
    one = np.median(np.maximum.reduceat(x, first) / totals)
    return bool(high > UNEVEN * low or (one > MOST_OF_A_CELL and cells.nnz >= MANY * cells.shape[0]))


def transformed(cells: sp.csr_matrix) -> str | None:
    """Name what counts were put through to become these values, if not a logarithm: taken back, all are multiples."""

    def exact(values: Doubles) -> float:
        taken_back = sp.csr_matrix((values, cells.indices, cells.indptr), cells.shape)
        return _multiples(taken_back, LINEAR, EXACT[0], EXACT[2], 0.0, 0.0)

    if exact(cells.data) > ALL_EXACT:
        return None
    return next((name for name, back in TAKEN_BACK.items() if exact(back(cells.data)) > ALL_EXACT), None)


def _read(values: Doubles, reading: float) -> Doubles:
    return np.expm1(values * reading) if reading else values


def _steepness(x: Doubles, reading: float) -> Doubles:
    """Return the relative error of what was read, for an absolute error of the value of one."""
    return reading * (1 + x) / x if reading else 1 / x


def _rounded_to(values: Doubles) -> float:
    """Return the last decimal that values were rounded to; 0 where they were not."""
    for decimals in (1, *DECIMALS):
        times = values * 10.0**decimals
        if (np.abs(times - np.rint(times)) < 1e-6 + 2e-7 * times).all():  # what single precision leaves of decimals
            return 10.0**-decimals if decimals in DECIMALS else 0.0
    return 0.0
