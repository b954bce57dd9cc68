"""What the values of a cell are, as a number: so that cells can be chosen and ordered by what they hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = ["GOLDEN", "Keys", "cell_keys", "content_keys", "mixed", "pattern_keys", "value_keys"]

Keys = npt.NDArray[np.uint64]

# Odd multipliers of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), and the golden ratio in 64 bits.
FIRST, SECOND, GOLDEN = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15)


def content_keys(x: sp.csr_matrix) -> Keys:
    """Return a number of 64 bits for each row that depends on its values alone, not on how they are stored.

    The sum, modulo 2**64, of a hash of (column, value) over the values that are not 0.
    """
    values, pairs = _values(x), x.indices[: x.indptr[-1]].astype(np.uint64)
    pairs <<= np.uint64(32)
    pairs |= values
    pairs = mixed(pairs)
    pairs[values == 0] = 0
    return _row_sums(x, pairs)


def cell_keys(x: sp.csr_matrix, batches: npt.NDArray[np.intp]) -> Keys:
    """Return a number of 64 bits for each cell that is the same for equal cells of a batch, and for no others."""
    return mixed(content_keys(x) + batches.astype(np.uint64) * GOLDEN)


def pattern_keys(x: sp.csr_matrix) -> Keys:
    """Return such a number that depends only on which values are above 0: not on how they were rounded."""
    columns = mixed(np.arange(x.shape[1], dtype=np.uint64))[x.indices[: x.indptr[-1]]]
    columns[x.data[: x.indptr[-1]] <= 0] = 0
    return mixed(_row_sums(x, columns))


def value_keys(x: sp.csr_matrix) -> Keys:
    """Return such a number that does not depend on the columns of the values, either.

    Cells whose genes are listed in another order keep it. It takes a third of the time.
    """
    bits = _values(x)
    bits *= FIRST  # in place: a block holds millions of them
    bits ^= bits >> np.uint64(32)
    return mixed(_row_sums(x, bits))


def _values(x: sp.csr_matrix) -> Keys:
    """Return the bits of the values as 32-bit floats, 0 for both zeros."""
    bits: Keys = (np.asarray(x.data[: x.indptr[-1]], np.float32) + np.float32(0)).view(np.uint32).astype(np.uint64)
    return bits


def _row_sums(x: sp.csr_matrix, values: Keys) -> Keys:
    sums, filled = np.zeros(x.shape[0], np.uint64), np.flatnonzero(np.diff(x.indptr))
    if filled.size:
        sums[filled] = np.add.reduceat(values, x.indptr[filled])
    return sums


def mixed(keys: Keys) -> Keys:
    """Return the finaliser of splitmix64: neighbouring numbers become unrelated ones."""
    result: Keys = keys + GOLDEN
    result ^= result >> np.uint64(30)
    result *= FIRST
    result ^= result >> np.uint64(27)
    result *= SECOND
    result ^= result >> np.uint64(31)
    return result
