"""The scale of a query: what to standardise its values by, so that the reference's network reads them rightly.

A batch's own mean is that of its technology *and* of its mixture of types. The first has to go, the second must stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..data.linalg import Codes, Doubles
from ..data.standardise import Scale
from ..model.model import Model
from .neighbours import Space
from .sample import Sample
from .settings import SETTINGS, Settings

__all__ = [
    "CellByCell",
    "SecondReading",
    "choose_scale",
    "explained",
    "mean_scale",
    "mean_shift",
    "neighbour_agreement",
    "own_scale",
    "shifted_scale",
]


def choose_scale(sample: Sample, space: Space | None, rank_calls: Codes, settings: Settings = SETTINGS) -> Scale:
    """Return the scale to read a sample by: between a batch's own and the shifted one.

    It is the mean of both, or more of the shifted one, as far as labels on that are shared by neighbours more often:
    neighbours are found without the reference, and where the batch's composition is not the reference's, its own scale
    tears them apart. That the shifted scale does so says less, as values that are standardised by themselves keep their
    structure, whatever they are then called: there its own scale counts more only as far as its labels also tell the
    cells' values apart better. With ``n`` cells in the batch, ``m = n / (n + prior_cells)``, agreements ``a`` and
    explained variances ``e``, the weight of its own scale is ``own_weight - trust m (a_shifted - a_own)``, between 0
    and ``own_weight + m (1 - e_shifted / e_own)``; up to 1 where the order of a cell's values does not hold between
    laboratories, so that the shift is measured badly.

    Parameters
    ----------
    space
        The neighbourhoods of the sample; without any, the mean of both scales is returned.
    rank_calls
        Label of each cell by its ranks.
    """
    filled = np.flatnonzero(sample.x.sum(axis=1))  # cells without counts have no label, and take no part
    own, shifted = own_scale(sample, filled), shifted_scale(sample, rank_calls, filled, settings)
    weight = np.full(sample.n_batches, settings.own_weight)
    if space is not None:
        n = np.bincount(sample.batches, minlength=sample.n_batches)
        by_own, by_shifted = sample.calls(own), sample.calls(shifted)
        more_alike = neighbour_agreement(sample, by_shifted, space) - neighbour_agreement(sample, by_own, space)
        counts = n / (n + settings.prior_cells)
        most = np.ones(sample.n_batches)
        if sample.model.kind.ranks_hold:
            of_own, of_shifted = (explained(sample, calls, filled) for calls in (by_own, by_shifted))
            better = 1 - np.divide(of_shifted, of_own, out=np.ones_like(of_own), where=of_own > 0)
            most = np.clip(settings.own_weight + counts * np.maximum(better, 0), 0, 1)
        weight = np.clip(weight - settings.trust * counts * more_alike, 0, most)
    return mean_scale(own, shifted, weight)


def explained(sample: Sample, calls: Codes, cells: Codes) -> Doubles:
    """Return for each batch how much of its cells' variance the means of their labels in the reference explain.

    A shift moves all cells alike, so that it takes no part: with values ``x`` and label means ``m``, both less their
    mean in the batch and divided by the reference's deviation, it is ``max(0, sum x m)^2 / sum m^2``. Wrong labels
    differ in other features than their cells do.
    """
    assert sample.model.profiles is not None
    means, batches, calls = sample.model.profiles.label_means() * sample.present, sample.batches[cells], calls[cells]
    weighted = means / sample.model.deviation.astype(np.float64) ** 2
    like, products = sample.x[cells] @ weighted.T, means @ weighted.T
    n = np.zeros((sample.n_batches, len(means)))
    np.add.at(n, (batches, calls), 1)
    frequency = n / np.maximum(n.sum(axis=1, keepdims=True), 1)
    of_cells = like[np.arange(len(calls)), calls] - (frequency[batches] * like).sum(axis=1)
    covariance = np.maximum(np.bincount(batches, of_cells, sample.n_batches), 0)
    squares = n @ np.diag(products)
    variance = squares - (frequency @ products * n).sum(axis=1)
    apart = variance > 1e-9 * squares  # else all have one label
    return np.divide(covariance**2, variance, out=np.zeros_like(variance), where=apart)


def own_scale(sample: Sample, cells: Codes | slice = slice(None)) -> Scale:
    """Return the centre and deviation of each batch, from some of its cells; of a small one near the reference's."""
    return sample.sums(cells).by_batch(sample.batches, sample.model.scale())


def shifted_scale(sample: Sample, rank_calls: Codes, cells: Codes, settings: Settings = SETTINGS) -> Scale:
    """Return the reference's scale, moved by what tells each batch from a reference of the same composition.

    With ``n`` cells in the batch, ``shift = mean - composition @ label means`` of the reference, and the centre is the
    reference's plus ``n / (n + unshifted) shift``. The composition is counted from rank calls: labels that depended on
    the shift would make it what they need.

    Parameters
    ----------
    rank_calls
        Label of each cell by its ranks.
    cells
        Those that count.
    """
    n, shift = _shifts(sample, rank_calls, cells)
    centre = (sample.model.mean + n / (n + settings.unshifted) * shift).astype(np.float32)
    return Scale(centre, np.repeat(sample.model.deviation[None], len(centre), axis=0), sample.batches)


def mean_shift(sample: Sample, rank_calls: Codes) -> Doubles:
    """Return what tells the query from a reference of the same composition: of each feature, the mean over all cells.

    A feature that not every batch has tells nothing, and is 0.
    """
    n, shift = _shifts(sample, rank_calls, np.flatnonzero(sample.x.sum(axis=1)))
    mean: Doubles = sample.present * (n[:, 0] @ shift) / max(n.sum(), 1)
    return mean


