"""Novelty: whether a cell's type is among the labels of the reference at all, and whether the query's tissue is.

The network's confidence cannot say: an NK cell is a very confident T cell where the reference has no NK, and so is an
islet. The query's own structure can. The reference leaves a few mean profiles per label in the model. The query is
clustered by itself, and each cluster is compared with the profiles in ways that a change of technology hardly touches.
Two logistic regressions turn these into chances; they were taught with labels withheld and with other tissues
(``python/benchmarks/accuracy/novelty.py``, which also says what they find in studies left out of the teaching).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import nnls
from scipy.special import expit

from ..data.linalg import Codes, Doubles, clusters_of, means_by_code, moments_by_code
from ..data.standardise import LEAST_DEVIATION
from ..model.profiles import Profiles
from ..support.notices import warn
from ..support.threads import cores, overlapped
from .neighbours import Space
from .rank_calls import RankedProfiles
from .sample import Sample
from .settings import SETTINGS, NoveltySettings, Settings
from .verdict import Verdict

__all__ = ["Evidence", "chance_known", "tell_too_small"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """How well the profiles of a reference explain a query.

    The label of a cluster is the one of highest mean probability. All but `agreement` have a value for each cell, the
    mean over several clusterings.

    Parameters
    ----------
    unexplained
        Share of the signal of the cell's cluster that all profiles together leave: a lower bound, 0 to 1.
    likeness
        Cosine of the cluster's mean and the nearest profile of its label, each on its own scale, outside of the
        directions of depth and of variation within labels.
    order
        Rank correlation (Spearman's) of the cluster's mean with the nearest profile of its label.
    raised
        How much the markers of its label are raised in the cluster above the query's mean, as a share of what they are
        raised in the reference, -1 to 3.
    agreement
        Share of the query's cells whose best label by the network is that by their ranks.
    """

    unexplained: Doubles
    likeness: Doubles
    order: Doubles
    raised: Doubles
    agreement: float

    @classmethod
    def of(
        cls,
        sample: Sample,
        space: Space,
        probabilities: Doubles,
        ranked: RankedProfiles,
        rank_calls: Codes,
        numbers: NoveltySettings,
    ) -> Evidence:
        """Compare the clusters of a sample with the profiles; the arguments are those of :func:`chance_known`."""
        profiles, n_cells = sample.model.profiles, len(sample.batches)
        assert profiles is not None
        rebuilding = _Rebuilding.of(sample, space, probabilities, profiles, numbers)
        markers = _Markers.of(sample, profiles, numbers)

        def explained(clustering: tuple[int, int]) -> Doubles:
            size, seed = clustering
            k = int(np.clip(n_cells // size, numbers.fewest_clusters, numbers.most_clusters))
            clusters = clusters_of(space.coordinates, k, seed)
            labels = means_by_code(probabilities, clusters).argmax(axis=1)
            means = means_by_code(sample.x, clusters)
            mine = labels[:, None] == profiles.owner  # clusters x profiles
            left, cosines = rebuilding.of_clusters(clusters)
            likeness, order = (np.where(mine, a, -1).max(axis=1) for a in (cosines, ranked.correlations(means)))
            return np.stack([left, likeness, order, markers.raised(means, labels)])[:, clusters]

        of_clusterings = list(overlapped(explained, product(numbers.cells_per_cluster, numbers.starts), cores()))
        left, likeness, order, raised = np.mean(of_clusterings, axis=0)
        agreement = float((probabilities.argmax(axis=1) == rank_calls).mean())
        return cls(left, likeness, order, raised, agreement)


def chance_known(
    sample: Sample,
    space: Space,
    probabilities: Doubles,
    ranked: RankedProfiles,
    rank_calls: Codes,
    settings: Settings = SETTINGS,
) -> tuple[Doubles, Verdict]:
    """Return the chance of each cell that its type is one of the reference's labels; warn of a foreign query.

    Parameters
    ----------
    sample
        The cells that are looked at together.
    space
        The same cells, standardised by themselves, and their principal components.
    probabilities
        Cells x labels, from the network.
    ranked, rank_calls
        The profiles by the order of their values, and the label of each cell by its ranks.

    Returns
    -------
    For each cell the chance that its type is known, by how it differs from the query's median cell. And the verdict on
    the query, by what its median cell shows; where the chance that it is of the reference's tissue is low, the former
    are multiplied by it. 1 and an empty verdict for queries of fewer than 100 cells, which show too little structure.
    """
    numbers = settings.novelty
    if len(sample.batches) < numbers.least or sample.present.sum() < numbers.least_features:
        tell_too_small(sample, settings)
        return np.ones(len(sample.batches)), Verdict()
    evidence = Evidence.of(sample, space, probabilities, ranked, rank_calls, numbers)
    usual, native = chance_usual(evidence, numbers), chance_native(evidence, numbers)
    verdict = Verdict(native, 1 - float(np.median(evidence.unexplained)), evidence.agreement, native < settings.outlier)
    if verdict.foreign:
        usual *= native
        warn(" ".join(verdict.words()))
    return usual, verdict


def chance_native(evidence: Evidence, numbers: NoveltySettings = SETTINGS.novelty) -> float:
    """Return the chance that a query is of the reference's tissue, by its median cell."""
    medians = (float(np.median(a)) for a in (evidence.unexplained, evidence.raised))
    return float(expit(np.array(numbers.native) @ [1.0, *medians, evidence.agreement]))


def chance_usual(evidence: Evidence, numbers: NoveltySettings = SETTINGS.novelty) -> Doubles:
    """Return the chance of each cell that its type is known, by how it differs from the query's median cell."""
    away = [a - np.median(a) for a in (evidence.unexplained, evidence.likeness, evidence.order)]
    chance: Doubles = expit(np.array(numbers.usual) @ np.stack([np.ones(len(away[0])), *away]))
    return chance


@dataclass(frozen=True, eq=False)
class _Markers:
    """The markers of each label that the query has.

    Parameters
    ----------
    of_label
        Positions of the features of each label that are most above its next-highest label; some labels have none.
    reference, centre, query
        Mean of each label and of all cells of the reference, and of all cells of the query.
    """

    of_label: tuple[Codes, ...]
    reference: Doubles
    centre: Doubles
    query: Doubles

    @classmethod
    def of(cls, sample: Sample, profiles: Profiles, numbers: NoveltySettings) -> _Markers:
        means = profiles.label_means()
        of_label = []
        for label, mean in enumerate(means):
            above = (mean - np.delete(means, label, axis=0).max(axis=0)) * sample.present
            top = np.argsort(-above, kind="stable")[: numbers.markers]
            of_label.append(top[above[top] > 0])
        query = np.asarray(sample.x.mean(axis=0)).ravel()
        return cls(tuple(of_label), means, sample.model.mean.astype(np.float64), query)

    def raised(self, means: Doubles, labels: Codes) -> Doubles:
        """Return how much the markers of each cluster's label are raised; 1 where it has none."""
        found = np.ones(len(labels))
        for cluster, label in enumerate(labels):
            if (markers := self.of_label[label]).size:
                expected = (self.reference[label] - self.centre)[markers].sum()
                found[cluster] = np.clip((means[cluster] - self.query)[markers].sum() / max(expected, 1e-9), -1, 3)
        return found


def tell_too_small(sample: Sample, settings: Settings = SETTINGS) -> None:
    """Warn that a query shows too little structure of its own to look for unknown types."""
    numbers, features = settings.novelty, sample.model.kind.features
    warn(
        f"Unknown types are not looked for: that takes {numbers.least} cells and {numbers.least_features} of the "
        f"model's {features}. Their cells get the nearest label."
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


@dataclass(frozen=True, eq=False)
class _Rebuilding:
    """What it takes to rebuild the mean of a cluster from the profiles.

    Parameters
    ----------
    sample, space, probabilities
        As for :func:`chance_known`.
    labels, profiles
        Means of the labels and of the profiles, on the scale of the query.
    within
        Features x directions, orthonormal: those of depth and of variation within labels, which are free.
    """

    sample: Sample
    space: Space
    probabilities: Doubles
    labels: Doubles
    profiles: Doubles
    within: Doubles
    numbers: NoveltySettings

    @classmethod
    def of(
        cls, sample: Sample, space: Space, probabilities: Doubles, profiles: Profiles, numbers: NoveltySettings
    ) -> _Rebuilding:
        labels, means = _as_the_query(sample, probabilities, profiles)
        depth = np.bincount(sample.batches, minlength=sample.n_batches) @ space.axes.offset
        within = np.linalg.qr(np.column_stack([profiles.within, depth]) * sample.present[:, None])[0]
        return cls(sample, space, probabilities, labels, means, within, numbers)

    def of_clusters(self, clusters: Codes) -> tuple[Doubles, Doubles]:
        """Return of each cluster the unexplained share, a lower bound, and its cosine with each profile."""
        n, numbers, offset = np.bincount(clusters), self.numbers, self.space.axes.offset
        raw, variance = moments_by_code(self.space.z, clusters)
        mixture = np.zeros((len(n), len(offset)))
        np.add.at(mixture, (clusters, self.sample.batches), 1)
        mean = raw - (mixture / n[:, None]) @ offset
        pooled = n @ variance / n.sum()
        few = n[:, None] < numbers.few_cells
        noise = np.where(few, np.maximum(variance, pooled), variance) / np.maximum(n - 1, 1)[:, None]
        # Both sides are centred on the same mixture of labels, in which rare labels weigh more than by number.
        mass = means_by_code(self.probabilities, clusters) * n[:, None]
        total = mass.sum(axis=0)
        mix = np.sqrt(total) / np.sqrt(total).sum()
        middle = (mass / np.maximum(total, 1e-9)) @ mix
        y = mean - (middle / middle.sum()) @ mean
        low = _left(y, self.profiles - mix @ self.labels, noise, self.within, numbers)
        one, other = (a - (a @ self.within) @ self.within.T for a in (mean, self.profiles - self.labels.mean(axis=0)))
        lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(other, axis=1)
        return low, (one @ other.T) / np.maximum(lengths, 1e-9)


def _left(y: Doubles, profiles: Doubles, noise: Doubles, within: Doubles, numbers: NoveltySettings) -> Doubles:
    """Fit the profiles to each cluster's mean, outside of the free directions; return what is left of its signal.

    It is a lower bound: the estimate less some standard errors of sampling.
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
    share: Doubles = np.maximum(left - numbers.errors * error, 0) / signal
    return share
