"""Stores: how the path of a data set becomes an AnnData or a MuData, its values left on disk where they can be."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
from anndata.io import read_elem, sparse_dataset

from ..errors import DeepScoreError, EngineError, InputError
from ..support.files import require_file

__all__ = ["open_path", "without_pulling"]


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
    if not len(file.get("layers", ())) or isinstance(file["obs"], h5py.Dataset):  # as anndata wrote it before 0.7
        file.close()
        return ad.read_h5ad(path, backed="r")
    return ad.AnnData(filename=path, filemode="r", **_parts(file))  # anndata reads all layers of a backed file


def _open_zarr(path: Path) -> ad.AnnData:
    import zarr

    store: Any = zarr.open_group(path, mode="r")
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
