"""Paired peaks: the raw peaks of a query of gene activity, beside the calls that its activity has got.

Gene activity uses what is near genes, and says little of a shallow cell. By their peaks cells have other neighbours,
and a model of peaks (a bridge), where there is one, calls them. Without it the calls of all cells together are a
training set: a regression learns from them what the peaks of each label look like in this very query. It never calls a
cell that it has learnt from (cross-fitting), so that it repeats what cells have in common and not single errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import softmax

from ..data.blocks import CellBlocks
from ..data.labels import evenly
from ..data.linalg import SEED, Codes, Doubles
from ..data.modality import PEAKS, TfIdf
from ..data.moments import moments
from ..data.standardise import Scale, SumsByCode
from ..data.values import Values
from ..errors import InputError
from ..model.calibrate import fit_temperature
from .neighbours import Neighbourhoods, Space, reweighted
from .sample import Sample
from .settings import SETTINGS, Settings

__all__ = ["PairedPeaks", "PeakView", "learn_peaks"]


@dataclass(frozen=True, eq=False)
class PairedPeaks:
    """The raw peaks of the cells of a query, and how they are normalised: by themselves, as a reference would be.

    Parameters
    ----------
    data, columns
        Cells x peaks, and which of the peaks are used.
    recipe, values
        How they are normalised, and what their values are.
    model_calls
        What a model of peaks says of the cells, where there is one: cells x labels, 0 for labels that it does not know.
    of_sample
        The cells that are looked at together, normalised, once they have been read.
    """

    data: CellBlocks
    columns: npt.NDArray[np.intp]
    recipe: TfIdf
    values: Values
    model_calls: Doubles | None = None
    of_sample: sp.csr_matrix | None = None

    @classmethod
    def of(cls, data: CellBlocks, model_calls: Doubles | None = None) -> PairedPeaks:
        """Choose the 10,000 peaks that most cells have."""
        values = PEAKS.detect(data)
        sums = moments(data, values)
        columns = np.lexsort((data.feature_names.astype(str), -sums.detected))[: PEAKS.n_features]
        columns = columns[sums.detected[columns] > 0]
        if not columns.size:
            raise InputError("empty_data", f"{data.source} of the peaks holds no counts. Leave peaks= out.")
        return cls(data, columns, TfIdf.of_sums(sums, columns), values, model_calls)

    def reading(self, sample: Sample) -> PairedPeaks:
        """Return the same with the peaks of the sample, which are read now: by the thread that may read them."""
        order = np.argsort(sample.rows)  # neighbours in the file are read at once
        return replace(self, of_sample=self.cells(sample.rows[order])[np.argsort(order)])

    def cells(self, rows: npt.NDArray[np.intp]) -> sp.csr_matrix:
        """Return the cells at these positions, normalised: cells x chosen peaks."""
        return self.recipe.matrix(self.data.take(rows), self.columns, self.values)


@dataclass(frozen=True, eq=False)
class PeakView:
    """What the peaks of a query say of its cells.

    Parameters
    ----------
    neighbours
        What the cells' neighbours in the LSI of their peaks say.
    overall
        Mean of the votes of the sample: of what each cell's own peaks say.
    votes
        Cells x labels, of the whole query: by a regression that has not seen the cell, or by a model of peaks.
    regression
        Where the sample is not the whole query, and no model of peaks is given: the weight on normalised peaks (peaks x
        labels, standardisation folded in) and the bias.
    settings
        The numbers that votes are weighed by.
    """

    neighbours: Neighbourhoods
    overall: Doubles
    votes: Doubles | None
    regression: tuple[Doubles, Doubles] | None = None
    settings: Settings = SETTINGS

    def reweigh(self, probabilities: Doubles, peaks: sp.csr_matrix | None, first: int) -> Doubles:
        """Weigh the labels of a block of cells, `first` being the position of its first, by what their peaks say."""
        n_cells = len(probabilities)
        near = self.neighbours.reweigh(probabilities, peaks, np.zeros(n_cells, np.intp), first)[0]
        if self.votes is not None:
            votes = self.votes[first : first + n_cells]
        else:
            assert peaks is not None
            assert self.regression is not None
            votes = softmax(peaks @ self.regression[0] + self.regression[1], axis=1)
        return reweighted(near, votes, self.overall, self.settings.peaks_power, self.settings.least_frequency)


def learn_peaks(sample: Sample, paired: PairedPeaks, probabilities: Doubles, settings: Settings = SETTINGS) -> PeakView:
    """Learn what the peaks of a query say: by their neighbours, and by a model or what the calls themselves teach.

    Parameters
    ----------
    sample
        The cells that are looked at together.
    paired
        The peaks of the whole query, those of the sample read already. Where a model of peaks has called them, its
        calls are the votes. Without it, a regression learns in two rounds, from the best label of each cell, what its
        peaks look like.
    probabilities
        Cells of the sample x labels, by their gene activity.
    """
    peaks = paired.of_sample
    assert peaks is not None
    one = np.zeros(peaks.shape[0], np.intp)
    space = Space.of(peaks, one, 1, whole=sample.whole, latent=True, settings=settings)
    neighbours = Neighbourhoods.of(space, probabilities, np.ones(len(one)), settings)
    if paired.model_calls is not None:
        overall = paired.model_calls[sample.rows].mean(axis=0)
        return PeakView(neighbours.at(sample), overall, paired.model_calls, settings=settings)
    near = neighbours.reweigh(probabilities, peaks, one)[0]
    votes, regression = _learnt_from_calls(peaks, near, settings)
    of_query = None if sample.of_cells is None else votes[sample.of_cells]
    return PeakView(neighbours.at(sample), votes.mean(axis=0), of_query, regression, settings)


def _learnt_from_calls(
    peaks: sp.csr_matrix, probabilities: Doubles, settings: Settings
) -> tuple[Doubles, tuple[Doubles, Doubles]]:
    """Return what a regression taught by the calls says of each cell, cross-fitted, and its weight and bias."""
    scale = SumsByCode(1, peaks.shape[1]).add(peaks, np.zeros(peaks.shape[0], np.intp)).pooled()
    rng = np.random.default_rng(SEED)
    fold = rng.permutation(peaks.shape[0]) % settings.folds
    result = probabilities
    for _ in range(settings.rounds):
        codes = result.argmax(axis=1)
        logits, weight, bias = _cross_fitted(peaks, codes, probabilities.shape[1], fold, scale, rng)
        temperature = fit_temperature(logits.astype(np.float32), codes)
        votes = softmax(logits / temperature, axis=1)
        result = reweighted(probabilities, votes, votes.mean(axis=0), settings.peaks_power, settings.least_frequency)
    return votes, (weight / temperature, bias / temperature)


def _cross_fitted(
    peaks: sp.csr_matrix, codes: Codes, n_labels: int, fold: Codes, scale: Scale, rng: np.random.Generator
) -> tuple[Doubles, Doubles, Doubles]:
    """Return logits of each cell by the regression of the other folds, and the mean weight and bias of all."""
    from ..model.linear import MOST_CELLS, fit_linear

    logits = np.empty((len(codes), n_labels))
    weights, biases = [], []
    for part in np.unique(fold):
        learn, rest = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        learn = learn[evenly(codes[learn], MOST_CELLS, rng)]
        weight, bias = fit_linear(peaks[learn], codes[learn], n_labels, scale)
        weights.append(weight / scale.deviation[0][:, None])
        biases.append(bias - scale.centre[0] @ weights[-1])
        logits[rest] = peaks[rest] @ weights[-1] + biases[-1]
    return logits, np.mean(weights, axis=0, dtype=np.float64), np.mean(biases, axis=0, dtype=np.float64)
