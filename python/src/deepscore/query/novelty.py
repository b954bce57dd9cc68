"""Novelty: whether a cell's type is among the labels of the reference at all.

The network's confidence cannot say: an NK cell is a very confident T cell where the reference has no NK. The query's
own structure can. The reference leaves a few mean profiles per label in the model. The query is clustered by itself,
and each cluster's mean is rebuilt from those profiles by non-negative least squares. What neither profiles nor sampling
noise explain, as a share of the cluster's own signal, is what an unknown type has much of.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.optimize import nnls
from scipy.special import expit

from ..data.labels import evenly
from .neighbours import Space
from ..data.normalize import Floats
from ..data.standardise import LEAST_DEVIATION
from ..data.linalg import Codes, Doubles, clusters_of, components, group_means, group_moments

__all__ = ["WITHIN", "Profiles", "p_known", "profiles_of"]

WITHIN = 3
CELLS_PER_PROFILE, PROFILES_PER_LABEL = 60, 6
CELLS_PER_CLUSTER, MOST_CLUSTERS = (20, 35, 70), 120
# Where half of the cells count as unknown: above the share that the query's median cell has (a change of technology
# raises all shares; few cells make few clusters, whose shares vary more). Chosen on tasks with labels withheld.
BASE, SLOPE, SMALL, WIDTH = 0.32, 0.65, 10.0, 0.04
LEAST = 100  # cells, and features: fewer show too little structure of their own
MOST_CELLS = 6_000  # of a reference: more change next to nothing
CERTAIN = 0.9
logger = logging.getLogger("deepscore")


@dataclass(frozen=True, eq=False)
class Profiles:
    """What a model keeps of its reference for telling unknown types: means over groups of cells.

    Parameters
    ----------
    mean
        Profiles x features: mean normalised values of 1 to 6 groups of similar cells of each label.
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


