"""Adapters: how AnnData, MuData and stores on disk become CellBlocks, and how results go back."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem, sparse_dataset, write_elem
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import is_list_like

from ..workflows.annotate import Annotation
from ..data.blocks import CellBlocks, Names, rows_per_block
from ..data.labels import as_texts, positions_of
from ..support.config import optional_name
from ..errors import DeepScoreError, EngineError, InputError
from ..support.files import replacing, require_file
from ..data.names import select_modality

__all__ = [
    "Source",
    "add_annotation",
    "add_embedding",
    "as_anndata",
    "labels_of",
    "open_halves",
    "open_source",
    "require_columns",
    "write_h5ad",
]

# What a modality may be called in a MuData.
MODALITY_KEYS = {
    "rna": ("rna", "gex", "RNA"),
    "peaks": ("peaks", "atac", "ATAC"),
    "protein": ("protein", "prot", "adt"),
}


@dataclass(frozen=True, eq=False)
class Source:
    """A data set of the caller: its values as blocks, and its table of cells.

    Parameters
    ----------
    holder, key
        The AnnData or MuData that results are added to, and the modality in a MuData.
    """

    blocks: CellBlocks
    obs: pd.DataFrame
    holder: Any
    modality: str | None
    key: str | None = None


def open_source(data: Any, layer: str | None = None, modality: str | None = None) -> Source:
    """Open AnnData (in memory or backed), MuData, or a path to .h5ad or .zarr.

    Parameters
    ----------
    data
        The data set.
    layer
        Layer to read in place of X.
    modality
        Modality of a MuData: its key, or "rna", "peaks" or "protein".

    Raises
    ------
    InputError
        ``unknown_data``, ``file_not_found``, ``layer_not_found``, ``modality_required`` or what
        :class:`~deepscore.data.blocks.CellBlocks` raises.
    """
    optional_name("layer", layer)
    optional_name("modality", modality)
    if isinstance(data, (str, os.PathLike)):
        data = open_path(Path(data))
    if hasattr(data, "mod") and isinstance(data.mod, Mapping):
        key = _modality_key(data.mod, modality)
        source = open_source(data.mod[key], layer)
        known = modality if modality in MODALITY_KEYS else None
        return Source(source.blocks, source.obs, data, known, key)
    if not isinstance(data, ad.AnnData):
        raise InputError(
            "unknown_data",
            f"A {type(data).__name__} is not a data set that deepscore reads. Give an AnnData, a MuData with "
            "modality=, or a path to .h5ad or .zarr (for a bare matrix: anndata.AnnData(X, obs, var)).",
        )
    with _reading("The data set"):
        matrix, name = _values(data, layer)
    with _reading(name):
        if matrix.shape != data.shape or np.dtype(matrix.dtype).kind not in "biufO":
            raise TypeError(f"it is {matrix.dtype} of shape {matrix.shape}, not {data.shape} real numbers")
        reader = _reader(matrix, name)
    return Source(
        CellBlocks(_names(data.var_names), _names(data.obs_names), *reader, source=name), data.obs, data, modality
    )


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Say in one way what the libraries below say in many of values that are damaged, or that are no matrix."""
    try:
        yield
    except DeepScoreError:
        raise
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            "unknown_data", f"{what} cannot be read as a matrix of numbers: {str(error).rstrip('.')}."
        ) from error


def open_halves(multiome: Any, layer: str | None = None) -> tuple[Source, Source]:
    """Open the RNA and the ATAC of a multiome: a MuData, or a pair of data sets."""
    if isinstance(multiome, (tuple, list)):
        if len(multiome) != 2:
            raise InputError("unknown_data", f"A multiome is two data sets, RNA and ATAC, not {len(multiome)}.")
        return open_source(multiome[0], layer), open_source(multiome[1])
    halves = open_source(multiome, layer, "rna"), open_source(multiome, None, "peaks")
    if halves[0].key is not None:
        return halves
    rna, atac = (  # genes and peaks in one matrix
        replace(half, blocks=select_modality(half.blocks, half.modality)[0]) for half in halves
    )
    return rna, atac


def as_anndata(
    counts: sp.csr_matrix, features: Names, obs: pd.DataFrame, var: pd.DataFrame | None = None
) -> ad.AnnData:
    """Return counts of cells x features with the table of cells of the data set that they come from."""
    columns = pd.DataFrame(index=pd.Index(features)) if var is None else var.set_index(pd.Index(features))
    return ad.AnnData(counts, obs=obs.copy(), var=columns)


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
    with _without_pulling():
        return mudata.read_h5mu(path, backed="r")


