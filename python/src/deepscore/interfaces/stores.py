"""Stores: how the path of a data set becomes an AnnData or a MuData, its values left on disk where they can be."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
from anndata.io import read_elem, sparse_dataset

from ..errors import DeepScoreError, EngineError, InputError
from ..support.files import require_file
from .damage import lacks_chunks, require_column, require_plausible, require_whole
from .formats import matrix_in, read_10x_h5, read_loom, read_mtx, read_table

__all__ = [
    "MATRICES",
    "ZARR_MARKS",
    "OpenStores",
    "close",
    "open_path",
    "open_values",
    "require_stored",
    "suffix_of",
    "without_pulling",
]

# What can be read, by its suffix: what can only be a data set, and text that may be something else (fragments, BED).
MATRICES = (".h5ad", ".zarr", ".h5mu", ".h5", ".hdf5", ".loom", ".mtx", ".mtx.gz")
TABLES = (".csv", ".tsv", ".txt", ".tab", ".csv.gz", ".tsv.gz", ".txt.gz", ".tab.gz")
# Files that tell a folder of zarr from any other.
ZARR_MARKS = ("zarr.json", ".zgroup")
# Files of a list of data sets that are open at once.
OPEN_AT_ONCE = 4


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the suffix of a path in small letters, with that before a .gz."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def open_path(path: Path) -> Any:
    """Open a data set: of stores the table of cells in memory and the values on disk, all of other formats in memory.

    Raises
    ------
    InputError
        ``file_not_found`` or ``unknown_data``.
    EngineError
        ``missing_package``.
    """
    if not os.path.isdir(path):  # as .zarr and the matrices of Cell Ranger are
        require_file(path)
    kind = suffix_of(path)
    try:
        opened = _opener(path, kind)
        if opened is not None:
            return opened(path)
    except DeepScoreError:
        raise
    except Exception as error:  # the readers raise anything; notes of anndata name the element
        why = " ".join(map(str, [error, *getattr(error, "__notes__", [])]))
        raise InputError("unknown_data", f"{path} cannot be read as {kind or 'a data set'}: {why}") from error
    raise InputError(
        "unknown_data",
        f"{path} is no data set that deepscore reads: .h5ad, .h5mu, .zarr, .loom, the .h5, folder or matrix.mtx(.gz) "
        "of Cell Ranger, or a table as .csv, .tsv or .txt (.gz).",
    )


def _opener(path: Path, kind: str) -> Callable[[Path], Any] | None:
    if os.path.isdir(path) and kind != ".zarr":
        if _is_zarr(path):
            return _open_zarr
        matrix = matrix_in(path)
        return None if matrix is None else lambda _: read_mtx(matrix)
    known: dict[str, Callable[[Path], Any]] = {
        ".h5ad": _open_h5ad,
        ".zarr": _open_zarr,
        ".h5mu": _open_mudata,
        ".h5": _open_hdf5,
        ".hdf5": _open_hdf5,
        ".loom": _open_hdf5,
        ".mtx": read_mtx,
        ".mtx.gz": read_mtx,
    }
    return known.get(kind, read_table if kind in TABLES else None)


def _open_hdf5(path: Path) -> Any:
    """Open a file of HDF5 by what is in it."""
    with h5py.File(path, "r") as file:
        if "row_attrs" in file:
            return read_loom(file)
        if not ("obs" in file and "var" in file) and "mod" not in file:
            return read_10x_h5(file)
        is_multiome = "mod" in file
    return _open_mudata(path) if is_multiome else _open_h5ad(path)


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


class OpenStores:
    """What a few of many files hold: of those that were asked for last; the others are closed."""

    def __init__(self, most: int = OPEN_AT_ONCE) -> None:
        self._most = most
        self._open: dict[Hashable, Any] = {}

    def __reduce__(self) -> tuple[type[OpenStores], tuple[int]]:
        """Be sent to another process without what is open in this one."""
        return OpenStores, (self._most,)

    def get(self, key: Hashable, open_: Callable[[], Any]) -> Any:
        """Return what is open under a key, or open it."""
        found = self._open.pop(key, None)
        if found is None:
            found = open_()
            while len(self._open) >= self._most:
                close(self._open.pop(next(iter(self._open))))
        self._open[key] = found
        return found


def close(data: Any) -> None:
    """Close the file of a data set of :func:`open_path`, or of values on disk; anndata opens X again by itself."""
    for part in (data, *getattr(data, "mod", {}).values()):
        for values in (part, *getattr(part, "layers", {}).values()):
            file = getattr(getattr(values, "group", values), "file", None)
            if isinstance(file, h5py.File):
                file.close()
        if getattr(part, "isbacked", False):
            part.file.close()


def open_values(path: Path, key: str | None, where: str) -> Any:
    """Open one matrix of a store without its tables; None where the file has to be read as a whole.

    Parameters
    ----------
    key
        The modality, of an .h5mu.
    where
        ``"X"``, ``"raw/X"`` or ``"layers/<name>"``.
    """
    if _is_zarr(path):
        import zarr

        group: Any = zarr.open_group(path, mode="r")
        return _on_disk(group[where]) if where in group else None
    if not path.is_file() or not h5py.is_hdf5(path):
        return None
    file = h5py.File(path, "r")
    store = file if key is None else file["mod"][key]
    if isinstance(store.get("obs"), h5py.Group) and where in store:
        return _on_disk(store[where])
    file.close()
    return None


def require_stored(path: Path, column: str) -> None:
    """Refuse, or warn of, a column of ``obs`` that a zarr store does not hold all of, before it is used.

    Raises
    ------
    InputError
        ``unknown_data``.
    """
    if not _is_zarr(path):
        return
    import zarr

    found = zarr.open_group(path, mode="r").get(f"obs/{column}")
    if found is None:  # as anndata before 0.7 wrote it
        return
    try:
        require_column(found, f"obs[{column!r}]")
    except ValueError as error:
        raise InputError("unknown_data", f"{path} cannot be used: {error}.") from None


def _is_zarr(path: Path) -> bool:
    return any((path / name).is_file() for name in ZARR_MARKS)


def _open_zarr(path: Path) -> ad.AnnData:
    import zarr

    store: Any = zarr.open_group(path, mode="r")
    _require_sound(store)
    return ad.AnnData(X=_on_disk(store["X"]) if "X" in store else None, **_parts(store))


def _parts(store: Any) -> dict[str, Any]:
    """Read everything of a store but X; layers stay on disk."""
    names = ("obs", "var", "obsm", "varm", "obsp", "varp", "uns")
    parts = {name: read_elem(store[name]) for name in names if name in store or name in ("obs", "var")}
    if hasattr(store.get("raw"), "keys"):  # else it stands for none
        of_raw = ("var", "varm") if isinstance(store, h5py.File) else ("X", "var", "varm")  # a backed one finds its X
        parts["raw"] = {name: read_elem(store["raw"][name]) for name in of_raw if name in store["raw"]}
    return parts | {"layers": {name: _on_disk(store["layers"][name]) for name in store.get("layers", ())}}


def _on_disk(element: Any) -> Any:
    return sparse_dataset(element) if hasattr(element, "keys") else element


def _require_sound(store: Any) -> None:
    """Refuse a store that would not be what was written."""
    require_plausible(store, ("X", "layers", "raw"))
    for name in ("obs", "var"):
        table = store[name]
        index = table[table.attrs["_index"]] if "_index" in table.attrs else None
        if index is not None and not hasattr(index, "keys") and lacks_chunks(index):
            raise ValueError(f"a part of the names in {name} is not in the store: copy it again, completely")
        for column in table if hasattr(table, "keys") else ():
            categories = table[column].get("categories") if hasattr(table[column], "keys") else None
            if getattr(categories, "size", 0) > 1 and lacks_chunks(categories):
                raise ValueError(f"a part of the categories of {column!r} in {name} is not in the store: copy it again")
    if "raw" in store and hasattr(store["raw"], "keys") and hasattr(store["raw"].get("X"), "keys"):
        require_whole(store["raw"]["X"], "raw.X")
