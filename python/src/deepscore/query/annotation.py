"""The calls for a query: a label for every cell, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import Names
from ..data.labels import UNCLASSIFIED
from ..data.linalg import Doubles
from ..model.model import Model
from .settings import SETTINGS, Settings
from .verdict import Verdict

__all__ = ["Annotation", "Answers", "vote"]


@dataclass(frozen=True, eq=False)
class Annotation:
    """The calls for a query.

    Parameters
    ----------
    calls
        Label of each cell, or "Unclassified".
    scores
        Calibrated probability that the cell's best label is right; 0 for cells without any count in the model's
        features.
    raw
        The network's best label of each cell, before its neighbours were asked and whatever its score.
    reasons
        Why a cell is Unclassified: "low confidence", "outlier" (its type is hardly one of the reference's), "low
        overlap" (the query lacks most of the model's features) or "no counts"; "" for the others.
    probabilities
        Cells x labels, given that the cell's type is one of the reference's; where asked for.
    labels
        Names of the columns of `probabilities`.
    overlap
        Share of the model's features that the query has.
    group_calls, group_shares
        With `groups`: the most frequent call in each cell's group, and the share of the group's cells that have it.
    verdict
        On the query as a whole; None where it was not looked at.
    terms
        The term of each label that has one in an ontology of cell types; None of a model without them.
    """

    calls: Names
    scores: Doubles
    raw: Names
    reasons: Names
    probabilities: Doubles | None
    labels: tuple[str, ...]
    overlap: float
    group_calls: Names | None = None
    group_shares: Doubles | None = None
    verdict: Verdict | None = None
    terms: Mapping[str, str] | None = None

    def of_cells(self, rows: slice) -> Annotation:
        """Return the calls for some of the cells; all else stays that of the whole query."""
        of_each: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows]
            for name in ("calls", "scores", "raw", "reasons", "probabilities", "group_calls", "group_shares")
        }
        return replace(self, **of_each)


class Answers:
    """What the network and the neighbours say of each cell of a query, filled in block by block."""

    def __init__(self, n_cells: int, n_labels: int, *, table: bool) -> None:
        self.best, self.raw = np.empty(n_cells, np.intp), np.empty(n_cells, np.intp)
        self.scores, self.known = np.empty(n_cells), np.empty(n_cells)
        self.empty = np.empty(n_cells, np.bool_)
        self.table = np.empty((n_cells, n_labels)) if table else None

    def put(self, first: int, block: sp.csr_matrix, alone: Doubles, in_view: Doubles, known: Doubles) -> None:
        """Keep what :meth:`~deepscore.query.view.View.predict` says of a block of normalised cells."""
        rows = slice(first, first + block.shape[0])
        self.raw[rows], self.best[rows] = alone.argmax(axis=1), in_view.argmax(axis=1)
        self.empty[rows] = np.asarray(block.sum(axis=1)).ravel() == 0  # nothing to go by: no label
        self.known[rows], self.scores[rows] = known, in_view.max(axis=1) * known * ~self.empty[rows]
        if self.table is not None:
            self.table[rows] = in_view

    def annotation(
        self,
        model: Model,
        overlap: float,
        threshold: float | Doubles,
        groups: Names | None = None,
        settings: Settings = SETTINGS,
    ) -> Annotation:
        """Call a label for each cell whose score is at least the threshold, and say why the others have none.

        Parameters
        ----------
        threshold
            One for all labels, or one for each.
        """
        limits = np.broadcast_to(threshold, len(model.labels))
        unclassified = (self.scores < limits[self.best]) | self.empty
        calls = model.label_names[self.best]
        calls[unclassified] = UNCLASSIFIED
        doubt = "low overlap" if overlap < settings.good_overlap else "low confidence"
        reasons = np.where(self.known < settings.outlier, "outlier", doubt)
        reasons = np.where(unclassified, np.where(self.empty, "no counts", reasons), "").astype(object)
        raw, voted = model.label_names[self.raw], (None, None) if groups is None else vote(calls, groups)
        return Annotation(calls, self.scores, raw, reasons, self.table, model.labels, overlap, *voted)


def vote(calls: Names, groups: Names) -> tuple[Names, Doubles]:
    """Return for each cell the most frequent call in its group and its share; of equal ones the first by name.

    A cell whose group is missing votes by itself.
    """
    codes, _ = pd.factorize(groups)
    codes[codes < 0] = codes.max() + 1 + np.arange((codes < 0).sum())
    which, names = pd.factorize(calls, sort=True)
    votes = sp.csr_array((np.ones(len(codes)), (codes, which))).toarray()
    winner = votes.argmax(axis=1)
    share = votes[np.arange(len(votes)), winner] / votes.sum(axis=1)
    return np.asarray(names, dtype=object)[winner][codes], share[codes]
