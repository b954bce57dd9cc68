"""Labels by ranks: which label a cell's values are ordered like, whatever a technology does to the values themselves.

Method of SingleR (Aran et al., Nature Immunology 2019), without its fine-tuning.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.stats import rankdata

from .novelty import Profiles
from ..data.linalg import Codes, Doubles

__all__ = ["called_by_ranks"]

MARKERS = 50  # of each label against each other


def called_by_ranks(x: sp.csr_matrix, profiles: Profiles, present: npt.NDArray[np.bool_]) -> Codes:
    """Return for each cell the label that has the profile of highest rank correlation (Spearman's).

    Parameters
    ----------
    x
        Cells x features, normalised.
    present
        Which features the query has.
    """
    features = np.flatnonzero(present)
    features = features[_markers(profiles.label_means()[:, features])]
    ranks = rankdata(profiles.mean[:, features], axis=1) - (len(features) + 1) / 2
    ranks /= np.maximum(np.linalg.norm(ranks, axis=1, keepdims=True), 1e-9)
    nearest: Codes = profiles.owner[(_above_zeros(x[:, features]) @ ranks.T).argmax(axis=1)]
    return nearest


def _markers(means: Doubles) -> npt.NDArray[np.bool_]:
    """Tell which features are among the most raised of any label against any other."""
    count = min(MARKERS, means.shape[1])
    chosen = np.zeros(means.shape[1], bool)
    for label in means:
        raised = label - means
        top = np.argpartition(-raised, count - 1, axis=1)[:, :count]
        chosen[top[np.take_along_axis(raised, top, axis=1) > 0]] = True
    return chosen


def _above_zeros(x: sp.csr_matrix) -> sp.csr_matrix:
    """Return by how many ranks each value is above the zeros of its cell; equal values have their mean rank."""
    x.eliminate_zeros()
    n = np.diff(x.indptr)
    cell = np.repeat(np.arange(len(n)), n)
    order = np.lexsort((x.data, cell))
    value = x.data[order]
    tied = np.cumsum(np.r_[True, (np.diff(value) != 0) | (np.diff(cell) != 0)][: len(value)]) - 1
    place = np.arange(len(value)) - x.indptr[cell]
    ranks = np.empty(len(value))
    ranks[order] = (np.bincount(tied, place) / np.bincount(tied))[tied] + (x.shape[1] - n[cell] + 1) / 2
    return sp.csr_matrix((ranks, x.indices, x.indptr), shape=x.shape)
