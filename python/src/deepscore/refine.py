"""The query as a whole: its own scale, its own neighbours, its own doubt.

Between studies the way the query is used decides more than the network. From a sample of the query this module learns,
once, what to do with each of its cells; no label is known and no cell of the reference is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from .model import Model, softmax
from .novelty import p_known
from .scale import LEAST_DEVIATION, PRIOR_CELLS, GroupSums, Scale
from .structure import (
    Codes,
    Doubles,
    clusters_of,
    components,
    group_moments,
    lifted,
    nearest,
    own_standardised,
    shared_neighbours,
)
from .taught import PeakView, teach

__all__ = ["SAMPLE", "WHOLE", "View", "look"]

# Query cells that are looked at together; of a larger query, a sample.
WHOLE, SAMPLE = 10_000, 5_000
ROUNDS = 4
# Cells of the reference that take part in the estimate of a batch's composition, and so many more for each cell of it,
# times the square of the share on which the two paths disagree: labels make the composition and the composition makes
# labels, which would run away with a small or noisy batch.
PRIOR_LABELS, PRIOR_DOUBT = 5, 8
NEIGHBOURS = 15
LEAST_CELLS = 20  # fewer have no neighbours to speak of
CELLS_PER_CLUSTER = 20
LIFT = 0.5
# So much more of the shifted scale for each unit by which its labels are more often those of the neighbours.
TRUST = 20
# From where to where a batch passes from several labels to one, and from neighbours like strangers to neighbours alike.
ONE_LABEL, ALIKE = (0.5, 0.7), (0.55, 0.65)


@dataclass(frozen=True, eq=False)
class View:
    """What a sample of the query tells about each of its cells.

    Parameters
    ----------
    scale
        Centre and deviation of each batch.
    sharpness
        Power of the probabilities that makes their mean confidence what is expected of this query.
    structure, peaks
        What the neighbours of the cells say, and their raw peaks where they are given.
    """

    model: Model
    present: npt.NDArray[np.bool_]
    scale: Scale
    sharpness: float = 1.0
    structure: _Structure | None = None
    peaks: PeakView | None = None

    def predict(
        self, block: sp.csr_matrix, groups: Codes, first: int = 0, peaks: sp.csr_matrix | None = None
    ) -> tuple[Doubles, Doubles, Doubles]:
        """Return the network's probabilities, those in view of the neighbours, and P(the cell's type is known).

        Parameters
        ----------
        block
            Cells x features of the model, normalised.
        groups
            Batch of each cell.
        first
            Position of the first cell in the query.
        peaks
            The cells' normalised peaks, where they are given and the sample was not the whole query.
        """
        found = alone = self.raw(block, groups)
        known = np.ones(len(groups))
        if self.structure is not None:
            votes, known = self.structure.votes(block, groups, first)
            found = lifted(found, votes, self.structure.overall, LIFT)
        if self.peaks is not None:
            found = lifted(found, self.peaks.votes(peaks, first, len(groups)), self.peaks.overall, 1)
        if self.sharpness != 1:
            found = _sharpened(found, self.sharpness)
        return alone, found, known

    @property
    def needs_peaks(self) -> bool:
        """Whether the raw peaks of each cell have to be read again, because only a sample was looked at."""
        return self.peaks is not None and self.peaks.own is None

    def raw(self, block: sp.csr_matrix, groups: Codes) -> Doubles:
        """Return the network's probabilities for each cell, on the query's scale."""
        several = len(self.scale.centre) > 1
        scale = Scale(self.scale.centre, self.scale.deviation, groups if several else None)
        return self.model.predict_proba(block, scale, self.present)


@dataclass(frozen=True, eq=False)
class _Structure:
    """Neighbourhoods of the sample: exact where it is the whole query, clusters of about 20 cells where it is not.

    Parameters
    ----------
    mean
        Mean probabilities in each neighbourhood.
    overall
        Mean probabilities of the sample.
    known
        Chance that the type of a neighbourhood is known.
    centres, basis, offset, deviation
        Where the sample is not the whole query: centres of the clusters, and what brings a cell to their space.
    """

    mean: Doubles
    overall: Doubles
    known: Doubles
    centres: Doubles | None
    basis: Doubles
    offset: Doubles
    deviation: Doubles

    def votes(self, block: sp.csr_matrix, groups: Codes, first: int) -> tuple[Doubles, Doubles]:
        """Return mean probabilities and P(known) of each cell's neighbourhood."""
        if self.centres is None:
            rows = slice(first, first + len(groups))
            return self.mean[rows], self.known[rows]
        z = own_standardised(block, groups, self.deviation)
        scores = z @ self.basis - (self.offset @ self.basis)[groups]
        where = nearest(_directions(scores), self.centres, 1)[:, 0]
        return self.mean[where], self.known[where]


