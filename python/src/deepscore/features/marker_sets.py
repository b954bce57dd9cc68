"""Sets of markers, one for each label: from a table of tests, from lists of names, or from statistics of cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..data.blocks import Names
from ..data.labels import as_texts, listed
from ..data.linalg import Doubles
from ..data.names import canonical
from ..errors import InputError

__all__ = ["MarkerSets", "jaccard_index", "sets_of_lists", "sets_of_statistics", "sets_of_table"]

# Names of the markers of each label, the best first.
MarkerSets = Mapping[str, tuple[str, ...]]
# Columns of a table of markers, as Seurat, presto, scanpy and this package call them; the first that is there counts.
LABELS = ("cluster", "group", "label")
FEATURES = ("gene", "feature", "names")
SCORES = ("scores", "score", "importance")
TESTS = ("p_val", "pvals", "pval", "p_val_adj", "pvals_adj", "padj")
CHANGES = ("avg_log2FC", "avg_logFC", "avg_diff", "logfoldchanges", "logFC")


def sets_of_table(table: pd.DataFrame, n_markers: int) -> dict[str, tuple[str, ...]]:
    """Return the best markers of each label in a table with a row for each label and feature.

    Parameters
    ----------
    table
        What Seurat's ``FindAllMarkers``, presto's ``wilcoxauc``, ``scanpy.get.rank_genes_groups_df`` or
        :func:`deepscore.feature_importance` returns; or a table of names that has a column for each label.
    n_markers
        How many of each label: those with the highest scores; without scores those with the lowest p, of equal ones
        those with the greatest change; without either the first rows. Features that are not higher in the label than
        elsewhere (score, or else change, not above 0) are no markers.

    Returns
    -------
    Of each label, in the order of the table.

    Raises
    ------
    InputError
        ``unknown_markers``.
    """

    def column(names: Iterable[str]) -> str | None:
        return next((name for name in names if name in table), None)

    label, feature = column(LABELS), column(FEATURES)
    if label is None and feature is None and table.size and table.map(_may_be_name).to_numpy().all():
        return sets_of_lists({name: table[name] for name in table}, n_markers)
    if label is None or feature is None:
        raise InputError(
            "unknown_markers",
            f"A table of markers has a column of labels ({', '.join(LABELS)}) and one of features "
            f"({', '.join(FEATURES)}); this one has {listed([repr(name) for name in table.columns]) or 'none'}.",
        )
    score, test, change = column(SCORES), column(TESTS), column(CHANGES)
    above = score or change
    found = pd.DataFrame({"label": as_texts(table[label]), "feature": as_texts(table[feature])})
    found["above"] = 1.0 if above is None else _numbers(table, above)
    found["order"] = _numbers(table, test) if score is None and test is not None else -found["above"]
    kept = found[found["above"] > 0].sort_values(["order", "above"], ascending=[True, False], kind="stable")
    lists = dict(list(kept.groupby("label")["feature"]))
    return sets_of_lists({name: lists.get(name, ()) for name in found["label"].dropna().unique()}, n_markers)


def _may_be_name(value: object) -> bool:
    return value is None or isinstance(value, str) or value != value


def _numbers(table: pd.DataFrame, name: str) -> Doubles:
    try:
        return table[name].to_numpy(np.float64)
    except (TypeError, ValueError):
        raise InputError("unknown_markers", f"The column {name!r} of a table of markers must hold numbers.") from None


def sets_of_lists(lists: Mapping[Any, Iterable[Any]], n_markers: int | None) -> dict[str, tuple[str, ...]]:
    """Return the first markers of each label, or all, each of them once; missing names are left out.

    Raises
    ------
    InputError
        ``unknown_markers`` where a label has no list of names.
    """
    sets: dict[str, tuple[str, ...]] = {}
    for label, names in lists.items():
        if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
            raise InputError(
                "unknown_markers", f"The markers of {label!r} are a list of names, not {names!r:.60}: ['CD3D', 'CD3E']."
            )
        texts = [text for text in as_texts(names) if text is not None]
        sets[str(label)] = tuple(dict.fromkeys(texts))[:n_markers]
    return sets


def sets_of_statistics(
    statistics: Doubles, labels: Iterable[str], names: Names, n_markers: int
) -> dict[str, tuple[str, ...]]:
    """Return the features that are highest in each label, of those that are higher than elsewhere.

    Parameters
    ----------
    statistics
        Labels x features, from :func:`~deepscore.features.markers.marker_statistics`. Equal ones come in the order of
        the names.
    """
    by_name = np.argsort(names.astype(str), kind="stable")
    sets = {}
    for label, row in zip(labels, statistics, strict=True):
        best = by_name[np.argsort(-row[by_name], kind="stable")][:n_markers]
        sets[label] = tuple(names[best[row[best] > 0]])
    return sets


def jaccard_index(reference: MarkerSets, query: MarkerSets) -> Doubles:
    """Return the Jaccard index of every pair of sets, reference labels x query labels: shared names by all names.

    Names that mean the same feature (:func:`~deepscore.data.names.canonical`) are one. With an empty set it is 0.
    """
    sides = [[{canonical(name) for name in names} for names in sets.values()] for sets in (reference, query)]
    return np.array([[len(a & b) / max(len(a | b), 1) for b in sides[1]] for a in sides[0]], np.float64)
