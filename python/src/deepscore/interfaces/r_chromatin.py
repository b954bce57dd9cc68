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

from ..model import file as modelfile
from ..data.blocks import CellBlocks, Names
from ..chromatin.activity import activity_blocks, activity_from_fragments
from ..workflows.train_bridge import Bridge, rna_model_of, train_through
from ..chromatin.fragments import COUNTING, count_over
from ..chromatin.fragments import count_fragments as count
from ..chromatin.genes import TABLE_COLUMNS, gene_types, read_annotation
from ..chromatin.intervals import peak_names, read_bed
from ..chromatin.linked import best_linked
from ..chromatin.peaks import common_peaks, peaks_among, wanted_intervals
from ..support.config import NetworkConfig, TrainConfig, choice
from ..errors import InputError
from .r import Answer, Kwargs, Values, _answers, _only, _strings, labels_of, load_torch, optional_values

# Of a matrix of R.
MOST_VALUES = 2**31 - 1
VALUES_PER_PART = 2**24

Peaks = str | Sequence[str] | CellBlocks
Table = str | Mapping[str, Any]


@_answers
def read_of_table(types: Sequence[str | None]) -> Answer:
    """Tell which columns of a table of genes are read and, of the types of features that it has, which rows."""
    return {"columns": list(TABLE_COLUMNS), "types": list(gene_types(kind for kind in types if kind is not None))}


@_answers
def find_common_peaks(datasets: Sequence[Peaks], kwargs: Kwargs) -> list[str]:
    """Twin of :func:`deepscore.find_common_peaks`."""
    options = _only(kwargs, "how", "min_width", "max_width", "standard_chromosomes")
    return common_peaks([_peaks(one) for one in datasets], **options).tolist()


@_answers
def match_peaks(query: CellBlocks, peaks: Peaks, fragments: str | None, kwargs: Kwargs) -> Answer:
    """Twin of :func:`deepscore.match_peaks`."""
    wanted = _peaks(peaks)
    counts, covered = count_over(query, wanted, fragments, **_only(kwargs, "min_overlap", "counting"))
    return matrix(counts, wanted) | {"covered": covered.tolist()}


@_answers
def count_fragments(fragments: str, peaks: Peaks, cells: Sequence[str] | None, kwargs: Kwargs) -> Answer:
    """Twin of :func:`deepscore.count_fragments`."""
    options, wanted = _only(kwargs, "counting", "progress"), _peaks(peaks)
    return matrix(count(fragments, wanted_intervals(wanted), _cells(cells), **options), wanted)


@_answers
def gene_activity(x: CellBlocks | str, annotation: Table | None, cells: Sequence[str] | None, kwargs: Kwargs) -> Answer:
    """Twin of :func:`deepscore.gene_activity`; `x` is a data set or the path of a fragments file."""
    options = _only(kwargs, "upstream", "downstream", "weighting", "biotypes", "counting")
    genes = _genes(annotation, options.pop("biotypes", None))
    if isinstance(x, str):
        return matrix(*activity_from_fragments(x, _cells(cells), genes, **options))
    choice("counting", options.pop("counting", COUNTING[0]), COUNTING)
    found = activity_blocks(x, genes, **options)
    return matrix(found.to_csr(), found.feature_names)


@_answers
def find_linked_genes(rna: CellBlocks, atac: CellBlocks, annotation: Table | None, kwargs: Kwargs) -> list[str]:
    """Twin of :func:`deepscore.find_linked_genes`."""
    options = _only(kwargs, "n_features", "upstream")
    halves = Bridge.of(rna, atac, "activity", _optional_genes(annotation), **_given(options, "upstream"))
    return best_linked(halves.rna, halves.atac, **_given(options, "n_features"))


@_answers
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
    options = _only(kwargs, "modality", "upstream", "common_features", "threshold", "seed", "progress")
    network = NetworkConfig(**_given(options, "common_features", "seed"))
    train = TrainConfig(**_given(options, "progress"))
    what = _given(options, "modality", "upstream")
    what["batch"] = optional_values(batch, rna, "batch")
    halves = Bridge.of(rna, atac, genes=_optional_genes(annotation), **what)
    if isinstance(rna_model, CellBlocks):
        first = rna_model_of(rna_model, labels_of(labels, rna_model), rna, train, network.seed)
    else:
        first = modelfile.from_bytes(bytes(rna_model))
    return modelfile.to_bytes(train_through(halves, first, network, train, **_given(options, "threshold")))


def matrix(counts: sp.csr_matrix, features: Names, *, most: int = MOST_VALUES, size: int = VALUES_PER_PART) -> Answer:
    """Return the arrays of cells x features, which are those of a features x cells dgCMatrix, in parts for R.

    Returns
    -------
    ``p`` and ``i`` (int32, from 0), ``x`` (float32), each a list of the bytes of up to `size` values; the number
    ``n_values`` of stored values; the names of the features.

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
    arrays = {"p": (counts.indptr, np.int32), "i": (counts.indices, np.int32), "x": (counts.data, np.float32)}
    parts = {
        name: [array[first : first + size].astype(kind).tobytes() for first in range(0, len(array), size)]
        for name, (array, kind) in arrays.items()
    }
    return {"features": features.tolist(), "n_values": int(counts.nnz), **parts}


def _peaks(x: Peaks) -> Names:
    """Return the names of peaks; genes that a data set holds besides them are left out."""
    if isinstance(x, str):
        return peak_names(read_bed(Path(x)))
    if not isinstance(x, CellBlocks):
        return _strings(x)
    return peaks_among(x)


def _cells(cells: Sequence[str] | None) -> list[str]:
    if cells is None:
        raise InputError("no_cells", "Fragments hold barcodes of empty droplets, too: give cells=, the barcodes.")
    return list(cells)


def _genes(annotation: Table | None, biotypes: Sequence[str] | None = None) -> pd.DataFrame:
    if annotation is None or isinstance(annotation, str):
        return read_annotation(annotation, biotypes=biotypes)
    columns = {
        name: np.frombuffer(values) if isinstance(values, (bytes, bytearray)) else _strings(values)
        for name, values in annotation.items()
    }
    return read_annotation(pd.DataFrame(columns), biotypes=biotypes)


def _optional_genes(annotation: Table | None) -> pd.DataFrame | None:
    return None if annotation is None else _genes(annotation)


def _given(options: Kwargs, *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}
