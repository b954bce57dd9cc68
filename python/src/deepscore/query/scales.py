"""The scale of a query: what to standardise its values by, so that the reference's network reads them rightly.

A batch's own mean is that of its technology *and* of its mixture of types. The first has to go, the second must stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..model.model import Model
from .neighbours import Space
from ..data.normalize import Floats
from ..data.standardise import PRIOR_CELLS, GroupSums, Scale
from ..data.linalg import Codes, Doubles

__all__ = ["Reading", "Sample", "own_and_shifted", "settled"]

# So much more of the shifted scale for each unit by which its labels are more often those of the neighbours, or by
# which the two paths agree on it more often.
TRUST = 20
# From where to where disagreement on the shifted scale tells that cells are noisy, and no longer which scale is better.
NOISY = (0.25, 0.35)
# Cells of the reference, without a shift, that count beside those of a batch.
UNSHIFTED = 20
# So much less of the labels by ranks for each unit by which neighbours share them less often than those by own scale.
TORN = 2.5


@dataclass(frozen=True, eq=False)
class Reading:
    """One way to standardise a sample, and what the network makes of it.

    Parameters
    ----------
    scale
        Centre and deviation of each batch.
    calls
        The network's label of each cell.
    doubt
        Share of each batch's cells on which the two paths disagree.
    """

    scale: Scale
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
        return Reading(scale, (hidden + linear).argmax(axis=1), self.share(disagree))

    def share(self, of_cells: npt.ArrayLike) -> Doubles:
        """Return the mean of a value over the cells of each batch, 0 where it has none."""
        n = np.bincount(self.groups, minlength=self.n_groups)
        return np.bincount(self.groups, of_cells, self.n_groups) / np.maximum(n, 1)


def own_and_shifted(sample: Sample, by_ranks: Codes, space: Space | None) -> tuple[Reading, Reading]:
    """Read a sample on two scales.

    The first is the batch's own. The second is the reference's, moved by what tells the batch from a reference of the
    same composition. That is counted from labels by ranks, as labels that depend on the shift make it what they need;
    but where a shift has torn the ranks apart, neighbours have other labels by them, and labels on the own scale count.

    Parameters
    ----------
    by_ranks
        Label of each cell by its ranks.
    space
        The neighbourhoods of the sample, if there are any.
    """
    model = sample.model
    assert model.profiles is not None
    filled = np.flatnonzero(sample.x.sum(axis=1))  # cells without counts have no label
    groups = sample.groups[filled]
    sums = GroupSums(sample.n_groups, sample.x.shape[1]).add(sample.x[filled], groups)
    n = np.maximum(sums.n, 1)
    own = sample.read(sums.by_group(sample.groups, model.scale()))
    worse = 0.0 if space is None else _alike(sample, own.calls, space) - _alike(sample, by_ranks, space)
    composition, other = np.zeros((2, sample.n_groups, len(model.labels)))
    for shares, calls in ((composition, by_ranks), (other, own.calls)):
        np.add.at(shares, (groups, calls[filled]), 1 / n[groups, 0])
    composition += np.clip(TORN * worse, 0, 1)[..., None] * (other - composition)
    shift = sums.total / n - composition @ model.profiles.label_means()
    centre = (model.mean + sums.n / (sums.n + UNSHIFTED) * shift).astype(np.float32)
    return own, sample.read(Scale(centre, np.repeat(model.deviation[None], len(centre), axis=0), sample.groups))


def settled(sample: Sample, own: Reading, shifted: Reading, space: Space | None) -> Scale:
    """Settle on one scale between a batch's own and the shifted one.

    Parameters
    ----------
    own, shifted
        From :func:`own_and_shifted`.
    space
        The neighbourhoods of the sample; without any, the mean of both scales is returned.
    """
    share = np.full(sample.n_groups, 0.5) if space is None else _share_of_own(sample, own, shifted, space)
    return _between(own.scale, shifted.scale, share)


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
    n = np.bincount(sample.groups, minlength=sample.n_groups)
    trust = TRUST * n / (n + PRIOR_CELLS)
    more_alike = _alike(sample, shifted.calls, space) - _alike(sample, own.calls, space)
    least, most = NOISY
    telling = np.clip((most - shifted.doubt) / (most - least), 0, 1)
    by_neighbours = np.clip(0.5 - trust * more_alike, 0, 0.5)
    share: Doubles = np.clip(by_neighbours + trust * telling * (shifted.doubt - own.doubt), 0, 1)
    return share


def _alike(sample: Sample, calls: Codes, space: Space) -> Doubles:
    """Return for each batch how often a neighbour of a cell has its label."""
    one_hot = np.eye(calls.max() + 1)[calls]
    return sample.share((one_hot * space.average(one_hot)).sum(axis=1))
