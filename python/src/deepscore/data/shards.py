"""Shards: the cells of a reference as it is learnt from, in parts of which one or two are in memory at once.

A large data set is dealt out to shards at random while it is read, so that a walk over the shards in any order, and
over the cells of each in any order, is a walk in random order however the data set was sorted (Sandelius, Journal of
the Royal Statistical Society B 1962). Shards that memory has no room for lie in a temporary file without a name, which
is gone when the process ends, however it ends.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..errors import EngineError
from ..support.threads import overlapped
from .blocks import VALUES_HELD
from .linalg import Codes

__all__ = ["VALUES_PER_SHARD", "Shards", "deal_out"]

# Stored values of a shard, about: 64 MB in memory. A data set with fewer is one shard, in its own order.
VALUES_PER_SHARD = 8_000_000
# Of the random numbers by which cells are dealt out.
SEED = 0


@dataclass(frozen=True, eq=False)
class Shard:
    """Some cells of a data set.

    Parameters
    ----------
    cells
        Their positions in the data set.
    load
        Returns their values, cells x features, CSR of float32.
    """

    cells: Codes
    load: Callable[[], sp.csr_matrix]


@dataclass(frozen=True, eq=False)
class Shards:
    """A cells x features data set in shards.

    Parameters
    ----------
    parts
        Each cell is in one of them.
    n_cells, n_features
        Of all of them together.
    """

    parts: tuple[Shard, ...]
    n_cells: int
    n_features: int

    @classmethod
    def of(cls, matrix: sp.csr_matrix) -> Shards:
        """Take a matrix as one shard."""
        return cls((Shard(np.arange(matrix.shape[0]), lambda: matrix),), *matrix.shape)

    def __iter__(self) -> Iterator[tuple[Codes, sp.csr_matrix]]:
        """Yield the positions and the values of the cells of each shard, the next of which is read meanwhile."""
        return self.in_order(range(len(self.parts)))

    def in_order(self, order: Iterable[int]) -> Iterator[tuple[Codes, sp.csr_matrix]]:
        """Do as an iteration does, with the shards in an order of the caller's."""
        if len(self.parts) == 1:
            yield self.parts[0].cells, self.parts[0].load()
            return
        yield from overlapped(lambda i: (self.parts[i].cells, self.parts[i].load()), order)

    def at(self, cells: Codes) -> sp.csr_matrix:
        """Return the values of cells at these positions, in their order; all shards that have any are read."""
        places, found = zip(*self.take(cells), strict=True)
        place, matrix = np.concatenate(places), found[0] if len(found) == 1 else sp.vstack(found, format="csr")
        return matrix if (np.diff(place) == 1).all() else matrix[np.argsort(place)]

    def take(self, cells: Codes) -> Shards:
        """Return the data set with only the cells at these positions, in their order."""
        if np.array_equal(cells, np.arange(self.n_cells)):
            return self
        number = np.full(self.n_cells, -1)
        number[cells] = np.arange(len(cells))
        parts = []
        for part in self.parts:
            rows = np.flatnonzero(number[part.cells] >= 0)
            parts.append(Shard(number[part.cells[rows]], _some(part.load, rows)))
        filled = [part for part in parts if len(part.cells)]
        return Shards(tuple(filled or parts[:1]), len(cells), self.n_features)


def _some(load: Callable[[], sp.csr_matrix], rows: Codes) -> Callable[[], sp.csr_matrix]:
    return lambda: load()[rows]


def deal_out(
    blocks: Iterable[sp.csr_matrix],
    n_cells: int,
    n_features: int,
    per_shard: int = VALUES_PER_SHARD,
    held: int = VALUES_HELD,
) -> Shards:
    """Deal the cells of a stream out to shards: one where there are few values, else at random.

    Parameters
    ----------
    blocks
        Cells x features, float32, one block after the other.
    n_cells
        About how many cells are to come.
    per_shard, held
        Values of a shard, and of all shards that stay in memory, about; of more they lie on disk.

    Raises
    ------
    EngineError
        ``write_failed`` where the disk has no room.
    """
    rng, dealt, waiting, n_values, total = np.random.default_rng(SEED), _Dealt(n_features), [], 0, 0
    for block in blocks:
        waiting.append(block)
        n_values += block.nnz
        total += block.shape[0]
        if n_values > per_shard:
            dealt.add(sp.vstack(waiting, format="csr"), rng, n_cells / total, per_shard, held)
            waiting, n_values = [], 0
    if not dealt.pieces:
        return Shards.of(sp.vstack(waiting, format="csr"))
    if waiting:
        dealt.add(sp.vstack(waiting, format="csr"), rng, 1, per_shard, held)
    return dealt.shards()