def look(
    model: Model,
    sample: sp.csr_matrix,
    groups: Codes,
    n_groups: int,
    present: npt.NDArray[np.bool_],
    *,
    whole: bool,
    peaks: sp.csr_matrix | None = None,
) -> View:
    """Learn from a query, or from a sample of it, how to annotate its cells.

    Parameters
    ----------
    sample
        Cells x features of the model, normalised.
    groups
        Batch of each cell, from 0 to ``n_groups - 1``.
    present
        Which features the query has.
    whole
        Whether the sample is the whole query.
    peaks
        The raw peaks of the sample, normalised: cells x peaks.
    """
    sums = GroupSums(n_groups, sample.shape[1]).add(sample, groups)
    own = sums.by_group(groups, model.scale())
    shifted = _shifted(model, sums, own, sample, groups, present)
    calls = [model.logits(sample, scale, present).argmax(axis=1) for scale in (own, shifted)]
    scale, mixed = _between(own, shifted), np.ones(n_groups)
    space = None
    if len(groups) >= LEAST_CELLS:
        space = _Space.of(sample, groups, n_groups, whole=whole)
        scale = _between(own, shifted, _share_of_own(calls, groups, n_groups, space))
        mixed = _mixed(model, sample, groups, n_groups, present, space)
        scale = _between(scale, _repeated(model, n_groups, groups), mixed)
    raw = View(model, present, scale).raw(sample, groups)
    structure, refined = None, raw
    if space is not None:
        # a shallow cell has too few of its peaks: clusters say no more of unknown types than the network
        structure = _structure(model, space, groups, raw, present, novel=model.modality != "peaks" and peaks is None)
        refined = lifted(raw, structure.votes(sample, groups, 0)[0], structure.overall, LIFT)
    expected = _expected_accuracy(model, sample, groups, present, calls, scale, raw, mixed)
    taught = None
    if peaks is not None and space is not None:
        taught, refined, agreement = teach(peaks, refined, whole=whole)
        expected = (expected + 2 * agreement) / 3
    return View(model, present, scale, _sharpness(refined, expected), structure, taught)


def _repeated(model: Model, n_groups: int, groups: Codes) -> Scale:
    """Return the reference's scale for each batch."""
    centre, deviation = (np.repeat(row[None], n_groups, axis=0) for row in (model.mean, model.deviation))
    return Scale(centre, deviation, groups)


def _shifted(
    model: Model, sums: GroupSums, own: Scale, sample: sp.csr_matrix, groups: Codes, present: npt.NDArray[np.bool_]
) -> Scale:
    """Return the reference's scale, moved by what tells the query from a reference of the same composition.

    A batch's own mean is that of its technology and of its mixture of types. The mixture is estimated and taken out:
    in turn, labels give the composition, and the composition gives the shift.
    """
    assert model.profiles is not None
    means, prior = model.profiles.label_means(), model.profiles.proportions()
    weight = sums.n / (sums.n + PRIOR_CELLS)
    scale = own
    for _ in range(ROUNDS):
        hidden, linear = model.paths(sample, scale, present)
        assert linear is not None
        # the hidden layers follow a wrong shift too readily to estimate it
        labels = softmax(linear.astype(np.float64) / model.temperature)
        mixture = np.zeros((len(sums.n), len(prior)))
        np.add.at(mixture, groups, labels)
        doubtful = np.bincount(groups, hidden.argmax(axis=1) != linear.argmax(axis=1), len(sums.n))[:, None]
        added = PRIOR_LABELS + PRIOR_DOUBT * doubtful**2 / np.maximum(sums.n, 1)
        mixture = (mixture + added * prior) / (sums.n + added)
        shift = weight * (sums.total / np.maximum(sums.n, 1) - mixture @ means)
        centre = (model.mean + shift).astype(np.float32)
        scale = Scale(centre, np.repeat(model.deviation[None], len(centre), axis=0), groups)
    return scale


