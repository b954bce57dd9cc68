"""The scale of a query: what to standardise its values by, so that the reference's network reads them rightly.

A batch's own mean is that of its technology *and* of its mixture of types. The first has to go, the second must stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from .model import Model
from .neighbours import LEAST_CELLS, Space
from .normalize import Floats
from .scale import PRIOR_CELLS, GroupSums, Scale
from .structure import Codes, Doubles, group_means

__all__ = ["Sample", "of_reference", "own_and_shifted", "settled"]

ROUNDS = 4
# Cells of the reference that take part in the estimate of a batch's composition, and so many more for each cell of it,
# times the square of the share on which the two paths disagree: labels make the composition and the composition makes
# labels, which would run away with a small or noisy batch.
PRIOR_LABELS, PRIOR_DOUBT = 5, 8
# So much more of the shifted scale for each unit by which its labels are more often those of the neighbours.
TRUST = 20
# From where to where a batch passes from several labels to one, and from neighbours like strangers to neighbours alike.
ONE_LABEL, ALIKE = (0.5, 0.7), (0.55, 0.65)


@dataclass(frozen=True, eq=False)
class Sample:
    """Cells of a query that are looked at together, all of them or a sample, before the model that is to call them.

    Parameters
    ----------
    x
        Cells x features of the model, normalised.
    groups
        Batch of each cell, from 0 to ``n_groups - 1``; of some there may be no cell.
    present
        Which features the query has.
    """

    model: Model
    x: sp.csr_matrix
    groups: Codes
    n_groups: int
    present: npt.NDArray[np.bool_]

    def paths(self, scale: Scale) -> tuple[Floats, Floats]:
        """Return the logits of the hidden layers and those of the linear path."""
        groups = self.groups if len(scale.centre) > 1 else None
        hidden, linear = self.model.paths(self.x, Scale(scale.centre, scale.deviation, groups), self.present)
        assert linear is not None
        return hidden, linear

    def share(self, of_cells: npt.ArrayLike) -> Doubles:
        """Return the mean of a value over the cells of each batch, 0 where it has none."""
        n = np.bincount(self.groups, minlength=self.n_groups)
        return np.bincount(self.groups, of_cells, self.n_groups) / np.maximum(n, 1)


def of_reference(sample: Sample) -> Scale:
    """Return the reference's scale for each batch."""
    model, n = sample.model, sample.n_groups
    return Scale(np.repeat(model.mean[None], n, axis=0), np.repeat(model.deviation[None], n, axis=0), sample.groups)


def own_and_shifted(sample: Sample) -> tuple[tuple[Scale, Scale], tuple[Codes, Codes]]:
    """Return two scales of each batch, and the labels that the network gives by each.

    The first is the batch's own. The second is the reference's, moved by what tells the batch from a reference of the
    same composition: in turn, labels give the composition, and the composition gives the shift.
    """
    model = sample.model
    assert model.profiles is not None
    sums = GroupSums(sample.n_groups, sample.x.shape[1]).add(sample.x, sample.groups)
    means, prior = model.profiles.label_means(), model.profiles.proportions()
    own = scale = sums.by_group(sample.groups, model.scale())
    weight = sums.n / (sums.n + PRIOR_CELLS)
    calls = []
    for _ in range(ROUNDS):
        hidden, linear = sample.paths(scale)
        calls.append((hidden + linear).argmax(axis=1))
        # the hidden layers follow a wrong shift too readily to estimate it
        labels = model.probabilities(linear)
        mixture = np.zeros((sample.n_groups, len(prior)))
        np.add.at(mixture, sample.groups, labels)
        doubt = sample.share(hidden.argmax(axis=1) != linear.argmax(axis=1))[:, None]
        added = PRIOR_LABELS + PRIOR_DOUBT * sums.n * doubt**2
        mixture = (mixture + added * prior) / (sums.n + added)
        shift = weight * (sums.total / np.maximum(sums.n, 1) - mixture @ means)
        centre = (model.mean + shift).astype(np.float32)
        scale = Scale(centre, np.repeat(model.deviation[None], len(centre), axis=0), sample.groups)
    hidden, linear = sample.paths(scale)
    return (own, scale), (calls[0], (hidden + linear).argmax(axis=1))


def settled(
    sample: Sample, scales: tuple[Scale, Scale], calls: tuple[Codes, Codes], space: Space | None
) -> tuple[Scale, Doubles]:
    """Choose between a batch's own scale, the shifted one and the reference's.

    Parameters
    ----------
    scales, calls
        From :func:`own_and_shifted`.
    space
        The neighbourhoods of the sample; without any, the mean of both scales is returned.

    Returns
    -------
    The scale, and for each batch whether it is a mixture of types, from 0 to 1.
    """
    if space is None:
        return _between(*scales, np.full(sample.n_groups, 0.5)), np.ones(sample.n_groups)
    mixed = _mixed(sample, space)
    of_mixture = _between(*scales, _share_of_own(sample, calls, space))
    return _between(of_mixture, of_reference(sample), mixed), mixed


def _between(one: Scale, other: Scale, share: Doubles) -> Scale:
    """Return the scale that gives the mean of what both give, with a share of the first for each batch."""
    first = share.astype(np.float32)[:, None]
    rate = first / one.deviation + (1 - first) / other.deviation
    centre = (first * one.centre / one.deviation + (1 - first) * other.centre / other.deviation) / rate
    return Scale(centre.astype(np.float32), (1 / rate).astype(np.float32), one.groups)


def _share_of_own(sample: Sample, calls: tuple[Codes, Codes], space: Space) -> Doubles:
    """Return for each batch how much of its own scale to use beside the shifted one: at most half.

    The scale whose labels neighbours share more often is the better one: neighbours are found without the reference.
    Where the batch's composition is not the reference's, its own scale tears them apart. That the shifted scale does
    says less: values that are standardised by themselves keep their structure, whatever they are then called.
    """
    one_hots = (np.eye(called.max() + 1)[called] for called in calls)
    own, shifted = (sample.share((one_hot * space.average(one_hot)).sum(axis=1)) for one_hot in one_hots)
    n = np.bincount(sample.groups, minlength=sample.n_groups)
    share: Doubles = np.clip(0.5 - TRUST * (shifted - own) * n / (n + PRIOR_CELLS), 0, 0.5)
    return share


def _mixed(sample: Sample, space: Space) -> Doubles:
    """Tell which batches are mixtures of types, 1, and which are of one type, 0: these have no scale of their own.

    Sorted cells, standardised by themselves, would lose what makes them that type. Two signs have to meet: by the
    reference's scale most cells get the same label, and in what tells labels apart a cell's neighbours are no more
    alike than any two cells. The second needs no centre, so that no shift between studies can feign it.
    """
    model, groups = sample.model, sample.groups
    assert model.linear is not None
    alone = model.predict_proba(sample.x, present=sample.present)
    weight = model.linear[0] / model.deviation[:, None] * sample.present[:, None]
    contrasts = sample.x @ (weight - weight.mean(axis=1, keepdims=True)).astype(np.float64)
    contrasts -= group_means(contrasts, groups)[groups]
    alike = (contrasts * space.average(contrasts)).sum(axis=1)
    mixed = np.ones(sample.n_groups)
    for group in np.unique(groups):
        cells = groups == group
        if cells.sum() >= LEAST_CELLS:
            likeness = alike[cells].sum() / max((contrasts[cells] ** 2).sum(), 1e-12)
            largest = alone[cells].mean(axis=0).max()
            mixed[group] = 1 - _ramp(largest, *ONE_LABEL) * (1 - _ramp(likeness, *ALIKE))
    return mixed


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
