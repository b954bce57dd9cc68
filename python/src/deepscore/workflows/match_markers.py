"""Compare the markers of a reference's labels with those of a query's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data.blocks import CellBlocks, Names
from ..data.labels import UNCLASSIFIED, read_labels, tell_labels
from ..data.modality import Modality, select_modality
from ..features.marker_sets import MarkerSets, sets_of_lists, sets_of_statistics, sets_of_table
from ..features.markers import MarkerTest, marker_statistics
from ..features.select import shared_positions
from ..output.marker_match import MarkerMatch, marker_match
from ..support.checks import choice, keep, optional, texts, whole
from ..support.notices import warn
from ..support.threads import one_blas_thread

__all__ = ["LabelledCells", "MatchRequest", "match_markers"]


# Markers of each label that are compared where nobody says how many, as matchSCore has it; of lists, which somebody has
# chosen, all.
MOST_MARKERS = 100


@dataclass(frozen=True, kw_only=True)
class MatchRequest:
    """The options of :func:`deepscore.match_markers`, checked; they are documented there."""

    n_markers: int | None = None
    test: MarkerTest = "t-test"
    modality: str | None = None
    missing: Sequence[str] | None = None

    def __post_init__(self) -> None:
        choice("test", self.test, get_args(MarkerTest))
        keep(self, n_markers=optional(whole, "n_markers", self.n_markers, 1), missing=texts("missing", self.missing))


@dataclass(frozen=True, eq=False)
class LabelledCells:
    """A data set whose markers are to be computed, and the label of each cell, None where it is missing."""

    blocks: CellBlocks
    labels: Names


# Cells whose markers are computed, a table of markers, or lists of names.
Markers = LabelledCells | pd.DataFrame | Mapping[Any, Any]


def match_markers(reference: Markers, query: Markers, request: MatchRequest) -> MarkerMatch:
    """Compare the markers of labels; see :func:`deepscore.match_markers`."""
    with one_blas_thread():
        found = marker_match(*_both_sets(reference, query, request))
    for what, sets in {"reference": found.reference, "query": found.query}.items():
        without = [repr(label) for label, names in sets.items() if not names]
        if without:
            warn(f"These labels of the {what} have no markers: {', '.join(without)}.")
    if not found.score:
        names = [next(name for names in sets.values() for name in names) for sets in (found.reference, found.query)]
        warn(
            f"No marker is shared: the reference calls its features as {names[0]!r}, the query as {names[1]!r}. "
            "Are these names of one kind?"
        )
    return found


def _both_sets(reference: Markers, query: Markers, request: MatchRequest) -> tuple[MarkerSets, MarkerSets]:
    """Return the markers of both; of two data sets among the features that both have, under the reference's names."""
    if not (isinstance(reference, LabelledCells) and isinstance(query, LabelledCells)):
        return _sets(reference, request), _sets(query, request)
    data, kind = select_modality(reference.blocks, request.modality)
    data, other = data.measured_by_all(), select_modality(query.blocks, kind.name)[0].measured_by_all()
    where = shared_positions(data, [other])
    names = data.feature_names[where[0]]
    return (
        _computed(LabelledCells(data, reference.labels), kind, where[0], names, request),
        _computed(LabelledCells(other, query.labels), kind, where[1], names, request),
    )


def _sets(markers: Markers, request: MatchRequest) -> MarkerSets:
    if isinstance(markers, LabelledCells):
        data, kind = select_modality(markers.blocks, request.modality)
        data = data.measured_by_all()
        columns = np.arange(data.n_features)
        return _computed(LabelledCells(data, markers.labels), kind, columns, data.feature_names, request)
    if isinstance(markers, pd.DataFrame):
        return sets_of_table(markers, request.n_markers or MOST_MARKERS)
    return sets_of_lists(markers, request.n_markers)


def _computed(
    cells: LabelledCells, kind: Modality, columns: npt.NDArray[np.intp], names: Names, request: MatchRequest
) -> MarkerSets:
    """Test the cells of each label against all others; features at `columns` can be markers, under these `names`."""
    missing = None if request.missing is None else (*request.missing, UNCLASSIFIED)
    labels = read_labels(cells.labels, missing)
    statistics, categories = marker_statistics(cells.blocks, labels, kind, request.test)
    called = pd.notna(read_labels(cells.labels, (UNCLASSIFIED,)))  # that a cell has no call is no news
    tell_labels(cells.labels[called], labels[called], missing)
    return sets_of_statistics(statistics[:, columns], categories, names, request.n_markers or MOST_MARKERS)
