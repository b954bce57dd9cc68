"""Profiles: the few means that a model keeps of its reference, to judge a query as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..data.linalg import Codes, Doubles, clusters_of, components, means_by_code, moments_by_code
from ..data.standardise import LEAST_DEVIATION
from ..data.values import Floats

__all__ = ["WITHIN", "Profiles", "profiles_of"]

WITHIN = 3  # directions
CELLS_PER_PROFILE, PROFILES_PER_LABEL = 60, 6


@dataclass(frozen=True, eq=False)
class Profiles:
    """What a model keeps of its reference: means over clusters of similar cells, and how cells vary within labels.

    Parameters
    ----------
    mean
        Profiles x features: mean normalised values of 1 to 6 clusters of similar cells of each label.
    owner, cells
        Label (its position) and number of cells of each profile.
    variance
        Labels x features: variance within each label.
    within
        Features x 3: the directions in which cells vary within labels.
    """

    mean: Floats
    owner: Codes
    cells: Codes
    variance: Floats
    within: Floats

    def label_means(self) -> Doubles:
        """Return the mean of each label, labels x features."""
        member = np.zeros((len(self.variance), len(self.owner)))
        member[self.owner, np.arange(len(self.owner))] = self.cells
        return member @ self.mean.astype(np.float64) / member.sum(axis=1, keepdims=True)


def profiles_of(matrix: sp.csr_matrix, codes: Codes, counts: Codes | None = None) -> Profiles:
    """Summarise a reference.

    Parameters
    ----------
    matrix
        Cells x features, normalised.
    codes
        Label of each cell, every label at least once.
    counts
        How many cells of each label the reference has, where these are some of them.
    """
    counts = np.bincount(codes) if counts is None else counts
    everyone = np.zeros(len(codes), np.intp)
    variance = moments_by_code(matrix, everyone)[1][0]
    z = (matrix @ sp.diags(1 / np.sqrt(variance + LEAST_DEVIATION**2))).tocsr()
    coordinates = components(z, everyone)[0]
    means, owner, sizes = [], [], []
    for label in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == label)
        n = int(np.clip(len(members) // CELLS_PER_PROFILE, 1, PROFILES_PER_LABEL))
        clusters = clusters_of(coordinates[members], n)
        means.append(means_by_code(matrix[members], clusters))
        owner.append(np.full(len(means[-1]), label))
        sizes.append(np.rint(np.bincount(clusters) * (counts[label] / len(members))))
    within = components(z, codes)[1]
    padded = np.zeros((matrix.shape[1], WITHIN))
    padded[:, : within.shape[1]] = within[:, :WITHIN]
    return Profiles(
        np.concatenate(means).astype(np.float32),
        np.concatenate(owner),
        np.maximum(np.concatenate(sizes), 1).astype(np.intp),
        moments_by_code(matrix, codes)[1].astype(np.float32),
        padded.astype(np.float32),
    )
