"""Readers: how AnnData, MuData and stores on disk become CellBlocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import is_list_like

from ..data.blocks import CellBlocks, Form, Names, rows_per_block, tell_repeated_cells
from ..data.joined import join, naming, require_one_form
from ..data.labels import TERMS, as_texts, positions_of
from ..data.modality import MODALITIES, PEAKS, RNA, feature_types_of, named_part, part_of, select_modality
from ..data.spellings import choose_names
from ..data.values import check_form, check_values
from ..errors import ConfigError, DeepScoreError, InputError
from ..support.checks import optional_name
from ..support.notices import said, warn
from .damage import require_whole
from .stores import OpenStores, close, open_path, open_values, require_stored

__all__ = ["Source", "labels_of", "open_beside", "open_data", "open_halves", "open_source", "terms_of", "values_of"]

# Values of a dask array, zeros among them, that are computed at once (256 MB), but for those of its own chunks.
VALUES_PER_BAND = 64_000_000
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
    members
        Of data sets that are read as one, each of them, in order. Their table of all cells has no columns, and those
        that have a path have no holder: it is opened again where results are added to it.
    """

    blocks: CellBlocks
    obs: pd.DataFrame
    holder: Any
    modality: str | None
    key: str | None = None
    path: Path | None = None
    members: tuple[Source, ...] = ()


def open_data(
    data: Any, layer: str | None = None, modality: str | None = None, *, stores: OpenStores | None = None, **how: Any
) -> Source:
    """Open a data set, or a list of data sets that are read as one; arguments as for :func:`open_source`.

    Of a list, each path is opened once for its table of cells, however often it is given; for their values a few files
    are open at once.

    Raises
    ------
    InputError
        Also ``mixed_values``.
    ConfigError
        Also ``bad_argument`` of an empty list.
    """
    if not isinstance(data, (list, tuple)):
        return open_source(data, layer, modality, stores=stores, **how)
    if not data:
        raise ConfigError("bad_argument", "A list of data sets must hold at least one, not none.")
    stores, opened = stores or OpenStores(), dict[Any, Source]()
    keys = [os.path.realpath(one) if isinstance(one, (str, os.PathLike)) else id(one) for one in data]
    names = [str(one) if isinstance(one, (str, os.PathLike)) else f"data set {i}" for i, one in enumerate(data, 1)]
    first_of: dict[str, CellBlocks] = {}
    for one, key, name in zip(data, keys, names, strict=True):
        if key not in opened:
            with naming(name):
                opened[key] = _member(one, layer, modality, first_of, stores=stores, **how)
    members = tuple(opened[key] for key in keys)
    called = dict(zip(keys, names, strict=True))
    if how.get("values") is None:
        require_one_form([one.blocks for one in opened.values()], [called[key] for key in opened])
    blocks = join([one.blocks for one in members], names)
    table = pd.DataFrame(index=pd.Index(blocks.cell_names))
    return Source(blocks, table, None, members[0].modality, members=members)


def _member(data: Any, layer: str | None, modality: str | None, first_of: dict[str, CellBlocks], **how: Any) -> Source:
    """Open one of several data sets, and close its file again; those with the same features share the names of them."""
    source = open_source(data, layer, modality, **how)
    first = first_of.setdefault("\0".join(source.blocks.feature_names), source.blocks)
    alike = {name: getattr(first, name) for name in ("feature_names", "feature_types", "other_names")}
    blocks = replace(source.blocks, raw=None, **alike)
    if source.path is None:
        return replace(source, blocks=blocks)
    close(source.holder)
    return replace(source, blocks=blocks, holder=None)


