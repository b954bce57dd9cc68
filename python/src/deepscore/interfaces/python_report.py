"""The public verb ``report``: what was annotated becomes a page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..data.blocks import Names
from ..data.labels import as_texts
from ..data.linalg import Doubles
from ..errors import ConfigError, InputError
from ..model.model import Model
from ..output.columns import CALLS, names_of_columns
from ..output.page import report_page
from ..output.plots import own_colours
from ..output.report import Report
from ..support.files import replacing, require_writable
from ..support.notices import telling_once
from ..support.progress import progress_shown
from ..workflows import report as reporting
from ..workflows.check_reference import ReferenceCheck
from ..workflows.report import Embedding, ReportRequest
from .plots import basis_of
from .python import model_of
from .readers import open_source, values_of
from .writers import PROBABILITIES

__all__ = ["report", "write_report"]


@telling_once
def report(
    query: Any,
    ds: Any,
    path: str | os.PathLike[str],
    *,
    check: ReferenceCheck | None = None,
    batch: Any = None,
    groups: Any = None,
    basis: str | None = None,
    title: str | None = None,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    modality: str | None = None,
    progress: bool = True,
) -> None:
    """Write a report on an annotated query: which labels to believe, which not and why.

    It is one page of HTML, for any browser and without a network: a verdict for the query and for each label, the cells
    on two coordinates with a threshold to move, samples and clusters, marker genes, what to do next, and how to
    reproduce it all.

    Parameters
    ----------
    query
        What :func:`deepscore.annotate` returned: AnnData or MuData (with `modality`), or the path of a file with it.
        Also its table of cells alone; then no feature is looked at.
    ds
        The trained model that annotated the query, or the path of its file.
    path
        The page to write, ``.html`` by custom. What is there is replaced once the new page is complete.
    check
        What :func:`deepscore.check_reference` found on the model's reference.
    batch, groups
        Column of ``obs``, or one value per cell: the samples and the clusters to report on.
    basis
        Key of ``obsm`` whose first two columns are the coordinates to draw cells on, as for
        :func:`deepscore.plots.embedding`; where there are none, they are two principal components of the model's
        features.
    title
        What was annotated; by default the name of the file, or "Annotated cells".
    layer, values, feature_names, modality
        How the query is read: as for :meth:`DeepScore.annotate`.
    progress
        As for :func:`deepscore.find_common_features`.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found`` where the cells are not annotated, or have no such column or coordinates;
        ``no_shared_labels`` where another model annotated them; ``path_not_writable``, ``batch_length``,
        ``groups_length``, and what :meth:`DeepScore.annotate` raises.
    deepscore.errors.ConfigError
        ``bad_argument``.

    Notes
    -----
    A label is to be believed if nothing speaks against it. It is not, where the check does not trust it (without one:
    where the reference has fewer than 10 cells of it), where less than 0.7 of at least 10 held-out cells were called
    right, or less than half of its markers are raised in its cells. Markers are the 20 features whose mean in the
    reference is most above that of the next label; raised are those of which the label's cells in the query have more
    than the mean of all other calls. The other reasons to check a label are given beside it.
    """
    require_writable(path)
    model = model_of(ds)
    if check is not None and not isinstance(check, ReferenceCheck):
        raise ConfigError("bad_argument", f"check is what check_reference() returned, not {check!r:.60}.")
    source, named, points, probabilities = None, None, None, None
    record: Mapping[str, Any] = {}
    colours: Mapping[str, str] = {}
    if isinstance(query, pd.DataFrame):
        table = query
        samples, clusters = _column(query, batch), _column(query, groups)
    else:
        source = open_source(query, layer, modality, values=values, feature_names=feature_names)
        data = source.holder if source.key is None else source.holder.mod[source.key]
        table, record = source.obs, _record(data.uns.get("deepscore"))
        named = None if source.path is None else source.path.name
        points, probabilities = _embedding(data, basis), _probabilities(data, model)
        colours = own_colours(data, "deepscore")
        samples, clusters = values_of(source, batch, "batch"), values_of(source, groups, "groups")
    missing = [name for name in CALLS if name not in table]
    if missing:
        raise InputError("column_not_found", f"The cells have no column {missing[0]!r}: annotate them first.")
    modality = None if source is None else source.modality
    request = ReportRequest(title=title if title is not None else named, modality=modality)
    with progress_shown(progress):
        found = reporting.report(
            model,
            table[list(CALLS)],
            request,
            query=None if source is None else source.blocks,
            probabilities=probabilities,
            batch=samples,
            groups=clusters,
            embedding=points,
            check=check,
            record=record,
            colours=colours,
        )
    write_report(found, path)


def write_report(found: Report, path: str | os.PathLike[str]) -> None:
    """Write a page in the place of what is there."""
    with replacing(path) as temporary:
        temporary.write_text(report_page(found), encoding="utf-8")


def _embedding(data: Any, basis: str | None) -> Embedding | None:
    """Return the coordinates of cells that a data set keeps; None without any."""
    key = basis_of(data, basis)
    if key is None:
        return None
    return Embedding(f"the first two columns of {key}", np.asarray(data.obsm[key], np.float64)[:, :2])


def _record(kept: Any) -> dict[str, Any]:
    """Return the record of an annotation; what R wrote may be arrays of one number."""
    if not isinstance(kept, Mapping):
        return {}
    return {
        str(name): x.item() if isinstance(x, np.ndarray) and x.size == 1 and x.dtype.kind in "fiub" else x
        for name, x in kept.items()
    }


def _probabilities(data: Any, model: Model) -> Doubles | None:
    """Return the table of probabilities, cells x labels, where the cells have one of this model."""
    table = data.obsm.get(PROBABILITIES)
    if not isinstance(table, pd.DataFrame) or list(table.columns) != names_of_columns(model.labels):
        return None
    return table.to_numpy(np.float64)


def _column(table: pd.DataFrame, given: Any) -> Names | None:
    """Return samples or clusters of a table of cells."""
    if isinstance(given, str):
        if given not in table:
            raise InputError("column_not_found", f"The table has no column {given!r}.")
        given = table[given]
    return None if given is None else as_texts(given)
