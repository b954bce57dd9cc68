"""The Python half of the R bridge for chromatin; see :mod:`deepscore.interfaces.r`.

Peaks arrive as a list of names, as the path of a BED file, or as a data set. Annotations arrive as the path of a file,
or as a table: lists of strings and the bytes of numbers (float64). Counts go back as the arrays of cells x features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..chromatin.genes import TABLE_COLUMNS, gene_ids, gene_types, read_annotation
from ..chromatin.intervals import peak_names, read_bed
from ..chromatin.peaks import peaks_among
from ..data.blocks import CellBlocks, Names
from ..errors import InputError
from ..model import file as modelfile
from ..support.checks import made
from ..workflows import gene_activity as activity
from ..workflows import peaks as peaks_of_sets
from ..workflows import train_bridge as bridge
from .r import Answer, Kwargs, Values, answering, given_labels, load_torch, optional_values, strings

# Of a matrix of R.
MOST_VALUES = 2**31 - 1
VALUES_PER_PART = 2**24

Peaks = str | Sequence[str] | CellBlocks
Table = str | Mapping[str, Any]


@answering
def read_of_table(types: Sequence[str | None]) -> Answer:
    """Tell which columns of a table of genes are read and, of the types of features that it has, which rows."""
    return {"columns": list(TABLE_COLUMNS), "types": list(gene_types(kind for kind in types if kind is not None))}


@answering
def find_common_peaks(datasets: Sequence[Peaks], kwargs: Kwargs) -> list[str]:
    """Twin of :func:`deepscore.find_common_peaks`."""
    request = made(peaks_of_sets.CommonPeaksRequest, kwargs)
    return peaks_of_sets.find_common_peaks([_peaks(one) for one in datasets], request)


@answering
def match_peaks(query: CellBlocks, peaks: Peaks, fragments: str | None, kwargs: Kwargs) -> Answer:
    """Twin of :func:`deepscore.match_peaks`."""
    request, wanted = made(peaks_of_sets.MatchRequest, kwargs), _peaks(peaks)
    counts, covered = peaks_of_sets.match_peaks(query, wanted, request, fragments)
    return matrix(counts, wanted) | {"covered": covered.tolist()}


@answering
def count_fragments(fragments: str, peaks: Peaks, cells: Sequence[str] | None, kwargs: Kwargs) -> Answer:
    """Twin of :func:`deepscore.count_fragments`."""
    request, wanted = made(peaks_of_sets.FragmentsRequest, kwargs), _peaks(peaks)
    return matrix(peaks_of_sets.count_fragments(fragments, wanted, cells, request), wanted)


@answering
def gene_activity(x: CellBlocks | str, annotation: Table | None, cells: Sequence[str] | None, kwargs: Kwargs) -> Answer:
    """Twin of :func:`deepscore.gene_activity`; `x` is a data set or the path of a fragments file."""
    request = made(activity.ActivityRequest, kwargs)
    genes = _genes(annotation, request.biotypes, request.names)
    counts, names = activity.gene_activity(x, genes, request, cells)
    ids = gene_ids(genes, names)
    return matrix(counts, names) | {"gene_ids": None if ids is None else ids.tolist()}


@answering
def find_linked_genes(rna: CellBlocks, atac: CellBlocks, annotation: Table | None, kwargs: Kwargs) -> list[str]:
    """Twin of :func:`deepscore.find_linked_genes`."""
    request = made(activity.LinkedGenesRequest, kwargs)
    return activity.find_linked_genes(rna, atac, request, _optional_genes(annotation))


@answering
def train_bridge(
    rna_model: bytes | CellBlocks,
    labels: Values | None,
    rna: CellBlocks,
    atac: CellBlocks,
    annotation: Table | None,
    batch: Values | None,
    kwargs: Kwargs,
) -> bytes:
    """Twin of :func:`deepscore.train_bridge`; `rna_model` is a model file or a reference, `batch` is of `rna`."""
    load_torch()
    request, genes = made(bridge.BridgeRequest, kwargs), _optional_genes(annotation)
    if isinstance(rna_model, CellBlocks):
        first = bridge.train_rna_model(rna_model, given_labels(labels, rna_model), rna, request)
    else:
        first = modelfile.from_bytes(bytes(rna_model))
    model = bridge.train_bridge(first, rna, atac, request, genes=genes, batch=optional_values(batch, rna, "batch"))
    return modelfile.to_bytes(model)


def matrix(
    counts: sp.csr_matrix,
    features: Names,
    *,
    exact: bool = False,
    most: int = MOST_VALUES,
    size: int = VALUES_PER_PART,
) -> Answer:
    """Return the arrays of cells x features, which are those of a features x cells dgCMatrix, in parts for R.

    Returns
    -------
    ``p`` and ``i`` (int32, from 0), ``x`` (float32, or float64 where it must be `exact`), each a list of the bytes of
    up to `size` values; the number of bytes of a value of ``x``, ``width``; the number ``n_values`` of stored values;
    the names of the features.

    Raises
    ------
    InputError
        ``too_many_values`` for more than `most`.
    """
    if counts.nnz > most:
        raise InputError(
            "too_many_values",
            f"The result has {counts.nnz:,} values; a sparse matrix of R holds {most:,}. Give fewer cells at a time.",
        )
    of_x = np.float64 if exact else np.float32
    arrays = {"p": (counts.indptr, np.int32), "i": (counts.indices, np.int32), "x": (counts.data, of_x)}
    parts = {
        name: [array[first : first + size].astype(kind).tobytes() for first in range(0, len(array), size)]
        for name, (array, kind) in arrays.items()
    }
    return {"features": features.tolist(), "n_values": int(counts.nnz), "width": np.dtype(of_x).itemsize, **parts}


def _peaks(x: Peaks) -> Names:
    """Return the names of peaks; genes that a data set holds besides them are left out."""
    if isinstance(x, str):
        return peak_names(read_bed(Path(x)))
    if not isinstance(x, CellBlocks):
        return strings(x)
    return peaks_among(x)


def _genes(annotation: Table | None, biotypes: Sequence[str] | None = None, names: str = "gene_name") -> pd.DataFrame:
    if annotation is None or isinstance(annotation, str):
        return read_annotation(annotation, biotypes=biotypes, names=names)
    columns = {
        name: np.frombuffer(values) if isinstance(values, (bytes, bytearray)) else strings(values)
        for name, values in annotation.items()
    }
    return read_annotation(pd.DataFrame(columns), biotypes=biotypes, names=names)


def _optional_genes(annotation: Table | None) -> pd.DataFrame | None:
    return None if annotation is None else _genes(annotation)
