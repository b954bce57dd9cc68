"""The Python half of the R bridge for evidence, markers and figures; see :mod:`deepscore.interfaces.r`.

Tables go back as lists, one per column; matrices as the names of their rows and columns and the bytes of their values
(float64, row by row).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..data.blocks import CellBlocks
from ..features.marker_sets import MarkerSets
from ..model import file as modelfile
from ..model.config import NetworkConfig
from ..support.checks import made
from ..training.config import TrainConfig
from ..workflows import feature_importance as explaining
from ..workflows import match_markers as matching
from ..workflows import performance as weighing
from ..workflows import select_model as choosing
from .r import Answer, Kwargs, Values, answering, given_labels, load_torch, optional_values
from .r_stored import reference_of

if TYPE_CHECKING:
    from .readers import Source


@answering
def feature_importance(
    model: bytes, data: CellBlocks, labels: Values | None, batch: Values | None, kwargs: Kwargs
) -> Answer:
    """Twin of :func:`deepscore.feature_importance`."""
    load_torch()
    request = made(explaining.ImportanceRequest, kwargs)
    found = explaining.feature_importance(
        modelfile.from_bytes(bytes(model)),
        data,
        request,
        labels=None if labels is None else given_labels(labels, data),
        batch=optional_values(batch, data, "batch"),
    )
    return _columns(found)


@answering
def performance(model: bytes, data: CellBlocks, labels: Values | None, batch: Values | None, kwargs: Kwargs) -> Answer:
    """Twin of :func:`deepscore.performance`."""
    load_torch()
    request = made(weighing.PerformanceRequest, kwargs)
    found = weighing.performance(
        modelfile.from_bytes(bytes(model)),
        data,
        given_labels(labels, data),
        request,
        batch=optional_values(batch, data, "batch"),
    )
    return {
        "confusion": _matrix(found.confusion),
        "labels": _columns(found.labels),
        "roc": _columns(found.roc),
        "overall": found.overall,
    }


@answering
def find_thresholds(
    model: bytes, data: CellBlocks, labels: Values | None, batch: Values | None, kwargs: Kwargs
) -> Answer:
    """Twin of :func:`deepscore.find_thresholds`."""
    load_torch()
    request = made(weighing.ThresholdsRequest, kwargs)
    truth = given_labels(labels, data)
    batches = optional_values(batch, data, "batch")
    return _columns(weighing.find_thresholds(modelfile.from_bytes(bytes(model)), data, truth, request, batch=batches))


@answering
def select_model(config: Kwargs, prepared: bytes, kwargs: Kwargs, train: Kwargs) -> bytes:
    """Twin of :func:`deepscore.select_model`; returns the model file."""
    load_torch()
    network = made(NetworkConfig, config)
    reference = reference_of(prepared, network)
    request = made(choosing.SelectRequest, kwargs)
    return modelfile.to_bytes(choosing.select_model(reference, network, made(TrainConfig, train), request))


@answering
def match_markers(
    reference: CellBlocks | None,
    query: CellBlocks | None,
    labels: Sequence[Values | None],
    markers: Sequence[Mapping[str, Any] | None],
    kwargs: Kwargs,
) -> Answer:
    """Twin of :func:`deepscore.match_markers`.

    Parameters
    ----------
    reference, query
        Data sets whose markers are to be computed; None where `markers` holds them.
    labels
        Labels of the cells of both.
    markers
        Of both, ``columns`` of a table or ``lists`` of names by label.
    """
    request = made(matching.MatchRequest, kwargs)
    sides = [_side(*side) for side in zip((reference, query), labels, markers, strict=True)]
    found = matching.match_markers(sides[0], sides[1], request)
    return {
        "jaccard": _matrix(found.jaccard),
        "score": found.score,
        "best": _columns(found.best),
        "words": list(found.words),
        "reference": _lists(found.reference),
        "query": _lists(found.query),
    }


@answering
def ranked_of(table: Source, key: str) -> Answer | None:
    """Return what scanpy has left in an opened data set as the columns of a table, None where there is nothing."""
    from .python_evidence import ranked

    found = ranked(table, key)
    return None if found is None else _columns(found)


def _side(
    data: CellBlocks | None, labels: Values | None, markers: Mapping[str, Any] | None
) -> matching.LabelledCells | pd.DataFrame | Mapping[str, Any]:
    if data is not None:
        return matching.LabelledCells(data, given_labels(labels, data))
    assert markers is not None
    lists: Mapping[str, Any] = markers.get("lists") or {}
    return pd.DataFrame(markers["columns"]) if "columns" in markers else lists


def _lists(sets: MarkerSets) -> dict[str, list[str]]:
    return {label: list(names) for label, names in sets.items()}


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): column.tolist() for name, column in table.items()}


def _matrix(table: pd.DataFrame) -> Answer:
    values = np.ascontiguousarray(table.to_numpy(np.float64))
    return {"rows": table.index.tolist(), "columns": table.columns.tolist(), "values": values.tobytes()}
