"""The half of the R bridge that has to do with plots: R draws the tables that are made here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..data.blocks import CellBlocks
from ..model import file as modelfile
from ..output.plot_tables import TABLES
from ..workflows import plot_values
from .r import Answer, Kwargs, Values, answering, load_torch, optional_values

__all__ = ["expression_table", "label_correlation_table", "plot_coordinates", "plot_table"]


@answering
def plot_table(plot: str, columns: Mapping[str, Any]) -> Answer:
    """Return what a plot draws, as lists, one per column.

    Parameters
    ----------
    columns
        Arguments of the table: texts and numbers as lists, many numbers as the bytes of float64, or either by name.
    """
    return _lists(TABLES[plot](**{name: _plain(values) for name, values in columns.items()}))


@answering
def label_correlation_table(model: bytes, query: CellBlocks, groups: Values, kwargs: Kwargs) -> Answer:
    """Return the table of :func:`deepscore.plots.label_correlation`."""
    load_torch()
    found = optional_values(groups, query, "groups")
    assert found is not None
    return _lists(plot_values.correlation_table(modelfile.from_bytes(bytes(model)), query, found, **kwargs))


@answering
def expression_table(
    model: bytes, query: CellBlocks, groups: Values, evidence: Mapping[str, Any], n_features: float, kwargs: Kwargs
) -> Answer:
    """Return the table of :func:`deepscore.plots.markers`."""
    load_torch()
    found = optional_values(groups, query, "groups")
    assert found is not None
    chosen = TABLES["importance"](*(_plain(evidence[name]) for name in ("label", "feature", "importance")), n_features)
    return _lists(plot_values.expression_table(modelfile.from_bytes(bytes(model)), query, found, chosen, **kwargs))


@answering
def plot_coordinates(query: CellBlocks, model: bytes | None, kwargs: Kwargs) -> bytes:
    """Return the bytes of cells x 2 (float64), the coordinates of cells that have none."""
    load_torch()
    known = None if model is None else modelfile.from_bytes(bytes(model))
    return plot_values.coordinates(query, known, **kwargs).tobytes()


def _plain(values: Any) -> Any:
    """Return values from R: bytes are numbers, and may be in a dictionary."""
    if isinstance(values, (bytes, bytearray)):
        return np.frombuffer(bytes(values), np.float64)
    if isinstance(values, Mapping):
        return {name: _plain(some) for name, some in values.items()}
    return values


def _lists(table: pd.DataFrame) -> Answer:
    return {str(name): values.tolist() for name, values in table.items()}
