"""The neighbours of a query's cells: found in the query alone, they say what the network cannot know."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from ..chromatin.lsi import fit_lsi
from ..data.linalg import (
    Codes,
    Doubles,
    clusters_of,
    components,
    means_by_code,
    moments_by_code,
    nearest,
    own_standardised,
    shared_neighbours,
)
from ..data.standardise import LEAST_DEVIATION
from .sample import Sample
from .settings import SETTINGS, Settings

__all__ = ["Axes", "Neighbourhoods", "Space", "reweighted"]


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

    def coordinates(self, x: sp.csr_matrix, batches: Codes) -> Doubles:
        """Return the coordinates of normalised cells: cells x components."""
        coordinates: Doubles = own_standardised(x, batches, self.deviation) @ self.basis
        return coordinates - (self.offset @ self.basis)[batches]


@dataclass(frozen=True, eq=False)
class Space:
    """Principal components of a sample, or its LSI where it is chromatin, and who is whose neighbour in them.

    Parameters
    ----------
    z
        Cells x features, standardised by themselves, not centred.
    coordinates
        Cells x components.
    weights
        Cells x cells; or clusters x cells, where the sample is not the whole query.
    clusters
        Where the sample is not the whole query: the cluster of each cell, in place of exact neighbours.
    """

    z: sp.csr_array
    coordinates: Doubles
    axes: Axes
    weights: sp.csr_array
    clusters: Codes | None

    @classmethod
    def of(
        cls,
        x: sp.csr_matrix,
        batches: Codes,
        n_batches: int,
        *,
        whole: bool,
        latent: bool = False,
        settings: Settings = SETTINGS,
    ) -> Space:
        """Find the neighbours of normalised cells.

        Parameters
        ----------
        x
            Cells x features.
        batches, n_batches
            Batch of each cell, and how many there are.
        whole
            Whether these cells are the whole query: neighbours are exact then, else those of the same cluster.
        latent
            Whether the cells are of chromatin, and are compared in its latent semantic indexing.
        """
        loadings = _loadings(x, settings) if latent else None
        if loadings is None:
            deviation = np.sqrt(moments_by_code(x, batches, n_batches)[1] + LEAST_DEVIATION**2)
            z = own_standardised(x, batches, deviation)
            coordinates, basis = components(z, batches)
            axes = Axes(basis, means_by_code(z, batches, n_batches), deviation)
        else:
            z, shape = sp.csr_array(x), (n_batches, x.shape[1])
            axes = Axes(loadings, np.broadcast_to(x.mean(axis=0).A1, shape), np.broadcast_to(1.0, shape))
            coordinates = axes.coordinates(x, batches)
        if whole:
            k = max(settings.fewest_neighbours, len(batches) // settings.cells_per_neighbour)
            k = min(settings.neighbours, k)
            return cls(
                z,
                coordinates,
                axes,
                shared_neighbours(nearest(coordinates, coordinates, k, among_themselves=True)),
                None,
            )
        clusters = clusters_of(coordinates, len(batches) // settings.cells_per_cluster)
        member = sp.csr_array((np.ones(len(batches)), (clusters, np.arange(len(batches)))))
        return cls(z, coordinates, axes, sp.diags_array(1 / member.sum(axis=1)) @ member, clusters)

    def average(self, values: Doubles) -> Doubles:
        """Return the mean over each cell's neighbourhood; the cell's own value where it has none."""
        if self.clusters is not None:
            return (self.weights @ values)[self.clusters]
        alone = np.asarray(self.weights.sum(axis=1)).ravel() == 0
        return self.weights @ values + values * alone[:, None]


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """What each neighbourhood of a sample says: exact where it is the whole query, else clusters of some 20 cells.

    Parameters
    ----------
    mean
        Mean probabilities in each neighbourhood.
    overall
        Mean probabilities of the sample.
    known
        Chance that the type of a neighbourhood is known.
    axes, centres
        What finds the cluster of a cell, where the sample is not the whole query.
    settings
        The numbers that votes are weighed by.
    """

    mean: Doubles
    overall: Doubles
    known: Doubles
    axes: Axes
    centres: Doubles | None = None
    settings: Settings = SETTINGS

    @classmethod
    def of(cls, space: Space, probabilities: Doubles, known: Doubles, settings: Settings = SETTINGS) -> Neighbourhoods:
        """Average the probabilities of the sample's cells, and the chances that their types are known."""
        overall = probabilities.mean(axis=0)
        if space.clusters is None:
            return cls(space.average(probabilities), overall, known, space.axes, settings=settings)
        centres = space.weights @ _directions(space.coordinates)
        mean, known = space.weights @ probabilities, space.weights @ known
        return cls(mean, overall, known, space.axes, centres, settings)

    def at(self, sample: Sample) -> Neighbourhoods:
        """Return them in the order of the query's cells, where the sample is the whole query."""
        if sample.of_cells is None:
            return self
        return replace(self, mean=self.mean[sample.of_cells], known=self.known[sample.of_cells])

    def reweigh(
        self, probabilities: Doubles, x: sp.csr_matrix | None, batches: Codes, first: int = 0
    ) -> tuple[Doubles, Doubles]:
        """Weigh the labels of cells by what their neighbourhoods say; return P(known), too.

        Parameters
        ----------
        x
            The cells, normalised; needed where the sample is not the whole query.
        batches
            Batch of each cell.
        first
            Position of the first cell in the query.
        """
        if self.centres is None:
            where: slice | Codes = slice(first, first + len(batches))
        else:
            assert x is not None
            where = nearest(_directions(self.axes.coordinates(x, batches)), self.centres, 1)[:, 0]
        power, floor = self.settings.neighbour_power, self.settings.least_frequency
        return reweighted(probabilities, self.mean[where], self.overall, power, floor), self.known[where]


def reweighted(probabilities: Doubles, votes: Doubles, overall: Doubles, power: float, floor: float) -> Doubles:
    """Weigh each label by how much more frequent it is among the votes for a cell than in the query.

    ``p * ((votes + floor) / (overall + floor)) ** power``, brought to a sum of 1. A rare label needs few votes to be
    frequent: an average over votes would erase it.
    """
    weighted = probabilities * ((votes + floor) / (overall + floor)) ** power
    result: Doubles = weighted / weighted.sum(axis=1, keepdims=True)
    return result


def _loadings(x: sp.csr_matrix, settings: Settings) -> Doubles | None:
    """Return the loadings of the TF-IDF of cells, features x components; None where it has too few components.

    The first component is left out, as it follows depth. The others count by how much they are stronger than the last,
    which is noise: of shallow cells a few are left, of deep ones nearly all.
    """
    if not settings.lsi_components or min(x.shape) < 2 or not x.data.any():
        return None
    lsi = fit_lsi(x, n_components=settings.lsi_components)
    strength = lsi.singular_values.astype(np.float64)
    if len(strength) < settings.fewest_components:
        return None
    weight = np.sqrt(1 - (strength[-1] / strength) ** 2)
    loadings: Doubles = lsi.loadings * weight
    return loadings[:, 1:-1]


def _directions(coordinates: Doubles) -> Doubles:
    """Bring the coordinates of each cell to length one, as the clusters have it."""
    result: Doubles = coordinates / np.maximum(np.linalg.norm(coordinates, axis=1, keepdims=True), 1e-9)
    return result
