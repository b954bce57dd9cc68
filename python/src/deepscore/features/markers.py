"""Markers: features that are higher in the cells of one label than in all others."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy import stats

from ..data.blocks import CellBlocks, Names, watched
from ..data.labels import check_labels
from ..data.linalg import Codes, Doubles
from ..data.modality import Modality
from ..data.normalize import LogNorm
from ..data.standardise import SumsByCode
from ..support.checks import choice
from ..support.progress import progress_bar

__all__ = ["MarkerTest", "marker_statistics"]

MarkerTest = Literal["t-test", "wilcoxon"]


def marker_statistics(
    data: CellBlocks, labels: Names, kind: Modality, test: MarkerTest = "t-test"
) -> tuple[Doubles, list[str]]:
    """Test each feature for being higher in the cells of a label than in all others.

    The test sees ``log1p`` of counts per 10,000, for every kind of features.

    Parameters
    ----------
    labels
        One label per cell; None where it is missing (such cells are left out).
    test
        ``"t-test"``: Welch's t (:func:`scipy.stats.ttest_ind_from_stats`), from sums gathered in one stream.
        ``"wilcoxon"``: z-score of the rank sum, corrected for ties, as :func:`scipy.stats.mannwhitneyu` has it.

    Returns
    -------
    Statistic (labels x features; positive: higher in the label) and the sorted labels.
    """
    choice("test", test, get_args(MarkerTest))
    categories = check_labels(data, labels)
    codes = pd.Categorical(labels, categories=categories).codes
    values = kind.detect(data)
    if test == "wilcoxon":
        known = codes >= 0
        blocks = watched(LogNorm().blocks(data, np.arange(data.n_features), values), data.n_cells, "markers")
        matrix = sp.vstack([block for _, block in blocks], format="csr")[known].tocsc()
        return _rank_sum(matrix, codes[known], len(categories)), categories
    sums = SumsByCode(len(categories), data.n_features)
    of_cells = data.over_ranges(_sums_in, (len(categories), values), lambda start, stop: (codes[start:stop],))
    with progress_bar(data.n_cells, "markers", "cell") as bar:
        for n_cells, of_range in of_cells:
            sums += of_range
            bar.update(n_cells)
    return _welch(sums.n, sums.total, sums.squares), categories


def _sums_in(cells: CellBlocks, start: int, each: tuple[Any, ...], shared: tuple[Any, ...]) -> tuple[int, SumsByCode]:
    """Return how many cells a range has, and the sums of those of each label."""
    (codes,), (n_labels, values) = each, shared
    sums = SumsByCode(n_labels, cells.n_features)
    for first, block in LogNorm().blocks(cells, np.arange(cells.n_features), values):
        rows = codes[first : first + block.shape[0]]
        sums.add(block[rows >= 0], rows[rows >= 0])
    return cells.n_cells, sums


def _welch(n: Doubles, total: Doubles, squares: Doubles) -> Doubles:
    """Return Welch's t of each row against the sum of the others; a row of one cell has no variance of its own."""

    def summary(n: Doubles, total: Doubles, squares: Doubles) -> tuple[Doubles, Doubles, Doubles]:
        mean = total / n
        return mean, np.sqrt(np.maximum(squares - n * mean**2, 0) / np.maximum(n - 1, 1)), n

    rest = (x.sum(axis=0) - x for x in (n, total, squares))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = stats.ttest_ind_from_stats(*summary(n, total, squares), *summary(*rest), equal_var=False).statistic
    return np.nan_to_num(t, nan=0.0)


def _rank_sum(matrix: sp.csc_matrix, codes: Codes, n_labels: int) -> Doubles:
    """Return the z-score of the rank sum of each label against the rest, corrected for ties.

    Only what is stored is sorted, once for all labels: all zeros of a feature share the mean of the lowest ranks.
    """
    matrix.eliminate_zeros()
    n, n1, of_value = len(codes), np.bincount(codes, minlength=n_labels).astype(float), codes[matrix.indices]
    sums, ties = np.empty((matrix.shape[1], n_labels)), np.empty(matrix.shape[1])
    for feature, (start, stop) in enumerate(pairwise(matrix.indptr)):
        order = np.argsort(matrix.data[start:stop])
        values, labels = matrix.data[start:stop][order], of_value[start:stop][order]
        n_zeros = n - len(values)
        ends = np.append(np.flatnonzero(values[1:] != values[:-1]) + 1, len(values))
        equal = np.diff(ends, prepend=0)
        ranks = np.repeat(n_zeros + ends - (equal - 1) / 2, equal)
        zeros_of_label = n1 - np.bincount(labels, minlength=n_labels)
        sums[feature] = zeros_of_label * (n_zeros + 1) / 2 + np.bincount(labels, ranks, n_labels)
        equal = np.append(equal, n_zeros).astype(float)
        ties[feature] = 1 - (equal**3 - equal).sum() / (float(n) ** 3 - n)
    with np.errstate(divide="ignore", invalid="ignore"):
        z: Doubles = (sums - n1 * (n + 1) / 2) / np.sqrt(ties[:, None] * n1 * (n - n1) * (n + 1) / 12)
    return np.nan_to_num(z.T, nan=0.0, posinf=0.0, neginf=0.0)
