"""How good calls are where the true labels are known, and which threshold each label should have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data.blocks import Names
from ..data.labels import UNCLASSIFIED
from ..data.linalg import Doubles
from ..errors import printable
from ..training.metrics import adjusted_rand_index, area_under_curve, purity, roc_curve

__all__ = ["Performance", "best_thresholds", "performance_of"]

# The threshold of a label that no curve tells one for: that of annotate.
DEFAULT = 0.5
CURVE = ("label", "threshold", "false_positive_rate", "true_positive_rate")


@dataclass(frozen=True, eq=False, repr=False)
class Performance:
    """What :func:`deepscore.performance` found; printing it shows all but the curves.

    Parameters
    ----------
    confusion
        Number of cells, true labels x calls: the model's labels and, last, "Unclassified".
    labels
        A row per label, of the cells or of the model: ``label``; ``cells`` that have it, ``called`` (cells that get
        it), ``sensitivity``, ``specificity`` and ``precision`` of the label against the rest, ``balanced_accuracy``
        (mean of the first two), ``f1``, ``auc`` (area under the curve of the label's score) and ``unclassified``, the
        share of its cells without a call. NaN where there is nothing to count; of a label that the model does not know,
        only `unclassified` says anything.
    roc
        The curve of each label: ``label``, ``threshold``, ``false_positive_rate``, ``true_positive_rate``.
    n_cells
        Cells with a true label.
    accuracy
        Share of right calls, of the cells whose label the model knows; an Unclassified cell has none.
    balanced_accuracy, macro_f1, auc
        Mean sensitivity, F1 and area of the labels that the model knows and cells have.
    unclassified
        Share of the cells without a call, of those whose label the model knows.
    rejected
        The same of those whose label it does not know: right, for them. NaN where there are none.
    ari, purity
        How well the calls as clusters, "Unclassified" among them, agree with the true labels: adjusted Rand index
        (Hubert and Arabie 1985), and share of the cells that are of the most frequent label of their cluster.
    """

    confusion: pd.DataFrame
    labels: pd.DataFrame
    roc: pd.DataFrame
    n_cells: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    auc: float
    unclassified: float
    rejected: float
    ari: float
    purity: float

    @property
    def overall(self) -> dict[str, float]:
        """The figures of all cells by name."""
        names = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "unclassified", "rejected", "ari", "purity")
        return {"n_cells": self.n_cells} | {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        """Show the figures of all cells, those of each label and the confusion table."""
        figures = [
            f"{name} {value:.3f}" for name, value in self.overall.items() if name != "n_cells" and value == value
        ]
        head = f"<Performance: {self.n_cells} cells, {', '.join(figures)}>"
        labels = self.labels.round(3).to_string(index=False, na_rep="")
        return printable(f"{head}\n\n{labels}\n\nCells by true label and call:\n{self.confusion.to_string()}")


def performance_of(truth: Names, calls: Names, scores: Doubles, labels: Sequence[str]) -> Performance:
    """Weigh calls against the truth.

    Parameters
    ----------
    truth, calls
        True label and call of each cell, none missing.
    scores
        Cells x labels: how likely each label is, for the curves.
    labels
        Those of the model, by which the columns of `scores` are named.
    """
    rows = sorted(set(truth))
    confusion = pd.crosstab(truth, calls).reindex(index=rows, columns=[*labels, UNCLASSIFIED], fill_value=0)
    confusion = confusion.rename_axis(index="label", columns="call")
    known = np.isin(truth, list(labels))
    every = sorted({*rows, *labels})
    table = pd.DataFrame([_figures(label, truth, calls, scores, labels) for label in every])
    there = table[table["label"].isin(labels) & (table["cells"] > 0)]
    return Performance(
        confusion=confusion,
        labels=table,
        roc=_curves(truth, scores, labels),
        n_cells=len(truth),
        accuracy=float(np.mean((truth == calls)[known])),
        balanced_accuracy=float(there["sensitivity"].mean()),
        macro_f1=float(there["f1"].mean()),
        auc=float(there["auc"].mean()),
        unclassified=_share(calls[known]),
        rejected=_share(calls[~known]),
        ari=adjusted_rand_index(truth, calls),
        purity=purity(truth, calls),
    )


def _share(calls: Names) -> float:
    return float(np.mean(calls == UNCLASSIFIED)) if len(calls) else float("nan")


def _figures(label: str, truth: Names, calls: Names, scores: Doubles, labels: Sequence[str]) -> dict[str, object]:
    """Return the row of a label, against the rest."""
    own, called = truth == label, calls == label
    right, n, n_called, n_rest = (int(some.sum()) for some in (own & called, own, called, ~own))
    found: dict[str, object] = {"label": label, "cells": n, "called": n_called}
    nothing = float("nan")
    if label in labels:
        sensitivity = right / n if n else nothing
        specificity = 1 - (n_called - right) / n_rest if n_rest else nothing
        found |= {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "precision": right / n_called if n_called else nothing,
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "f1": 2 * right / (n + n_called) if n else nothing,
            "auc": area_under_curve(scores[:, labels.index(label)], own),
        }
    return found | {"unclassified": _share(calls[own])}


def _curves(truth: Names, scores: Doubles, labels: Sequence[str]) -> pd.DataFrame:
    curves = []
    for i, label in enumerate(labels):
        own = truth == label
        if own.any() and not own.all():
            curve = dict(zip(CURVE[1:], roc_curve(scores[:, i], own), strict=True))
            curves.append(pd.DataFrame({"label": label, **curve}))
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=list(CURVE))


def best_thresholds(truth: Names, scores: Doubles, labels: Sequence[str]) -> pd.DataFrame:
    """Return the threshold of each label at which sensitivity plus specificity is greatest (Youden 1950).

    Parameters
    ----------
    truth, scores, labels
        As for :func:`performance_of`.

    Returns
    -------
    A row per label: ``label``, ``threshold``, ``sensitivity``, ``specificity``, ``auc`` and ``cells``. The threshold is
    midway between the two scores that it parts, of equally good ones the highest. Where there are no cells of the
    label, or no others, it is 0.5, and the figures are NaN.
    """
    rows = []
    for i, label in enumerate(labels):
        own, score = truth == label, scores[:, i]
        row: dict[str, object] = {"label": label, "threshold": DEFAULT}
        if own.any() and not own.all():
            limits, false, true = roc_curve(score, own)
            best = int(np.argmax(true - false))
            lower = score[score < limits[best]]
            threshold = min(limits[best], 1.0)
            row["threshold"] = float((threshold + lower.max()) / 2 if len(lower) else threshold)
            row |= {"sensitivity": true[best], "specificity": 1 - false[best], "auc": area_under_curve(score, own)}
        rows.append(row | {"cells": int(own.sum())})
    columns = ["label", "threshold", "sensitivity", "specificity", "auc", "cells"]
    return pd.DataFrame(rows).reindex(columns=columns)