def _shifts(sample: Sample, rank_calls: Codes, cells: Codes) -> tuple[Doubles, Doubles]:
    """Return of each batch how many of the cells it has, and their shift (batches x features)."""
    assert sample.model.profiles is not None
    batches, sums = sample.batches[cells], sample.sums(cells)
    n = np.maximum(sums.n, 1)
    composition = np.zeros((sample.n_batches, len(sample.model.labels)))
    np.add.at(composition, (batches, rank_calls[cells]), 1 / n[batches, 0])
    return sums.n, sums.total / n - composition @ sample.model.profiles.label_means()


@dataclass(frozen=True, eq=False)
class SecondReading:
    """What the linear path alone says of cells by their batch's own scale.

    It is right where the batch is composed like the reference, in whatever way its technology differs; where the chosen
    scale errs, the two contradict each other, and the mean of both is less sure.

    Parameters
    ----------
    scale
        Mean and deviation of each batch.
    share
        Of each batch the weight of this reading, ``second n / (n + prior_cells) max(0, 1 - d)`` with ``n`` cells: ``d``
        is by how much the two readings differ in how frequent each label is, summed over the labels. The scale of a
        sorted query says little: there they differ by more than 1.
    """

    scale: Scale
    share: Doubles

    @classmethod
    def of(cls, sample: Sample, probabilities: Doubles, settings: Settings = SETTINGS) -> SecondReading | None:
        """Weigh this reading against the probabilities of the chosen scale; None where it has no weight."""
        model = sample.model
        if model.linear is None:
            return None
        sums = sample.sums(np.flatnonzero(sample.x.sum(axis=1)))
        second = cls(sums.by_batch(sample.batches, model.scale(), prior_cells=0), np.zeros(sample.n_batches))
        of_scale = model.linear_proba(sample.x, second.scale.of_cells(sample.batches, sample.measured))
        apart = np.abs(of_scale.mean(axis=0) - probabilities.mean(axis=0)).sum()
        n = sums.n[:, 0]
        share = settings.second * n / (n + settings.prior_cells) * max(0.0, 1 - float(apart))
        return replace(second, share=share) if share.any() else None

    def beside(
        self, first: Doubles, model: Model, block: sp.csr_matrix, batches: Codes, measured: npt.NDArray[np.bool_]
    ) -> Doubles:
        """Return the mean of the first reading of cells and this one, as the batch of each has it."""
        other = model.linear_proba(block, self.scale.of_cells(batches, measured))
        return first + self.share[batches][:, None] * (other - first)


@dataclass(frozen=True, eq=False)
class CellByCell:
    """What cells say each by itself, on the reference's scale, in batches that are mostly of one type.

    Of a sorted batch neither its mean nor its neighbours tell its type: what is common to its cells is the technology
    *and* the type. So little of the batch as a whole counts there.

    Parameters
    ----------
    share
        Of each batch the weight of this reading: 0 where up to `mixed` of its cells have one label by both readings, 1
        from `sorted` on.
    known_power
        Power of the chance that a cell's type is known where the weight is 1.
    """

    share: Doubles
    known_power: float

    @classmethod
    def of(cls, sample: Sample, in_view: Doubles, settings: Settings = SETTINGS) -> CellByCell | None:
        """Weigh this reading by the labels that the cells of a sample have by it and in view of the query."""
        model, n = sample.model, np.maximum(np.bincount(sample.batches, minlength=sample.n_batches), 1)

        def counted(calls: Codes) -> Doubles:
            counts = np.zeros((sample.n_batches, len(model.labels)))
            np.add.at(counts, (sample.batches, calls), 1)
            return counts

        viewed = counted(in_view.argmax(axis=1))
        if (viewed.max(axis=1) <= settings.mixed * n).all():
            return None  # a mixture by one reading is one: the other need not be made
        one_type = np.minimum(viewed, counted(sample.calls(model.scale()))).max(axis=1) / n
        share = np.clip((one_type - settings.mixed) / (settings.sorted - settings.mixed), 0, 1)
        return cls(share, settings.sorted_known_power) if share.any() else None

    def beside(
        self,
        in_view: Doubles,
        known: Doubles,
        model: Model,
        block: sp.csr_matrix,
        batches: Codes,
        measured: npt.NDArray[np.bool_],
    ) -> tuple[Doubles, Doubles]:
        """Return the mean of both readings of cells, and the chance that their types are known, by the weights."""
        share = self.share[batches]
        by_itself = model.predict_proba(block, model.scale().of_cells(batches, measured))
        return in_view + share[:, None] * (by_itself - in_view), known ** (1 - share * (1 - self.known_power))


def mean_scale(one: Scale, other: Scale, weight: Doubles) -> Scale:
    """Return the scale that gives the mean of what both give, with the weight of the first for each batch."""
    first = weight.astype(np.float32)[:, None]
    rate = first / one.deviation + (1 - first) / other.deviation
    centre = (first * one.centre / one.deviation + (1 - first) * other.centre / other.deviation) / rate
    return Scale(centre.astype(np.float32), (1 / rate).astype(np.float32), one.batches)


def neighbour_agreement(sample: Sample, calls: Codes, space: Space) -> Doubles:
    """Return for each batch how often a neighbour of a cell has its label."""
    one_hot = np.eye(calls.max() + 1)[calls]
    return sample.batch_mean((one_hot * space.average(one_hot)).sum(axis=1))
