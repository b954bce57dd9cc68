"""Peaks of chromatin accessibility, named by their place in the genome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ..blocks import CellBlocks
from ..moments import Moments, moments
from ..names import is_peak
from ..normalize import Chosen, Normalization, per_total
from ..values import TOTAL, Floats, Values, typical_total
from .base import Modality

__all__ = ["PEAKS", "TfIdf"]

# A count of a median cell in a peak of middling frequency becomes about one.
PART_OF_TOTAL = 0.3


@dataclass(frozen=True, eq=False)
class TfIdf(Normalization):
    """The recipe of peaks: ``log1p(target_total * tf * idf)``, with the terms of the reference.

    The term frequency ``tf`` is the share of the cell's counts that is in the peak. The logarithmic inverse document
    frequency, ``idf = log1p(cells / counts of the peak)``, is that of Cusanovich, Hill et al. (Cell 2018), the second
    method of Signac's RunTFIDF. The target is 0.3 of the reference's median total (at most 10,000): at 10,000 the
    logarithm of a shallow cell would tell little but whether a peak was seen.

    Parameters
    ----------
    idf
        Weight of each peak of the model.
    target_total
        What the total of each cell is brought to before the weights.
    """

    idf: Floats
    target_total: float = TOTAL

    method: ClassVar[str] = "tfidf"
    array_names: ClassVar[tuple[str, ...]] = ("idf",)

    @classmethod
    def learn(cls, data: CellBlocks, positions: npt.NDArray[np.intp], values: Values) -> Self:
        """Learn the weights from the counts of each peak in the reference, and the target from its cells."""
        return cls.of_sums(moments(data, values), positions)

    @classmethod
    def of_sums(cls, sums: Moments, positions: npt.NDArray[np.intp]) -> Self:
        """Learn the recipe of a reference of which the sums over all cells are known, and which peaks are chosen."""
        idf = np.log1p(sums.n_cells / np.maximum(sums.total[positions], 1)).astype(np.float32)
        return cls(idf, PART_OF_TOTAL * typical_total(sums.cell_totals, Values("counts")))

    def facts(self) -> dict[str, Any]:
        """Return the target, under the name that it has in files."""
        return {"scale": self.target_total}

    @classmethod
    def read(cls, facts: Mapping[str, Any], arrays: Mapping[str, Floats]) -> Self:
        """Return the recipe with the weights and the target of a file."""
        return cls(arrays["idf"], facts["scale"])

    def normalised(self, chosen: Chosen, values: Values) -> Floats:
        """Weigh counts."""
        x = chosen.data * chosen.spread(per_total(self.target_total, chosen.totals))
        x *= self.idf[chosen.columns]
        return np.log1p(x, out=x)


PEAKS = Modality(
    name="peaks",
    features="peaks",
    is_name=is_peak,
    feature_types=("Peaks",),
    keys=("atac", "chromatin"),
    n_features=10_000,  # a cell has few of very many peaks, and needs them all
    recipe=TfIdf,
    ranking="cells",
    neighbours="lsi",
    shows_unknown_types=False,  # a shallow cell has too few of its peaks
    only_counts=True,
    ranks_hold=True,
    overlapping=True,
    other_types=re.compile(r"peak|(?:sc|sn)?atac ?seq|(?:chromatin )?accessibility"),
)