def open_source(
    data: Any,
    layer: str | None = None,
    modality: str | None = None,
    *,
    values: str | None = None,
    feature_names: str | None = None,
    stores: OpenStores | None = None,
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
    stores
        Opens the file again when values are read, so that it can be closed meanwhile.

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
        kind = MODALITIES.get(modality or "") or named_part(key)
        source = _open(data.mod[key], layer, known, feature_names, _again(stores, path, key))
        return replace(source, holder=data, modality=kind.name if kind else None, key=key, path=path)
    if not isinstance(data, ad.AnnData):
        several = " Give each of several data sets by itself, in a loop." if isinstance(data, (list, tuple)) else ""
        raise InputError(
            "unknown_data",
            f"A {type(data).__name__} is not a data set that deepscore reads. Give an AnnData, a MuData with "
            "modality=, or a path, such as that of an .h5ad (for a bare matrix: anndata.AnnData(X, obs, var))."
            + several,
        )
    return replace(_open(data, layer, known, feature_names, _again(stores, path, None)), modality=modality, path=path)


# Returns the values of a layer (None: X) of a data set whose file may have been closed.
Again = Callable[[str | None], Any]


def _again(stores: OpenStores | None, path: Path | None, key: str | None) -> Again | None:
    if stores is None or path is None:
        return None

    def opened(layer: str | None) -> Any:
        found = None
        for where in ["X"] if layer is None else [f"layers/{layer}", *(["raw/X"] if layer == RAW else [])]:
            found = open_values(path, key, where) if found is None else found
        if found is None:
            data = open_path(path)
            found = _values(data if key is None else data.mod[key], layer)[0]
        return _in_rows(found)

    return lambda layer: stores.get((path, key, layer), lambda: opened(layer))


def _open(
    data: ad.AnnData, layer: str | None, known: Form | None, feature_names: str | None, again: Again | None
) -> Source:
    blocks = _unscaled(data, layer, feature_names, again)
    if blocks.source != ".raw" and RAW in _layers(data) and RAW not in data.layers:
        blocks = replace(blocks, raw=lambda: _readable(data, RAW, feature_names))
    return Source(replace(blocks, values=known), data.obs, data, None)


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
    return open_data(data, layer, modality, values=values, feature_names=feature_names).blocks


def _unscaled(data: ad.AnnData, layer: str | None, feature_names: str | None, again: Again | None) -> CellBlocks:
    """Open a layer; where it is scaled, another one that is not, or say which to name."""
    blocks = _open_layer(data, layer, feature_names, again)
    held = _layers(data)
    others = [name for name in dict.fromkeys((COUNTS, RAW, *held)) if name in held and name != layer]
    if not others or _fault(blocks) != "scaled_data":
        return blocks
    usable = [name for name in others if _fault_of_layer(data, name, feature_names) is None]
    if layer is None and usable and usable[0] in (COUNTS, RAW):
        found = _open_layer(data, usable[0], feature_names, again)
        warn(f"X is scaled (z-scores): {found.source} is read in its place. Say so with layer={usable[0]!r} (--layer).")
        return found
    if usable:
        raise InputError(
            "scaled_data",
            f"{blocks.source} is scaled (z-scores). Read other values of the data set in its place: "
            f"{' or '.join(f'layer={name!r}' for name in usable)} (--layer).",
        )
    return blocks


def _open_layer(
    data: ad.AnnData, layer: str | None, feature_names: str | None, again: Again | None = None
) -> CellBlocks:
    with _reading("The data set"):
        matrix, name = _values(data, layer)
    var = data.raw.var if name == ".raw" else data.var
    shape = (data.n_obs, len(var))
    with _reading(name):
        if matrix.shape != shape or np.dtype(matrix.dtype).kind not in "biufO":
            raise TypeError(f"it is {matrix.dtype} of shape {matrix.shape}, not {shape} real numbers")
        reader = _reader(matrix, name, None if again is None else partial(again, layer))
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


def _reader(
    matrix: Any, name: str, again: Callable[[], Any] | None = None
) -> tuple[Callable[[int, int], sp.csr_matrix], int]:
    """Return a function that reads rows as CSR, and how many rows to read at once.

    Parameters
    ----------
    again
        Returns the matrix as :func:`_in_rows` does whenever rows are read, so that it need not be open all the time.
    """
    if hasattr(matrix, "group") or hasattr(matrix, "nchunks_initialized"):  # on disk
        require_whole(getattr(matrix, "group", matrix), name)
    in_rows = _in_rows(matrix)
    current = again or (lambda: in_rows)

    def read(start: int, stop: int) -> sp.csr_matrix:
        with _reading(name):
            return read_rows(start, stop)

    def read_rows(start: int, stop: int) -> sp.csr_matrix:
        block = _rows(current(), start, stop)
        if not sp.issparse(block):
            with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
                return sp.csr_matrix(np.asarray(block, dtype=np.float32))
        rows = sp.csr_matrix(block)
        rows.check_format()  # else indices of other columns would reach other memory
        if not rows.has_canonical_format:  # a value in several parts would be taken for several values
            rows = rows.astype(np.float32)  # a copy: dask may have returned the caller's own, and uint8 holds no sums
            rows.sum_duplicates()
        return rows

    if sp.issparse(in_rows):
        n_values = in_rows.nnz
    elif getattr(in_rows, "format", None) == "csr":  # on disk
        n_values = in_rows.group["data"].shape[0]
    else:
        n_values = int(np.prod(in_rows.shape))
    return read, rows_per_block(in_rows.shape[0], n_values)


def _in_rows(matrix: Any) -> Any:
    """Return a matrix of which rows can be sliced in turn."""
    if hasattr(matrix, "compute"):
        return _Bands(matrix)
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
    return matrix


class _Bands:
    """A dask array, of which the rows of one chunk are held: read in turn, each chunk is computed once.

    Of chunks that are large, as many rows as :data:`VALUES_PER_BAND` allows are computed at once.
    """

    def __init__(self, array: Any) -> None:
        self.array, self.shape = array, array.shape
        most = max(VALUES_PER_BAND // max(self.shape[1], 1), 1)
        ends = np.cumsum(array.chunks[0])
        starts = [np.arange(end - rows, end, most) for end, rows in zip(ends, array.chunks[0], strict=True)]
        self.edges = np.append(np.concatenate(starts), self.shape[0])
        self.held: tuple[int, Any] = (-1, None)

    def __getitem__(self, rows: slice) -> Any:
        touched = range(
            np.searchsorted(self.edges, rows.start, "right") - 1, np.searchsorted(self.edges, rows.stop, "left")
        )
        parts = []
        for i in touched:
            band, first = self._band(i), self.edges[i]
            parts.append(band[max(rows.start - first, 0) : rows.stop - first])
        return parts[0] if len(parts) == 1 else sp.vstack(parts, format="csr")

    def _band(self, i: int) -> Any:
        if self.held[0] != i:
            self.held = (-1, None)  # before another one is computed
            band = self.array[self.edges[i] : self.edges[i + 1]].compute()
            with np.errstate(over="ignore"):  # as in other dense values
                self.held = i, sp.csr_matrix(band if sp.issparse(band) else np.asarray(band, dtype=np.float32))
        return self.held[1]


def _rows(matrix: Any, start: int, stop: int) -> Any:
    """Return rows of a matrix: of one in memory they share its arrays, which nobody can change by them.

    Of sparse ones on disk they are read past anndata, which takes 10 ms more for each slice.
    """
    if getattr(matrix, "format", None) != "csr":
        return matrix[start:stop]
    in_memory = sp.issparse(matrix)
    arrays = {name: getattr(matrix, name) for name in ("data", "indices", "indptr")} if in_memory else matrix.group
    indptr = arrays["indptr"][start : stop + 1]
    parts = [arrays[name][int(indptr[0]) : int(indptr[-1])] for name in ("data", "indices")]
    for part in parts:
        part.flags.writeable = False
    return sp.csr_matrix((*parts, indptr - indptr[0]), shape=(stop - start, matrix.shape[1]))


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
    return _texts(source, values, "labels", words=())


def terms_of(source: Source) -> Names | None:
    """Return the term of each cell in an ontology of cell types, where the data set has that column."""
    known = all(TERMS in one.obs for one in source.members or (source,))
    return values_of(source, TERMS, "labels") if known else None


def values_of(source: Source, values: Any, what: str) -> Names | None:
    """Return batches or groups as text, None where one is missing; None where nothing was given."""
    return None if values is None else _texts(source, values, what)


def _texts(source: Source, values: Any, what: str, **words: Any) -> Names:
    """Return one text per cell; a column of several data sets is that of each of them."""
    if not source.members or not isinstance(values, str):
        return as_texts(_resolved(source, values, what), **words)
    of: dict[int, Names] = {}
    for one in source.members:
        if id(one) not in of:
            with naming(str(one.path or "one of the data sets")):
                of[id(one)] = as_texts(_resolved(one, values, what), **words)
    return np.concatenate([of[id(one)] for one in source.members])


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
