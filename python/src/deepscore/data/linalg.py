"""Linear algebra on cells: principal components, clusters and nearest neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..support.threads import cores, overlapped

__all__ = [
    "SEED",
    "Codes",
    "Doubles",
    "clusters_of",
    "components",
    "means_by_code",
    "moments_by_code",
    "nearest",
    "own_standardised",
    "shared_neighbours",
]

Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]  # one for each cell: of its batch, label or cluster, numbered from 0

HIGHEST = 8.0  # standardised values are cut off here
COMPONENTS = 20
DISTANCES = 2_500_000  # that a thread holds at once
# Of random numbers that no option seeds, so that every call gives the same; another one changes next to nothing.
SEED = 0


def own_standardised(x: sp.csr_matrix, batches: Codes, deviation: Doubles) -> sp.csr_array:
    """Divide normalised values by their batch's deviation and cut them off at 8; they are not centred."""
    data = np.minimum(x.data / deviation[np.repeat(batches, np.diff(x.indptr)), x.indices], HIGHEST)
    return sp.csr_array((data, x.indices, x.indptr), shape=x.shape)


def means_by_code(x: sp.sparray | sp.csr_matrix | Doubles, codes: Codes, n_codes: int | None = None) -> Doubles:
    """Return the mean of the cells of each code, codes x features; that of all cells for a code without any."""
    n = np.bincount(codes, minlength=n_codes or 0)
    member = sp.csr_array((1 / n[codes], (codes, np.arange(len(codes)))), shape=(len(n), len(codes)))
    product = member @ x
    mean: Doubles = (product.toarray() if sp.issparse(product) else product).astype(np.float64)
    if not n.all():
        mean[n == 0] = n @ mean / n.sum()
    return mean


def moments_by_code(
    x: sp.csr_matrix | sp.csr_array, codes: Codes, n_codes: int | None = None
) -> tuple[Doubles, Doubles]:
    """Return mean and variance of the cells of each code, codes x features; of all cells for a code without any."""
    mean, squares = (means_by_code(y, codes, n_codes) for y in (x, x.power(2)))
    return mean, np.maximum(squares - mean**2, 0)


def components(z: sp.csr_array, codes: Codes) -> tuple[Doubles, Doubles]:
    """Return coordinates and basis after centring the cells of each code: randomised SVD, never dense."""
    centre = means_by_code(z, codes)
    count = min(COMPONENTS, z.shape[0] // 5, z.shape[1])
    basis = np.random.default_rng(SEED).normal(size=(z.shape[1], min(count + 10, *z.shape)))
    for _ in range(4):
        coordinates = z @ basis - (centre @ basis)[codes]
        sums = np.stack([np.bincount(codes, column) for column in coordinates.T], axis=1)
        basis = np.linalg.qr(z.T @ coordinates - centre.T @ sums)[0]
    coordinates = z @ basis - (centre @ basis)[codes]
    turn = np.linalg.eigh(coordinates.T @ coordinates)[1][:, ::-1][:, :count]
    return coordinates @ turn, basis @ turn


def clusters_of(coordinates: Doubles, k: int, seed: int = SEED) -> Codes:
    """Cluster cells by k-means on unit vectors; return the cluster of each, every one at least once."""
    unit = coordinates / np.maximum(np.linalg.norm(coordinates, axis=1, keepdims=True), 1e-9)
    if k < 2:
        return np.zeros(len(unit), np.intp)
    rng = np.random.default_rng(seed)
    centres = unit[[rng.integers(len(unit))]]
    away = np.full(len(unit), 2.0)  # cosine distance from the nearest centre
    for _ in range(k - 1):
        away = np.clip(1 - unit @ centres[-1], 0, away)
        total = away.sum()
        chosen = rng.choice(len(unit), p=away / total) if total > 0 else 0
        centres = np.vstack([centres, unit[chosen]])
    codes = np.full(len(unit), -1)
    for _ in range(21):
        before, codes = codes, nearest(unit, centres, 1)[:, 0]
        if np.array_equal(codes, before):
            break
        sums = np.stack([np.bincount(codes, column, k) for column in unit.T], axis=1)
        n = np.bincount(codes, minlength=k)[:, None]
        centres = np.where(n > 0, sums / np.maximum(n, 1), centres)
    return np.unique(codes, return_inverse=True)[1].astype(np.intp)


def nearest(points: Doubles, landmarks: Doubles, k: int, *, among_themselves: bool = False) -> Codes:
    """Return for each point its `k` nearest landmarks (Euclidean), not itself where points are the landmarks.

    Parameters
    ----------
    points, landmarks
        Points x dimensions.
    among_themselves
        Whether the landmarks are the points, in the same order.

    Returns
    -------
    Points x k, positions of landmarks in no order.
    """
    half, step = (landmarks**2).sum(axis=1) / 2, max(DISTANCES // len(landmarks), 1)

    def of_rows(start: int) -> Codes:
        distance = half - points[start : start + step] @ landmarks.T
        if among_themselves:
            here = np.arange(len(distance))
            distance[here, start + here] = np.inf
        # a partition for one neighbour takes four times as long as looking for it
        return distance.argmin(axis=1)[:, None] if k == 1 else np.argpartition(distance, k - 1, axis=1)[:, :k]

    starts = range(0, len(points), step)  # landmarks of clusters are looked up in threads already
    found = overlapped(of_rows, starts, cores()) if among_themselves else map(of_rows, starts)
    return np.concatenate([np.empty((0, k), np.intp), *found])


def shared_neighbours(neighbours: Codes) -> sp.csr_array:
    """Return the weights of a cell's neighbours: how many neighbours both share (Jarvis and Patrick 1973).

    A pair of which each is a neighbour of the other counts twice.

    Parameters
    ----------
    neighbours
        Cells x k, from :func:`nearest` among themselves.

    Returns
    -------
    Cells x cells; each row sums to 1, or to 0 where a cell shares no neighbour with any of its own.
    """
    n, k = neighbours.shape
    a = sp.csr_array((np.ones(n * k), neighbours.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    shared = (a + a.T).multiply(a @ a.T)
    return sp.diags_array(1 / np.maximum(shared.sum(axis=1), 1)) @ shared.tocsr()
