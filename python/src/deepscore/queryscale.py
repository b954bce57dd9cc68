"""The scale of a query: what to standardise its values by, so that the reference's network reads them rightly.

A batch's own mean is that of its technology *and* of its mixture of types. The first has to go, the second must stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from .model import Model
from .neighbours import LEAST_CELLS, Space
from .normalize import Floats
from .scale import PRIOR_CELLS, GroupSums, Scale
from .structure import Codes, Doubles, group_means

__all__ = ["Reading", "Sample", "of_reference", "own_and_shifted", "settled"]

ROUNDS = 4
# Cells of the reference that take part in the estimate of a batch's composition, and so many more for each cell of it,
# times the square of the share on which the two paths disagree: labels make the composition and the composition makes
# labels, which would run away with a small or noisy batch.
PRIOR_LABELS, PRIOR_DOUBT = 5, 8
# Power of a label's frequency in the reference among a cell's odds: a shift makes many cells look like rare labels.
PRIOR_POWER = 0.25
# So much more of the shifted scale for each unit by which its labels are more often those of the neighbours, or by
# which the two paths agree on it more often.
TRUST = 20
# From where to where disagreement on the shifted scale tells that cells are noisy, and no longer which scale is better.
NOISY = (0.25, 0.35)
# From where to where a batch passes from several labels to one, and from neighbours like strangers to neighbours alike.
ONE_LABEL, ALIKE = (0.5, 0.7), (0.55, 0.65)


@dataclass(frozen=True, eq=False)
class Reading:
    """One way to standardise a sample, and what the network makes of it.

    Parameters
    ----------
    scale
        Centre and deviation of each batch.
    linear
        Logits of the linear path.
    calls
        The network's label of each cell.
    doubt
        Share of each batch's cells on which the two paths disagree.
    """

    scale: Scale
    linear: Floats
    calls: Codes
    doubt: Doubles


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

    def read(self, scale: Scale) -> Reading:
        """Return what the network says by a scale."""
        hidden, linear = self.paths(scale)
        disagree = hidden.argmax(axis=1) != linear.argmax(axis=1)
        return Reading(scale, linear, (hidden + linear).argmax(axis=1), self.share(disagree))

    def share(self, of_cells: npt.ArrayLike) -> Doubles:
        """Return the mean of a value over the cells of each batch, 0 where it has none."""
        n = np.bincount(self.groups, minlength=self.n_groups)
        return np.bincount(self.groups, of_cells, self.n_groups) / np.maximum(n, 1)


def of_reference(sample: Sample) -> Scale:
    """Return the reference's scale for each batch."""
    model, n = sample.model, sample.n_groups
    return Scale(np.repeat(model.mean[None], n, axis=0), np.repeat(model.deviation[None], n, axis=0), sample.groups)


def own_and_shifted(sample: Sample) -> tuple[Reading, Reading]:
    """Read a sample on two scales.

    The first is the batch's own. The second is the reference's, moved by what tells the batch from a reference of the
    same composition: in turn, labels give the composition, and the composition gives the shift.
    """
    model = sample.model
    assert model.profiles is not None
    sums = GroupSums(sample.n_groups, sample.x.shape[1]).add(sample.x, sample.groups)
    means, prior = model.profiles.label_means(), model.profiles.proportions()
    reference, own = of_reference(sample), sample.read(sums.by_group(sample.groups, model.scale()))
    reading = own
    weight = sums.n / (sums.n + PRIOR_CELLS)
    for _ in range(ROUNDS):
        # the hidden layers follow a wrong shift too readily to estimate it
        labels = model.probabilities(reading.linear) * prior**PRIOR_POWER
        mixture = np.zeros((sample.n_groups, len(prior)))
        np.add.at(mixture, sample.groups, labels / labels.sum(axis=1, keepdims=True))
        added = PRIOR_LABELS + PRIOR_DOUBT * sums.n * reading.doubt[:, None] ** 2
        mixture = (mixture + added * prior) / (sums.n + added)
        shift = weight * (sums.total / np.maximum(sums.n, 1) - mixture @ means)
        reading = sample.read(replace(reference, centre=(reference.centre + shift).astype(np.float32)))
    return own, reading


def settled(sample: Sample, own: Reading, shifted: Reading, space: Space | None) -> tuple[Scale, Doubles]:
    """Choose between a batch's own scale, the shifted one and the reference's.

    Parameters
    ----------
    own, shifted
        From :func:`own_and_shifted`.
    space
        The neighbourhoods of the sample; without any, the mean of both scales is returned.

    Returns
    -------
    The scale, and for each batch whether it is a mixture of types, from 0 to 1.
    """
    if space is None:
        return _between(own.scale, shifted.scale, np.full(sample.n_groups, 0.5)), np.ones(sample.n_groups)
    mixed = _mixed(sample, space)
    of_mixture = _between(own.scale, shifted.scale, _share_of_own(sample, own, shifted, space))
    return _between(of_mixture, of_reference(sample), mixed), mixed


def _between(one: Scale, other: Scale, share: Doubles) -> Scale:
    """Return the scale that gives the mean of what both give, with a share of the first for each batch."""
    first = share.astype(np.float32)[:, None]
    rate = first / one.deviation + (1 - first) / other.deviation
    centre = (first * one.centre / one.deviation + (1 - first) * other.centre / other.deviation) / rate
    return Scale(centre.astype(np.float32), (1 / rate).astype(np.float32), one.groups)


def _share_of_own(sample: Sample, own: Reading, shifted: Reading, space: Space) -> Doubles:
    """Return for each batch how much of its own scale to use beside the shifted one.

    Two signs tell which of them is the better one. Neighbours, which are found without the reference, have its labels
    in common more often: where the batch's composition is not the reference's, its own scale tears them apart. That
    the shifted scale does so says less, as values that are standardised by themselves keep their structure, whatever
    they are then called: by this sign at most half is the batch's own. And the two paths agree on it more often (Jiang
    et al., ICLR 2022), where the cells are not too noisy for the hidden layers.
    """
    one_hots = (np.eye(calls.max() + 1)[calls] for calls in (own.calls, shifted.calls))
    own_alike, shifted_alike = (sample.share((one_hot * space.average(one_hot)).sum(axis=1)) for one_hot in one_hots)
    n = np.bincount(sample.groups, minlength=sample.n_groups)
    trust = TRUST * n / (n + PRIOR_CELLS)
    torn = np.clip(0.5 - trust * (shifted_alike - own_alike), 0, 0.5)
    share: Doubles = torn + trust * (shifted.doubt - own.doubt) * (1 - _ramp(shifted.doubt, *NOISY))
    return np.clip(share, 0, 1)


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


def _ramp(value: npt.ArrayLike, low: float, high: float) -> Doubles:
    return np.clip((np.asarray(value) - low) / (high - low), 0, 1)
