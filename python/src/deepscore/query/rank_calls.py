"""Labels by ranks: which label a cell's values are ordered like, whatever a technology does to the values themselves.

Method of SingleR (Aran et al., Nature Immunology 2019), without its fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.stats import rankdata

from ..data.linalg import Codes, Doubles
from .sample import Sample
from .settings import SETTINGS, Settings

__all__ = ["RankedProfiles"]


@dataclass(frozen=True, eq=False)
class RankedProfiles:
    """The profiles of a reference by the order of their values.

    Parameters
    ----------
    features
        Positions of the `rank_markers` most raised features of each label against each other that the query has.
    ranks
        Profiles x these features: ranks, centred and of length one.
    owner
        Label (its position) of each profile.
    """

    features: Codes
    ranks: Doubles
    owner: Codes

    @classmethod
    def of(cls, sample: Sample, settings: Settings = SETTINGS) -> Self:
        """Rank the profiles of the sample's model."""
        profiles = sample.model.profiles
        assert profiles is not None
        features = np.flatnonzero(sample.present)
        features = features[_markers(profiles.label_means()[:, features], settings.rank_markers)]
        return cls(features, _centred_ranks(profiles.mean[:, features]), profiles.owner)

    def calls(self, x: sp.csr_matrix) -> Codes:
        """Return for each cell the label that has the profile of highest rank correlation (Spearman's)."""
        nearest: Codes = self.owner[(_above_zeros(x[:, self.features]) @ self.ranks.T).argmax(axis=1)]
        return nearest

    def correlations(self, means: Doubles) -> Doubles:
        """Return the rank correlation of means of cells (means x all features) with each profile."""
        result: Doubles = _centred_ranks(means[:, self.features]) @ self.ranks.T
        return result


def _centred_ranks(values: npt.NDArray[np.floating[Any]]) -> Doubles:
    """Return the ranks of each row, centred and brought to length one."""
    ranks = rankdata(values, axis=1) - (values.shape[1] + 1) / 2
    result: Doubles = ranks / np.maximum(np.linalg.norm(ranks, axis=1, keepdims=True), 1e-9)
    return result


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