def _without_pulling() -> AbstractContextManager[Any]:
    """Let mudata behave as its later versions do; without it, this one warns."""
    import mudata

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


def _x_of(data: ad.AnnData) -> Any:
    try:
        return data.X
    except KeyError:  # of a file without X
        return None


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


def write_h5ad(data: ad.AnnData, query: str | None, output: str) -> None:
    """Write an annotated query: a copy of its file with new columns, or a new file where it was no .h5ad.

    The output appears only when it is complete.
    """
    obs, table = data.obs, data.obsm.get("deepscore_probabilities")
    if obs.index.name in [*obs, *([] if table is None else table)]:  # a table in a file has each name once
        obs = obs.rename_axis(None)
    with replacing(output) as temporary, ad.settings.override(allow_write_nullable_strings=True):
        if query is not None and Path(query).suffix == ".h5ad":  # values, layers and all else are copied as they are
            shutil.copyfile(query, temporary)
            with h5py.File(temporary, "r+") as file:
                write_elem(file, "obs", obs)
                file.pop("obsm/deepscore_probabilities", None)  # of an earlier annotation
                if table is not None:
                    write_elem(file, "obsm/deepscore_probabilities", table.set_axis(obs.index))
        else:
            memory = data.to_memory()
            memory.obs = obs
            memory.write_h5ad(temporary, convert_strings_to_categoricals=False)


def require_columns(labels: Sequence[str]) -> None:
    """Refuse labels that cannot all be names of columns in an .h5ad file, where a name is a path.

    Raises
    ------
    InputError
        ``invalid_text`` names the first label that cannot.
    """
    if not _come_back(labels):
        wrong = next(labels[n - 1] for n in range(1, len(labels) + 1) if not _come_back(labels[:n]))
        raise InputError(
            "invalid_text",
            f"No table in an .h5ad file can have a column {wrong!r} beside those of the other labels: a name is a path "
            "there. Leave --probabilities out, or rename the label and train again.",
        )


def _come_back(columns: Sequence[str]) -> bool:
    """Tell whether a table with these columns is the same when it is read from a file."""
    table = pd.DataFrame([np.arange(len(columns))], index=["cell"], columns=list(columns))
    try:
        with warnings.catch_warnings(), h5py.File("table", "w", driver="core", backing_store=False) as file:
            warnings.simplefilter("ignore")  # a slash works as a rule
            write_elem(file, "table", table)
            found = read_elem(file["table"])
            return list(found) == list(table) and np.array_equal(found, table) and list(file) == ["table"]
    except Exception:  # h5py and anndata raise several
        return False


def _modality_key(mod: Mapping[str, Any], modality: str | None) -> str:
    for key in (modality, *MODALITY_KEYS.get(modality or "", ())):
        if key in mod:
            return str(key)
    asked = "" if modality is None else f", and {modality!r} was asked for"
    raise InputError(
        "modality_required",
        f"The MuData holds the modalities {', '.join(mod)}{asked}. Name one of them with modality= (--modality) where "
        "the call has it, or give the one to use by itself (mdata[name]).",
    )


def _values(data: ad.AnnData, layer: str | None) -> tuple[Any, str]:
    if layer is None:
        x = _x_of(data)
        if x is None:
            raise InputError("layer_not_found", f"X is empty. Give layer=; there are: {_listed(data.layers)}.")
        return x, "X"
    if layer not in data.layers:
        raise InputError("layer_not_found", f"There is no layer {layer!r}; there are: {_listed(data.layers)}.")
    return data.layers[layer], f"layer {layer!r}"


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"


def _names(index: pd.Index[Any]) -> Names:
    return np.array([str(name) for name in index], dtype=object)


