"""Damage: stores on disk of which a part is not there, or that unpack to far more than is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from ..support.notices import warn

__all__ = ["lacks_chunks", "require_column", "require_plausible", "require_whole"]

# What is read at once may unpack to so many bytes, or to so many times what is stored of it: no real data shrink more.
MOST_BYTES, MOST_TIMES = 2**30, 200
# Groups in groups: of anndata's own there are four or five.
DEEPEST = 50


def require_whole(values: Any, name: str) -> None:
    """Refuse a sparse matrix on disk of which a part is not there; warn of a dense one.

    What is not there reads as zeros, and zarr need not write a chunk that holds nothing else. Such a chunk is usual in
    a dense matrix. Among the stored values of a sparse one there is none, and among its column numbers only where all
    its rows have a single value, in the first column.

    Parameters
    ----------
    values
        The group of a sparse matrix, or an array.
    name
        What it is, for messages.

    Raises
    ------
    ValueError
        Says what is wrong.
    """
    if not hasattr(values, "keys"):
        if not isinstance(values, h5py.Dataset) and lacks_chunks(values):
            warn(f"{_lost(values, name)} are not in the store and read as zeros. Where it was copied, copy it again.")
        return
    data, indices, indptr = values["data"], values["indices"], values["indptr"][:]
    if indptr[0] != 0 or (np.diff(indptr) < 0).any() or not indptr[-1] == data.size == indices.size:
        raise ValueError("its pointers (indptr) do not ascend from 0 to the number of its values")
    lost = lacks_chunks(data) and "data"
    if not lost and lacks_chunks(indices):
        size = (indices.shards if getattr(indices, "shards", None) else indices.chunks)[0]
        for start in range(0, indices.size, size):
            part = indices[start : start + size]
            rows = np.searchsorted(indptr, np.arange(start, start + len(part)), side="right")
            lost = lost or (not part.any() and (np.diff(rows) == 0).any() and "indices")
    if not lost and lacks_chunks(values["indptr"]):  # then the row after it has the values of all rows in it
        row = indices[: indptr[indptr > 0][:1].sum()]
        lost = len(np.unique(row)) < len(row) and "indptr"
    if lost:
        raise ValueError(f"a part of its {lost} is not in the store: copy it again, completely")


def lacks_chunks(array: Any) -> bool:
    """Tell whether some of an array was never written or is lost; it reads as zeros, or as empty text."""
    if not isinstance(array, h5py.Dataset):
        return bool(array.nchunks_initialized < array.nchunks)
    if array.chunks is None:
        return bool(array.size and not array.is_virtual and not array.id.get_storage_size())
    return bool(array.id.get_num_chunks() < np.prod(-(-np.array(array.shape) // array.chunks)))


def _lost(array: Any, name: str) -> str:
    return f"{array.nchunks - array.nchunks_initialized} of the {array.nchunks} chunks of {name}"


def require_column(column: Any, name: str) -> None:
    """Refuse a column of text of a zarr store of which a part is not there; warn of any other one.

    What is not there reads as empty text, as zero, or as the first category. Zarr does not write a chunk that holds
    nothing else: where all cells of a chunk are of the first category, there is none of its codes.

    Parameters
    ----------
    column
        The array of the column, or the group of one of categories or one with missing values.
    name
        What it is, for messages.

    Raises
    ------
    ValueError
        Says what is wrong.
    """
    first = "zero"
    if hasattr(column, "keys"):
        categories = column.get("categories")
        if hasattr(categories, "shape"):
            if categories.size < 2:  # which all cells with a value are of
                return
            first = f"its first category, {str(categories[:1][0])!r}"
        column = column["values" if categories is None else "codes"]
    if not lacks_chunks(column):
        return
    missing = _lost(column, name)
    if column.dtype.kind not in "biuf":
        raise ValueError(f"{missing} are not in the store, and would read as empty text: copy it again, completely")
    warn(
        f"{missing} are not in the store and read as {first}. Where all of their cells have that value, zarr leaves "
        "them out; where the store was copied, check that it is complete."
    )


def require_plausible(store: Any, streamed: Sequence[str] = ()) -> None:
    """Refuse a store that cannot be held in memory where it is small on disk, or whose groups have no end.

    Parameters
    ----------
    streamed
        Names of elements that are read in parts.

    Raises
    ------
    ValueError
        Says what is wrong.
    """
    left = [(store, 0, False)]
    while left:
        group, depth, in_parts = left.pop()
        if depth > DEEPEST:
            raise ValueError(f"groups are nested more than {DEEPEST} deep")
        for name in group.keys():  # noqa: SIM118, as zarr has it
            element, parts = group.get(name), in_parts or name in streamed
            if hasattr(element, "keys"):
                left.append((element, depth + 1, parts))
            elif element is not None:  # a link to nothing
                _require_plausible(element, in_parts=parts)


def _require_plausible(array: Any, *, in_parts: bool) -> None:
    if not array.size:  # None, for one
        return
    size = array.dtype.itemsize * int(np.prod((array.chunks or array.shape) if in_parts else array.shape))
    if size <= MOST_BYTES:
        return
    is_h5 = isinstance(array, h5py.Dataset)
    stored = array.id.get_storage_size() if is_h5 else array.nbytes_stored()
    if array.dtype.itemsize * int(np.prod(array.shape)) > MOST_TIMES * stored and not (is_h5 and array.is_virtual):
        raise ValueError(f"{array.name} is stored in {stored:,} bytes and would unpack to {size:,}, or more")