class _Dealt:
    """The shards of a stream so far."""

    def __init__(self, n_features: int) -> None:
        self.n_features, self.n_cells = n_features, 0
        self.pieces: list[list[Callable[[], sp.csr_matrix]]] = []
        self.cells: list[list[Codes]] = []
        self.file: _Spill | None = None

    def add(self, matrix: sp.csr_matrix, rng: np.random.Generator, times: float, per_shard: int, held: int) -> None:
        """Deal out the cells of a matrix; the first one tells how many shards there will be, and where."""
        if not self.pieces:
            expected = matrix.nnz * max(times, 1)
            n = max(round(expected / per_shard), 2)
            self.pieces, self.cells = [[] for _ in range(n)], [[] for _ in range(n)]
            if expected > held:
                self.file = _Spill(self.n_features)
        shard = rng.integers(0, len(self.pieces), matrix.shape[0])
        for i, pieces in enumerate(self.pieces):
            rows = np.flatnonzero(shard == i)
            piece = matrix[rows]
            pieces.append(_same(piece) if self.file is None else self.file.put(piece))
            self.cells[i].append(rows + self.n_cells)
        self.n_cells += matrix.shape[0]

    def shards(self) -> Shards:
        """Return the shards, none of them empty."""
        parts = [
            Shard(np.concatenate(cells), _joined(pieces)) for cells, pieces in zip(self.cells, self.pieces, strict=True)
        ]
        return Shards(tuple(part for part in parts if len(part.cells)), self.n_cells, self.n_features)


def _same(piece: sp.csr_matrix) -> Callable[[], sp.csr_matrix]:
    return lambda: piece


def _joined(pieces: Sequence[Callable[[], sp.csr_matrix]]) -> Callable[[], sp.csr_matrix]:
    return lambda: sp.vstack([load() for load in pieces], format="csr")


class _Spill:
    """A temporary file of sparse matrices: 6 bytes for a value where a column's number takes two of them."""

    def __init__(self, n_features: int) -> None:
        self.n_features, self.end, self.lock = n_features, 0, threading.Lock()
        self.index_type = np.dtype(np.uint16 if n_features <= 2**16 else np.int32)
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="deepscore-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self.file.close)  # as soon as no shard needs it

    def put(self, matrix: sp.csr_matrix) -> Callable[[], sp.csr_matrix]:
        """Write a matrix; return what reads it."""
        start, indptr = self.end, matrix.indptr.astype(np.int32)
        for values in (matrix.data.astype(np.float32, copy=False), matrix.indices.astype(self.index_type)):
            self._write(values)

        def load() -> sp.csr_matrix:
            data = self._read(start, indptr[-1], np.dtype(np.float32))
            indices = self._read(start + data.nbytes, indptr[-1], self.index_type)
            return sp.csr_matrix((data, indices.astype(np.int32), indptr), shape=(len(indptr) - 1, self.n_features))

        return load

    def _write(self, values: npt.NDArray[Any]) -> None:
        rest = memoryview(values.view(np.uint8))  # type: ignore[arg-type]
        try:
            while rest:  # a file without a buffer may take a part of it
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            raise EngineError(
                "write_failed",
                f"The reference is larger than memory should hold, and {tempfile.gettempdir()} has no room for its "
                f"features ({error.strerror}). Name a folder on a larger disk: the variable TMPDIR.",
            ) from error
        self.end += values.nbytes

    def _read(self, start: int, n: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        values = np.empty(n, dtype)
        with self.lock:
            self.file.seek(start)
            rest = memoryview(values.view(np.uint8))  # type: ignore[arg-type]
            while rest:
                rest = rest[self.file.readinto(rest) :]  # type: ignore[attr-defined]
        return values
