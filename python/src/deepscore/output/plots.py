"""Pictures: the calls on an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from ..data.labels import UNCLASSIFIED
from ..errors import EngineError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["embedding_figure", "missing_packages", "principal_components"]


def missing_packages() -> EngineError:
    """Return the error for pictures without the packages that draw them."""
    return EngineError("missing_package", "Pictures need matplotlib and pillow: pip install matplotlib pillow.")


def principal_components(matrix: sp.csr_matrix) -> npt.NDArray[np.float64]:
    """Return the first two principal components, cells x 2; zeros where all cells are the same."""
    dense = matrix.toarray().astype(np.float64)
    if (dense == dense[0]).all():
        return np.zeros((len(dense), 2))
    dense -= dense.mean(axis=0)
    if min(dense.shape) < 3:
        return np.pad(dense[:, :2], ((0, 0), (0, 2 - min(2, dense.shape[1]))))
    start = np.random.default_rng(0).normal(size=min(dense.shape))  # equal numbers have no part in centred columns
    left, values, _ = svds(dense, k=2, v0=start)
    points: npt.NDArray[np.float64] = (left * values)[:, ::-1]
    return points


def embedding_figure(
    points: npt.NDArray[np.float64], calls: npt.NDArray[Any], labels: Sequence[str], title: str
) -> Figure:
    """Draw cells on two coordinates, coloured by their calls; "Unclassified" is grey."""
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError:
        raise missing_packages() from None
    figure = NewFigure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    colours = dict(zip(labels, _palette(len(labels)), strict=True))
    for label in [*labels, UNCLASSIFIED]:
        cells = calls == label
        colour = colours.get(label, (0.7, 0.7, 0.7, 1.0))
        axes.scatter(
            points[cells, 0], points[cells, 1], s=8, color=colour, label=f"{label} ({int(cells.sum())})", linewidths=0
        )
    axes.set(title=title, xticks=[], yticks=[])
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8, markerscale=2)
    return figure


def _palette(n: int) -> list[tuple[float, ...]]:
    """Return `n` colours, none of them grey."""
    from matplotlib import colormaps

    if n > 18:
        return [colormaps["gist_rainbow"](i / n) for i in range(n)]
    colours = [colormaps["tab20"](i) for i in (*range(0, 20, 2), *range(1, 20, 2))]
    return [c for c in colours if max(c[:3]) - min(c[:3]) > 0.05][:n]
