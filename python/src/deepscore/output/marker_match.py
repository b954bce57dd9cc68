"""Which labels of a reference and of a query have the same markers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..errors import InputError, printable
from ..features.marker_sets import MarkerSets, jaccard_index
from .plot_tables import in_order

__all__ = ["MarkerMatch", "marker_match"]


@dataclass(frozen=True, eq=False, repr=False)
class MarkerMatch:
    """What :func:`deepscore.match_markers` found; printing it says it in words.

    Parameters
    ----------
    jaccard
        Jaccard index of each pair of labels, reference labels x query labels: markers that both have, by all of both.
    score
        matchSCore: the mean over the reference's labels of the highest index that each reaches, 0 to 1.
    best
        A row for each label of the reference: ``label``, ``match`` (the label of the query with the highest index, of
        equal ones the first by name; None where no marker is shared) and ``jaccard``.
    reference, query
        The markers of each label that were compared, the best first.
    """

    jaccard: pd.DataFrame
    score: float
    best: pd.DataFrame
    reference: MarkerSets
    query: MarkerSets

    @property
    def words(self) -> tuple[str, ...]:
        """Sentences: which label matches which, and how well."""
        told = [f"The markers of the labels agree with a matchSCore of {self.score:.2f} (0: none shared, 1: the same)."]
        for label, match, index in self.best.itertuples(index=False):
            if match is None:
                told.append(f"{label!r} shares no marker with any label of the query.")
            else:
                told.append(f"{label!r} matches {match!r} best (Jaccard index {index:.2f}).")
        return tuple(told)

    def __repr__(self) -> str:
        """Show the words and the table."""
        head = f"<MarkerMatch: {self.jaccard.shape[0]} labels of the reference, {self.jaccard.shape[1]} of the query>"
        return printable("\n".join([head, *self.words, "", self.jaccard.round(2).to_string()]))


def marker_match(reference: MarkerSets, query: MarkerSets) -> MarkerMatch:
    """Compare the markers of each label of a reference with those of each label of a query.

    Raises
    ------
    InputError
        ``no_markers`` where one of them has no marker at all.
    """
    for what, sets in {"reference": reference, "query": query}.items():
        if not any(sets.values()):
            raise InputError("no_markers", f"The {what} has no markers: no label has a feature that is higher in it.")
    labels = in_order(reference), in_order(query)
    table = pd.DataFrame(
        jaccard_index({name: reference[name] for name in labels[0]}, {name: query[name] for name in labels[1]}),
        index=labels[0],
        columns=labels[1],
    )
    highest = table.max(axis=1).to_numpy()
    match = [name if index > 0 else None for name, index in zip(table.idxmax(axis=1), highest, strict=True)]
    best = pd.DataFrame({"label": labels[0], "match": pd.Series(match, dtype=object), "jaccard": highest})
    return MarkerMatch(table, float(highest.mean()), best, reference, query)
