"""Accuracy and macro-F1, as scikit-learn defines them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["accuracy", "macro_f1"]


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
