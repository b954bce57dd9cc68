"""The multiome as a bridge: labels go from an RNA model to the RNA of paired cells, and from there to their chromatin.

The cells of a multiome have an RNA and an ATAC profile. A model of RNA calls their RNA; the confident calls are the
labels with which a second model learns from their ATAC profile. That one is saved, and needs no RNA any more.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from .annotate import Annotation, annotate_blocks
from ..data.blocks import CellBlocks, Names
from ..support.config import NetworkConfig, TrainConfig, choice, whole
from ..errors import InputError
from ..features.select import common_features
from ..data.labels import UNCLASSIFIED
from ..model.model import Model
from ..model.file import manifest_of
from ..data.names import match_names, select_modality
from ..training.reference import DEFAULT_FEATURES, prepare
from ..chromatin.activity import activity_blocks

__all__ = ["FEW_CELLS", "Bridge", "rna_model_of", "train_through"]

# A label with fewer cells in the multiome is learnt badly.
FEW_CELLS = 50
logger = logging.getLogger("deepscore")


@dataclass(frozen=True, eq=False)
class Bridge:
    """A multiome: the same cells, in the same order, by their RNA and by their chromatin.

    Parameters
    ----------
    rna, atac
        Cells x genes, and cells x peaks or x genes (activity).
    modality
        ``"peaks"`` or ``"activity"``: what the ATAC half holds.
    batch
        Sample of each cell, for the annotation of the RNA.
    """

    rna: CellBlocks
    atac: CellBlocks
    modality: str
    batch: Names | None = None

    @classmethod
    def of(
        cls,
        rna: CellBlocks,
        atac: CellBlocks,
        modality: str = "peaks",
        genes: pd.DataFrame | None = None,
        upstream: int = 2000,
        batch: Names | None = None,
    ) -> Bridge:
        """Bring the two halves to one order of cells, and the ATAC half to what is learnt from.

        Parameters
        ----------
        modality
            ``"peaks"`` or ``"activity"``.
        genes, upstream
            For activity, where the ATAC half holds peaks: as for :func:`activity_blocks`.

        Raises
        ------
        ConfigError
            ``bad_argument``.
        InputError
            ``different_cells``, ``no_annotation``, ``modality_mismatch``, and what :func:`activity_blocks` raises.
        """
        choice("modality", modality, ("peaks", "activity"))
        whole("upstream", upstream, 0)  # also where it is not needed
        atac = atac.in_order_of(rna.cell_names, "The RNA and the ATAC of a multiome")
        if modality == "peaks":
            return cls(rna, select_modality(atac, "peaks")[0], modality, batch)
        if select_modality(atac, None)[1] == "peaks":
            if genes is None:
                raise InputError(
                    "no_annotation",
                    "The ATAC half holds peaks: gene activity needs annotation=, a GTF, GFF3 or BED file of genes.",
                )
            atac = activity_blocks(atac, genes, upstream)
        return cls(rna, atac, modality, batch)


def train_through(
    bridge: Bridge,
    rna_model: Model,
    network: NetworkConfig,
    train: TrainConfig,
    *,
    threshold: float = 0.5,
) -> Model:
    """Train a model of chromatin with labels from a model of RNA.

    Parameters
    ----------
    threshold
        Cells whose score is below it are not learnt from.

    Returns
    -------
    The model; ``training["bridge"]`` tells where its labels come from.

    Raises
    ------
    InputError
        ``bridge_labels`` where fewer than two labels have a confident cell; what :func:`annotate_blocks` and
        :func:`prepare` raise.

    Warns
    -----
    UserWarning
        Names the labels with fewer than 50 confident cells.
    """
    from ..training.fit import fit

    found = annotate_blocks(rna_model, bridge.rna, threshold, bridge.batch)
    kept = pd.Series(found.calls[found.calls != UNCLASSIFIED]).value_counts()
    if len(kept) < 2:
        raise InputError(
            "bridge_labels",
            f"Of the multiome's {bridge.rna.n_cells} cells {int(kept.sum())} were called with a score of at least "
            f"{threshold:g}, with {len(kept)} different labels; two are needed. Check that the multiome is of the "
            "reference's tissue, or lower the threshold.",
        )
    logger.info("%d of the multiome's %d cells have a confident label", kept.sum(), bridge.rna.n_cells)
    per_label = {label: int(kept.get(label, 0)) for label in rna_model.labels}
    _warn_of_few(per_label)
    labels = found.calls.copy()
    labels[labels == UNCLASSIFIED] = None
    reference = prepare(bridge.atac, labels, network, modality="peaks" if bridge.modality == "peaks" else "rna")
    model = fit(reference, network, train)
    facts = _provenance(rna_model, found, per_label, threshold) | {"modality": bridge.modality}
    return replace(model, training={**model.training, "bridge": facts})


def rna_model_of(reference: CellBlocks, labels: Names, rna: CellBlocks, train: TrainConfig, seed: int) -> Model:
    """Train a model of RNA on the variable features that a reference shares with the RNA of a multiome."""
    from ..training.fit import fit

    reference = select_modality(reference, "rna")[0]
    shared = int((match_names(reference.feature_names, rna.feature_names) >= 0).sum())
    n_features = min(DEFAULT_FEATURES["rna"], max(shared, 1))
    features = common_features(reference, [rna], n_features, "variable", "rna")
    network = NetworkConfig(common_features=tuple(features), seed=seed)
    return fit(prepare(reference, labels, network, modality="rna"), network, train)


def _warn_of_few(per_label: Mapping[str, int]) -> None:
    few = {label: n for label, n in per_label.items() if n < FEW_CELLS}
    if few:
        listed = ", ".join(f"{label} ({n})" for label, n in few.items())
        warnings.warn(
            f"These labels have fewer than {FEW_CELLS} confident cells in the multiome and are learnt badly, or not at "
            f"all where there is none: {listed}.",
            UserWarning,
            stacklevel=4,
        )


def _provenance(rna_model: Model, found: Annotation, per_label: Mapping[str, int], threshold: float) -> dict[str, Any]:
    """Return where the labels of a bridge come from, as plain facts for the model file."""
    manifest = manifest_of(rna_model)
    first = {name: manifest[name] for name in ("created_with", "content_sha256", "labels", "network", "normalization")}
    facts = {name: value for name, value in manifest["training"].items() if name != "history"}
    return {
        "n_cells": len(found.calls),
        "threshold": threshold,
        "kept_per_label": dict(per_label),
        "few_cells": [label for label, n in per_label.items() if n < FEW_CELLS],
        "mean_score": float(found.scores.mean()),
        "overlap": found.overlap,
        "rna_model": {**first, "n_features": len(rna_model.features), "training": facts},
    }
