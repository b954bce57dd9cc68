"""Plots; see :mod:`deepscore.output.plots` and :mod:`deepscore.interfaces.plots`."""

from .interfaces.plots import embedding, label_correlation, markers
from .output.plots import (
    auc,
    composition,
    confusion,
    embedding_figure,
    importance,
    marker_match,
    peak_widths,
    principal_components,
    probability_heatmap,
    recall,
    reliability,
    roc,
    score_distribution,
    training_curve,
)

__all__ = [
    "auc",
    "composition",
    "confusion",
    "embedding",
    "embedding_figure",
    "importance",
    "label_correlation",
    "marker_match",
    "markers",
    "peak_widths",
    "principal_components",
    "probability_heatmap",
    "recall",
    "reliability",
    "roc",
    "score_distribution",
    "training_curve",
]
