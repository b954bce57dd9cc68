"""Compute gene activity, and tell which genes' activity follows their expression."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import scipy.sparse as sp

from ..chromatin.activity import activity_blocks, activity_from_fragments
from ..chromatin.fragments import COUNTING
from ..chromatin.genes import NAMES
from ..chromatin.linked import best_linked
from ..data.blocks import CellBlocks, Names
from ..errors import ConfigError
from ..support.checks import choice, keep, optional, whole
from ..support.files import require_file
from .multiome import Multiome
from .peaks import require_barcodes

__all__ = ["ActivityRequest", "LinkedGenesRequest", "find_linked_genes", "gene_activity"]


@dataclass(frozen=True, kw_only=True)
class ActivityRequest:
    """The options of :func:`deepscore.gene_activity`, checked; they are documented there."""

    upstream: int = 2000
    downstream: int = 0
    weighting: str = "none"
    biotypes: Sequence[str] | None = None
    counting: str = "fragments"
    names: str = "gene_name"

    def __post_init__(self) -> None:
        choice("counting", self.counting, COUNTING)
        choice("names", self.names, NAMES)


@dataclass(frozen=True, kw_only=True)
class LinkedGenesRequest:
    """The options of :func:`deepscore.find_linked_genes`, checked; they are documented there."""

    n_features: int | None = None
    upstream: int = 2000

    def __post_init__(self) -> None:
        keep(
            self,
            n_features=optional(whole, "n_features", self.n_features, 1),
            upstream=whole("upstream", self.upstream, 0),
        )


def gene_activity(
    x: CellBlocks | str | os.PathLike[str],
    genes: pd.DataFrame,
    request: ActivityRequest,
    cells: Sequence[str] | None = None,
) -> tuple[sp.csr_matrix, Names]:
    """Count peaks or fragments in and around genes; see :func:`deepscore.gene_activity`.

    Parameters
    ----------
    x
        Peaks, or the path of a fragments file.
    genes
        Table of :func:`~deepscore.chromatin.genes.read_annotation`.
    cells
        With fragments: barcodes to count.

    Returns
    -------
    Counts of cells x genes, and the names of the genes.
    """
    if isinstance(x, CellBlocks):
        if cells is not None:
            raise ConfigError(
                "bad_argument", "cells= says which barcodes of a fragments file to count; x is a data set."
            )
        activity = activity_blocks(x, genes, request.upstream, request.downstream, request.weighting)
        return activity.to_csr(), activity.feature_names
    require_file(Path(x))
    return activity_from_fragments(
        x,
        require_barcodes(cells),
        genes,
        request.upstream,
        request.downstream,
        counting=request.counting,
        weighting=request.weighting,
    )


def find_linked_genes(
    rna: CellBlocks, atac: CellBlocks, request: LinkedGenesRequest, genes: pd.DataFrame | None = None
) -> list[str]:
    """Choose genes whose activity follows their expression; see :func:`deepscore.find_linked_genes`."""
    halves = Multiome.of(rna, atac, "activity", genes, request.upstream)
    return best_linked(halves.rna, halves.atac, request.n_features)
