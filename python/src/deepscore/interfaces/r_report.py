"""The half of the R bridge that has to do with the report: what R says of annotated cells becomes a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..data.blocks import CellBlocks
from ..model import file as modelfile
from ..output.columns import CALLS
from ..support.checks import made
from ..support.files import require_writable
from ..workflows import report as reporting
from ..workflows.check_reference import ReferenceCheck
from ..workflows.report import Embedding, ReportRequest
from .r import Kwargs, Values, answering, load_torch, optional_values, strings

__all__ = ["report", "report_of_path"]


@answering
def report(
    model: bytes,
    query: CellBlocks | None,
    cells: Sequence[str],
    columns: Mapping[str, Any],
    path: str,
    check: Mapping[str, Any] | None,
    batch: Values | None,
    groups: Values | None,
    beside: Mapping[str, Any],
    kwargs: Kwargs,
) -> None:
    """Twin of :func:`deepscore.report`.

    Parameters
    ----------
    query
        The cells; None where their table comes alone.
    cells, columns
        Names of the cells, and what the annotation wrote of each: texts as lists, the score as the bytes of float64.
    check
        As :func:`deepscore.interfaces.r.check_reference` returned it.
    batch, groups
        One value per cell.
    beside
        What else the object keeps, where it does: ``record`` of the annotation, ``colours`` of labels, ``basis`` (a
        name) and ``points`` (bytes of cells x 2, float64), ``probabilities`` (bytes of cells x labels).
    kwargs
        ``title`` and ``modality``, where they were given.
    """
    from .python_report import write_report

    require_writable(path)
    load_torch()
    request, trained = made(ReportRequest, kwargs), modelfile.from_bytes(bytes(model))
    table = pd.DataFrame(
        {
            name: np.frombuffer(columns[name], np.float64) if name == "deepscore_score" else strings(columns[name])
            for name in CALLS
        },
        index=pd.Index(strings(cells)),
    )
    known = {
        name: np.frombuffer(beside[name], np.float64).reshape(len(table), -1)
        for name in ("points", "probabilities")
        if beside.get(name) is not None
    }
    probabilities = known.get("probabilities")
    if probabilities is not None and probabilities.shape[1] != len(trained.labels):
        probabilities = None  # of another model
    embedding = None
    if "points" in known:
        embedding = Embedding(beside["basis"], known["points"])
    found = reporting.report(
        trained,
        table,
        request,
        query=query,
        probabilities=probabilities,
        batch=_of_cells(batch, query),
        groups=_of_cells(groups, query),
        embedding=embedding,
        check=_check(check),
        record=beside.get("record"),
        colours=beside.get("colours"),
    )
    write_report(found, path)


@answering
def report_of_path(
    model: bytes,
    query: str,
    path: str,
    check: Mapping[str, Any] | None,
    batch: Values | None,
    groups: Values | None,
    kwargs: Kwargs,
) -> None:
    """Twin of :func:`deepscore.report` for the path of an annotated data set."""
    from .python import deepscore_of
    from .python_report import report as of_path

    load_torch()
    ds = deepscore_of(modelfile.from_bytes(bytes(model)))
    of_path(query, ds, path, check=_check(check), batch=_plain(batch), groups=_plain(groups), **kwargs)


def _of_cells(values: Values | None, query: CellBlocks | None) -> Any:
    """Return samples or clusters in the order of the cells."""
    if query is not None:
        return optional_values(values, query, "groups")
    return None if values is None else strings(_plain(values))


def _plain(values: Any) -> Any:
    return pd.Series(values["values"], index=values["names"]) if isinstance(values, Mapping) else values


def _check(found: Mapping[str, Any] | None) -> ReferenceCheck | None:
    """Return a check of a reference as Python has it."""
    if found is None:
        return None
    labels, confusable = (pd.DataFrame(found[name]) for name in ("labels", "confusable"))
    return ReferenceCheck(tuple(found["words"]), labels, confusable, found["overlap"], found["design"])