def _between(one: Scale, other: Scale, share: Doubles | float = 0.5) -> Scale:
    """Return the scale that gives the mean of what both give, with a share of the first for each batch."""
    first = np.broadcast_to(np.asarray(share, dtype=np.float32), len(one.centre))[:, None]
    rate = first / one.deviation + (1 - first) / other.deviation
    centre = (first * one.centre / one.deviation + (1 - first) * other.centre / other.deviation) / rate
    return Scale(centre.astype(np.float32), (1 / rate).astype(np.float32), one.groups)


def _share_of_own(calls: list[Codes], groups: Codes, n_groups: int, space: _Space) -> Doubles:
    """Return for each batch how much of its own scale to use beside the shifted one: at most half.

    The scale whose labels neighbours share more often is the better one: neighbours are found without the reference.
    Where the batch's composition is not the reference's, its own scale tears them apart. That the shifted scale does
    says less: values that are standardised by themselves keep their structure, whatever they are then called.
    """
    n = np.bincount(groups, minlength=n_groups)
    own, shifted = (
        np.bincount(groups, (one_hot * space.average(one_hot)).sum(axis=1), n_groups) / np.maximum(n, 1)
        for one_hot in (np.eye(called.max() + 1)[called] for called in calls)
    )
    share: Doubles = np.clip(0.5 - TRUST * (shifted - own) * n / (n + PRIOR_CELLS), 0, 0.5)
    return share


def _mixed(
    model: Model,
    sample: sp.csr_matrix,
    groups: Codes,
    n_groups: int,
    present: npt.NDArray[np.bool_],
    space: _Space,
) -> Doubles:
    """Tell which batches are mixtures of types, 1, and which are of one type, 0: these have no scale of their own.

    Sorted cells, standardised by themselves, would lose what makes them that type. Two signs have to meet: by the
    reference's scale most cells get the same label, and in what tells labels apart a cell's neighbours are no more
    alike than any two cells. The second needs no centre, so that no shift between studies can feign it.
    """
    assert model.linear is not None
    alone = View(model, present, model.scale()).raw(sample, groups)
    weight = model.linear[0] / model.deviation[:, None] * present[:, None]
    contrasts = sample @ (weight - weight.mean(axis=1, keepdims=True)).astype(np.float64)
    contrasts -= group_moments(sp.csr_array(contrasts), groups, n_groups)[0][groups]
    alike = (contrasts * space.average(contrasts)).sum(axis=1)
    mixed = np.ones(n_groups)
    for group in np.unique(groups):
        cells = groups == group
        if cells.sum() >= LEAST_CELLS:
            likeness = alike[cells].sum() / max((contrasts[cells] ** 2).sum(), 1e-12)
            largest = alone[cells].mean(axis=0).max()
            mixed[group] = 1 - _ramp(largest, *ONE_LABEL) * (1 - _ramp(likeness, *ALIKE))
    return mixed


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))


