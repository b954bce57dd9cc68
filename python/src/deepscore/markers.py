"""Markers: features that are higher in the cells of one label than in all others."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy import stats

from .blocks import CellBlocks, Names
from .errors import ConfigError
from .labels import check_labels
from .naming import Modality
from .normalize import Normalization, detect
from .variable import Doubles

__all__ = ["MarkerTest", "marker_scores"]

MarkerTest = Literal["t-test", "wilcoxon"]


def marker_scores(
    data: CellBlocks, labels: Names, modality: Modality, test: MarkerTest = "t-test"
) -> tuple[Doubles, list[str]]:
    """Test each feature for being higher in the cells of a label than in all others.

    The test sees ``log1p`` of counts per 10,000, for genes and for peaks.

    Parameters
    ----------
    labels
        One label per cell; None where it is missing (such cells are left out).
    test
        ``"t-test"``: Welch's t (:func:`scipy.stats.ttest_ind_from_stats`), from sums gathered in one stream.
        ``"wilcoxon"``: rank sum (:func:`scipy.stats.mannwhitneyu`, as a z-score), 64 features at a time.

    Returns
    -------
    Statistic (labels x features; positive: higher in the label) and the sorted labels.
    """
    if test not in get_args(MarkerTest):
        raise ConfigError("bad_argument", f"test must be one of {', '.join(get_args(MarkerTest))}, not {test!r}.")
    categories = check_labels(data, labels)
    codes = pd.Categorical(labels, categories=categories).codes
    everything = np.arange(data.n_features)
    blocks = Normalization("log_cp10k").blocks(data, everything, detect(data, modality))
    if test == "wilcoxon":
        known = codes >= 0
        matrix = sp.vstack([block for _, block in blocks], format="csr")[known].tocsc()
        return _rank_sum(matrix, codes[known], len(categories)), categories
    total, squares = (np.zeros((len(categories), data.n_features)) for _ in range(2))
    for start, block in blocks:
        rows = codes[start : start + block.shape[0]]
        cells = np.flatnonzero(rows >= 0)
        shape = (len(categories), len(rows))
        one_hot = sp.csr_matrix((np.ones(len(cells)), (rows[cells], cells)), shape=shape)
        total += (one_hot @ block).toarray()
        squares += (one_hot @ block.multiply(block)).toarray()
    n = np.bincount(codes[codes >= 0], minlength=len(categories)).astype(float)
    return _welch(n[:, None], total, squares), categories


def _welch(n: Doubles, total: Doubles, squares: Doubles) -> Doubles:
    """Return Welch's t of each row against the sum of the others; a group of one cell has no variance of its own."""

    def summary(n: Doubles, total: Doubles, squares: Doubles) -> tuple[Doubles, Doubles, Doubles]:
        mean = total / n
        return mean, np.sqrt(np.maximum(squares - n * mean**2, 0) / np.maximum(n - 1, 1)), n

    rest = (x.sum(axis=0) - x for x in (n, total, squares))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = stats.ttest_ind_from_stats(*summary(n, total, squares), *summary(*rest), equal_var=False).statistic
    return np.nan_to_num(t, nan=0.0)


def _rank_sum(matrix: sp.csc_matrix, codes: np.ndarray, n_labels: int) -> Doubles:
    """Return the z-score of the rank sum of each label against the rest."""
    scores = np.zeros((n_labels, matrix.shape[1]))
    n = len(codes)
    for start in range(0, matrix.shape[1], 64):
        dense = matrix[:, start : start + 64].toarray()
        for label in range(n_labels):
            inside = codes == label
            n1 = int(inside.sum())
            u = stats.mannwhitneyu(dense[inside], dense[~inside], method="asymptotic", use_continuity=False)
            # mannwhitneyu gives U and a two-sided p; the sign of U against its mean gives the direction.
            z = stats.norm.isf(np.maximum(u.pvalue, 1e-300) / 2)
            scores[label, start : start + 64] = np.sign(u.statistic - n1 * (n - n1) / 2) * z
    return np.nan_to_num(scores, nan=0.0)
