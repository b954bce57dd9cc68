"""Surface proteins, counted by antibodies (CITE-seq)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ..blocks import CellBlocks
from ..normalize import Chosen, LogNorm, Normalization
from ..values import Floats, Values
from .base import Modality

__all__ = ["PROTEIN", "CentredLogRatio"]


@dataclass(frozen=True, eq=False)
class CentredLogRatio(Normalization):
    """The recipe of antibodies: ``log1p(value / exp(mean over the features of log1p(value)))``, in each cell.

    The centred log ratio of Stoeckius et al. (Nature Methods 2017) as Seurat computes it within cells: zeros stay
    zeros. The mean is over those of the model's features that the data set has, so that a cell's depth goes, and what
    other antibodies are in the panel does not matter. Nothing is learnt from a reference.
    """

    method: ClassVar[str] = "clr"

    @classmethod
    def learn(cls, data: CellBlocks, positions: npt.NDArray[np.intp], values: Values) -> Self:
        """Return the recipe, which is the same for all references."""
        return cls()

    def facts(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    @classmethod
    def read(cls, facts: Mapping[str, Any], arrays: Mapping[str, Floats]) -> Self:
        """Return the recipe, which is the same in all files."""
        return cls()

    def normalised(self, chosen: Chosen, values: Values) -> Floats:
        """Divide each cell's values by their geometric mean."""
        x = values.linear(chosen.data)
        mean = chosen.sums(np.log1p(x)) / max(chosen.present, 1)
        x = x * chosen.spread(np.exp(-mean).astype(np.float32))
        return np.log1p(x, out=x)


PROTEIN = Modality(
    name="protein",
    features="antibodies",
    is_name=None,
    feature_types=("Antibody Capture",),
    keys=("prot", "adt", "cite", "antibodies"),
    n_features=300,  # no panel in use is much larger
    recipe=CentredLogRatio,
    ranking="spread",
    neighbours="components",
    shows_unknown_types=True,
    only_counts=False,
    ranks_hold=False,  # the scales of antibodies differ up to 30-fold between laboratories
    overlapping=False,
    other_types=re.compile(
        r"(?:(?:cell )?surface )?proteins?(?: expression)?|(?:antibod(?:y|ies)|ab)(?: \w+)?|abseq"
        r"|cite ?seq|total ?seq\w?"
    ),
    former_recipes=(LogNorm,),
)