@dataclass(frozen=True, eq=False)
class _Space:
    """Principal components of the sample and who is whose neighbour in them.

    Parameters
    ----------
    clusters
        Where the sample is not the whole query: the cluster of each cell, in place of exact neighbours.
    """

    z: sp.csr_array
    scores: Doubles
    basis: Doubles
    offset: Doubles
    deviation: Doubles
    weights: sp.csr_array
    clusters: Codes | None

    @classmethod
    def of(cls, sample: sp.csr_matrix, groups: Codes, n_groups: int, *, whole: bool) -> _Space:
        deviation = np.sqrt(group_moments(sample, groups, n_groups)[1] + LEAST_DEVIATION**2)
        z = own_standardised(sample, groups, deviation)
        scores, basis = components(z, groups)
        offset = group_moments(z, groups, n_groups)[0]
        if whole:
            k = min(NEIGHBOURS, max(3, len(groups) // 30))
            weights = shared_neighbours(nearest(scores, scores, k, among_themselves=True))
            return cls(z, scores, basis, offset, deviation, weights, None)
        clusters = clusters_of(scores, len(groups) // CELLS_PER_CLUSTER, 0)
        member = sp.csr_array((np.ones(len(groups)), (clusters, np.arange(len(groups)))))
        return cls(z, scores, basis, offset, deviation, sp.diags_array(1 / member.sum(axis=1)) @ member, clusters)

    def average(self, values: Doubles) -> Doubles:
        """Return the mean over each cell's neighbourhood; the cell's own value where it has none."""
        if self.clusters is not None:
            return (self.weights @ values)[self.clusters]
        alone = np.asarray(self.weights.sum(axis=1)).ravel() == 0
        return self.weights @ values + values * alone[:, None]


def _structure(
    model: Model, space: _Space, groups: Codes, raw: Doubles, present: npt.NDArray[np.bool_], *, novel: bool
) -> _Structure:
    assert model.profiles is not None
    known = np.ones(len(groups))
    if novel:
        known = p_known(space.z, space.scores, groups, present, raw, model.profiles)
    overall, place = raw.mean(axis=0), (space.basis, space.offset, space.deviation)
    if space.clusters is None:
        return _Structure(space.average(raw), overall, known, None, *place)
    centres = space.weights @ _directions(space.scores)
    return _Structure(space.weights @ raw, overall, space.weights @ known, centres, *place)


def _directions(scores: Doubles) -> Doubles:
    """Bring scores to length one, as the clusters have it."""
    result: Doubles = scores / np.maximum(np.linalg.norm(scores, axis=1, keepdims=True), 1e-9)
    return result


def _expected_accuracy(
    model: Model,
    sample: sp.csr_matrix,
    groups: Codes,
    present: npt.NDArray[np.bool_],
    calls: list[Codes],
    scale: Scale,
    raw: Doubles,
    mixed: Doubles,
) -> float:
    """Return the accuracy to expect of this query.

    Two classifiers that learnt the same reference agree on a new data set about as often as they are right on it
    (Jiang et al., Assessing generalization of SGD via disagreement, ICLR 2022). Here it is the mean of three: how often
    the two paths agree, how often the two ways to standardise the query agree, and the confidence itself. With few
    cells, and for the second in batches of one type, the confidence decides. What cells are too noisy to show, both
    classifiers miss alike: as far as there were held-out cells, the same mean is taken of those, and what it was wrong
    by there is taken off.
    """
    hidden, linear = model.paths(sample, Scale(scale.centre, scale.deviation, groups), present)
    assert linear is not None
    confidence = float(raw.max(axis=1).mean())
    used = mixed[groups]
    scales_agree = (used * (calls[0] == calls[1]) + (1 - used) * confidence).mean()
    paths_agree = (hidden.argmax(axis=1) == linear.argmax(axis=1)).mean()
    weight = len(groups) / (len(groups) + PRIOR_CELLS)
    expected = weight * (scales_agree + paths_agree + confidence) / 3 + (1 - weight) * confidence
    held_out = model.training.get("held_out", {})
    if "agreement" in held_out:  # there the scales are one, and the confidence is fitted to the accuracy
        usual = (1 + held_out["agreement"] + held_out["accuracy"]) / 3
        weight = held_out["n_cells"] / (held_out["n_cells"] + PRIOR_CELLS)
        expected += weight * (held_out["accuracy"] - usual)
    return float(min(expected, 1))


def _sharpened(probabilities: Doubles, power: float) -> Doubles:
    """Raise probabilities to a power; their order in a row stays."""
    return softmax(power * np.log(np.maximum(probabilities, 1e-12)))


def _sharpness(probabilities: Doubles, expected: float) -> float:
    """Return the power at which the mean confidence is the expected accuracy, between 1/4 and 4."""
    low, high = -2.0, 2.0
    for _ in range(20):
        middle = (low + high) / 2
        if _sharpened(probabilities, 2**middle).max(axis=1).mean() > expected:
            high = middle
        else:
            low = middle
    return float(2 ** ((low + high) / 2))
