"""Plots; see :mod:`deepscore.output.plots`."""

from .output.plots import embedding_figure, principal_components, score_distribution

__all__ = ["embedding_figure", "principal_components", "score_distribution"]
