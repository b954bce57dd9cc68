"""Tell which features speak for the labels of a query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data.blocks import CellBlocks, Names, watched
from ..data.labels import no_shared_labels, read_labels, require_length
from ..data.linalg import Codes, Doubles
from ..data.mismatch import MIN_OVERLAP
from ..data.spellings import shown_names
from ..data.values import Floats
from ..errors import InputError
from ..model.evidence import EvidenceMethod, contributions, require_method
from ..model.model import Model
from ..query.align import align
from ..query.settings import SETTINGS
from ..support.checks import choice, flag, keep, number, texts, whole
from ..support.threads import one_blas_thread
from .annotate import DEFAULT_THRESHOLD, view_of

__all__ = ["ImportanceRequest", "feature_importance"]

By = Literal["label", "overall", "cell"]
# Features that are listed of each cell where nobody says how many: a table of all would be that of the query.
OF_A_CELL = 20
VALUES_AT_ONCE = 2_000_000  # of cells that are dense: 8 MB an array


@dataclass(frozen=True, kw_only=True)
class ImportanceRequest:
    """The options of :func:`deepscore.feature_importance`, checked; they are documented there."""

    by: By = "label"
    method: EvidenceMethod = "gradient"
    n_features: int | None = None
    cells: Sequence[str] | None = None
    modality: str | None = None
    min_overlap: float = MIN_OVERLAP
    refine: bool = True
    missing: Sequence[str] | None = None

    def __post_init__(self) -> None:
        choice("by", self.by, get_args(By))
        choice("method", self.method, get_args(EvidenceMethod))
        keep(
            self,
            n_features=None if self.n_features is None else whole("n_features", self.n_features, 1),
            cells=texts("cells", self.cells),
            min_overlap=number("min_overlap", self.min_overlap, 0, 1),
            refine=flag("refine", self.refine),
            missing=texts("missing", self.missing),
        )


def feature_importance(
    model: Model,
    data: CellBlocks,
    request: ImportanceRequest,
    *,
    labels: Names | None = None,
    batch: Names | None = None,
) -> pd.DataFrame:
    """Return what each feature adds to the logits of the labels; see :func:`deepscore.feature_importance`.

    Parameters
    ----------
    labels, batch
        One value per cell, None where it is missing.
    """
    require_method(model, request.method)
    names = shown_names(model.features, model.training.get("other_names", {}))
    given = None if labels is None else _codes_of(model, data, labels, request.missing)
    explained = _explained(model, data, request, given, batch)
    if request.by == "cell":
        most = request.n_features or OF_A_CELL
        tables = [
            _listed(found, names, most, cell=data.cell_names[rows], label=model.label_names[codes])
            for rows, codes, found in explained
        ]
        if not any(len(table) for table in tables):
            raise _nothing_to_explain(given is not None)
        return pd.concat(tables, ignore_index=True)
    n, total = np.zeros(len(model.labels)), np.zeros((len(model.labels), len(names)))
    for _, codes, found in explained:
        n += np.bincount(codes, minlength=len(n))
        for code in np.unique(codes):
            total[code] += found[codes == code].sum(axis=0, dtype=np.float64)
    there = np.flatnonzero(n)
    if not len(there):
        raise _nothing_to_explain(given is not None)
    means = total[there] / n[there, None]
    if request.by == "overall":
        return _listed(means.mean(axis=0, keepdims=True), names, request.n_features)
    return _listed(means, names, request.n_features, label=model.label_names[there])


def _nothing_to_explain(labelled: bool) -> InputError:
    """Return the error for cells of which none has both a label and counts in the model's features."""
    why = "a label that the model knows" if labelled else f"a call with a score of {DEFAULT_THRESHOLD:g} or more"
    return InputError(
        "no_calls",
        f"No cell that is looked at has {why}, and counts in the model's features. Give the labels to explain "
        "(labels=), or by='cell' for the best label of each cell.",
    )


def _codes_of(model: Model, data: CellBlocks, labels: Names, missing: Sequence[str] | None) -> Codes:
    """Return the model's number of each cell's label, -1 where it is missing or the model does not know it."""
    require_length(data, labels, "labels")
    codes = pd.Index(model.label_names).get_indexer(pd.Index(read_labels(labels, missing))).astype(np.intp)
    if (codes < 0).all():
        raise no_shared_labels(model.labels, labels)
    return codes


def _explained(
    model: Model, data: CellBlocks, request: ImportanceRequest, given: Codes | None, batch: Names | None
) -> Iterator[tuple[Codes, Codes, Floats]]:
    """Yield cells that are explained: their positions, the label that each is explained for, cells x features."""
    aligned = align(model, data, batch, modality=request.modality, min_overlap=request.min_overlap)
    wanted = _positions(aligned.blocks.cell_names, request.cells)
    with one_blas_thread():
        view, blocks = view_of(aligned, None, SETTINGS, refine=request.refine, own_scale=batch is not None)
        for first, block in watched(blocks, data.n_cells, "explain"):
            rows = np.arange(first, first + block.shape[0])
            filled = np.asarray(block.sum(axis=1)).ravel() > 0
            if given is not None:
                codes = given[rows]
            else:
                _, in_view, known = view.predict(block, aligned.batches[rows], first)
                codes = in_view.argmax(axis=1)
                if request.by != "cell":  # else nobody would be told why a cell has no label
                    filled &= in_view.max(axis=1) * known >= DEFAULT_THRESHOLD
            some = np.flatnonzero(filled & wanted[rows] & (codes >= 0))
            for part in np.array_split(some, 1 + some.size * block.shape[1] // VALUES_AT_ONCE):
                scale = view.scale.of_cells(aligned.batches[rows[part]], view.measured)
                yield rows[part], codes[part], contributions(model, block[part], scale, codes[part], request.method)


def _positions(cell_names: Names, wanted: Sequence[str] | None) -> npt.NDArray[np.bool_]:
    """Tell which cells are wanted: all, or those of these names."""
    if wanted is None:
        return np.ones(len(cell_names), np.bool_)
    missing = sorted(set(wanted) - set(cell_names))
    if missing:
        raise InputError(
            "cells_not_found",
            f"{len(missing)} of the {len(wanted)} cells= are not in the data set, such as {missing[0]!r}; its first "
            f"cell is {cell_names[0]!r}.",
        )
    return np.isin(cell_names, list(wanted))


def _listed(values: Floats | Doubles, names: Names, most: int | None, **of_rows: Names) -> pd.DataFrame:
    """List the features of each row, the highest value first, beside what is said of the row."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :most]
    return pd.DataFrame(
        {name: np.repeat(column, order.shape[1]) for name, column in of_rows.items()}
        | {"feature": names[order].ravel(), "importance": np.take_along_axis(values, order, axis=1).ravel()}
    )
