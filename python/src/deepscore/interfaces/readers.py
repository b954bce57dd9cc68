"""Readers: how AnnData, MuData and stores on disk become CellBlocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import is_list_like

from ..data.blocks import CellBlocks, Names, rows_per_block, tell_repeated_cells
from ..data.labels import TERMS, as_texts, positions_of
from ..data.modality import MODALITIES, PEAKS, RNA, named_part, part_of, select_modality
from ..data.spellings import choose_names, feature_types_of
from ..data.values import check_form, check_values
from ..errors import ConfigError, DeepScoreError, InputError
from ..support.checks import optional_name
from ..support.notices import said, warn
from .damage import require_whole
from .stores import open_path, require_stored

__all__ = ["Source", "labels_of", "open_beside", "open_halves", "open_source", "terms_of", "values_of"]

# The layer that stands for .raw, and the one that holds counts by custom: what scaled values give way to.
RAW, COUNTS = "raw", "counts"


@dataclass(frozen=True, eq=False)
class Source:
    """A data set of the caller: its values as blocks, and its table of cells.

    Parameters
    ----------
    holder, key
        The AnnData or MuData that results are added to, and the modality in a MuData.
    path
        Where it was read from.
    """

    blocks: CellBlocks
    obs: pd.DataFrame
    holder: Any
    modality: str | None
    key: str | None = None
    path: Path | None = None


def open_source(
    data: Any,
    layer: str | None = None,
    modality: str | None = None,
    *,
    values: str | None = None,
    feature_names: str | None = None,
) -> Source:
    """Open AnnData (in memory or backed), MuData, or a path (see :func:`~deepscore.interfaces.stores.open_path`).

    Parameters
    ----------
    data
        The data set.
    layer
        Layer to read in place of X; "raw" is ``.raw``, unless a layer has that name. Not given, the layer "counts" or
        ``.raw`` is read where X is scaled (z-scores), and a warning says so.
    modality
        Modality of a MuData: its key, or "rna", "peaks" or "protein".
    values
        What the values are, "counts" or "lognorm", where the caller says so.
    feature_names
        Column of ``var`` that names the features, or "index".

    Raises
    ------
    InputError
        ``unknown_data``, ``file_not_found``, ``layer_not_found``, ``column_not_found``, ``modality_required``,
        ``scaled_data`` (where it can say what to read instead) or what :class:`~deepscore.data.blocks.CellBlocks`
        raises.
    ConfigError
        ``bad_argument``.
    """
    optional_name("layer", layer)
    optional_name("modality", modality)
    optional_name("feature_names", feature_names)
    known = check_form("values", values)
    path = Path(data) if isinstance(data, (str, os.PathLike)) else None
    if path is not None:
        data = open_path(path)
    if hasattr(data, "mod") and isinstance(data.mod, Mapping):
        key = _modality_key(data.mod, modality)
        source = open_source(data.mod[key], layer, values=values, feature_names=feature_names)
        kind = MODALITIES.get(modality or "") or named_part(key)
        return Source(source.blocks, source.obs, data, kind.name if kind else None, key)
    if not isinstance(data, ad.AnnData):
        several = " Give each of several data sets by itself, in a loop." if isinstance(data, (list, tuple)) else ""
        raise InputError(
            "unknown_data",
            f"A {type(data).__name__} is not a data set that deepscore reads. Give an AnnData, a MuData with "
            "modality=, or a path, such as that of an .h5ad (for a bare matrix: anndata.AnnData(X, obs, var))."
            + several,
        )
    blocks = _unscaled(data, layer, feature_names)
    if blocks.source != ".raw" and RAW in _layers(data) and RAW not in data.layers:
        blocks = replace(blocks, raw=lambda: _readable(data, RAW, feature_names))
    return Source(replace(blocks, values=known), data.obs, data, modality, path=path)


def open_beside(
    what: str, data: Any, layer: str | None, modality: str | None, values: str | None, feature_names: str | None
) -> CellBlocks | None:
    """Open a data set that need not be given, and how to read it only where it is.

    Parameters
    ----------
    what
        Name of the argument; those that say how to read it start with it.

    Raises
    ------
    ConfigError
        ``bad_argument`` where it is said how to read what is not given.
    """
    for name, value in {"layer": layer, "values": values, "feature_names": feature_names}.items():
        if data is None and value is not None:
            raise ConfigError("bad_argument", f"{what}_{name} says how to read the {what}: give {what}=.")
    if data is None:
        return None
    return open_source(data, layer, modality, values=values, feature_names=feature_names).blocks


def _unscaled(data: ad.AnnData, layer: str | None, feature_names: str | None) -> CellBlocks:
    """Open a layer; where it is scaled, another one that is not, or say which to name."""
    blocks = _open_layer(data, layer, feature_names)
    held = _layers(data)
    others = [name for name in dict.fromkeys((COUNTS, RAW, *held)) if name in held and name != layer]
    if not others or _fault(blocks) != "scaled_data":
        return blocks
    usable = [name for name in others if _fault_of_layer(data, name, feature_names) is None]
    if layer is None and usable and usable[0] in (COUNTS, RAW):
        found = _open_layer(data, usable[0], feature_names)
        warn(f"X is scaled (z-scores): {found.source} is read in its place. Say so with layer={usable[0]!r} (--layer).")
        return found
    if usable:
        raise InputError(
            "scaled_data",
            f"{blocks.source} is scaled (z-scores). Read other values of the data set in its place: "
            f"{' or '.join(f'layer={name!r}' for name in usable)} (--layer).",
        )
    return blocks


def _open_layer(data: ad.AnnData, layer: str | None, feature_names: str | None) -> CellBlocks:
    with _reading("The data set"):
        matrix, name = _values(data, layer)
    var = data.raw.var if name == ".raw" else data.var
    shape = (data.n_obs, len(var))
    with _reading(name):
        if matrix.shape != shape or np.dtype(matrix.dtype).kind not in "biufO":
            raise TypeError(f"it is {matrix.dtype} of shape {matrix.shape}, not {shape} real numbers")
        reader = _reader(matrix, name)
    return _blocks(var, _names(data.obs_names), reader, name, feature_names)


def _fault(blocks: CellBlocks) -> str | None:
    """Return the code of what is wrong with values, from some cells."""
    try:
        check_values(blocks.excerpt().astype(np.float32), blocks.source)
    except InputError as error:
        return error.code
    return None


def _readable(data: ad.AnnData, layer: str, feature_names: str | None) -> CellBlocks | None:
    """Open a layer, or return None where it cannot be read."""
    try:
        return _open_layer(data, layer, feature_names)
    except InputError:
        return None


def _fault_of_layer(data: ad.AnnData, layer: str, feature_names: str | None) -> str | None:
    try:
        return _fault(_open_layer(data, layer, feature_names))
    except InputError as error:
        return error.code


def _blocks(
    var: pd.DataFrame,
    cells: Names,
    reader: tuple[Callable[[int, int], sp.csr_matrix], int],
    source: str,
    feature_names: str | None,
) -> CellBlocks:
    """Make blocks of the rows that are read, with all that the table of features says of their columns."""
    columns, given = _text_columns(var, feature_names), feature_names is not None
    names, others, named = choose_names(_names(var.index), columns, feature_names)
    types = feature_types_of(columns)
    blocks = CellBlocks(names, cells, *reader, source, types, other_names=others, names_given=given)
    tell_repeated_cells(blocks)
    return blocks if named is None else blocks.select(np.flatnonzero(named))


def _text_columns(var: pd.DataFrame, wanted: str | None) -> dict[str, list[Any]]:
    """Return the columns that may hold names, those of text and the wanted one, with None where a value is missing."""
    found = {}
    for name, column in var.items():
        values = column.astype(object).where(column.notna(), None).tolist()
        if name == wanted or any(isinstance(value, str) for value in values[:100]):
            found[str(name)] = values
    return found


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


def open_halves(
    multiome: Any, of_rna: Mapping[str, Any] = {}, of_atac: Mapping[str, Any] = {}
) -> tuple[Source, Source]:
    """Open the RNA and the ATAC of a multiome, a MuData or a pair of data sets, each as its options say.

    Parameters
    ----------
    of_rna, of_atac
        ``layer``, ``values`` and ``feature_names``: see :func:`open_source`.
    """
    if isinstance(multiome, (tuple, list)):
        if len(multiome) != 2:
            raise InputError("unknown_data", f"A multiome is two data sets, RNA and ATAC, not {len(multiome)}.")
        return open_source(multiome[0], **of_rna), open_source(multiome[1], **of_atac)
    halves = (
        open_source(multiome, modality=RNA.name, **of_rna),
        open_source(multiome, modality=PEAKS.name, **of_atac),
    )
    if halves[0].key is not None:
        return halves
    rna, atac = (  # genes and peaks in one matrix
        replace(half, blocks=select_modality(half.blocks, half.modality)[0]) for half in halves
    )
    return rna, atac


def _x_of(data: ad.AnnData) -> Any:
    try:
        return data.X
    except KeyError:  # of a file without X
        return None


def _modality_key(mod: Mapping[str, Any], modality: str | None) -> str:
    """Return the key of a modality in a MuData: the name itself, or what is known to stand for it."""
    for key in (modality, part_of(mod, modality) if modality in MODALITIES else None):
        if key in mod:
            return str(key)
    asked = "" if modality is None else f", and {modality!r} was asked for"
    raise InputError(
        "modality_required",
        f"The MuData holds the modalities {', '.join(mod)}{asked}. Name one of them with modality= (--modality) where "
        "the call has it" + said(python=", or give the one to use by itself (mdata[name]).", r="."),
    )


def _values(data: ad.AnnData, layer: str | None) -> tuple[Any, str]:
    if layer is None:
        x = _x_of(data)
        if x is None:
            raise InputError("layer_not_found", f"X is empty. Give layer=; there are: {_listed(_layers(data))}.")
        return x, "X"
    if layer not in _layers(data):
        raise InputError("layer_not_found", f"There is no layer {layer!r}; there are: {_listed(_layers(data))}.")
    if layer not in data.layers:
        return data.raw.X, ".raw"
    return data.layers[layer], f"layer {layer!r}"


def _layers(data: ad.AnnData) -> list[str]:
    """Return the names of the layers, .raw among them; a layer that is itself called "raw" comes first."""
    return [*data.layers, *([RAW] if data.raw is not None and RAW not in data.layers else [])]


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"


def _names(index: pd.Index[Any]) -> Names:
    return np.array([str(name) for name in index], dtype=object)


def _reader(matrix: Any, name: str) -> tuple[Callable[[int, int], sp.csr_matrix], int]:
    """Return a function that reads rows as CSR, and how many rows to read at once."""
    n_cells = matrix.shape[0]
    if hasattr(matrix, "group") or hasattr(matrix, "nchunks_initialized"):  # on disk
        require_whole(getattr(matrix, "group", matrix), name)
    if getattr(matrix, "format", None) == "csc":  # columns first: rows cannot be sliced, so it is turned once
        matrix = matrix if sp.issparse(matrix) else matrix.to_memory()
        matrix.check_format()
        matrix = matrix.tocsr()
    if sp.issparse(matrix):
        indptr, n_values = matrix.indptr, min(len(matrix.data), len(matrix.indices))
        if indptr[0] != 0 or indptr[-1] > n_values or (np.diff(indptr) < 0).any():  # slices would read other memory
            raise ValueError("the pointers to its rows (indptr) do not ascend from 0 to the number of its values")
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


def labels_of(source: Source, values: Any) -> Names:
    """Return labels as text, None where there is none; a word for a missing one is text, too.

    Raises
    ------
    InputError
        ``no_labels`` where none were given, ``column_not_found``, ``labels_length``, or ``labels_cells`` where a Series
        is indexed by other cells.
    """
    if values is None:
        raise InputError("no_labels", "There are no labels: name a column of obs, or give one label per cell.")
    return as_texts(_resolved(source, values, "labels"), words=())


def terms_of(source: Source) -> Names | None:
    """Return the term of each cell in an ontology of cell types, where the data set has that column."""
    return values_of(source, TERMS, "labels") if TERMS in source.obs else None


def values_of(source: Source, values: Any, what: str) -> Names | None:
    """Return batches or groups as text, None where one is missing; None where nothing was given."""
    return None if values is None else as_texts(_resolved(source, values, what))


def _resolved(source: Source, values: Any, what: str) -> Iterable[Any]:
    """Find one value per cell: a column of ``obs``, or the values themselves.

    A Series whose index holds the cell names is put in their order; one numbered from 0 has that of the cells.
    """
    if isinstance(values, str):
        table = source.obs
        if values not in table and source.key is not None:  # MuData has a table for all modalities
            table = source.holder.obs.reindex(table.index)
        if values not in table:
            raise InputError("column_not_found", f"obs has no column {values!r}; there are: {_listed(source.obs)}.")
        if source.path is not None:
            require_stored(source.path, values)
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
    found: Iterable[Any] = values
    return found


def _numbered(index: pd.Index[Any]) -> bool:
    return isinstance(index, pd.RangeIndex) and (index.start, index.step) == (0, 1)
