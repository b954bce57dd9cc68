"""TF-IDF and latent semantic indexing of peaks, as Signac defines them (Stuart et al., Nature Methods 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from ..data.linalg import Doubles
from ..data.modality import TfIdf
from ..data.values import Floats
from ..errors import InputError
from ..support.notices import logger

__all__ = ["LSI", "fit_lsi", "signac_tfidf"]

COMPONENTS = 50  # as Signac has by default
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

        The cells that it was fitted on come out as Signac's RunSVD returns them: each component with mean 0 and
        deviation 1. The first component is kept; it mostly follows sequencing depth.

        Parameters
        ----------
        x
            TF-IDF of cells x features, computed with the reference's ``idf``.

        Returns
        -------
        Cells x components.
        """
        return (_project(x, self.loadings, self.singular_values) - self.mean) / self.deviation


def fit_lsi(x: sp.csr_matrix, seed: int = 0, n_components: int = COMPONENTS) -> LSI:
    """Fit a truncated singular value decomposition, uncentred, to the TF-IDF of a reference (Signac's RunSVD).

    Equal input and seed give equal components: the start vector comes from the seed, and the largest absolute loading
    of each component is positive. The matrix stays sparse.

    Parameters
    ----------
    x
        TF-IDF of cells x features.
    seed
        Seed of the start vector.
    n_components
        How many to fit.

    Returns
    -------
    The components, at most one less than there are cells and features; fewer where the matrix has a lower rank.

    Raises
    ------
    InputError
        ``too_few_cells`` where there are not two cells and two features; ``empty_data`` where all values are zero.
    """
    smaller = min(x.shape)
    if smaller < 2:
        raise InputError(
            "too_few_cells",
            f"LSI needs at least two cells and two features, not {x.shape[0]} cells x {x.shape[1]} features.",
        )
    if not x.data.any():
        raise InputError("empty_data", "LSI needs counts, but all values are zero. Check the chosen features.")
    start = np.random.default_rng(seed).standard_normal(smaller)
    k = min(n_components, smaller - 1)
    _, values, vectors = svds(x.astype(np.float64), k=k, v0=start, solver="arpack")
    falling = np.argsort(-values)
    falling = falling[values[falling] > LEAST_SHARE * values.max()]
    if len(falling) < n_components:
        logger.info("LSI has %d components, not %d: the matrix allows no more", len(falling), n_components)
    values, vectors = values[falling], vectors[falling]
    largest = np.abs(vectors).argmax(axis=1)
    vectors *= np.sign(vectors[np.arange(len(vectors)), largest])[:, None]
    loadings = np.ascontiguousarray(vectors.T, dtype=np.float32)
    cells = _project(x, loadings, values)
    deviation = cells.std(axis=0, ddof=1)
    deviation[deviation < 1e-9] = 1.0  # a component that is the same in all cells
    return LSI(loadings, *(part.astype(np.float32) for part in (values, cells.mean(axis=0), deviation)))


def signac_tfidf(x: sp.csr_matrix, recipe: TfIdf) -> sp.csr_matrix:
    """Return the TF-IDF of Signac's first method for cells that a model's recipe has normalised.

    Parameters
    ----------
    x
        Cells x peaks of the model: ``log1p(recipe.target_total * tf * recipe.idf)``.
    recipe
        Its ``idf`` is the logarithm of one plus Signac's.
    """
    factor = 1e4 / recipe.target_total * np.expm1(recipe.idf) / recipe.idf
    return sp.csr_matrix((np.log1p(np.expm1(x.data) * factor[x.indices]), x.indices, x.indptr), shape=x.shape)


def _project(x: sp.csr_matrix, loadings: Floats, singular_values: npt.ArrayLike) -> Doubles:
    return (x @ loadings.astype(np.float64)) / singular_values
