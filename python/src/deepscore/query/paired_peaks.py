"""A second round: the raw peaks of a query beside the calls that its gene activity has got.

Gene activity uses what is near genes, and says little of a shallow cell. By their peaks cells have other neighbours,
and a model of peaks (a bridge), where there is one, calls them. Without it the calls of all cells together are a
training set: a regression learns from them what the peaks of each label look like in this very query. It never calls a
cell that it has learnt from (cross-fitting), so that it repeats what cells have in common and not single errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import softmax

from ..data.blocks import CellBlocks
from ..model.calibrate import fit_temperature
from ..errors import InputError
from .neighbours import Neighbourhoods, Space
from ..data.normalize import Normalization, Values, detect
from ..training.reference import DEFAULT_FEATURES
from ..data.standardise import GroupSums, Scale
from ..data.linalg import Codes, Doubles, lifted
from ..features.variable import moments

__all__ = ["PeakView", "Peaks", "teach"]

FOLDS, ROUNDS = 5, 2


@dataclass(frozen=True, eq=False)
class Peaks:
    """The raw peaks of the cells of a query, and how they are normalised: by themselves, as a reference would be.

    Parameters
    ----------
    told
        What a model of peaks says of them, where there is one: cells x labels, 0 for labels that it does not know.
    """

    data: CellBlocks
    columns: npt.NDArray[np.intp]
    recipe: Normalization
    values: Values
    told: Doubles | None = None

    @classmethod
    def of(cls, data: CellBlocks, told: Doubles | None = None) -> Peaks:
        """Choose the 10,000 peaks that most cells have."""
        values = detect(data, "peaks")
        found = moments(data, values)
        columns = np.sort(np.argsort(-found.detected, kind="stable")[: DEFAULT_FEATURES["peaks"]])
        columns = columns[found.detected[columns] > 0]
        if not columns.size:
            raise InputError("empty_data", f"{data.source} of the peaks holds no counts. Leave peaks= out.")
        return cls(data, columns, Normalization.of_peaks(data, found.total[columns]), values, told)

    def rows(self, rows: npt.NDArray[np.intp]) -> sp.csr_matrix:
        """Return these cells, normalised: cells x chosen peaks."""
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
    """

    neighbours: Neighbourhoods
    overall: Doubles
    votes: Doubles | None
    regression: tuple[Doubles, Doubles] | None = None

    def lift(self, probabilities: Doubles, peaks: sp.csr_matrix | None, first: int) -> Doubles:
        """Weigh the labels of a block of cells, `first` being the position of its first, by what their peaks say."""
        n_cells = len(probabilities)
        near = self.neighbours.lift(probabilities, peaks, np.zeros(n_cells, np.intp), first)[0]
        if self.votes is not None:
            votes = self.votes[first : first + n_cells]
        else:
            assert peaks is not None
            assert self.regression is not None
            votes = softmax(peaks @ self.regression[0] + self.regression[1], axis=1)
        return lifted(near, votes, self.overall, 1)


def teach(
    peaks: sp.csr_matrix,
    probabilities: Doubles,
    *,
    whole: bool,
    told: tuple[Doubles, Codes] | None = None,
) -> tuple[PeakView, Doubles, float]:
    """Call cells again by their peaks: by their neighbours, and by a model or what the calls themselves teach.

    Parameters
    ----------
    peaks
        Cells x peaks, normalised.
    probabilities
        Cells x labels, of the first round.
    whole
        Whether these cells are the whole query.
    told
        Where there is a model of peaks: its probabilities for the whole query, and the positions of these cells in it.
        Without it, a regression learns in two rounds from the best label of each cell what its peaks look like.

    Returns
    -------
    What was learnt, the probabilities in view of it, and how often what a cell's peaks say agrees with the calls before
    and after: the mean of both, as what was learnt from the first is not independent of it.
    """
    one = np.zeros(peaks.shape[0], np.intp)
    space = Space.of(peaks, one, 1, whole=whole, chromatin=True)
    neighbours = Neighbourhoods.of(space, probabilities, np.ones(len(one)))
    near = neighbours.lift(probabilities, peaks, one)[0]
    if told is not None:
        votes = told[0][told[1]]
        view = PeakView(neighbours, votes.mean(axis=0), told[0])
    else:
        votes, regression = _taught(peaks, near)
        view = PeakView(neighbours, votes.mean(axis=0), votes if whole else None, regression)
    result = lifted(near, votes, view.overall, 1)
    by_peaks = votes.argmax(axis=1)
    agreement = [float((by_peaks == calls.argmax(axis=1)).mean()) for calls in (near, result)]
    return view, result, sum(agreement) / 2


def _taught(peaks: sp.csr_matrix, probabilities: Doubles) -> tuple[Doubles, tuple[Doubles, Doubles]]:
    """Return what a regression taught by the calls says of each cell, cross-fitted, and its weight and bias."""
    scale = GroupSums(1, peaks.shape[1]).add(peaks, np.zeros(peaks.shape[0], np.intp)).pooled()
    rng = np.random.default_rng(0)
    fold = rng.permutation(peaks.shape[0]) % FOLDS
    result = probabilities
    for _ in range(ROUNDS):
        codes = result.argmax(axis=1)
        logits, weight, bias = _cross_fitted(peaks, codes, probabilities.shape[1], fold, scale, rng)
        temperature = fit_temperature(logits.astype(np.float32), codes)
        votes = softmax(logits / temperature, axis=1)
        result = lifted(probabilities, votes, votes.mean(axis=0), 1)
    return votes, (weight / temperature, bias / temperature)


def _cross_fitted(
    peaks: sp.csr_matrix, codes: Codes, n_labels: int, fold: Codes, scale: Scale, rng: np.random.Generator
) -> tuple[Doubles, Doubles, Doubles]:
    """Return logits of each cell by the regression of the other folds, and the mean weight and bias of all."""
    from ..model.linear import fit_linear

    logits = np.empty((len(codes), n_labels))
    weights, biases = [], []
    for part in np.unique(fold):
        learn, rest = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        weight, bias = fit_linear(peaks[learn], codes[learn], n_labels, scale, rng)
        weights.append(weight / scale.deviation[0][:, None])
        biases.append(bias - scale.centre[0] @ weights[-1])
        logits[rest] = peaks[rest] @ weights[-1] + biases[-1]
    return logits, np.mean(weights, axis=0, dtype=np.float64), np.mean(biases, axis=0, dtype=np.float64)
