"""The normalised cells of a query: read once, held as far as memory allows, and put in an order of their own.

A file may list the cells of a query in any order. What is learnt from them starts somewhere: clusters from a few cells,
a sum from the first. So cells are taken in the order of numbers that are made of what they hold: first of the features
that they have, which counts and their logarithms share to the last bit, then of their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import VALUES_PER_BLOCK, watched
from ..data.content import GOLDEN, Keys, cell_keys, mixed, pattern_keys
from ..data.linalg import Codes
from ..support.threads import cores, overlapped
from .align import AlignedQuery

__all__ = ["QueryCells", "gathered"]

# The network is called with at least this many cells, so that its thread seldom waits for the interpreter.
CELLS_PER_CALL = 8192
# Normalised values that are held in memory (8 bytes each), so that they need not be read again.
VALUES_HELD = 40_000_000


@dataclass(frozen=True, eq=False)
class QueryCells:
    """A query that has been read once.

    Parameters
    ----------
    query
        The query as the model reads it.
    keys
        Of each cell a number made of its values and its batch; equal cells are told apart by their number.
    patterns
        Of each cell a number made of which features it has.
    first_equal
        Of each cell the position of the first one with the same values and batch: its own, or that of its original.
    held
        The normalised cells from the start on, as far as they are held: first row and block.
    """

    query: AlignedQuery
    keys: Keys
    patterns: Keys
    first_equal: Codes
    held: tuple[tuple[int, sp.csr_matrix], ...]

    @classmethod
    def read(cls, query: AlignedQuery, most: int = VALUES_HELD) -> QueryCells:
        """Read all cells; hold their values up to a number of `most`."""
        keys, patterns, held, n_values = [], [], [], 0

        def keyed(item: tuple[int, sp.csr_matrix]) -> tuple[int, sp.csr_matrix, Keys, Keys]:
            first, block = item
            return *item, cell_keys(block, query.batches[first : first + block.shape[0]]), pattern_keys(block)

        blocks = watched(gathered(query.normalised()), query.blocks.n_cells, "read")
        for first, block, of_cells, of_patterns in overlapped(keyed, blocks, cores()):
            keys.append(of_cells)
            patterns.append(of_patterns)
            n_values += block.nnz
            if n_values <= most:
                held.append((first, block))
        equal = (joined := pd.Series(np.concatenate(keys))).groupby(joined)
        distinct = mixed(joined.to_numpy() + equal.cumcount().to_numpy(np.uint64) * GOLDEN)
        position = pd.Series(np.arange(len(joined)))
        first_equal = position.groupby(joined).transform("first").to_numpy(np.intp)
        return cls(query, distinct, np.concatenate(patterns), first_equal, tuple(held))

    def order(self) -> Codes:
        """Return the positions of the cells in the order of what they hold."""
        return np.lexsort((self.keys, self.patterns))

    def blocks(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Yield first row and block of all normalised cells; those that are not held are read again."""
        yield from self.held
        if (stop := self._n_held) < len(self.keys):
            yield from ((stop + first, block) for first, block in gathered(self.query.normalised(stop)))

    def at(self, rows: Codes) -> sp.csr_matrix:
        """Return the normalised cells at these positions, in their order."""
        order = np.argsort(rows)
        sorted_rows = rows[order]
        ends = np.searchsorted(sorted_rows, [first for first, _ in self.held] + [self._n_held])
        parts = [
            block[sorted_rows[start:end] - first]
            for (first, block), start, end in zip(self.held, ends, ends[1:], strict=False)
        ]
        if ends[-1] < len(rows):
            parts.append(self.query.cells(sorted_rows[ends[-1] :]))
        return sp.vstack(parts, format="csr")[np.argsort(order)]

    @property
    def _n_held(self) -> int:
        return self.held[-1][0] + self.held[-1][1].shape[0] if self.held else 0


def gathered(blocks: Iterable[tuple[int, sp.csr_matrix]]) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Join normalised blocks until a network call has enough to do, or they hold as many values as a block may."""
    parts: list[sp.csr_matrix] = []
    first = n = n_values = 0
    for start, block in blocks:
        if not parts:
            first = start
        parts.append(block)
        n, n_values = n + block.shape[0], n_values + block.nnz
        if n >= CELLS_PER_CALL or n_values >= VALUES_PER_BLOCK:
            yield first, sp.vstack(parts, format="csr")
            parts, n, n_values = [], 0, 0
    if parts:
        yield first, sp.vstack(parts, format="csr")
