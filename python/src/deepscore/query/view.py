"""The query as a whole: its own scale, its own neighbours, its own types.

Between studies the way the query is used decides more than the network. From a sample of the query this module learns,
once, what to do with each of its cells; no label is known and no cell of the reference is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..data.linalg import Codes, Doubles
from ..data.standardise import Scale
from ..model.model import Model
from ..support.notices import warn
from .neighbours import Neighbourhoods, Space
from .novelty import chance_known, tell_too_small
from .paired_peaks import PairedPeaks, PeakView, learn_peaks
from .rank_calls import RankedProfiles
from .sample import Sample
from .scales import CellByCell, SecondReading, choose_scale, mean_shift, own_scale
from .settings import SETTINGS, Settings
from .verdict import Verdict, most_shifted

__all__ = ["View", "learn_view", "read_by_scales", "view_by_scale"]


@dataclass(frozen=True, eq=False)
class View:
    """What a sample of the query tells about each of its cells.

    Parameters
    ----------
    measured
        Which of the model's features each batch has, batches x features; one row where all have the same.
    scale
        Centre and deviation of each batch.
    second
        What the linear path says by the batches' own scale, where that has a weight.
    by_itself
        What the cells of batches of one type say each by itself, where there are such batches.
    neighbours, peaks
        What the neighbours of the cells say, and their raw peaks where they are given.
    verdict
        On the query as a whole; None where it was not looked at.
    """

    model: Model
    measured: npt.NDArray[np.bool_]
    scale: Scale
    second: SecondReading | None = None
    neighbours: Neighbourhoods | None = None
    by_itself: CellByCell | None = None
    peaks: PeakView | None = None
    verdict: Verdict | None = None

    def predict(
        self, block: sp.csr_matrix, batches: Codes, first: int = 0, peaks: sp.csr_matrix | None = None
    ) -> tuple[Doubles, Doubles, Doubles]:
        """Return the network's probabilities, those in view of the neighbours, and P(the cell's type is known).

        Parameters
        ----------
        block
            Cells x features of the model, normalised.
        batches
            Batch of each cell.
        first
            Position of the first cell in the query.
        peaks
            The cells' normalised peaks, where they are given and the sample was not the whole query.
        """
        in_view = alone = self.alone(block, batches)
        known = np.ones(len(batches))
        if self.neighbours is not None:
            in_view, known = self.neighbours.reweigh(in_view, block, batches, first)
        if self.by_itself is not None:
            in_view, known = self.by_itself.beside(in_view, known, self.model, block, batches, self.measured)
        if self.peaks is not None:
            in_view = self.peaks.reweigh(in_view, peaks, first)
        return alone, in_view, known

    @property
    def needs_peaks(self) -> bool:
        """Whether the raw peaks of each cell have to be read again, because only a sample was looked at."""
        return self.peaks is not None and self.peaks.neighbours.centres is not None

    @property
    def of_each(self) -> bool:
        """Whether a cell can be called without knowing which one of the query it is: of no small query, nor peaks."""
        return self.peaks is None and (self.neighbours is None or self.neighbours.centres is not None)

    def alone(self, block: sp.csr_matrix, batches: Codes) -> Doubles:
        """Return the network's probabilities for each cell, on the query's scale."""
        found = self.model.predict_proba(block, self.scale.of_cells(batches, self.measured))
        return found if self.second is None else self.second.beside(found, self.model, block, batches, self.measured)


def view_by_scale(sample: Sample) -> View:
    """Return the view of a query whose cells are called each by itself, every batch by its own scale."""
    return View(sample.model, sample.measured, own_scale(sample))


def read_by_scales(
    sample: Sample, space: Space | None, settings: Settings = SETTINGS
) -> tuple[View, Doubles, RankedProfiles, Codes]:
    """Choose how to read the cells of a sample, each by itself.

    Parameters
    ----------
    space
        The neighbourhoods of the sample, if it has any; without, there is no second reading.

    Returns
    -------
    The view without neighbours, the probabilities that it gives the cells (cells x labels), the profiles by the order
    of their values, and the label of each cell by its ranks.
    """
    ranked = RankedProfiles.of(sample, settings)
    rank_calls = ranked.calls(sample.x)
    view = View(sample.model, sample.measured, choose_scale(sample, space, rank_calls, settings))
    probabilities = view.alone(sample.x, sample.batches)
    second = None if space is None else SecondReading.of(sample, probabilities, settings)
    if second is not None:
        view = replace(view, second=second)
        probabilities = second.beside(probabilities, sample.model, sample.x, sample.batches, sample.measured)
    return view, probabilities, ranked, rank_calls


def learn_view(sample: Sample, paired: PairedPeaks | None = None, settings: Settings = SETTINGS) -> View:
    """Learn from a query, or from a sample of it, how to annotate its cells.

    Parameters
    ----------
    sample
        The cells that are looked at together.
    paired
        The raw peaks of the whole query, where they are given; those of the sample have been read.
    """
    kind, enough = sample.model.kind, len(sample.rows) >= settings.least_cells
    looks_for_unknown = kind.shows_unknown_types and paired is None
    if not looks_for_unknown and (paired is None or paired.model_calls is None):  # else the model's own view tells it
        what = kind.features if paired is None else "raw peaks"
        warn(f"Unknown types are not looked for where calls rest on {what}: their cells get the nearest label.")
    space = None
    if enough:
        space = Space.of(
            sample.x,
            sample.batches,
            sample.n_batches,
            whole=sample.whole,
            latent=kind.neighbours == "lsi",
            settings=settings,
        )
    view, probabilities, ranked, rank_calls = read_by_scales(sample, space, settings)
    if space is None:
        if looks_for_unknown:
            tell_too_small(sample, settings)
        return replace(view, by_itself=CellByCell.of(sample, probabilities, settings))
    known = np.ones(len(sample.rows))
    if looks_for_unknown:
        known, verdict = chance_known(sample, space, probabilities, ranked, rank_calls, settings)
        higher, lower = most_shifted(mean_shift(sample, rank_calls), sample.model.deviation, sample.model.features)
        view = replace(view, verdict=replace(verdict, higher=higher, lower=lower))
    neighbours = Neighbourhoods.of(space, probabilities, known, settings)
    in_view = neighbours.reweigh(probabilities, sample.x, sample.batches)[0]
    view = replace(view, neighbours=neighbours.at(sample))
    if view.verdict is None or not view.verdict.foreign:  # a foreign query looks sorted to a reference
        view = replace(view, by_itself=CellByCell.of(sample, in_view, settings))
    return view if paired is None else replace(view, peaks=learn_peaks(sample, paired, in_view, settings))
