"""The neighbours of a query's cells: found in the query alone, they say what the network cannot know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..chromatin.lsi import fit_lsi
from ..data.standardise import LEAST_DEVIATION
from ..data.linalg import (
    Codes,
    Doubles,
    clusters_of,
    components,
    group_means,
    group_moments,
    lifted,
    nearest,
    own_standardised,
    shared_neighbours,
)

__all__ = ["LEAST_CELLS", "Neighbourhoods", "Space"]

NEIGHBOURS = 15
LEAST_CELLS = 20  # fewer have no neighbours to speak of
CELLS_PER_CLUSTER = 20
LSI_COMPONENTS = 30
LIFT = 0.5


@dataclass(frozen=True, eq=False)
class Axes:
    """What brings a cell to the principal components of a sample.

    Parameters
    ----------
    basis
        Features x components.
    offset, deviation
        Of each batch: batches x features.
    """

    basis: Doubles
    offset: Doubles
    deviation: Doubles

    def scores(self, x: sp.csr_matrix, groups: Codes) -> Doubles:
        """Return normalised cells in the components."""
        scores: Doubles = own_standardised(x, groups, self.deviation) @ self.basis
        return scores - (self.offset @ self.basis)[groups]


@dataclass(frozen=True, eq=False)
class Space:
    """Principal components of a sample, or its LSI where it is chromatin, and who is whose neighbour in them.

    Parameters
    ----------
    z
        Cells x features, standardised by themselves, not centred.
    scores
        Cells x components.
    weights
        Cells x cells; or clusters x cells, where the sample is not the whole query.
    clusters
        Where the sample is not the whole query: the cluster of each cell, in place of exact neighbours.
    """

    z: sp.csr_array
    scores: Doubles
    axes: Axes
    weights: sp.csr_array
    clusters: Codes | None

    @classmethod
    def of(cls, x: sp.csr_matrix, groups: Codes, n_groups: int, *, whole: bool, chromatin: bool = False) -> Space:
        """Find the neighbours of normalised cells; those of chromatin in its latent semantic indexing."""
        latent = _latent(x) if chromatin else None
        if latent is None:
            deviation = np.sqrt(group_moments(x, groups, n_groups)[1] + LEAST_DEVIATION**2)
            z = own_standardised(x, groups, deviation)
            scores, basis = components(z, groups)
            axes = Axes(basis, group_means(z, groups, n_groups), deviation)
        else:
            z, shape = sp.csr_array(x), (n_groups, x.shape[1])
            axes = Axes(latent, np.broadcast_to(x.mean(axis=0).A1, shape), np.broadcast_to(1.0, shape))
            scores = axes.scores(x, groups)
        if whole:
            k = min(NEIGHBOURS, max(3, len(groups) // 30))
            return cls(z, scores, axes, shared_neighbours(nearest(scores, scores, k, among_themselves=True)), None)
        clusters = clusters_of(scores, len(groups) // CELLS_PER_CLUSTER, 0)
        member = sp.csr_array((np.ones(len(groups)), (clusters, np.arange(len(groups)))))
        return cls(z, scores, axes, sp.diags_array(1 / member.sum(axis=1)) @ member, clusters)

    def average(self, values: Doubles) -> Doubles:
        """Return the mean over each cell's neighbourhood; the cell's own value where it has none."""
        if self.clusters is not None:
            return (self.weights @ values)[self.clusters]
        alone = np.asarray(self.weights.sum(axis=1)).ravel() == 0
        return self.weights @ values + values * alone[:, None]


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """What each neighbourhood of a sample says: exact where it is the whole query, clusters of about 20 cells if not.

    Parameters
    ----------
    mean
        Mean probabilities in each neighbourhood.
    overall
        Mean probabilities of the sample.
    known
        Chance that the type of a neighbourhood is known.
    centres, axes
        Where the sample is not the whole query: what finds the cluster of a cell.
    """

    mean: Doubles
    overall: Doubles
    known: Doubles
    axes: Axes
    centres: Doubles | None = None

    @classmethod
    def of(cls, space: Space, probabilities: Doubles, known: Doubles) -> Neighbourhoods:
        """Average the probabilities of the sample's cells, and the chances that their types are known."""
        overall = probabilities.mean(axis=0)
        if space.clusters is None:
            return cls(space.average(probabilities), overall, known, space.axes)
        centres = space.weights @ _directions(space.scores)
        return cls(space.weights @ probabilities, overall, space.weights @ known, space.axes, centres)

    def votes(self, x: sp.csr_matrix | None, groups: Codes, first: int) -> tuple[Doubles, Doubles]:
        """Return mean probabilities and P(known) of the neighbourhood of each cell; `first` is its position."""
        if self.centres is None:
            where: slice | Codes = slice(first, first + len(groups))
        else:
            assert x is not None
            where = nearest(_directions(self.axes.scores(x, groups)), self.centres, 1)[:, 0]
        return self.mean[where], self.known[where]

    def lift(
        self, probabilities: Doubles, x: sp.csr_matrix | None, groups: Codes, first: int = 0
    ) -> tuple[Doubles, Doubles]:
        """Weigh the labels of each cell by what its neighbourhood says; return P(known), too.

        `x` is needed where the sample is not the whole query.
        """
        votes, known = self.votes(x, groups, first)
        return lifted(probabilities, votes, self.overall, LIFT), known


def _latent(x: sp.csr_matrix) -> Doubles | None:
    """Return the loadings of the TF-IDF of cells, features x components; None where it has no three components.

    The first component is left out, as it follows depth. The others count by how much they are stronger than the last,
    which is noise: of shallow cells a few are left, of deep ones nearly all.
    """
    if min(x.shape) < 2 or not x.data.any():
        return None
    found = fit_lsi(x, n_components=LSI_COMPONENTS)
    strength = found.singular_values.astype(np.float64)
    if len(strength) < 3:
        return None
    weight = np.sqrt(1 - (strength[-1] / strength) ** 2)
    latent: Doubles = found.loadings * weight
    return latent[:, 1:-1]


def _directions(scores: Doubles) -> Doubles:
    """Bring scores to length one, as the clusters have it."""
    result: Doubles = scores / np.maximum(np.linalg.norm(scores, axis=1, keepdims=True), 1e-9)
    return result