def _reader(matrix: Any, name: str) -> tuple[Callable[[int, int], sp.csr_matrix], int]:
    """Return a function that reads rows as CSR, and how many rows to read at once."""
    n_cells = matrix.shape[0]
    if getattr(matrix, "format", None) == "csc":  # columns first: rows cannot be sliced, so it is turned once
        matrix = matrix if sp.issparse(matrix) else matrix.to_memory()
        matrix.check_format()
        matrix = matrix.tocsr()
    if sp.issparse(matrix):
        n_values = matrix.nnz
        if (np.diff(matrix.indptr) < 0).any():  # slices of it would read other memory
            raise ValueError("the pointers to its rows do not ascend")
        if matrix.indices.dtype != matrix.indptr.dtype:  # else every slice would convert all indices
            matrix = sp.csr_matrix((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
    elif getattr(matrix, "format", None) == "csr":  # on disk
        n_values = matrix.group["data"].shape[0]
    else:
        n_values = int(np.prod(matrix.shape))

    def read(start: int, stop: int) -> sp.csr_matrix:
        with _reading(name):
            return read_rows(start, stop)

    def read_rows(start: int, stop: int) -> sp.csr_matrix:
        block = matrix[start:stop]
        if hasattr(block, "compute"):
            block = block.compute()
        if not sp.issparse(block):
            with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
                return sp.csr_matrix(np.asarray(block, dtype=np.float32))
        rows = sp.csr_matrix(block)
        rows.check_format()  # else indices of other columns would reach other memory
        if not rows.has_canonical_format:  # a value in several parts would be taken for several values
            rows = rows.astype(np.float32)  # a copy: dask may have returned the caller's own, and uint8 holds no sums
            rows.sum_duplicates()
        return rows

    return read, rows_per_block(n_cells, n_values)


def labels_of(source: Source, values: Any, what: str) -> Names:
    """Resolve labels or batches: the name of a column of ``obs``, or one value per cell.

    A Series whose index holds the cell names is put in their order; one numbered from 0 has that of the cells.

    Returns
    -------
    One text per cell, None where missing: see :func:`~deepscore.data.labels.as_texts`.

    Raises
    ------
    InputError
        ``column_not_found``, or ``labels_cells`` where a Series is indexed by other cells.
    """
    if values is None:
        raise InputError("no_labels", "There are no labels: name a column of obs, or give one label per cell.")
    if isinstance(values, str):
        table = source.obs
        if values not in table and source.key is not None:  # MuData has a table for all modalities
            table = source.holder.obs.reindex(table.index)
        if values not in table:
            raise InputError("column_not_found", f"obs has no column {values!r}; there are: {_listed(source.obs)}.")
        values = table[values]
    elif isinstance(values, pd.Series) and not _numbered(values.index):
        values = values.iloc[positions_of(_names(source.obs.index), _names(values.index), what)]
    elif isinstance(values, np.ma.MaskedArray):
        values = values.tolist()  # None where masked
    try:
        if not isinstance(getattr(values, "dtype", None), ExtensionDtype) and hasattr(values, "__array__"):
            values = np.asarray(values)  # tensors, lazy arrays
        wrong = isinstance(values, (Mapping, bytes)) or np.ndim(values) != 1 or any(map(is_list_like, values))
        wrong = wrong or getattr(values, "dtype", np.dtype(object)).kind == "V"  # a table
    except (RuntimeError, TypeError, ValueError):  # lists of several lengths, tensors elsewhere
        wrong = True
    if wrong:
        raise InputError(
            f"{what}_length", f"{what} is the name of a column, or one text or number per cell in a list or Series."
        )
    return as_texts(values)


def _numbered(index: pd.Index[Any]) -> bool:
    return isinstance(index, pd.RangeIndex) and (index.start, index.step) == (0, 1)


def _writable(source: Source) -> tuple[Any, ad.AnnData]:
    """Return what the caller gets back, and the AnnData in it that results are added to."""
    holder = source.holder
    if holder.is_view:  # a view has no columns of its own
        with nullcontext() if isinstance(holder, ad.AnnData) else _without_pulling():
            holder = holder.to_memory() if holder.isbacked else holder.copy()
    return holder, holder if source.key is None else holder.mod[source.key]


def add_embedding(source: Source, components: npt.NDArray[np.float64]) -> Any:
    """Add ``obsm["X_lsi"]`` to the caller's object and return it."""
    holder, target = _writable(source)
    target.obsm["X_lsi"] = components
    return holder


def add_annotation(source: Source, found: Annotation) -> Any:
    """Add the columns to the caller's object and return it; nothing else of it changes."""
    holder, target = _writable(source)
    target.obs["deepscore"] = found.calls  # strings: a categorical cannot be compared with another one
    target.obs["deepscore_score"] = found.scores
    target.obs["deepscore_raw"] = found.raw
    target.obs["deepscore_reason"] = found.reasons
    for column in target.obs.columns.intersection(["deepscore_group", "deepscore_group_share"]):
        del target.obs[column]  # of an earlier annotation: they would contradict this one
    target.obsm.pop("deepscore_probabilities", None)
    if found.group_calls is not None:
        target.obs["deepscore_group"] = found.group_calls
        target.obs["deepscore_group_share"] = found.group_shares
    if found.probabilities is not None:
        target.obsm["deepscore_probabilities"] = pd.DataFrame(
            found.probabilities, index=target.obs_names, columns=list(found.labels)
        )
    return holder
