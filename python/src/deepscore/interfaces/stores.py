"""Stores: how the path of a data set becomes an AnnData or a MuData, its values left on disk where they can be."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
from anndata.io import read_elem, sparse_dataset

from ..errors import DeepScoreError, EngineError, InputError
from ..support.files import require_file
from ..support.notices import warn

__all__ = ["open_path", "require_whole", "suffix_of", "without_pulling"]

# What is read at once may unpack to so many bytes, or to so many times what is stored of it: no real data shrink more.
MOST_BYTES, MOST_TIMES = 2**30, 200
# Groups in groups: of anndata's own there are four or five.
DEEPEST = 50


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the suffix of a path in small letters, with that before a .gz."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def open_path(path: Path) -> Any:
    """Open a store lazily: its table of cells in memory, its values on disk."""
    if not os.path.isdir(path):  # as .zarr is
        require_file(path)
    if path.suffix not in (".h5ad", ".zarr", ".h5mu"):
        raise InputError("unknown_data", f"{path} is neither .h5ad, .h5mu nor .zarr.")
    try:
        if path.suffix == ".h5mu":
            return _open_mudata(path)
        return _open_h5ad(path) if path.suffix == ".h5ad" else _open_zarr(path)
    except DeepScoreError:
        raise
    except Exception as error:  # the readers raise anything; notes of anndata name the element
        why = " ".join(map(str, [error, *getattr(error, "__notes__", [])]))
        raise InputError("unknown_data", f"{path} cannot be read as {path.suffix}: {why}") from error


def _open_mudata(path: Path) -> Any:
    try:
        import mudata
    except ImportError as error:
        raise EngineError("missing_package", "MuData files need mudata: pip install mudata.") from error
    with h5py.File(path, "r") as file:
        _require_sound(file)
    with without_pulling():
        found = mudata.read_h5mu(path, backed="r")
    if not found.mod:  # 0.4 opens an .h5ad by this name
        raise ValueError("it holds no modality")
    return found


def without_pulling() -> AbstractContextManager[Any]:
    """Let mudata behave as it does by itself from 0.4 on; without it, 0.3 warns."""
    import mudata

    if hasattr(mudata, "settings"):  # 0.4, where a caller may have asked for pulling
        return mudata.settings.override(pull_on_update=False)
    return mudata.set_options(pull_on_update=False)


def _open_h5ad(path: Path) -> ad.AnnData:
    file = h5py.File(path, "r")
    _require_sound(file)
    if not len(file.get("layers", ())) or isinstance(file["obs"], h5py.Dataset):  # as anndata wrote it before 0.7
        file.close()
        return ad.read_h5ad(path, backed="r")
    return ad.AnnData(filename=path, filemode="r", **_parts(file))  # anndata reads all layers of a backed file


def _open_zarr(path: Path) -> ad.AnnData:
    import zarr

    store: Any = zarr.open_group(path, mode="r")
    _require_sound(store)
    return ad.AnnData(X=_on_disk(store["X"]) if "X" in store else None, **_parts(store))


def _parts(store: Any) -> dict[str, Any]:
    """Read everything of a store but X; layers stay on disk."""
    names = ("obs", "var", "obsm", "varm", "obsp", "varp", "uns")
    parts = {name: read_elem(store[name]) for name in names if name in store or name in ("obs", "var")}
    if "raw" in store:
        of_raw = ("var", "varm") if isinstance(store, h5py.File) else ("X", "var", "varm")  # a backed one finds its X
        parts["raw"] = {name: read_elem(store["raw"][name]) for name in of_raw if name in store["raw"]}
    return parts | {"layers": {name: _on_disk(store["layers"][name]) for name in store.get("layers", ())}}


def _on_disk(element: Any) -> Any:
    return sparse_dataset(element) if hasattr(element, "keys") else element


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
        if not isinstance(values, h5py.Dataset) and _lacks_chunks(values):
            missing = f"{values.nchunks - values.nchunks_initialized} of the {values.nchunks} chunks"
            warn(f"{missing} of {name} are not in the store and read as zeros. Where it was copied, copy it again.")
        return
    data, indices, indptr = values["data"], values["indices"], values["indptr"][:]
    if indptr[0] != 0 or (np.diff(indptr) < 0).any() or not indptr[-1] == data.size == indices.size:
        raise ValueError("its pointers (indptr) do not ascend from 0 to the number of its values")
    lost = _lacks_chunks(data) and "data"
    if not lost and _lacks_chunks(indices):
        size = (indices.shards if getattr(indices, "shards", None) else indices.chunks)[0]
        for start in range(0, indices.size, size):
            part = indices[start : start + size]
            rows = np.searchsorted(indptr, np.arange(start, start + len(part)), side="right")
            lost = lost or (not part.any() and (np.diff(rows) == 0).any() and "indices")
    if not lost and _lacks_chunks(values["indptr"]):  # then the row after it has the values of all rows in it
        row = indices[: indptr[indptr > 0][:1].sum()]
        lost = len(np.unique(row)) < len(row) and "indptr"
    if lost:
        raise ValueError(f"a part of its {lost} is not in the store: copy it again, completely")


def _lacks_chunks(array: Any) -> bool:
    """Tell whether some of an array was never written or is lost; it reads as zeros, or as empty text."""
    if not isinstance(array, h5py.Dataset):
        return bool(array.nchunks_initialized < array.nchunks)
    if array.chunks is None:
        return bool(array.size and not array.is_virtual and not array.id.get_storage_size())
    return bool(array.id.get_num_chunks() < np.prod(-(-np.array(array.shape) // array.chunks)))


def _require_sound(store: Any) -> None:
    """Refuse a store that cannot be held in memory where it is small on disk, and one that is cut short."""
    left = [(store, 0, False)]
    while left:
        group, depth, in_parts = left.pop()
        if depth > DEEPEST:
            raise ValueError(f"groups are nested more than {DEEPEST} deep")
        for name in group.keys():  # noqa: SIM118, as zarr has it
            element, streamed = group.get(name), in_parts or name in ("X", "layers", "raw")
            if hasattr(element, "keys"):
                left.append((element, depth + 1, streamed))
            elif element is not None:  # a link to nothing
                _require_plausible(element, in_parts=streamed)
    for name in ("obs", "var"):
        table = store[name]
        index = table[table.attrs["_index"]] if "_index" in table.attrs else None
        if index is not None and not hasattr(index, "keys") and _lacks_chunks(index):
            raise ValueError(f"a part of the names in {name} is not in the store: copy it again, completely")
    if "raw" in store and hasattr(store["raw"], "keys") and hasattr(store["raw"].get("X"), "keys"):
        require_whole(store["raw"]["X"], "raw.X")


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
