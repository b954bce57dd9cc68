"""The training as an animated GIF: the cells of a query, coloured by the labels that they would get at each epoch."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..data.blocks import CellBlocks
from ..errors import ConfigError
from ..model.model import Model
from ..query.align import locate
from ..support.files import replacing, require_writable
from ..training.reference import Reference
from .drawing import missing_packages
from .plots import embedding_figure, principal_components

__all__ = ["filming"]

MOST_CELLS = 2000


@contextmanager
def filming(
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
        raise missing_packages() from None
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


def _shown(
    reference: Reference, query: CellBlocks | None, rng: np.random.Generator
) -> tuple[sp.csr_matrix, npt.NDArray[np.bool_] | None]:
    """Return up to 2,000 normalised cells to show, and which features they have."""
    n_cells = len(reference.codes) if query is None else query.n_cells
    shown = np.sort(rng.permutation(n_cells)[:MOST_CELLS])
    if query is None:
        return reference.cells.at(shown), None
    query, positions = locate(query, reference.spellings, reference.kind)
    values = reference.kind.detect(query)
    return reference.normalization.matrix(query.take(shown), positions, values), positions >= 0
