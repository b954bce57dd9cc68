"""Labels by ranks: which label a cell's values are ordered like, whatever a technology does to the values themselves.

Method of SingleR (Aran et al., Nature Immunology 2019), without its fine-tuning.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.stats import rankdata

from ..data.linalg import Codes, Doubles
from .sample import Sample
from .settings import SETTINGS, Settings

__all__ = ["call_by_ranks"]


def call_by_ranks(sample: Sample, settings: Settings = SETTINGS) -> Codes:
    """Return for each cell the label that has the profile of highest rank correlation (Spearman's).

    The features are the `rank_markers` most raised ones of each label against each other that the query has.
    """
    profiles = sample.model.profiles
    assert profiles is not None
    features = np.flatnonzero(sample.present)
    features = features[_markers(profiles.label_means()[:, features], settings.rank_markers)]
    ranks = rankdata(profiles.mean[:, features], axis=1) - (len(features) + 1) / 2
    ranks /= np.maximum(np.linalg.norm(ranks, axis=1, keepdims=True), 1e-9)
    nearest: Codes = profiles.owner[(_above_zeros(sample.x[:, features]) @ ranks.T).argmax(axis=1)]
    return nearest


def _markers(means: Doubles, most: int) -> npt.NDArray[np.bool_]:
    """Tell which features are among the most raised of any label against any other."""
    count = min(most, means.shape[1])
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
