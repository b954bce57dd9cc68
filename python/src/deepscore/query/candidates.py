"""The look at a large query, range by range: which of its cells may be among those that are looked at.

A large query is looked at by the cells that come first in the order of what they hold, and by the first ones of every
batch. Which these are among the cells of some rows can be told of these rows alone, and what has been told of several
ranges is merged in any order. So neither memory nor what crosses a network grows with the query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..data.content import Keys, cell_keys, mixed, pattern_keys
from ..data.linalg import Codes
from ..support.threads import cores, overlapped
from .settings import SETTINGS, Settings

__all__ = ["Candidates", "candidates_of"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Cells of a query that may be looked at, the first ones in the order of what they hold, each of them once.

    Parameters
    ----------
    rows
        Position of each cell in the query; of equal cells of a batch that of the first one.
    batches
        Batch of each cell.
    patterns, keys
        What cells are ordered by: numbers made of which features a cell has, and of its values and its batch.
    x
        Cells x features, normalised; None where they are to be read again once the cells are known.
    """

    rows: Codes
    batches: Codes
    patterns: Keys
    keys: Keys
    x: sp.csr_matrix | None = None

    @classmethod
    def merged(cls, parts: Sequence[Candidates], settings: Settings = SETTINGS) -> Self:
        """Return those of several parts of a query that may be looked at in all of them together."""
        rows, batches, patterns, keys = (
            np.concatenate([getattr(one, name) for one in parts]) for name in ("rows", "batches", "patterns", "keys")
        )
        order = np.lexsort((rows, keys, patterns))
        order = order[np.append(True, keys[order[1:]] != keys[order[:-1]])]
        order = order[_first_ones(batches[order], _most(settings), settings.cells_per_batch)]
        blocks = [one.x for one in parts if one.x is not None]
        x = sp.vstack(blocks, format="csr")[order] if blocks else None
        return cls(rows[order], batches[order], patterns[order], keys[order], x)

    def take(self, which: Codes) -> Candidates:
        """Return some of the cells, given their positions among these."""
        x = None if self.x is None else self.x[which]
        return Candidates(self.rows[which], self.batches[which], self.patterns[which], self.keys[which], x)

    def looked_at(self, settings: Settings = SETTINGS) -> Candidates | None:
        """Return the cells of a sample; None where the query has so few different cells that all are looked at."""
        if len(self.rows) <= settings.whole:
            return None
        return self.take(np.flatnonzero(_first_ones(self.batches, settings.sample, settings.cells_per_batch)))


def candidates_of(
    blocks: Iterable[tuple[int, sp.csr_matrix]], batches: Codes, settings: Settings = SETTINGS, *, values: bool = True
) -> Candidates:
    """Return the candidates of some rows of a query.

    Parameters
    ----------
    blocks
        First row and normalised cells of each block.
    batches
        Batch of each cell of the query.
    values
        Whether to keep the normalised values.
    """
    most, found = _most(settings), list[Candidates]()
    bound = _Bound(np.uint64(2**64 - 1), np.full(int(batches.max()) + 1, 2**64 - 1, np.uint64))
    waiting = 0

    def may_be(item: tuple[int, sp.csr_matrix]) -> Candidates:
        first, block = item
        of_block = batches[first : first + block.shape[0]]
        patterns = pattern_keys(block)
        which = np.flatnonzero(bound.may_be(patterns, of_block))
        block, of_block = block[which], of_block[which]
        keys = mixed(cell_keys(block, of_block))
        return Candidates(first + which, of_block, patterns[which], keys, block if values else None)

    for one in overlapped(may_be, blocks, cores()):
        found, waiting = [*found, one], waiting + len(one.rows)
        if waiting > most // 2:
            found, waiting = [Candidates.merged(found, settings)], 0
            bound = bound.lowered(found[0], most, settings.cells_per_batch)
    return Candidates.merged(found, settings)


@dataclass(frozen=True, eq=False)
class _Bound:
    """The last pattern that is still among the first ones: of all cells, and of each batch."""

    of_all: np.uint64
    of_batch: Keys

    def may_be(self, patterns: Keys, batches: Codes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (patterns <= self.of_all) | (
            patterns <= self.of_batch[batches]
        )
        return found

    def lowered(self, held: Candidates, most: int, per_batch: int) -> _Bound:
        of_all = held.patterns[most - 1] if len(held.rows) >= most else self.of_all
        last = _numbers(held.batches) == per_batch - 1
        of_batch = self.of_batch.copy()
        of_batch[held.batches[last]] = held.patterns[last]
        return _Bound(of_all, of_batch)


def _most(settings: Settings) -> int:
    """Return how many cells are kept in any case: those of a sample, and enough to tell whether all are looked at."""
    return max(settings.sample, settings.whole + 1)


def _first_ones(batches: Codes, most: int, per_batch: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which cells, in their order, are among the first ones or among the first ones of their batch."""
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (np.arange(len(batches)) < most) | (
        _numbers(batches) < per_batch
    )
    return found


def _numbers(batches: Codes) -> Codes:
    """Return how many cells of its batch come before each cell."""
    numbers: Codes = pd.Series(batches).groupby(batches).cumcount().to_numpy(np.intp)  # type: ignore[assignment]
    return numbers
