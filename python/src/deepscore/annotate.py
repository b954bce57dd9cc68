"""Annotation: align a query with a model, stream it, and call a label for every cell."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from tqdm import tqdm

from .blocks import CellBlocks, Names, overlapped
from .config import number
from .errors import InputError
from .features import no_shared_features
from .labels import require_length
from .model import Model
from .naming import Modality, match_names, select_modality
from .normalize import Values, detect
from .scale import GroupSums, Scale

__all__ = ["UNCLASSIFIED", "Annotation", "annotate_blocks"]

UNCLASSIFIED = "Unclassified"
# Between this share of the model's features and `min_overlap`, annotation goes on with a warning.
GOOD_OVERLAP = 0.5
logger = logging.getLogger("deepscore")
# The network is called with at least this many cells, so that its thread seldom waits for the interpreter.
CELLS_PER_CALL = 8192


@dataclass(frozen=True, eq=False)
class Annotation:
    """The calls for a query.

    Parameters
    ----------
    calls
        Label of each cell, or "Unclassified".
    scores
        Calibrated probability of each cell's best label; 0 for cells without any count in the model's features.
    probabilities
        Cells x labels, where asked for.
    labels
        Names of the columns of `probabilities`.
    overlap
        Share of the model's features that the query has.
    """

    calls: Names
    scores: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64] | None
    labels: tuple[str, ...]
    overlap: float


def annotate_blocks(
    model: Model,
    query: CellBlocks,
    threshold: float = 0.5,
    batch: Names | None = None,
    *,
    modality: str | None = None,
    probabilities: bool = False,
    min_overlap: float = 0.1,
) -> Annotation:
    """Annotate a query; see :meth:`deepscore.DeepScore.annotate`."""
    least = number("threshold", threshold, 0, 1)
    floor = number("min_overlap", min_overlap, 0, 1)
    assert least is not None
    assert floor is not None
    query, positions = align(model.feature_names, model.modality, query, modality, floor)
    if batch is not None:
        require_length(query, batch, "batch")
    values = detect(query, model.modality)
    scale = model.scale() if batch is None else own_scale(model, query, positions, values, batch)
    present = positions >= 0
    best = np.empty(query.n_cells, np.intp)
    scores = np.empty(query.n_cells)
    table = np.empty((query.n_cells, len(model.labels))) if probabilities else None

    def predict(item: tuple[int, sp.csr_matrix]) -> int:
        start, block = item
        rows = slice(start, start + block.shape[0])
        found = model.predict_proba(block, scale.cells(rows), present)
        empty = np.diff(block.indptr) == 0  # nothing to go by: no label, whatever the network says
        best[rows], scores[rows] = found.argmax(axis=1), np.where(empty, 0.0, found.max(axis=1))
        if table is not None:
            table[rows] = found
        return block.shape[0]

    blocks = gathered(model.normalization.blocks(query, positions, values))
    with tqdm(total=query.n_cells, desc="annotate", unit="cell", delay=2) as bar:
        for n_cells in overlapped(predict, blocks):
            bar.update(n_cells)
    calls = model.label_names[best]
    calls[(scores < least) | (scores == 0)] = UNCLASSIFIED
    return Annotation(calls, scores, table, model.labels, float(present.mean()))


def align(
    features: Names, kind: Modality, query: CellBlocks, modality: str | None = None, floor: float = 0.0
) -> tuple[CellBlocks, npt.NDArray[np.intp]]:
    """Find the features of a model in a query by name.

    Parameters
    ----------
    features, kind
        The model's features and their modality.
    modality
        What the caller said the query is.
    floor
        Least share of the features that the query must have.

    Returns
    -------
    The query (features of the model's modality) and, for each feature of the model, its column or -1.

    Raises
    ------
    InputError
        ``modality_mismatch``, ``no_shared_features``, ``wrong_orientation`` or ``low_overlap``.
    """
    if modality is not None and modality != kind:
        raise InputError("modality_mismatch", f"modality={modality!r} was given, but the model was trained on {kind}.")
    query = _of_modality(query, kind, strict=modality is not None)
    positions = match_names(features, query.feature_names)
    n_found, n = int((positions >= 0).sum()), len(positions)
    if not n_found:
        raise no_shared_features(features, query)
    if n_found < floor * n:
        raise InputError(
            "low_overlap",
            f"The query has {n_found} of the model's {n} features ({n_found / n:.0%}); at least {floor:.0%} are "
            "needed. Train on features that both have (find_common_features), or lower min_overlap at your own risk.",
        )
    logger.info("%d of the model's %d features are in the query (%.0f%%)", n_found, n, 100 * n_found / n)
    if n_found < GOOD_OVERLAP * n:
        warnings.warn(
            f"The query has only {n_found} of the model's {n} features ({n_found / n:.0%}): scores are less reliable. "
            "A model trained on the shared features would do better.",
            UserWarning,
            stacklevel=2,
        )
    return query, positions


def _of_modality(query: CellBlocks, modality: Modality, *, strict: bool) -> CellBlocks:
    """Keep the features of the model's modality where a query holds genes and peaks in one matrix."""
    try:
        return select_modality(query, modality)[0]
    except InputError:
        if strict:
            raise
        return query  # no feature of that kind: the search by name says so


def own_scale(model: Model, query: CellBlocks, positions: npt.NDArray[np.intp], values: Values, batch: Names) -> Scale:
    """Return each batch's own centre and deviation, shrunk towards the reference's where it has few cells."""
    groups, names = pd.factorize(batch, use_na_sentinel=False)
    sums = GroupSums(len(names), len(positions))
    for start, block in model.normalization.blocks(query, positions, values):
        sums.add(block, groups[start : start + block.shape[0]])
    return sums.by_group(groups, model.scale())


def gathered(blocks: Iterable[tuple[int, sp.csr_matrix]]) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Join normalised blocks until a network call has enough to do."""
    parts: list[sp.csr_matrix] = []
    first = n = 0
    for start, block in blocks:
        if not parts:
            first = start
        parts.append(block)
        n += block.shape[0]
        if n >= CELLS_PER_CALL:
            yield first, sp.vstack(parts, format="csr")
            parts, n = [], 0
    if parts:
        yield first, sp.vstack(parts, format="csr")
