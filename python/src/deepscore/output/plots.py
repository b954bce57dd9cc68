"""Pictures: the training as an animated GIF, and the calls on an embedding."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from ..workflows.annotate import align
from ..data.blocks import CellBlocks
from ..errors import ConfigError, EngineError
from ..support.files import replacing, require_writable
from ..data.labels import UNCLASSIFIED
from ..model.model import Model
from ..data.normalize import detect
from ..training.reference import Reference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["embedding_figure", "principal_components", "watching"]

MOST_CELLS = 2000


@contextmanager
def watching(
    path: str | None, reference: Reference, query: CellBlocks | None, seed: int
) -> Iterator[Callable[[int, Model], None] | None]:
    """Collect a frame per epoch and write the GIF at the end; None where no path is given.

    Parameters
    ----------
    query
        Data set to show; without it, cells of the reference.
    """
    if path is None:
        yield None
        return
    try:
        from PIL import Image
    except ImportError:
        raise _missing() from None
    require_writable(path)
    if Path(path).suffix.lower() != ".gif":
        raise ConfigError("bad_argument", f"gif must be the path of a file ending in .gif, not {path!r}.")
    matrix, present = _shown(reference, query, np.random.default_rng(seed))
    points = principal_components(matrix)
    frames: list[Any] = []

    def add(epoch: int, model: Model) -> None:
        calls = model.label_names[model.logits(matrix, model.scale(), present).argmax(axis=1)]
        figure = embedding_figure(points, calls, reference.labels, f"epoch {epoch}")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=80)
        frames.append(Image.open(buffer).convert("RGB"))

    yield add
    if frames:
        with replacing(path) as temporary:
            frames[0].save(temporary, "GIF", save_all=True, append_images=frames[1:], duration=400, loop=0)


def _missing() -> EngineError:
    return EngineError("missing_package", "Pictures need matplotlib and pillow: pip install matplotlib pillow.")


def _shown(
    reference: Reference, query: CellBlocks | None, rng: np.random.Generator
) -> tuple[sp.csr_matrix, npt.NDArray[np.bool_] | None]:
    """Return up to 2,000 normalised cells to show, and which features they have."""
    n_cells = reference.matrix.shape[0] if query is None else query.n_cells
    shown = np.sort(rng.permutation(n_cells)[:MOST_CELLS])
    if query is None:
        return reference.matrix[shown], None
    query, positions = align(np.array(reference.features, dtype=object), reference.modality, query)
    values = detect(query, reference.modality)
    return reference.normalization.matrix(query.take(shown), positions, values), positions >= 0


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
        raise _missing() from None
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
