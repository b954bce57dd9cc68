"""Modality: one object for a kind of data."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from ..blocks import CellBlocks
from ..normalize import Normalization
from ..values import Values, detect

__all__ = ["Modality"]


@dataclass(frozen=True, eq=False)
class Modality:
    """All that the package knows of a kind of data; only the verbs of chromatin ask for peaks by name.

    Parameters
    ----------
    name
        What users and model files call it.
    features
        What its features are called, for messages.
    is_name
        Tells whether a name is that of such a feature; None where names cannot tell.
    feature_types
        What 10x Genomics calls such features in ``feature_types``; others may call them `name` or by one of the `keys`.
    keys
        What such a part is called in a MuData, or an assay in a Seurat object, beside `name`; case does not matter.
    n_features
        How many features a model takes where none are named.
    recipe
        How raw values are normalised.
    other_types
        Further words for such features in ``feature_types``, in lower case with blanks between them.
    former_recipes
        How they were in models of earlier versions, which still are read.
    ranking
        How features are ranked where some have to be chosen: by ``"variance"`` beyond what the mean predicts, by the
        number of ``"cells"`` that have them, or by their ``"spread"``, the variance of their normalised values.
    neighbours
        In which space of the data neighbours are looked for: principal ``"components"``, or ``"lsi"``.
    shows_unknown_types
        Whether the structure of a query tells that the type of a cell is none of the reference's.
    only_counts
        Whether values that are no whole numbers are refused.
    ranks_hold
        Whether the order of a cell's values is the same in another laboratory.
    overlapping
        Whether features of two data sets can be the same without having one name: those that overlap then count.
    """

    name: str
    features: str
    is_name: Callable[[str], bool] | None
    feature_types: tuple[str, ...]
    keys: tuple[str, ...]
    n_features: int
    recipe: type[Normalization]
    ranking: Literal["variance", "cells", "spread"]
    neighbours: Literal["components", "lsi"]
    shows_unknown_types: bool
    only_counts: bool
    ranks_hold: bool
    overlapping: bool
    other_types: re.Pattern[str] | None = None
    former_recipes: tuple[type[Normalization], ...] = ()

    def detect(self, blocks: CellBlocks) -> Values:
        """Recognise what the values of a data set are; see :func:`deepscore.data.values.detect`."""
        return detect(blocks, self.features if self.only_counts else None)

    def recognised(self, blocks: CellBlocks) -> CellBlocks:
        """Return a data set of which it is known what its values are, so that nobody is told of it again."""
        return replace(blocks, values=self.detect(blocks).form)
