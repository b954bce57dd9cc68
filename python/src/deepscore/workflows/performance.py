"""Weigh the calls of a model against true labels, and find the threshold that each label should have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data.blocks import CellBlocks, Names
from ..data.labels import no_shared_labels, read_labels, require_length, tell_labels
from ..data.linalg import Doubles
from ..data.mismatch import MIN_OVERLAP
from ..model.model import Model
from ..output.performance import Performance, best_thresholds, performance_of
from ..query.annotation import Annotation
from ..support.checks import keep, texts
from ..support.notices import warn
from .annotate import DEFAULT_THRESHOLD, AnnotateRequest, annotate

__all__ = ["PerformanceRequest", "ThresholdsRequest", "find_thresholds", "performance"]


@dataclass(frozen=True, kw_only=True)
class ThresholdsRequest:
    """The options of :func:`deepscore.find_thresholds`, checked; they are documented there."""

    modality: str | None = None
    min_overlap: float = MIN_OVERLAP
    refine: bool = True
    missing: Sequence[str] | None = None

    def __post_init__(self) -> None:
        keep(self, missing=texts("missing", self.missing))
        self.annotation()

    def annotation(self) -> AnnotateRequest:
        """Return the options of the annotation; refuses those that make no sense."""
        options = {name: getattr(self, name) for name in ("modality", "min_overlap", "refine")}
        return AnnotateRequest(probabilities=True, **options)


@dataclass(frozen=True, kw_only=True)
class PerformanceRequest(ThresholdsRequest):
    """The options of :func:`deepscore.performance`, checked; they are documented there."""

    threshold: float | Mapping[str, float] = DEFAULT_THRESHOLD

    def annotation(self) -> AnnotateRequest:
        """Return the options of the annotation; refuses those that make no sense."""
        return replace(super().annotation(), threshold=self.threshold)


def performance(
    model: Model, data: CellBlocks, labels: Names, request: PerformanceRequest, *, batch: Names | None = None
) -> Performance:
    """Annotate a data set and weigh the calls; see :func:`deepscore.performance`.

    Parameters
    ----------
    labels, batch
        True label and batch of each cell, None where it is missing.
    """
    truth, known = _truth(model, data, labels, request.missing)
    found = annotate(model, data, request.annotation(), batch=batch)
    return performance_of(truth[known], found.calls[known], _scores(found)[known], found.labels)


def find_thresholds(
    model: Model, data: CellBlocks, labels: Names, request: ThresholdsRequest, *, batch: Names | None = None
) -> pd.DataFrame:
    """Return the best threshold of each label; see :func:`deepscore.find_thresholds`."""
    truth, known = _truth(model, data, labels, request.missing)
    unseen = [label for label in model.labels if label not in set(truth[known])]
    if unseen:
        warn(
            f"No cell has the label {', '.join(map(repr, unseen))}: for such a label {DEFAULT_THRESHOLD} stands, "
            "the default."
        )
    found = annotate(model, data, request.annotation(), batch=batch)
    return best_thresholds(truth[known], _scores(found)[known], found.labels)


def _truth(
    model: Model, data: CellBlocks, labels: Names, missing: Sequence[str] | None
) -> tuple[Names, npt.NDArray[np.bool_]]:
    """Return the true labels, and which cells have one; refuse those of which the model knows none."""
    require_length(data, labels, "labels")
    truth = read_labels(labels, missing)
    tell_labels(labels, truth, missing)
    if not set(truth) & set(model.labels):
        raise no_shared_labels(model.labels, truth)
    return truth, pd.notna(truth)


def _scores(found: Annotation) -> Doubles:
    """Return how likely each label is, cells x labels; the highest of a cell is its score."""
    table = found.probabilities
    assert table is not None
    scores: Doubles = table * (found.scores / table.max(axis=1))[:, None]  # less where a cell's type is hardly known
    return scores
