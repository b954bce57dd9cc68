"""Plots; see :mod:`deepscore.output.plots`."""

from .output.plots import composition, embedding_figure, principal_components, score_distribution

__all__ = ["composition", "embedding_figure", "principal_components", "score_distribution"]
