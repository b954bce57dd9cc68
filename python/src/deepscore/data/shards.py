"""Shards: the cells of a reference as it is learnt from, in parts of which one or two are in memory at once.

A large data set is dealt out to shards at random while it is read, so that a walk over the shards in any order, and
over the cells of each in any order, is a walk in random order however the data set was sorted (Sandelius, Journal of
the Royal Statistical Society B 1962). Shards that memory has no room for lie in a temporary file without a name, which
is gone when the process ends, however it ends.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..errors import EngineError
from ..support.threads import overlapped
from .blocks import VALUES_HELD
from .linalg import Codes

__all__ = ["VALUES_PER_SHARD", "Shards", "deal_out", "deal_out_together"]

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
    on_disk
        Whether the values lie in a temporary file.
    """

    parts: tuple[Shard, ...]
    n_cells: int
    n_features: int
    on_disk: bool = False

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

    def in_memory(self) -> Shards:
        """Return the shards with their values held in memory."""
        parts = tuple(Shard(part.cells, partial(_same, part.load())) for part in self.parts)
        return replace(self, parts=parts, on_disk=False)

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
        return Shards(tuple(filled or parts[:1]), len(cells), self.n_features, self.on_disk)


def _same(matrix: sp.csr_matrix) -> sp.csr_matrix:
    return matrix


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
    chunks = _chunks(blocks, per_shard)
    first = next(chunks)
    if first.nnz <= per_shard:
        return Shards.of(first)
    expected = first.nnz * max(n_cells / first.shape[0], 1)
    dealt = _Dealt(max(round(expected / per_shard), 2), _Spill(n_features) if expected > held else None)
    rng = np.random.default_rng(SEED)
    for matrix in chain([first], chunks):
        dealt.add(matrix, rng)
    return _shards([dealt], n_features)


def deal_out_together(
    blocks: Iterable[sp.csr_matrix],
    first_cell: int,
    n_cells: int,
    n_features: int,
    beside: Callable[[Any], list[Any]],
    per_shard: int = VALUES_PER_SHARD,
    held: int = VALUES_HELD,
) -> Shards | None:
    """Deal out the cells of a stream of which each process of a machine reads a part.

    Each writes its part to a file of its own, which the others open through /proc: it has no name.

    Parameters
    ----------
    blocks
        This process's part, which may be empty.
    first_cell, n_cells
        Position of its first cell among all, and how many cells it has.
    beside
        Returns what each of the processes gives (numbers and texts), in their order; all have to call it.
    n_features, per_shard, held
        As for :func:`deal_out`, of all parts together.

    Returns
    -------
    The shards of all parts; None, in all processes, where one cannot open the files of the others.
    """
    chunks = _chunks(blocks, per_shard)
    first = next(chunks, sp.csr_matrix((0, n_features), dtype=np.float32))
    expected = sum(beside(float(first.nnz) * max(n_cells / max(first.shape[0], 1), 1)))
    own = _Spill(n_features)
    dealt, rng = _Dealt(max(round(expected / per_shard), 1), own, first_cell), np.random.default_rng([SEED, first_cell])
    for matrix in chain([first], chunks):
        dealt.add(matrix, rng)
    content = np.frombuffer(dealt.to_bytes(), np.uint8)
    parts: list[_Dealt] = []
    try:
        for path, start, n in beside([own.path, own.append(content), len(content)]):
            file = own if path == own.path else _Spill(n_features, path)
            parts.append(_Dealt.from_bytes(file.read(start, n, content.dtype).tobytes(), len(dealt.pieces), file))
    except OSError:
        parts = []
    if not all(beside(bool(parts))):
        return None
    found = _shards(parts, n_features)
    return found if expected > held else found.in_memory()


def _chunks(blocks: Iterable[sp.csr_matrix], least: int) -> Iterator[sp.csr_matrix]:
    """Join blocks until they hold more values than that; the last ones may hold fewer."""
    waiting: list[sp.csr_matrix] = []
    for block in blocks:
        waiting.append(block)
        if sum(one.nnz for one in waiting) > least:
            yield sp.vstack(waiting, format="csr")
            waiting = []
    if waiting:
        yield sp.vstack(waiting, format="csr")


@dataclass(frozen=True)
class _Piece:
    """Cells in a temporary file: where they start in it, and the pointers to their rows."""

    start: int
    indptr: npt.NDArray[np.int32]


