"""Features shared by a reference and its queries: three strategies of search.

The statistics of a data set are computed once. Every strategy widens its search over the rankings that follow from
them, step by step, until the wanted number of features is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..data.blocks import CellBlocks, Names
from ..data.linalg import Doubles
from ..data.mismatch import no_shared_features, tell_repeated_features
from ..data.modality import Modality
from ..data.names import canonical
from ..data.spellings import find_names, spellings_of
from ..errors import ConfigError, InputError
from ..support.notices import warn
from .markers import MarkerTest, marker_statistics
from .variable import variability

__all__ = ["Strategy", "common_features", "shared_positions"]

Strategy = Literal["variable", "markers_in_variable", "markers"]


def ranks(values: Doubles, names: Names) -> npt.NDArray[np.intp]:
    """Rank features from 0, the highest value first; equal values in the order of their names."""
    order = np.lexsort((*_spellings(names), -values))
    rank = np.empty(len(values), dtype=np.intp)
    rank[order] = np.arange(len(values))
    return rank


def _spellings(names: Names) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """Return what decides between equal values: first the canonical name, so that no spelling changes the choice."""
    return names.astype(str), np.array([canonical(name) for name in names], dtype=str)


def common_features(
    reference: CellBlocks,
    queries: Sequence[CellBlocks],
    n_features: int,
    strategy: Strategy,
    kind: Modality,
    labels: Names | None = None,
    test: MarkerTest = "t-test",
) -> list[str]:
    """Choose features that data sets of one kind share; see :func:`deepscore.find_common_features`."""
    where = shared_positions(reference, queries)
    tell_repeated_features(reference, "reference")
    for query in queries:
        tell_repeated_features(query, "query", reference.feature_names)
    if strategy == "variable":
        order = _by_widening([reference, *queries], where, kind)
        why = "no more features are shared by all data sets"
    else:
        if labels is None:
            raise InputError("no_labels", f"strategy={strategy!r} needs the labels of the reference: give labels=.")
        if strategy == "markers_in_variable" and not queries:
            raise ConfigError("bad_argument", "strategy='markers_in_variable' needs a query.")
        statistics, _ = marker_statistics(reference, labels, kind, test)
        statistics = statistics[:, where[0]]
        entry = np.zeros(where.shape[1], dtype=np.intp)
        if strategy == "markers_in_variable":
            entry = _shared_ranks(queries, where[1:], kind).max(axis=0)
        names = reference.feature_names[where[0]]
        order = where[0][_markers_in_turn(statistics, entry, names, n_features)]
        why = "no more shared features are higher in a label than in the others"
    if len(order) < n_features:
        warn(f"Only {len(order)} features were found of the {n_features} asked for: {why}.")
    return [str(name) for name in reference.feature_names[order[:n_features]]]


def shared_positions(reference: CellBlocks, queries: Sequence[CellBlocks]) -> npt.NDArray[np.intp]:
    """Return the columns of the shared features in each data set: (1 + queries) x shared features.

    Features whose name occurs more than once in one of them are none.
    """
    rows = [np.where(reference.single, np.arange(reference.n_features), -1)]
    wanted = spellings_of(reference.feature_names, reference.other_names)
    for query in queries:
        columns = find_names(wanted, query)
        if not (columns >= 0).any():
            raise no_shared_features(reference.feature_names, query, reference.cell_names)
        rows.append(columns)
    where = np.stack(rows)
    where = where[:, (where >= 0).all(axis=0)]
    if not where.shape[1]:
        raise InputError("no_shared_features", "No feature is shared by all data sets, though each query shares some.")
    return where


def _shared_ranks(sets: Sequence[CellBlocks], where: npt.NDArray[np.intp], kind: Modality) -> npt.NDArray[np.intp]:
    """Return the rank of each shared feature in each data set, by variability; sets x shared features.

    Data sets in which nothing varies have no order to tell: they are left out where another one has.
    """
    of_sets = [variability(data, kind) for data in sets]
    telling = [i for i, values in enumerate(of_sets) if values.max() > values.min()] or range(len(sets))
    return np.stack([ranks(of_sets[i], sets[i].feature_names)[where[i]] for i in telling])


def _by_widening(sets: Sequence[CellBlocks], where: npt.NDArray[np.intp], kind: Modality) -> npt.NDArray[np.intp]:
    """Order shared features by the step at which the widening search meets them in every data set.

    Taking the k best of every set and raising k one by one meets a feature at its worst rank, so that one sort is the
    whole search. What is met in the same step comes in the order of the reference, or of the first that tells one.
    """
    rank = _shared_ranks(sets, where, kind)
    return where[0][np.lexsort((rank[0], rank.max(axis=0)))]


def _markers_in_turn(
    statistics: Doubles, entry: npt.NDArray[np.intp], names: Names, n_features: int
) -> npt.NDArray[np.intp]:
    """Widen the candidates until enough markers are among them, then let each label choose in turn."""
    is_marker: npt.NDArray[np.bool_] = np.any(statistics > 0, axis=0)
    width = n_features
    while is_marker[entry < width].sum() < n_features and width <= entry.max():
        width += n_features
    allowed = entry < width
    spelled = _spellings(names)
    preferences = [[f for f in np.lexsort((*spelled, -row)) if row[f] > 0 and allowed[f]] for row in statistics]
    taken: dict[int, None] = {}
    queues = [iter(wanted) for wanted in preferences]
    while len(taken) < n_features and queues:
        for queue in list(queues):
            choice = next((f for f in queue if f not in taken), None)
            if choice is None:
                queues.remove(queue)
            elif len(taken) < n_features:
                taken[int(choice)] = None
    return np.fromiter(taken, np.intp)
