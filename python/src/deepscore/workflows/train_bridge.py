"""The multiome as a bridge: labels go from an RNA model to the RNA of paired cells, and from there to their chromatin.

The cells of a multiome have an RNA and an ATAC profile. A model of RNA calls their RNA; the confident calls are the
labels with which a second model learns from their ATAC profile. That one is saved, and needs no RNA any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ..data.blocks import CellBlocks, Names
from ..data.labels import UNCLASSIFIED, read_labels, tell_labels
from ..data.modality import PEAKS, RNA, select_modality
from ..errors import InputError
from ..features.select import common_features, shared_positions
from ..model.config import NetworkConfig
from ..model.file import manifest_of
from ..model.model import Model
from ..query.annotation import Annotation
from ..support.checks import choice, keep, number, texts, whole
from ..support.notices import logger, warn
from ..training.config import TrainConfig
from ..training.held_out import tell_few, tell_held_out
from ..training.reference import prepare
from .annotate import AnnotateRequest, annotate
from .multiome import HALVES, Half, Multiome

__all__ = ["FEW_CELLS", "BridgeRequest", "train_bridge", "train_rna_model"]

# A label with fewer cells in the multiome is learnt badly.
FEW_CELLS = 50


@dataclass(frozen=True, kw_only=True)
class BridgeRequest:
    """The options of :func:`deepscore.train_bridge`, checked; they are documented there."""

    modality: Half = "peaks"
    upstream: int = 2000
    common_features: Sequence[str] | None = None
    threshold: float = 0.5
    seed: int = 0
    progress: bool = True
    missing: Sequence[str] | None = None

    def __post_init__(self) -> None:
        choice("modality", self.modality, HALVES)
        keep(
            self,
            missing=texts("missing", self.missing),
            upstream=whole("upstream", self.upstream, 0),
            threshold=number("threshold", self.threshold, 0, 1),
        )
        self.network()
        self.training()

    def network(self) -> NetworkConfig:
        """Return the settings of the network."""
        return NetworkConfig(common_features=self.common_features, seed=self.seed)  # type: ignore[arg-type]

    def training(self) -> TrainConfig:
        """Return the settings of its training, and of that of a model of RNA."""
        return TrainConfig(progress=self.progress)


def train_bridge(
    rna_model: Model,
    rna: CellBlocks,
    atac: CellBlocks,
    request: BridgeRequest,
    *,
    genes: pd.DataFrame | None = None,
    batch: Names | None = None,
) -> Model:
    """Train a model of chromatin with labels from a model of RNA; see :func:`deepscore.train_bridge`.

    Parameters
    ----------
    rna, atac
        The halves of a multiome, in any order of cells.
    genes
        Annotation, where the activity of peaks is to be learnt from.
    batch
        Batch of each cell of the RNA.

    Returns
    -------
    The model; ``training["bridge"]`` tells where its labels come from.

    Raises
    ------
    InputError
        ``bridge_labels`` where fewer than two labels have a confident cell; what annotation and training raise.

    Warns
    -----
    UserWarning
        Names the labels with fewer than 50 confident cells.
    """
    from ..training.fit import fit

    halves = Multiome.of(rna, atac, request.modality, genes, request.upstream)
    annotation = annotate(rna_model, halves.rna, AnnotateRequest(threshold=request.threshold), batch=batch)
    kept = pd.Series(annotation.calls[annotation.calls != UNCLASSIFIED]).value_counts()
    if len(kept) < 2:
        raise InputError(
            "bridge_labels",
            f"Of the multiome's {rna.n_cells} cells {int(kept.sum())} were called with a score of at least "
            f"{request.threshold:g}, with {len(kept)} different labels; two are needed. Check that the multiome is of "
            "the reference's tissue, or lower the threshold.",
        )
    logger.info("%d of the multiome's %d cells have a confident label", kept.sum(), rna.n_cells)
    per_label = {label: int(kept.get(label, 0)) for label in rna_model.labels}
    _warn_of_few(per_label)
    labels = annotation.calls.copy()
    labels[labels == UNCLASSIFIED] = None
    kind = PEAKS if request.modality == "peaks" else RNA
    reference = prepare(halves.atac, labels, request.network(), modality=kind.name)
    model = fit(reference, request.network(), request.training())
    tell_held_out(model.training["held_out"])
    facts = _provenance(rna_model, annotation, per_label, request.threshold) | {"modality": request.modality}
    terms = rna_model.training.get("ontology_terms", {})
    kept_terms = {label: terms[label] for label in model.labels if label in terms}
    of_labels = {"ontology_terms": kept_terms} if kept_terms else {}
    return replace(model, training={**model.training, **of_labels, "bridge": facts})


def train_rna_model(reference: CellBlocks, labels: Names, rna: CellBlocks, request: BridgeRequest) -> Model:
    """Train a model of RNA on the variable features that a reference shares with the RNA of a multiome."""
    from ..training.fit import fit

    reference, rna = RNA.recognised(select_modality(reference, RNA.name)[0]), RNA.recognised(rna)
    n_features = min(RNA.n_features, shared_positions(reference, [rna]).shape[1])
    features = common_features(reference, [rna], n_features, "variable", RNA)
    network = NetworkConfig(common_features=tuple(features), seed=request.seed)
    known = read_labels(labels, request.missing)
    prepared = prepare(reference, known, network, modality=RNA.name)
    tell_labels(labels, known, request.missing)
    tell_few(prepared.labels, prepared.codes, prepared.test_prop)
    model = fit(prepared, network, request.training())
    tell_held_out(model.training["held_out"])
    return model


def _warn_of_few(per_label: Mapping[str, int]) -> None:
    few = {label: n for label, n in per_label.items() if n < FEW_CELLS}
    if few:
        listed = ", ".join(f"{label} ({n})" for label, n in few.items())
        warn(
            f"These labels have fewer than {FEW_CELLS} confident cells in the multiome and are learnt badly, or not at "
            f"all where there is none: {listed}."
        )


def _provenance(
    rna_model: Model, annotation: Annotation, per_label: Mapping[str, int], threshold: float
) -> dict[str, Any]:
    """Return where the labels of a bridge come from, as plain facts for the model file."""
    manifest = manifest_of(rna_model)
    first = {name: manifest[name] for name in ("created_with", "content_sha256", "labels", "network", "normalization")}
    facts = {name: value for name, value in manifest["training"].items() if name not in ("history", "other_names")}
    return {
        "n_cells": len(annotation.calls),
        "threshold": threshold,
        "kept_per_label": dict(per_label),
        "few_cells": [label for label, n in per_label.items() if n < FEW_CELLS],
        "mean_score": float(annotation.scores.mean()),
        "overlap": annotation.overlap,
        "rna_model": {**first, "n_features": len(rna_model.features), "training": facts},
    }