class _Dealt:
    """Cells that have been dealt out to shards, in memory or in a file.

    Parameters
    ----------
    n_shards
        How many shards there are.
    file
        Where the values lie, if not in memory.
    first_cell
        Position of the first cell that is to come.
    """

    def __init__(self, n_shards: int, file: _Spill | None, first_cell: int = 0) -> None:
        self.file, self.n_cells, self.next_cell = file, 0, first_cell
        self.pieces: list[list[sp.csr_matrix | _Piece]] = [[] for _ in range(n_shards)]
        self.cells: list[list[Codes]] = [[] for _ in range(n_shards)]

    def add(self, matrix: sp.csr_matrix, rng: np.random.Generator) -> None:
        """Deal out the cells of a matrix."""
        shard = rng.integers(0, len(self.pieces), matrix.shape[0])
        for i, pieces in enumerate(self.pieces):
            rows = np.flatnonzero(shard == i)
            piece = matrix[rows]
            pieces.append(piece if self.file is None else self.file.put(piece))
            self.cells[i].append(rows + self.next_cell)
        self.n_cells += matrix.shape[0]
        self.next_cell += matrix.shape[0]

    def to_bytes(self) -> bytes:
        """Write which cells lie where in the file."""
        from safetensors.numpy import save

        pieces = [(i, piece) for i, pieces in enumerate(self.pieces) for piece in pieces if isinstance(piece, _Piece)]
        arrays = {
            "shard": np.array([i for i, _ in pieces]),
            "start": np.array([piece.start for _, piece in pieces]),
            "n_cells": np.array([len(piece.indptr) - 1 for _, piece in pieces]),
            "n_values": np.concatenate([np.diff(piece.indptr) for _, piece in pieces]),
            "cells": np.concatenate([cells for of_shard in self.cells for cells in of_shard]),
        }
        return save(arrays)

    @classmethod
    def from_bytes(cls, content: bytes, n_shards: int, file: _Spill) -> _Dealt:
        """Read what :meth:`to_bytes` wrote, of cells in that file."""
        from safetensors.numpy import load

        arrays, found = load(content), cls(n_shards, file)
        ends = np.cumsum(arrays["n_cells"])[:-1]
        n_values, cells = (np.split(arrays[name], ends) for name in ("n_values", "cells"))
        for shard, start, n, of_piece in zip(arrays["shard"], arrays["start"], n_values, cells, strict=True):
            found.pieces[shard].append(_Piece(int(start), np.append(0, np.cumsum(n)).astype(np.int32)))
            found.cells[shard].append(of_piece)
        found.n_cells = len(arrays["cells"])
        return found


def _shards(parts: Sequence[_Dealt], n_features: int) -> Shards:
    """Join the shards of several parts, and leave out empty ones."""

    def of_number(i: int) -> Shard:
        pieces = [(piece, part.file) for part in parts for piece in part.pieces[i]]
        cells = np.concatenate([cells for part in parts for cells in part.cells[i]])
        return Shard(cells, lambda: sp.vstack([_loaded(*one) for one in pieces], format="csr"))

    shards = [of_number(i) for i in range(len(parts[0].pieces))]
    filled = tuple(shard for shard in shards if len(shard.cells)) or tuple(shards[:1])
    return Shards(filled, sum(part.n_cells for part in parts), n_features, parts[0].file is not None)


def _loaded(piece: sp.csr_matrix | _Piece, file: _Spill | None) -> sp.csr_matrix:
    return file.load(piece) if isinstance(piece, _Piece) and file is not None else piece


class _Spill:
    """A temporary file of sparse matrices: 6 bytes for a value where a column's number takes two of them.

    Parameters
    ----------
    path
        That of another process, to be read; without it, a new one is made.
    """

    def __init__(self, n_features: int, path: str | None = None) -> None:
        self.n_features, self.end, self.lock = n_features, 0, threading.Lock()
        self.index_type = np.dtype(np.uint16 if n_features <= 2**16 else np.int32)
        if path is None:
            self.file: IO[bytes] = tempfile.TemporaryFile(prefix="deepscore-", buffering=0)  # noqa: SIM115
        else:
            self.file = open(path, "rb", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self.file.close)  # as soon as no shard needs it

    @property
    def path(self) -> str:
        """Where other processes of this machine find the file while this one has it open."""
        return f"/proc/{os.getpid()}/fd/{self.file.fileno()}"

    def put(self, matrix: sp.csr_matrix) -> _Piece:
        """Write a matrix; return where it lies."""
        piece = _Piece(self.end, matrix.indptr.astype(np.int32))
        for values in (matrix.data.astype(np.float32, copy=False), matrix.indices.astype(self.index_type)):
            self.append(values)
        return piece

    def load(self, piece: _Piece) -> sp.csr_matrix:
        """Read a matrix."""
        indptr = piece.indptr
        data = self.read(piece.start, indptr[-1], np.dtype(np.float32))
        indices = self.read(piece.start + data.nbytes, indptr[-1], self.index_type)
        return sp.csr_matrix((data, indices.astype(np.int32), indptr), shape=(len(indptr) - 1, self.n_features))

    def append(self, values: npt.NDArray[Any]) -> int:
        """Write an array; return where it starts."""
        start, rest = self.end, memoryview(values.view(np.uint8))  # type: ignore[arg-type]
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
        return start

    def read(self, start: int, n: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        values = np.empty(n, dtype)
        with self.lock:
            self.file.seek(start)
            rest = memoryview(values.view(np.uint8))  # type: ignore[arg-type]
            while rest:
                rest = rest[self.file.readinto(rest) :]  # type: ignore[attr-defined]
        return values
