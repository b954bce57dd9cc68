"""The query as a whole: its own scale, its own neighbours, its own doubt.

Between studies the way the query is used decides more than the network. From a sample of the query this module learns,
once, what to do with each of its cells; no label is known and no cell of the reference is at hand.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import softmax

from ..model.model import Model
from .neighbours import LEAST_CELLS, Neighbourhoods, Space
from ..data.normalize import Floats
from .novelty import p_known
from .scales import Sample, own_and_shifted, settled
from .rank_calls import called_by_ranks
from ..data.standardise import PRIOR_CELLS, Scale
from ..data.linalg import Codes, Doubles
from .paired_peaks import PeakView, teach

__all__ = ["SAMPLE", "WHOLE", "View", "look"]

# Query cells that are looked at together; of a larger query, a sample.
WHOLE, SAMPLE = 10_000, 5_000
logger = logging.getLogger("deepscore")


@dataclass(frozen=True, eq=False)
class View:
    """What a sample of the query tells about each of its cells.

    Parameters
    ----------
    scale
        Centre and deviation of each batch.
    sharpness
        Power of the probabilities that makes their mean confidence what is expected of this query.
    neighbours, peaks
        What the neighbours of the cells say, and their raw peaks where they are given.
    """

    model: Model
    present: npt.NDArray[np.bool_]
    scale: Scale
    sharpness: float = 1.0
    neighbours: Neighbourhoods | None = None
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
        if self.neighbours is not None:
            found, known = self.neighbours.lift(found, block, groups, first)
        if self.peaks is not None:
            found = self.peaks.lift(found, peaks, first)
        if self.sharpness != 1:
            found = _sharpened(found, self.sharpness)
        return alone, found, known

    @property
    def needs_peaks(self) -> bool:
        """Whether the raw peaks of each cell have to be read again, because only a sample was looked at."""
        return self.peaks is not None and self.peaks.neighbours.centres is not None

    def raw(self, block: sp.csr_matrix, groups: Codes) -> Doubles:
        """Return the network's probabilities for each cell, on the query's scale."""
        several = len(self.scale.centre) > 1
        scale = Scale(self.scale.centre, self.scale.deviation, groups if several else None)
        return self.model.predict_proba(block, scale, self.present)


def look(
    model: Model,
    x: sp.csr_matrix,
    groups: Codes,
    n_groups: int,
    present: npt.NDArray[np.bool_],
    *,
    whole: bool,
    peaks: sp.csr_matrix | None = None,
    told: tuple[Doubles, Codes] | None = None,
) -> View:
    """Learn from a query, or from a sample of it, how to annotate its cells.

    Parameters
    ----------
    x, groups, n_groups, present
        As :class:`~deepscore.query.scales.Sample` has them.
    whole
        Whether these cells are the whole query.
    peaks
        Their raw peaks, normalised: cells x peaks.
    told
        What a model of peaks says of them, as :func:`~deepscore.query.paired_peaks.teach` takes it.
    """
    sample = Sample(model, x, groups, n_groups, present)
    assert model.profiles is not None
    by_ranks = called_by_ranks(x, model.profiles, present)
    chromatin, enough = model.modality == "peaks", len(groups) >= LEAST_CELLS
    space = Space.of(x, groups, n_groups, whole=whole, chromatin=chromatin) if enough else None
    own, shifted = own_and_shifted(sample, by_ranks, space)
    scale = settled(sample, own, shifted, space)
    paths = sample.paths(scale)
    raw = refined = model.probabilities(paths[0] + paths[1])
    neighbours = taught = None
    if space is not None:
        known = np.ones(len(groups))
        # a shallow cell has too few of its peaks: clusters say no more of unknown types than the network
        if chromatin or peaks is not None:
            logger.info("Unknown types are not looked for: peaks say too little of them")
        else:
            known = p_known(space, groups, present, raw, model.profiles)
        neighbours = Neighbourhoods.of(space, raw, known)
        refined = neighbours.lift(raw, x, groups)[0]
    borne_out = (shifted.calls == own.calls) | (shifted.calls == by_ranks)
    expected = _expected_accuracy(model, paths, borne_out, raw, refined)
    if peaks is not None and space is not None:
        taught, refined, agreement = teach(peaks, refined, whole=whole, told=told)
        expected = (expected + 2 * agreement) / 3
    return View(model, present, scale, _sharpness(refined, expected), neighbours, taught)


def _expected_accuracy(
    model: Model,
    paths: tuple[Floats, Floats],
    borne_out: npt.NDArray[np.bool_],
    raw: Doubles,
    refined: Doubles,
) -> float:
    """Return the accuracy to expect of this query.

    Two classifiers that learnt the same reference agree on a new data set about as often as they are right on it
    (Jiang et al., Assessing generalization of SGD via disagreement, ICLR 2022). Here it is the mean of four: how often
    the two paths agree, how often the query's own scale or the ranks bear a label out, and the confidence itself,
    before and after the neighbours were asked. With few cells the first confidence decides. What cells are too noisy to
    show, all classifiers miss alike: as far as there were held-out cells, the same mean is taken of those, and what it
    was wrong by there is taken off.
    """
    confidence = float(raw.max(axis=1).mean())
    paths_agree = (paths[0].argmax(axis=1) == paths[1].argmax(axis=1)).mean()
    weight = len(raw) / (len(raw) + PRIOR_CELLS)
    signs = [borne_out.mean(), paths_agree, confidence, refined.max(axis=1).mean()]
    expected = weight * np.mean(signs) + (1 - weight) * confidence
    held_out = model.training.get("held_out", {})
    if "agreement" in held_out:  # there the scales are one, and the confidence is fitted to the accuracy
        usual = (1 + held_out["agreement"] + 2 * held_out["accuracy"]) / 4
        weight = held_out["n_cells"] / (held_out["n_cells"] + PRIOR_CELLS)
        expected += weight * (held_out["accuracy"] - usual)
    return float(min(expected, 1))


def _sharpened(probabilities: Doubles, power: float) -> Doubles:
    """Raise probabilities to a power; their order in a row stays."""
    return softmax(power * np.log(np.maximum(probabilities, 1e-12)), axis=1)


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