def profiles_of(matrix: sp.csr_matrix, codes: Codes) -> Profiles:
    """Summarise a reference.

    Parameters
    ----------
    matrix
        Cells x features, normalised.
    codes
        Label of each cell, every label at least once.
    """
    counts = np.bincount(codes)
    cells = evenly(codes, MOST_CELLS, np.random.default_rng(0))
    matrix, codes = matrix[cells], codes[cells]
    everyone = np.zeros(len(codes), np.intp)
    variance = group_moments(matrix, everyone)[1][0]
    z = (matrix @ sp.diags(1 / np.sqrt(variance + LEAST_DEVIATION**2))).tocsr()
    scores = components(z, everyone)[0]
    means, owner, sizes = [], [], []
    for label in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == label)
        n = int(np.clip(len(members) // CELLS_PER_PROFILE, 1, PROFILES_PER_LABEL))
        parts = clusters_of(scores[members], n, 0)
        means.append(group_means(matrix[members], parts))
        owner.append(np.full(len(means[-1]), label))
        sizes.append(np.rint(np.bincount(parts) * (counts[label] / len(members))))
    within = components(z, codes)[1]
    padded = np.zeros((matrix.shape[1], WITHIN))
    padded[:, : within.shape[1]] = within[:, :WITHIN]
    return Profiles(
        np.concatenate(means).astype(np.float32),
        np.concatenate(owner),
        np.maximum(np.concatenate(sizes), 1).astype(np.intp),
        group_moments(matrix, codes)[1].astype(np.float32),
        padded.astype(np.float32),
    )


def p_known(
    space: Space,
    groups: Codes,
    present: npt.NDArray[np.bool_],
    probabilities: Doubles,
    reference: Profiles,
) -> Doubles:
    """Return the chance of each query cell that its type is one of the reference's labels.

    Parameters
    ----------
    space
        The cells, standardised by themselves, and their principal components.
    groups
        Batch of each cell, from 0.
    present
        Which features the query has.
    probabilities
        Cells x labels, from the network.
    reference
        The reference's profiles.

    Returns
    -------
    One value per cell; 1 for queries of fewer than 100 cells or features, which show too little structure of their own.
    """
    if min(len(groups), present.sum()) < LEAST:
        logger.info("Unknown types are not looked for: that takes %d cells and %d of the model's genes", LEAST, LEAST)
        return np.ones(len(groups))
    offset = space.axes.offset
    labels, profiles = _as_the_query(groups, present, probabilities, reference)
    depth = np.bincount(groups, minlength=len(offset)) @ offset
    within = np.linalg.qr(np.column_stack([reference.within, depth]) * present[:, None])[0]
    found = []
    for size in CELLS_PER_CLUSTER:
        for seed in (0, 1):
            k = int(np.clip(len(groups) // size, min(8, len(groups) // 5), MOST_CLUSTERS))
            clusters = clusters_of(space.scores, k, seed)
            found.append(_shares(space.z, offset, groups, clusters, probabilities, labels, profiles, within)[clusters])
    share = np.mean(found, axis=0)
    middle = BASE + SLOPE * float(np.median(share)) + SMALL / len(groups)
    chance: Doubles = np.minimum(expit((middle - share) / WIDTH) / CERTAIN, 1)
    return chance


def _as_the_query(
    groups: Codes, present: npt.NDArray[np.bool_], probabilities: Doubles, reference: Profiles
) -> tuple[Doubles, Doubles]:
    """Standardise label means and profiles as if the reference had the composition of each batch of the query."""
    average, variance = reference.label_means(), reference.variance.astype(np.float64)
    labels, profiles = np.zeros_like(average), np.zeros(reference.mean.shape)
    for group, share in enumerate(np.bincount(groups) / len(groups)):
        if not share:  # a batch that the sample has no cell of
            continue
        mixture = probabilities[groups == group].mean(axis=0)
        centre = mixture @ average
        scale = present / np.sqrt(mixture @ (variance + (average - centre) ** 2) + LEAST_DEVIATION**2)
        labels += share * (average - centre) * scale
        profiles += share * (reference.mean - centre) * scale
    return labels, profiles


def _shares(
    z: sp.csr_array,
    offset: Doubles,
    groups: Codes,
    clusters: Codes,
    probabilities: Doubles,
    labels: Doubles,
    profiles: Doubles,
    within: Doubles,
) -> Doubles:
    """Rebuild each cluster's mean from the profiles; return the lower bound of the unexplained share."""
    n = np.bincount(clusters)
    raw, variance = group_moments(z, clusters)
    mixture = np.zeros((len(n), len(offset)))
    np.add.at(mixture, (clusters, groups), 1)
    mean = raw - (mixture / n[:, None]) @ offset
    pooled = n @ variance / n.sum()
    noise = np.where(n[:, None] < 5, np.maximum(variance, pooled), variance) / np.maximum(n - 1, 1)[:, None]
    mass = np.zeros((len(n), probabilities.shape[1]))
    np.add.at(mass, clusters, probabilities)
    known = np.ones(len(n))
    low = known
    for _ in range(2):
        # Both sides are centred on the same mixture of labels, in which rare labels weigh more than by number and
        # clusters that look unknown weigh little.
        weights = mass * known[:, None]
        total = weights.sum(axis=0)
        mix = np.sqrt(total) / np.sqrt(total).sum()
        middle = (weights / np.maximum(total, 1e-9)) @ mix
        y = mean - (middle / middle.sum()) @ mean
        share, low = _rebuilt(y, profiles - mix @ labels, noise, within)
        typical = _median(share, n)
        known = np.maximum(expit((max(0.6, typical + 0.15) - share) / 0.08), 1e-3)
    return low


def _rebuilt(y: Doubles, profiles: Doubles, noise: Doubles, within: Doubles) -> tuple[Doubles, Doubles]:
    """Fit the profiles to each cluster's mean, outside of the free directions `within`."""
    y, profiles = (a - (a @ within) @ within.T for a in (y, profiles))
    q, r = np.linalg.qr(profiles.T)
    inside = y @ q
    fitted = np.array([nnls(r, row)[0] for row in inside])
    residual = y - fitted @ profiles
    energy, sampling = (y**2).sum(axis=1), noise.sum(axis=1) - (noise @ within**2).sum(axis=1)
    signal = np.maximum(energy - sampling, 0.15 * energy) + 1e-12
    free = (fitted > 0).sum(axis=1) / y.shape[1]
    left = (residual**2).sum(axis=1) - sampling * (1 - free)
    error = np.sqrt(2 * (noise**2).sum(axis=1) + 4 * (noise * residual**2).sum(axis=1))
    return np.maximum(left, 0) / signal, np.maximum(left - 2 * error, 0) / signal


def _median(values: Doubles, weights: Doubles | Codes) -> float:
    """Weighted median."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
