"""A second round: the raw peaks of a query, taught by the calls that its gene activity has got.

Gene activity uses what is near genes, and says little of a shallow cell. The calls of all cells together are a training
set, though: a regression learns from them what the peaks of each label look like in this very query. It never calls a
cell that it has learnt from (cross-fitting), so that it repeats what cells have in common and not single errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import softmax

from .blocks import CellBlocks
from .calibrate import fit_temperature
from .normalize import Normalization, Values, detect
from .reference import DEFAULT_FEATURES
from .scale import GroupSums, Scale
from .structure import Codes, Doubles, lifted
from .variable import moments

__all__ = ["PeakView", "Peaks", "teach"]

FOLDS, ROUNDS = 5, 2


@dataclass(frozen=True, eq=False)
class Peaks:
    """The raw peaks of the cells of a query, and how they are normalised: by themselves, as a reference would be."""

    data: CellBlocks
    columns: npt.NDArray[np.intp]
    recipe: Normalization
    values: Values

    @classmethod
    def of(cls, data: CellBlocks) -> Peaks:
        """Choose the 10,000 peaks that most cells have."""
        values = detect(data, "peaks")
        found = moments(data, values)
        columns = np.sort(np.argsort(-found.detected, kind="stable")[: DEFAULT_FEATURES["peaks"]])
        columns = columns[found.detected[columns] > 0]
        return cls(data, columns, Normalization.of_peaks(data, found.total[columns]), values)

    def rows(self, rows: npt.NDArray[np.intp]) -> sp.csr_matrix:
        """Return these cells, normalised: cells x chosen peaks."""
        return self.recipe.matrix(self.data.take(rows), self.columns, self.values)


@dataclass(frozen=True, eq=False)
class PeakView:
    """What the peaks of a query have been taught.

    Parameters
    ----------
    weight, bias
        Of the regression on normalised peaks, peaks x labels, standardisation folded in.
    overall
        Mean of the probabilities that it gives.
    own
        Where the sample is the whole query, its probabilities for each cell, by a regression that has not seen it.
    """

    weight: Doubles
    bias: Doubles
    overall: Doubles
    own: Doubles | None

    def votes(self, block: sp.csr_matrix | None, first: int, n_cells: int) -> Doubles:
        """Return the probabilities of a block of cells by their peaks."""
        if self.own is not None:
            return self.own[first : first + n_cells]
        assert block is not None
        return softmax(block @ self.weight + self.bias, axis=1)


def teach(peaks: sp.csr_matrix, probabilities: Doubles, *, whole: bool) -> tuple[PeakView, Doubles, float]:
    """Learn from the best label of each cell what its peaks look like, and call the cells again, twice.

    Parameters
    ----------
    peaks
        Cells x peaks, normalised.
    probabilities
        Cells x labels, of the first round.
    whole
        Whether these cells are the whole query.

    Returns
    -------
    What was learnt, the probabilities in view of it, and how often what a cell's peaks say agrees with the calls before
    and after: the mean of both, as what was learnt from the first is not independent of it.
    """
    scale = GroupSums(1, peaks.shape[1]).add(peaks, np.zeros(peaks.shape[0], np.intp)).pooled()
    rng = np.random.default_rng(0)
    fold = rng.permutation(peaks.shape[0]) % FOLDS
    result = probabilities
    for _ in range(ROUNDS):
        codes = result.argmax(axis=1)
        logits, weight, bias = _cross_fitted(peaks, codes, probabilities.shape[1], fold, scale, rng)
        temperature = fit_temperature(logits.astype(np.float32), codes)
        votes = softmax(logits / temperature, axis=1)
        overall = votes.mean(axis=0)
        result = lifted(probabilities, votes, overall, 1)
    view = PeakView(weight / temperature, bias / temperature, overall, votes if whole else None)
    by_peaks = votes.argmax(axis=1)
    agreement = [float((by_peaks == calls.argmax(axis=1)).mean()) for calls in (probabilities, result)]
    return view, result, sum(agreement) / 2


def _cross_fitted(
    peaks: sp.csr_matrix, codes: Codes, n_labels: int, fold: Codes, scale: Scale, rng: np.random.Generator
) -> tuple[Doubles, Doubles, Doubles]:
    """Return logits of each cell by the regression of the other folds, and the mean weight and bias of all."""
    from .linear import fit_linear

    logits = np.empty((len(codes), n_labels))
    weights, biases = [], []
    for part in np.unique(fold):
        learn, rest = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        weight, bias = fit_linear(peaks[learn], codes[learn], n_labels, scale, rng)
        weights.append(weight / scale.deviation[0][:, None])
        biases.append(bias - scale.centre[0] @ weights[-1])
        logits[rest] = peaks[rest] @ weights[-1] + biases[-1]
    return logits, np.mean(weights, axis=0, dtype=np.float64), np.mean(biases, axis=0, dtype=np.float64)
