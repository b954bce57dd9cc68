"""The Python half of ``seurat_to_h5ad()`` and ``h5ad_to_seurat()``; see :mod:`deepscore.interfaces.r`.

Values cross in double precision, so that a matrix comes back as it was. A column of a table is a mapping: its ``kind``
("factor", "character", "logical", "integer" or "double") and its ``values``, texts as a list with None where one is
missing, numbers as bytes (R's own: int32, of which the lowest is missing, and float64); of a factor also ``levels`` and
``ordered``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from pandas.api import types

from ..data.blocks import CellBlocks, rows_per_block
from ..data.modality import select_modality
from ..data.values import detect
from ..errors import InputError
from ..support.notices import logger
from .r import VALUES_PER_READ, Answer, answering, strings
from .r_chromatin import matrix
from .readers import open_source
from .stores import open_path
from .writers import require_output, write_result

__all__ = ["read_h5ad", "write_h5ad"]

Column = Mapping[str, Any]
# The missing whole number of R.
MISSING = np.iinfo(np.int32).min
# Layers that hold counts, and logarithms of normalised ones, by custom; where a Seurat object's own facts are.
COUNTS, DATA, FACTS = "counts", ("data", "logcounts"), "seurat"
# What scanpy calls variable features, and their order.
VARIABLE, RANK = "highly_variable", "highly_variable_rank"
# What an assay of a modality is called.
ASSAYS = {"rna": "RNA", "peaks": "peaks", "protein": "ADT"}


# --------------------------------------------------------------------------------------------------- write


@answering
def write_h5ad(
    path: str,
    cells: Sequence[str],
    features: Sequence[str],
    layers: Mapping[str, Mapping[str, Any]],
    obs: Mapping[str, Column],
    var: Mapping[str, Column],
    variable: Sequence[str],
    reductions: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> None:
    """Write a Seurat object as .h5ad.

    Parameters
    ----------
    layers
        ``counts`` and ``data``, as far as they are there: each has the names of its ``features`` (in any order, not
        those that it lacks), ``nnz`` and ``read``, as :func:`deepscore.interfaces.r.blocks`, but with values in
        float64. The first one becomes X.
    obs, var
        Columns of the tables of cells and features.
    variable
        The variable features, the best first.
    reductions
        Of each its ``values``, the bytes of cells x dimensions (float64), and its ``facts``.
    facts
        What else the Seurat object is to get back; they are in ``uns["seurat"]`` with those of the reductions.
    """
    require_output(path, None, (".h5ad",))
    index, columns = pd.Index(strings(cells)), pd.Index(strings(features))
    read = {name: _read_layer(layer, len(cells), columns) for name, layer in layers.items()}
    table = _table(var, columns)
    if len(variable):
        rank = pd.Series(np.arange(len(variable), dtype=float), index=strings(variable)).reindex(columns)
        table[VARIABLE], table[RANK] = rank.notna().to_numpy(), rank.to_numpy()
    x, *others = read
    data = ad.AnnData(read[x], obs=_table(obs, index), var=table, layers={name: read[name] for name in others})
    for name, one in reductions.items():
        data.obsm[f"X_{name}"] = np.frombuffer(one["values"]).reshape(len(cells), -1)
    of_reductions = {name: {k: v for k, v in one["facts"].items() if v is not None} for name, one in reductions.items()}
    data.uns[FACTS] = {**{k: v for k, v in facts.items() if v is not None}, "x": x, "reductions": of_reductions}
    write_result(data, None, None, path)


def _read_layer(layer: Mapping[str, Any], n_cells: int, features: pd.Index[Any]) -> sp.csr_matrix:
    """Read a layer, cells x features, in single precision where that loses nothing; what it lacks is zero."""
    read, own = layer["read"], strings(layer["features"])
    rows = rows_per_block(n_cells, layer["nnz"], VALUES_PER_READ)
    blocks = []
    for start in range(0, n_cells, rows):
        stop = min(start + rows, n_cells)
        part = read(start, stop)
        indptr, indices = (np.frombuffer(part[name], np.int32) for name in ("p", "i"))
        x = np.array(np.frombuffer(part["x"], np.float64))
        blocks.append(sp.csr_matrix((x, indices.copy(), indptr.copy()), shape=(stop - start, len(own))))
    found = sp.vstack(blocks, format="csr")
    at = features.get_indexer(pd.Index(own))
    if len(own) != len(features) or (at != np.arange(len(own))).any():
        found = sp.csr_matrix((found.data, at[found.indices], found.indptr), shape=(n_cells, len(features)))
        found.sort_indices()
    single = found.data.astype(np.float32)
    return found.astype(np.float32) if (single == found.data).all() else found


def _table(columns: Mapping[str, Column], index: pd.Index[Any]) -> pd.DataFrame:
    return pd.DataFrame({name: _values(column) for name, column in columns.items()}, index=index)


def _values(column: Column) -> Any:
    kind, values = column["kind"], column["values"]
    if kind == "factor":
        return pd.Categorical(strings(values), categories=strings(column["levels"]), ordered=bool(column["ordered"]))
    if kind == "character":
        texts = strings(values)
        return texts if not pd.isna(texts).any() else pd.array(texts, dtype="string")
    if kind == "double":
        return np.array(np.frombuffer(values))
    whole = np.array(np.frombuffer(values, np.int32))
    missing = whole == MISSING
    if kind == "logical":
        return whole == 1 if not missing.any() else pd.arrays.BooleanArray(whole == 1, missing)
    return whole if not missing.any() else pd.arrays.IntegerArray(whole, missing)


# ---------------------------------------------------------------------------------------------------- read


@answering
def read_h5ad(path: str, modality: str | None) -> Answer:
    """Read what a Seurat object has a place for; the rest is named in a message.

    Returns
    -------
    ``cells``, ``features``, ``layers`` (``counts`` and ``data``, as far as they are there, each as
    :func:`deepscore.interfaces.r_chromatin.matrix` returns it), the columns ``obs`` and ``var``, the ``variable``
    features, the ``reductions`` (``values``, ``dimensions`` and ``facts``), the name of the ``assay``, and
    ``identities``, the column that has them.
    """
    data = _opened(path, modality)
    facts = data.uns.get(FACTS, {})
    facts = facts if isinstance(facts, Mapping) else {}
    layers, features, left_out = _layers(data, modality)
    var = data.var if len(features) == data.n_vars and (features == data.var_names).all() else data.raw.var
    reductions = {}
    for name, values in data.obsm.items():
        if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "fiu" or not values.size:
            left_out.append(f"obsm[{name!r}]")
            continue
        short = name.removeprefix("X_")
        held = facts.get("reductions", {}).get(short, {})
        reductions[short] = {
            "values": np.ascontiguousarray(values, dtype=np.float64).tobytes(),
            "dimensions": values.shape[1],
            "facts": {key: value.tolist() if hasattr(value, "tolist") else value for key, value in held.items()},
        }
    left_out += [f"{slot}[{name!r}]" for slot in ("varm", "obsp", "varp") for name in getattr(data, slot)]
    if left_out:
        logger.info("%s: what a Seurat object has no place for is left out: %s", Path(path).name, ", ".join(left_out))
    variable = _variable(var)
    kept = var.drop(columns=[VARIABLE, RANK], errors="ignore") if FACTS in data.uns else var
    return {
        "cells": [str(name) for name in data.obs_names],
        "features": features.tolist(),
        "layers": {name: matrix(values, features, exact=True) for name, values in layers.items()},
        "obs": _columns(data.obs),
        "var": _columns(kept),
        "variable": variable,
        "reductions": reductions,
        "assay": facts.get("assay") or ASSAYS.get(_kind(features, data.n_obs), "RNA"),
        "identities": facts.get("identities"),
    }


def _opened(path: str, modality: str | None) -> ad.AnnData:
    data = open_path(Path(path))
    if hasattr(data, "mod"):
        source = open_source(data, modality=modality)
        data = source.holder.mod[source.key]
    return data.to_memory()


def _kind(features: npt.NDArray[Any], n_cells: int) -> str:
    none = sp.csr_matrix((n_cells, len(features)), dtype=np.float32)
    return select_modality(_blocks(none, features, "X"), None)[1].name


def _layers(data: ad.AnnData, modality: str | None) -> tuple[dict[str, sp.csr_matrix], npt.NDArray[Any], list[str]]:
    """Return counts and logarithms, the names of their features, and what is left out.

    Where neither X nor a layer has them, ``.raw`` has, with its own features.
    """
    names = np.array([str(name) for name in data.var_names], dtype=object)
    found: dict[str, sp.csr_matrix] = {}
    left_out: list[str] = []

    def take(values: Any, source: str, named: str | None = None) -> None:
        if values is None:
            return
        csr = _csr(values, source)
        form = named or _form(csr, names, source)
        if form is None or form in found:
            left_out.append(source)
        else:
            found[form] = csr

    for name in (COUNTS, *DATA):
        if name in data.layers:
            take(data.layers[name], f"layers[{name!r}]", COUNTS if name == COUNTS else DATA[0])
    take(data.X, "X")
    left_out += [f"layers[{name!r}]" for name in data.layers if name not in (COUNTS, *DATA)]
    if data.raw is None:
        return _found(found, names, left_out)
    raw, own = data.raw, np.array([str(name) for name in data.raw.var_names], dtype=object)
    if not found:  # X is scaled
        names = own
        take(raw.X, ".raw")
        return _found(found, names, left_out)
    at = pd.Index(own).get_indexer(pd.Index(names)) if len(set(own)) == len(own) else np.array([-1])
    if (at >= 0).all() and len(found) < 2:
        take(_csr(raw.X, ".raw")[:, at], ".raw")
        if len(own) > len(names):
            left_out.append(f"{len(own) - len(names)} features that only .raw has")
    else:
        left_out.append(".raw")
    return _found(found, names, left_out)


def _found(
    found: dict[str, sp.csr_matrix], names: npt.NDArray[Any], left_out: list[str]
) -> tuple[dict[str, sp.csr_matrix], npt.NDArray[Any], list[str]]:
    if not found:
        seen = ", ".join(left_out) or "X is empty"
        raise InputError(
            "scaled_data",
            f"The file holds neither counts nor log-normalised values ({seen}), of which a Seurat object is made.",
        )
    return {name: found[name] for name in (COUNTS, DATA[0]) if name in found}, names, left_out


def _form(values: sp.csr_matrix, features: npt.NDArray[Any], source: str) -> str | None:
    """Tell whether values are counts or logarithms, in the words of a Seurat object; None where they are neither."""
    try:
        return {"counts": COUNTS, "lognorm": DATA[0]}[detect(_blocks(values, features, source)).form]
    except InputError:
        return None


def _blocks(values: sp.csr_matrix, features: npt.NDArray[Any], source: str) -> CellBlocks:
    cells = np.arange(values.shape[0]).astype(str).astype(object)
    rows = rows_per_block(values.shape[0], values.nnz)
    return CellBlocks(features, cells, lambda start, stop: values[start:stop].astype(np.float32), rows, source)


def _csr(values: Any, source: str) -> sp.csr_matrix:
    """Return values as a matrix that R can hold: sorted, each value once."""
    if np.dtype(values.dtype).kind not in "biuf":
        raise InputError("unknown_data", f"{source} holds no real numbers but {values.dtype}.")
    found = sp.csr_matrix(values)
    found.sum_duplicates()
    return found


def _variable(var: pd.DataFrame) -> list[str]:
    """Return the variable features as scanpy marks them, the best first where their order is known."""
    if VARIABLE not in var or not types.is_bool_dtype(var[VARIABLE]):
        return []
    chosen = var[var[VARIABLE].fillna(value=False).astype(bool)]
    if RANK in chosen:
        chosen = chosen.sort_values(RANK, kind="stable")
    return [str(name) for name in chosen.index]


def _columns(table: pd.DataFrame) -> dict[str, Column]:
    return {str(name): _column(table[name]) for name in table.columns}


def _column(values: pd.Series) -> Column:
    missing = values.isna().to_numpy()
    if isinstance(values.dtype, pd.CategoricalDtype):
        levels = [str(level) for level in values.cat.categories]
        texts = [None if code < 0 else levels[code] for code in values.cat.codes]
        return {"kind": "factor", "values": texts, "levels": levels, "ordered": bool(values.cat.ordered)}
    if types.is_bool_dtype(values.dtype):
        return {"kind": "logical", "values": _int32(values, missing)}
    if types.is_integer_dtype(values.dtype):
        known = values[~missing]
        if not len(known) or (known.min() > MISSING and known.max() < 2**31):
            return {"kind": "integer", "values": _int32(values, missing)}
    if types.is_numeric_dtype(values.dtype):
        return {"kind": "double", "values": values.to_numpy(np.float64, na_value=np.nan).tobytes()}
    texts = [None if gone else str(value) for value, gone in zip(values, missing, strict=True)]
    return {"kind": "character", "values": texts}


def _int32(values: pd.Series, missing: npt.NDArray[np.bool_]) -> bytes:
    whole = np.full(len(values), MISSING, dtype=np.int32)
    whole[~missing] = values[~missing].to_numpy().astype(np.int32)
    return whole.tobytes()
