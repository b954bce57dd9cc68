"""Pictures; see :mod:`deepscore.output.plots`."""

from .output.plots import embedding_figure, principal_components

__all__ = ["embedding_figure", "principal_components"]
