"""Writers: how results go back to the caller's AnnData or MuData, and to files."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from anndata.io import write_elem

from ..data.blocks import Names
from ..data.labels import TERMS, UNCLASSIFIED
from ..errors import EngineError, InputError
from ..output.colours import GREY, palette
from ..output.columns import OPTIONAL, OWN_TERMS, are_terms_of_calls, columns_of, names_of_columns
from ..query.annotation import Annotation
from ..support.files import replacing, require_writable, reserve
from ..support.notices import warn
from .readers import Source
from .stores import ZARR_MARKS, close, open_path, suffix_of, without_pulling

__all__ = [
    "PROBABILITIES",
    "STORES",
    "TABLES",
    "add_annotation",
    "add_embedding",
    "as_anndata",
    "require_output",
    "write_result",
    "write_store",
]

# What can be written, by its suffix: the whole data set, or only what has been added to its cells.
STORES = (".h5ad", ".zarr", ".h5mu")
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")

# Files of a list of data sets that stay open once it is annotated; of longer lists none does.
MOST_OPEN = 100
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


def require_output(
    output: str,
    query: str | None = None,
    kinds: Sequence[str] = (*STORES, *TABLES),
    why: str = "that says what is written",
) -> None:
    """Refuse a path that no result can be written to, before any work is done.

    Parameters
    ----------
    query
        Path of the data set that results are added to: an .h5mu can only be a copy of one.
    kinds, why
        What can be written, and why.

    Raises
    ------
    InputError
        ``path_not_writable``.
    EngineError
        ``missing_package``.
    """
    kind = suffix_of(output)
    if kind not in kinds:
        raise InputError("path_not_writable", f"{output} must end in {', '.join(kinds)}: {why}.")
    if kind == ".h5mu" and suffix_of(query or "") != ".h5mu":
        raise InputError("path_not_writable", f"Only of an .h5mu can an .h5mu be written: let {output} end in .h5ad.")
    if kind == ".parquet" and find_spec("pyarrow") is None and find_spec("fastparquet") is None:
        raise EngineError("missing_package", "Parquet files need pyarrow: pip install 'deepscore[formats]'.")
    require_writable(output, ZARR_MARKS if kind == ".zarr" else ())


def write_result(
    holder: Any, key: str | None, query: str | None, output: str, table: pd.DataFrame | None = None
) -> None:
    """Write an annotated or embedded query: by the suffix of the output as a store, or only its table.

    Parameters
    ----------
    holder, key
        The AnnData; or the MuData, and the modality in it that has the results.
    query
        The path that it was read from.
    table
        What has been added to the cells.

    Raises
    ------
    EngineError
        ``write_failed``: the disk is full, or fails. Whatever was at `output` is unchanged.
    """
    kind = suffix_of(output)
    try:
        if kind not in TABLES:
            write_store(holder if key is None else holder.mod[key], query, output, key)
        elif table is not None:
            with replacing(output) as temporary:
                if kind == ".parquet":
                    table.to_parquet(temporary)
                else:
                    packed: Any = "gzip" if kind.endswith(".gz") else None
                    table.to_csv(temporary, sep="," if kind.startswith(".csv") else "\t", compression=packed)
    except OSError as error:
        why = error.strerror or error
        raise EngineError(
            "write_failed", f"{output} could not be written: {why}. Whatever was there is unchanged."
        ) from error


def write_store(data: ad.AnnData, query: str | None, output: str, key: str | None = None) -> None:
    """Write a data set with results as .h5ad, .zarr or .h5mu.

    Where the query is a file of the same kind, a copy of it gets what is new: values, layers and all else stay as they
    are on disk. The output appears only when it is complete.

    Parameters
    ----------
    key
        In an .h5mu, the modality that `data` is.

    Raises
    ------
    OSError
        Where the disk is full, or fails.
    """
    kind, zarr = suffix_of(output), suffix_of(output) == ".zarr"
    copied = query is not None and suffix_of(query) == kind
    if not copied:
        data = data.to_memory()
    if data.obs.index.name in data.obs:  # a table in a file has each name once
        data.obs = data.obs.rename_axis(None)
    with (
        replacing(output, ZARR_MARKS if zarr else ()) as temporary,
        ad.settings.override(**AS_IT_IS),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings(
            "ignore", "Consolidated metadata|zarr v3 autosharding", UserWarning
        )  # of later versions
        if copied and query is not None:
            (shutil.copytree if zarr else shutil.copyfile)(query, temporary)
        with _opened_store(temporary, "r+" if copied else "w", zarr=zarr, room=_size(data, whole=not copied)) as store:
            if copied:
                _write_results(store if key is None or kind != ".h5mu" else store["mod"][key], data)
            else:
                write_elem(store, "/", data)
                if data.raw is None and "raw" in store:  # an empty value, which other readers know only since 2024
                    del store["raw"]
        if zarr:
            _consolidate(temporary)


def _write_results(store: Any, data: ad.AnnData) -> None:
    """Write what annotations and embeddings add, and take away what an earlier one has left."""
    write_elem(store, "obs", data.obs)
    for slot, names in (("obsm", (PROBABILITIES, "X_lsi")), ("uns", ("deepscore", "deepscore_colors"))):
        if slot not in store:
            write_elem(store, slot, {})
        for name in names:
            if name in getattr(data, slot):
                write_elem(store[slot], name, getattr(data, slot)[name])
            elif name in store[slot]:
                del store[slot][name]


@contextmanager
def _opened_store(path: Path, mode: Literal["r+", "w"], *, zarr: bool, room: int) -> Iterator[Any]:
    if zarr:
        from zarr import open_group

        yield open_group(path, mode=mode, use_consolidated=False)
        return
    with h5py.File(path, mode) as file:
        file.flush()
        reserve(path, room)
        yield file


def _consolidate(path: Path) -> None:
    from zarr import consolidate_metadata

    consolidate_metadata(path)


def _size(data: ad.AnnData, *, whole: bool) -> int:
    """Return how many bytes a data set, or what :func:`_write_results` writes of it, takes on disk at most."""
    tables = [data.obs, *(data.obsm[name] for name in (PROBABILITIES, "X_lsi") if name in data.obsm)]
    size = sum(table.__sizeof__() for table in tables) if not whole else data.__sizeof__()
    if whole and data.raw is not None:
        size += data.raw.X.__sizeof__() if not sp.issparse(data.raw.X) else 3 * data.raw.X.data.nbytes
    return size + 2**20


def _writable(source: Source) -> tuple[Any, ad.AnnData]:
    """Return what the caller gets back, and the AnnData in it that results are added to."""
    holder = source.holder
    if holder.is_view:  # a view has no columns of its own
        with nullcontext() if isinstance(holder, ad.AnnData) else without_pulling():
            holder = holder.to_memory() if holder.isbacked else holder.copy()
    return holder, holder if source.key is None else holder.mod[source.key]


def _reopened(member: Source) -> Source:
    """Open a data set of a list again, to add results to it."""
    return member if member.holder is not None else replace(member, holder=open_path(Path(str(member.path))))


def _let_go(holder: Any) -> None:
    """Close the file of a data set; anndata opens it again for X, but not for layers."""
    for part in (holder, *getattr(holder, "mod", {}).values()):
        if isinstance(part, ad.AnnData) and part.isbacked:
            for name, values in [*part.layers.items()]:
                del part.layers[name]
                close(values)
    close(holder)


def add_embedding(source: Source, components: npt.NDArray[np.float64]) -> Any:
    """Add ``obsm["X_lsi"]`` to the caller's object and return it; warn where other components have that name."""
    holder, target = _writable(source)
    earlier = target.obsm.get("X_lsi")
    if earlier is not None and not (earlier.shape == components.shape and np.allclose(earlier, components, atol=1e-4)):
        warn('obsm["X_lsi"] of the query is replaced. To keep it, give it another name beforehand.')
    target.obsm["X_lsi"] = components
    return holder


