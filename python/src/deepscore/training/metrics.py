"""Figures of calls and scores against the truth, as scikit-learn defines them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

__all__ = ["accuracy", "adjusted_rand_index", "area_under_curve", "macro_f1", "purity", "roc_curve"]

Doubles = npt.NDArray[np.float64]


def accuracy(truth: npt.ArrayLike, calls: npt.ArrayLike) -> float:
    """Return the share of equal entries."""
    return float(np.mean(np.asarray(truth) == np.asarray(calls)))


def macro_f1(truth: npt.ArrayLike, calls: npt.ArrayLike) -> float:
    """Return the mean F1 over the labels that occur in `truth`."""
    truth, calls = np.asarray(truth), np.asarray(calls)
    f1 = []
    for label in np.unique(truth):
        both = np.sum((truth == label) & (calls == label))
        f1.append(2 * both / (np.sum(truth == label) + np.sum(calls == label)))
    return float(np.mean(f1))


def area_under_curve(scores: Doubles, positive: npt.NDArray[np.bool_]) -> float:
    """Return the chance that a positive has a higher score than a negative, equal scores counting half.

    That is the area under :func:`roc_curve`. NaN where there are no positives, or no negatives.
    """
    n, n_rest = int(positive.sum()), int((~positive).sum())
    if not n or not n_rest:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - n * (n + 1) / 2) / (n * n_rest))


def roc_curve(scores: Doubles, positive: npt.NDArray[np.bool_]) -> tuple[Doubles, Doubles, Doubles]:
    """Return the corners of the receiver operating characteristic.

    Parameters
    ----------
    scores, positive
        Score of each cell, and whether it is one of those to be found; at least one is, and one is not.

    Returns
    -------
    Falling scores from infinity on; the share of the negatives, and that of the positives, with at least that score.
    Points on a straight line between others are left out.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last cell of each score
    found = np.cumsum(positive[order])[ends]
    counts = np.array([1 + ends - found, found])  # negatives and positives
    kept = np.ones(len(ends), np.bool_)
    kept[1:-1] = np.any(np.diff(counts, n=2), axis=0)
    rates = counts[:, kept] / np.array([[(~positive).sum()], [positive.sum()]])
    false, true = np.hstack([np.zeros((2, 1)), rates])
    return np.append(np.inf, scores[order][ends[kept]]), false, true


def adjusted_rand_index(truth: npt.ArrayLike, clusters: npt.ArrayLike) -> float:
    """Return how well two partitions agree, 1 for the same and about 0 by chance (Hubert and Arabie 1985)."""
    table = pd.crosstab(np.asarray(truth), np.asarray(clusters)).to_numpy(np.float64)

    def pairs(counts: Doubles) -> float:
        return float((counts * (counts - 1)).sum() / 2)

    both, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = rows * columns / max(pairs(table.sum(keepdims=True)), 1)
    most = (rows + columns) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)


def purity(truth: npt.ArrayLike, clusters: npt.ArrayLike) -> float:
    """Return the share of the cells that are of the most frequent true label of their cluster."""
    table = pd.crosstab(np.asarray(truth), np.asarray(clusters)).to_numpy()
    return float(table.max(axis=0).sum() / table.sum())
