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

from ..data.blocks import VALUES_HELD, VALUES_PER_BLOCK, watched
from ..data.content import GOLDEN, Keys, cell_keys, mixed, pattern_keys
from ..data.linalg import Codes
from ..support.threads import cores, overlapped
from .align import AlignedQuery
from .candidates import Candidates, candidates_of
from .settings import SETTINGS, Settings

__all__ = ["HeldCells", "QueryCells", "gathered", "look_through"]

# The network is called with at least this many cells, so that its thread seldom waits for the interpreter.
CELLS_PER_CALL = 8192


@dataclass(frozen=True, eq=False)
class HeldCells:
    """The normalised cells of a query, of which the first ones are held and the others are read again.

    Parameters
    ----------
    query
        The query as the model reads it.
    held
        The normalised cells from the start on, as far as they are held: first row and block.
    """

    query: AlignedQuery
    held: tuple[tuple[int, sp.csr_matrix], ...]

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Yield first row and block of the normalised cells of some rows; those that are not held are read again."""
        stop = self.query.blocks.n_cells if stop is None else stop
        for first, block in self.held:
            if first < stop and first + block.shape[0] > start:
                yield max(first, start), block[max(start - first, 0) : stop - first]
        if (start := max(start, self._n_held)) < stop:
            yield from gathered(self.query.normalised(start, stop))

    @property
    def _n_held(self) -> int:
        return self.held[-1][0] + self.held[-1][1].shape[0] if self.held else 0


@dataclass(frozen=True, eq=False)
class QueryCells(HeldCells):
    """A query that has been read once.

    Parameters
    ----------
    query, held
        As for :class:`HeldCells`.
    keys
        Of each cell a number made of its values and its batch; equal cells are told apart by their number.
    patterns
        Of each cell a number made of which features it has.
    first_equal
        Of each cell the position of the first one with the same values and batch: its own, or that of its original.
    """

    keys: Keys
    patterns: Keys
    first_equal: Codes

    @classmethod
    def read(cls, query: AlignedQuery, most: int = VALUES_HELD) -> QueryCells:
        """Read all cells; hold their values up to a number of `most`."""
        held: list[tuple[int, sp.csr_matrix]] = []
        keys, patterns = [], []

        def keyed(item: tuple[int, sp.csr_matrix]) -> tuple[Keys, Keys]:
            first, block = item
            return cell_keys(block, query.batches[first : first + block.shape[0]]), pattern_keys(block)

        for of_cells, of_patterns in overlapped(keyed, _holding(query, held, most), cores()):
            keys.append(of_cells)
            patterns.append(of_patterns)
        equal = (joined := pd.Series(np.concatenate(keys))).groupby(joined)
        distinct = mixed(joined.to_numpy() + equal.cumcount().to_numpy(np.uint64) * GOLDEN)
        position = pd.Series(np.arange(len(joined)))
        first_equal = position.groupby(joined).transform("first").to_numpy(np.intp)
        return cls(query, tuple(held), distinct, np.concatenate(patterns), first_equal)

    def order(self) -> Codes:
        """Return the positions of the cells in the order of what they hold."""
        return np.lexsort((self.keys, self.patterns))

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


def look_through(
    query: AlignedQuery, settings: Settings = SETTINGS, most: int = VALUES_HELD
) -> tuple[Candidates, HeldCells]:
    """Read all cells of a large query, and hold the values of the first ones, up to a number of `most`.

    Returns
    -------
    The cells that may be looked at, and all.
    """
    held: list[tuple[int, sp.csr_matrix]] = []
    found = candidates_of(_holding(query, held, most), query.batches, settings)
    return found, HeldCells(query, tuple(held))


def _holding(
    query: AlignedQuery, held: list[tuple[int, sp.csr_matrix]], most: int
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield all normalised cells, and add the first blocks to those that are held."""
    n_values = 0
    for first, block in watched(gathered(query.normalised()), query.blocks.n_cells, "read"):
        n_values += block.nnz
        if n_values <= most:
            held.append((first, block))
        yield first, block


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