def add_annotation(source: Source, found: Annotation, origin: Mapping[str, Any]) -> Any:
    """Add the columns to the caller's object and return it, with where they come from; nothing else of it changes.

    Of data sets that were read as one, each gets those of its own cells.

    Parameters
    ----------
    origin
        What :func:`~deepscore.output.provenance.provenance` says of the annotation.
    """
    if source.members:
        many, first, annotated = len(source.members) > MOST_OPEN, 0, []
        for member in source.members:
            rows = slice(first, first := first + member.blocks.n_cells)
            one = add_annotation(_reopened(member), found.of_cells(rows), origin)
            if many and member.path is not None:
                _let_go(one)
            annotated.append(one)
        return annotated
    holder, target = _writable(source)
    columns: dict[str, Any] = dict(columns_of(found))
    if TERMS in columns and TERMS in target.obs:
        earlier = target.obs["deepscore"].tolist() if "deepscore" in target.obs else None
        if not are_terms_of_calls(earlier, target.obs[TERMS].tolist()):
            warn(OWN_TERMS)
            del columns[TERMS]
    for column in target.obs.columns.intersection([name for name in OPTIONAL if name not in columns]):
        del target.obs[column]  # of an earlier annotation: it would contradict this one
    categories = [*found.labels, UNCLASSIFIED]
    columns["deepscore"] = pd.Categorical(columns["deepscore"], categories)
    for name, values in columns.items():
        target.obs[name] = values
    names = [] if found.probabilities is None else names_of_columns(found.labels)
    if target.obs.index.name in [*target.obs, *names]:  # no file holds a table in which a column is named as the index
        target.obs.index.name = None
    target.obsm.pop(PROBABILITIES, None)
    if found.probabilities is not None:
        target.obsm[PROBABILITIES] = pd.DataFrame(found.probabilities, index=target.obs_names, columns=names)
    target.uns["deepscore"] = dict(origin)
    target.uns["deepscore_colors"] = [*palette(len(found.labels)), GREY]  # where scanpy looks for them
    return holder
