"""Novelty: whether a cell's type is among the labels of the reference at all.

The network's confidence cannot say: an NK cell is a very confident T cell where the reference has no NK. The query's
own structure can. The reference leaves a few mean profiles per label in the model. The query is clustered by itself,
and each cluster's mean is rebuilt from those profiles by non-negative least squares. What neither profiles nor sampling
noise explain, as a share of the cluster's own signal, is what an unknown type has much of.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import nnls
from scipy.special import expit

from ..data.linalg import Codes, Doubles, clusters_of, moments_by_code
from ..data.standardise import LEAST_DEVIATION
from ..model.profiles import Profiles
from ..support.notices import warn
from .neighbours import Space
from .sample import Sample
from .settings import SETTINGS, NoveltySettings, Settings

__all__ = ["chance_known", "tell_too_small"]


def chance_known(sample: Sample, space: Space, probabilities: Doubles, settings: Settings = SETTINGS) -> Doubles:
    """Return the chance of each cell that its type is one of the reference's labels.

    Parameters
    ----------
    sample
        The cells that are looked at together.
    space
        The same cells, standardised by themselves, and their principal components.
    probabilities
        Cells x labels, from the network.

    Returns
    -------
    One value per cell, ``logistic((base + slope m + small / cells - s) / width) / certain``, 1 at most: ``s`` is the
    unexplained share of the cell's clusters in the mean, ``m`` that of the query's median cell. 1 for queries of fewer
    than 100 cells or features, which show too little structure of their own.
    """
    numbers, batches, present = settings.novelty, sample.batches, sample.present
    profiles = sample.model.profiles
    assert profiles is not None
    if min(len(batches), present.sum()) < numbers.least:
        tell_too_small(sample, settings)
        return np.ones(len(batches))
    offset = space.axes.offset
    labels, means = _as_the_query(sample, probabilities, profiles)
    depth = np.bincount(batches, minlength=len(offset)) @ offset
    within = np.linalg.qr(np.column_stack([profiles.within, depth]) * present[:, None])[0]
    of_clusterings = []
    for size in numbers.cells_per_cluster:
        for seed in numbers.starts:
            k = int(np.clip(len(batches) // size, numbers.fewest_clusters, numbers.most_clusters))
            clusters = clusters_of(space.coordinates, k, seed)
            low = _unexplained(space.z, offset, batches, clusters, probabilities, labels, means, within, numbers)
            of_clusterings.append(low[clusters])
    unexplained = np.mean(of_clusterings, axis=0)
    middle = numbers.base + numbers.slope * float(np.median(unexplained)) + numbers.small / len(batches)
    chance: Doubles = np.minimum(expit((middle - unexplained) / numbers.width) / numbers.certain, 1)
    return chance


def tell_too_small(sample: Sample, settings: Settings = SETTINGS) -> None:
    """Warn that a query shows too little structure of its own to look for unknown types."""
    least, features = settings.novelty.least, sample.model.kind.features
    warn(
        f"Unknown types are not looked for: that takes {least} cells and {least} of the model's {features}. Their "
        "cells get the nearest label."
    )


def _as_the_query(sample: Sample, probabilities: Doubles, profiles: Profiles) -> tuple[Doubles, Doubles]:
    """Standardise label means and profiles as if the reference had the composition of each batch of the query."""
    batches, present = sample.batches, sample.present
    average, variance = profiles.label_means(), profiles.variance.astype(np.float64)
    labels, means = np.zeros_like(average), np.zeros(profiles.mean.shape)
    for batch, of_all in enumerate(np.bincount(batches) / len(batches)):
        if not of_all:  # a batch that the sample has no cell of
            continue
        mixture = probabilities[batches == batch].mean(axis=0)
        centre = mixture @ average
        per_deviation = present / np.sqrt(mixture @ (variance + (average - centre) ** 2) + LEAST_DEVIATION**2)
        labels += of_all * (average - centre) * per_deviation
        means += of_all * (profiles.mean - centre) * per_deviation
    return labels, means


def _unexplained(
    z: sp.csr_array,
    offset: Doubles,
    batches: Codes,
    clusters: Codes,
    probabilities: Doubles,
    labels: Doubles,
    profiles: Doubles,
    within: Doubles,
    numbers: NoveltySettings,
) -> Doubles:
    """Rebuild each cluster's mean from the profiles; return the lower bound of the unexplained share."""
    n = np.bincount(clusters)
    raw, variance = moments_by_code(z, clusters)
    mixture = np.zeros((len(n), len(offset)))
    np.add.at(mixture, (clusters, batches), 1)
    mean = raw - (mixture / n[:, None]) @ offset
    pooled = n @ variance / n.sum()
    noise = (
        np.where(n[:, None] < numbers.few_cells, np.maximum(variance, pooled), variance) / np.maximum(n - 1, 1)[:, None]
    )
    mass = np.zeros((len(n), probabilities.shape[1]))
    np.add.at(mass, clusters, probabilities)
    known = np.ones(len(n))
    low = known
    for _ in range(numbers.rounds):
        # Both sides are centred on the same mixture of labels, in which rare labels weigh more than by number and
        # clusters that look unknown weigh little.
        weights = mass * known[:, None]
        total = weights.sum(axis=0)
        mix = np.sqrt(total) / np.sqrt(total).sum()
        middle = (weights / np.maximum(total, 1e-9)) @ mix
        y = mean - (middle / middle.sum()) @ mean
        estimate, low = _rebuilt(y, profiles - mix @ labels, noise, within, numbers)
        typical = _median(estimate, n)
        bound = max(numbers.known_base, typical + numbers.known_margin)
        known = np.maximum(expit((bound - estimate) / numbers.known_width), numbers.least_weight)
    return low


def _rebuilt(
    y: Doubles, profiles: Doubles, noise: Doubles, within: Doubles, numbers: NoveltySettings
) -> tuple[Doubles, Doubles]:
    """Fit the profiles to each cluster's mean, outside of the free directions `within`.

    Returns
    -------
    The share of each cluster's signal that the fit leaves, as estimated, and its lower bound.
    """
    y, profiles = (a - (a @ within) @ within.T for a in (y, profiles))
    q, r = np.linalg.qr(profiles.T)
    inside = y @ q
    fitted = np.array([nnls(r, row)[0] for row in inside])
    residual = y - fitted @ profiles
    energy, sampling = (y**2).sum(axis=1), noise.sum(axis=1) - (noise @ within**2).sum(axis=1)
    signal = np.maximum(energy - sampling, numbers.least_signal * energy) + 1e-12
    free = (fitted > 0).sum(axis=1) / y.shape[1]
    left = (residual**2).sum(axis=1) - sampling * (1 - free)
    error = np.sqrt(2 * (noise**2).sum(axis=1) + 4 * (noise * residual**2).sum(axis=1))
    return np.maximum(left, 0) / signal, np.maximum(left - numbers.errors * error, 0) / signal


def _median(values: Doubles, weights: Doubles | Codes) -> float:
    """Weighted median."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
