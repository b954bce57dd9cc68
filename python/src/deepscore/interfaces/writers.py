"""Writers: how results go back to the caller's AnnData or MuData, and to files."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem, write_elem

from ..data.blocks import Names
from ..errors import InputError
from ..output.columns import OPTIONAL, columns_of
from ..query.annotation import Annotation
from ..support.files import replacing
from .readers import Source
from .stores import without_pulling

__all__ = ["add_annotation", "add_embedding", "as_anndata", "require_columns", "write_h5ad"]

# The table of all probabilities, in ``obsm``.
PROBABILITIES = "deepscore_probabilities"
# Texts that are missing, and a slash in the name of a column, which anndata 0.13 does not write unless asked.
AS_IT_IS = {"allow_write_nullable_strings": True, "disallow_forward_slash_in_h5ad": False}


def as_anndata(
    counts: sp.csr_matrix, features: Names, obs: pd.DataFrame, var: pd.DataFrame | None = None
) -> ad.AnnData:
    """Return counts of cells x features with the table of cells of the data set that they come from."""
    columns = pd.DataFrame(index=pd.Index(features)) if var is None else var.set_index(pd.Index(features))
    return ad.AnnData(counts, obs=obs.copy(), var=columns)


def write_h5ad(data: ad.AnnData, query: str | None, output: str) -> None:
    """Write an annotated or embedded query: a copy of its file with what is new, or a new file where it was no .h5ad.

    The output appears only when it is complete.
    """
    obs, table, components = data.obs, data.obsm.get(PROBABILITIES), data.obsm.get("X_lsi")
    if obs.index.name in [*obs, *([] if table is None else table)]:  # a table in a file has each name once
        obs = obs.rename_axis(None)
    with replacing(output) as temporary, ad.settings.override(**AS_IT_IS):
        if query is not None and Path(query).suffix == ".h5ad":  # values, layers and all else are copied as they are
            shutil.copyfile(query, temporary)
            with h5py.File(temporary, "r+") as file:
                write_elem(file, "obs", obs)
                file.pop(f"obsm/{PROBABILITIES}", None)  # of an earlier annotation
                if table is not None:
                    write_elem(file.require_group("obsm"), PROBABILITIES, table.set_axis(obs.index))
                if components is not None:
                    write_elem(file.require_group("obsm"), "X_lsi", components)
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
            with ad.settings.override(**AS_IT_IS):
                write_elem(file, "table", table)
            found = read_elem(file["table"])
            return list(found) == list(table) and np.array_equal(found, table) and list(file) == ["table"]
    except Exception:  # h5py and anndata raise several
        return False


def _writable(source: Source) -> tuple[Any, ad.AnnData]:
    """Return what the caller gets back, and the AnnData in it that results are added to."""
    holder = source.holder
    if holder.is_view:  # a view has no columns of its own
        with nullcontext() if isinstance(holder, ad.AnnData) else without_pulling():
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
    columns = columns_of(found)
    for column in target.obs.columns.intersection([name for name in OPTIONAL if name not in columns]):
        del target.obs[column]  # of an earlier annotation: it would contradict this one
    for name, values in columns.items():
        target.obs[name] = values  # labels as strings: a categorical cannot be compared with another one
    target.obsm.pop(PROBABILITIES, None)
    if found.probabilities is not None:
        target.obsm[PROBABILITIES] = pd.DataFrame(
            found.probabilities, index=target.obs_names, columns=list(found.labels)
        )
    return holder
