"""Embed a query of peaks in the components of a model's reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..chromatin.lsi import signac_tfidf
from ..data.blocks import CellBlocks, watched
from ..data.linalg import Doubles
from ..data.mismatch import MIN_OVERLAP
from ..data.modality import TfIdf
from ..errors import InputError
from ..model.model import Model
from ..query.align import align
from ..support.checks import keep, number
from ..support.threads import one_blas_thread

__all__ = ["EmbedRequest", "embed"]


@dataclass(frozen=True, kw_only=True)
class EmbedRequest:
    """The options of :meth:`deepscore.DeepScore.embed`, checked; they are documented there."""

    modality: str | None = None
    min_overlap: float = MIN_OVERLAP

    def __post_init__(self) -> None:
        keep(self, min_overlap=number("min_overlap", self.min_overlap, 0, 1))


def embed(model: Model, query: CellBlocks, request: EmbedRequest) -> Doubles:
    """Return cells x components; see :meth:`deepscore.DeepScore.embed`."""
    if model.lsi is None:
        raise InputError(
            "no_lsi", "The model has no LSI: only models of peaks have one, not those of genes or of older versions."
        )
    aligned, recipe = (
        align(model, query, modality=request.modality, min_overlap=request.min_overlap),
        model.normalization,
    )
    assert isinstance(recipe, TfIdf)
    blocks = watched(aligned.normalised(), aligned.blocks.n_cells, "embed")
    with one_blas_thread():
        return np.concatenate([model.lsi.embed(signac_tfidf(block, recipe)) for _, block in blocks])
