"""TF-IDF and latent semantic indexing of peaks, as Signac defines them (Stuart et al., Nature Methods 2021)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from ..config import whole
from ..errors import InputError
from ..normalize import Normalization

__all__ = ["LSI", "depth_correlation", "fit_lsi", "signac_tfidf", "tfidf"]

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

logger = logging.getLogger("deepscore")

# Singular values below this share of the largest are noise of the arithmetic: the matrix has a lower rank.
LEAST_SHARE = 1e-6


@dataclass(frozen=True, eq=False)
class LSI:
    """A fitted latent semantic indexing: what brings cells to the components of a reference.

    Parameters
    ----------
    loadings
        Right singular vectors, features x components, the first component first.
    singular_values
        One per component, falling.
    mean, deviation
        Mean and standard deviation (with n - 1) of the reference's left singular vectors, one per component.
    """

    loadings: Floats
    singular_values: Floats
    mean: Floats
    deviation: Floats

    def embed(self, x: sp.csr_matrix) -> Doubles:
        """Project cells with the terms of the reference.

        The reference itself comes out as Signac's RunSVD returns it: each component with mean 0 and deviation 1. The
        first component is kept; it mostly follows sequencing depth (see :func:`depth_correlation`).

        Parameters
        ----------
        x
            TF-IDF of cells x features, computed with the reference's ``idf``.

        Returns
        -------
        Cells x components.
        """
        return (_project(x, self.loadings, self.singular_values) - self.mean) / self.deviation


def fit_lsi(x: sp.csr_matrix, n_components: int = 50, seed: int = 0) -> LSI:
    """Fit a truncated singular value decomposition, uncentred, to the TF-IDF of a reference (Signac's RunSVD).

    Equal input and seed give equal components: the start vector comes from the seed, and the largest absolute loading
    of each component is positive. The matrix stays sparse.

    Parameters
    ----------
    x
        TF-IDF of cells x features.
    n_components
        Number of components, at most one less than there are cells and features; fewer are returned where the matrix
        has a lower rank.
    seed
        Seed of the start vector.

    Raises
    ------
    ConfigError
        ``bad_argument`` for less than one component or a negative seed.
    InputError
        ``too_few_cells`` where there are not two cells and two features; ``empty_data`` where all values are zero.
    """
    wanted = whole("n_components", n_components, 1) or 1
    smaller = min(x.shape)
    if smaller < 2:
        raise InputError(
            "too_few_cells",
            f"LSI needs at least two cells and two features, not {x.shape[0]} cells x {x.shape[1]} features.",
        )
    if not x.data.any():
        raise InputError("empty_data", "LSI needs counts, but all values are zero. Check the chosen features.")
    start = np.random.default_rng(whole("seed", seed, 0)).standard_normal(smaller)
    k = min(wanted, smaller - 1)
    _, values, vectors = svds(x.astype(np.float64), k=k, v0=start, solver="arpack")
    falling = np.argsort(-values)
    falling = falling[values[falling] > LEAST_SHARE * values.max()]
    if len(falling) < wanted:
        logger.info("LSI has %d components, not %d: the matrix allows no more", len(falling), wanted)
    values, vectors = values[falling], vectors[falling]
    largest = np.abs(vectors).argmax(axis=1)
    vectors *= np.sign(vectors[np.arange(len(vectors)), largest])[:, None]
    loadings = np.ascontiguousarray(vectors.T, dtype=np.float32)
    cells = _project(x, loadings, values)
    deviation = cells.std(axis=0, ddof=1)
    deviation[deviation < 1e-9] = 1.0  # a component that is the same in all cells
    return LSI(loadings, *(part.astype(np.float32) for part in (values, cells.mean(axis=0), deviation)))


def tfidf(x: sp.csr_matrix, idf: Doubles | None = None, scale: float = 1e4) -> tuple[sp.csr_matrix, Doubles]:
    """Return ``log1p(tf * idf * scale)``, the first method of Signac's RunTFIDF.

    The term frequency is the count over the cell's total. The inverse document frequency is the number of cells over
    the total of the feature (its counts, as in Signac, and not the cells that have it).

    Parameters
    ----------
    x
        Counts, cells x features.
    idf
        Inverse document frequency of a reference, one per feature; computed from `x` where it is not given.
    scale
        What each cell's total is scaled to.

    Returns
    -------
    The TF-IDF (cells x features, float32) and the inverse document frequency. Cells and features without counts are
    zero.
    """
    totals = x @ np.ones(x.shape[1])
    if idf is None:
        idf = _inverse(x.T @ np.ones(x.shape[0])) * x.shape[0]
    data = x.data * np.repeat(_inverse(totals) * scale, np.diff(x.indptr))
    data *= idf[x.indices]
    found = sp.csr_matrix((np.log1p(data).astype(np.float32), x.indices, x.indptr), shape=x.shape)
    return found, idf


def depth_correlation(embedding: Doubles, totals: npt.ArrayLike) -> Doubles:
    """Return Pearson's correlation of each component with the logarithm of the cells' totals.

    A component that is close to 1 or -1 tells how deep a cell was sequenced and not what it is.

    Parameters
    ----------
    embedding
        Cells x components.
    totals
        Counts of each cell. Cells without counts are left out.

    Returns
    -------
    One value per component; NaN where the component or the totals do not vary.
    """
    depth = np.asarray(totals, dtype=np.float64)
    used = depth > 0
    depth = np.log(depth[used])
    centred = embedding[used] - embedding[used].mean(axis=0)
    depth = depth - depth.mean()
    norms = np.sqrt((centred**2).sum(axis=0) * (depth**2).sum())
    found: Doubles = np.full(embedding.shape[1], np.nan)
    return np.divide(depth @ centred, norms, out=found, where=norms > 0)


def signac_tfidf(x: sp.csr_matrix, recipe: Normalization) -> sp.csr_matrix:
    """Return the TF-IDF of Signac's first method for cells that a model's recipe has normalised.

    Parameters
    ----------
    x
        Cells x peaks of the model: ``log1p(recipe.scale * tf * recipe.idf)``.
    recipe
        Its ``idf`` is the logarithm of one plus Signac's.
    """
    assert recipe.idf is not None
    factor = 1e4 / recipe.scale * np.expm1(recipe.idf) / recipe.idf
    return sp.csr_matrix((np.log1p(np.expm1(x.data) * factor[x.indices]), x.indices, x.indptr), shape=x.shape)


def _project(x: sp.csr_matrix, loadings: Floats, singular_values: npt.ArrayLike) -> Doubles:
    return (x @ loadings.astype(np.float64)) / singular_values


def _inverse(sums: Doubles) -> Doubles:
    """Return 1 / sums, and 0 where a sum is 0."""
    return np.divide(1.0, sums, out=np.zeros(len(sums)), where=sums > 0)
