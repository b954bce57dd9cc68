from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

from deepscore.data import linalg as structure
from deepscore.data.linalg import clusters_of, components, moments_by_code, nearest, own_standardised, shared_neighbours


def sparse(rng, n, m, share=0.3):
    return sp.csr_matrix(rng.gamma(1, 1, (n, m)) * (rng.random((n, m)) < share))


@pytest.fixture
def planted(rng):
    """Return cells in four clusters that differ in many features, in two batches, and the cluster of each."""
    truth, groups = rng.integers(0, 4, 400), rng.integers(0, 2, 400)
    means = rng.gamma(1, 2, (4, 60))
    x = rng.poisson(means[truth] * np.where(groups, 1.5, 1)[:, None]).astype(float)
    return sp.csr_matrix(np.log1p(x)), groups, truth


# ------------------------------------------------------------------------------------------------- moments


@pytest.mark.parametrize("n_codes", [None, 3, 5])
def test_moments_are_those_of_numpy(rng, n_codes):
    x, groups = sparse(rng, 50, 7), rng.permutation(np.repeat([0, 1, 2], [30, 19, 1]))
    mean, variance = moments_by_code(x, groups, n_codes)
    assert mean.shape == (n_codes or 3, 7)
    for group in range(3):
        cells = x.toarray()[groups == group]
        np.testing.assert_allclose(mean[group], cells.mean(axis=0))
        np.testing.assert_allclose(variance[group], cells.var(axis=0), atol=1e-12)


@pytest.mark.parametrize(("groups", "empty"), [([0, 2], 1), ([1, 2], 0), ([0, 1], 2)])
def test_an_empty_group_has_the_moments_of_all_cells(rng, groups, empty):
    x, groups = sparse(rng, 40, 7), rng.choice(groups, 40)
    mean, variance = moments_by_code(x, groups, 3)
    np.testing.assert_allclose(mean[empty], x.toarray().mean(axis=0))
    np.testing.assert_allclose(variance[empty], x.toarray().var(axis=0))


def test_values_are_divided_by_the_deviation_of_their_batch_and_cut_off(rng):
    x, groups, deviation = sparse(rng, 30, 5), rng.integers(0, 2, 30), rng.uniform(0.1, 1, (2, 5))
    found = own_standardised(x, groups, deviation)
    np.testing.assert_allclose(found.toarray(), np.minimum(x.toarray() / deviation[groups], 8))
    assert found.max() == 8


# ---------------------------------------------------------------------------------------------- components


@pytest.mark.parametrize("batches", [1, 2])
def test_components_are_those_of_numpy(planted, batches):
    z, groups, _ = planted
    groups = groups if batches == 2 else 0 * groups
    dense = z.toarray()
    for group in range(batches):
        dense[groups == group] -= dense[groups == group].mean(axis=0)
    u, s, vt = np.linalg.svd(dense, full_matrices=False)
    coordinates, basis = components(sp.csr_array(z), groups)
    assert (coordinates.shape, basis.shape) == ((400, 20), (60, 20))
    np.testing.assert_allclose(np.linalg.norm(coordinates, axis=0), s[:20], rtol=0.02)
    np.testing.assert_allclose(basis.T @ basis, np.eye(20), atol=1e-9)
    np.testing.assert_allclose(coordinates, dense @ basis, atol=1e-9)
    for i in range(3):  # the planted ones, which are far from the rest; signs are free
        assert abs(basis[:, i] @ vt[i]) > 0.9999
        np.testing.assert_allclose(abs(coordinates[:, i]), abs(u[:, i] * s[i]), atol=0.01 * s[i])
    again = components(sp.csr_array(z), groups)
    np.testing.assert_array_equal(again[0], coordinates)


@pytest.mark.parametrize(("n", "m", "count"), [(50, 7, 7), (23, 60, 4), (4, 60, 0), (1, 1, 0), (30, 1, 1)])
def test_few_cells_or_features_have_few_components(rng, n, m, count):
    coordinates, basis = components(sp.csr_array(sparse(rng, n, m)), np.zeros(n, np.intp))
    assert (coordinates.shape, basis.shape) == ((n, count), (m, count))
    assert np.isfinite(coordinates).all()


# ------------------------------------------------------------------------------------------------ clusters


def test_clusters_separate_planted_clusters(planted):
    z, groups, truth = planted
    coordinates = components(sp.csr_array(z), groups)[0]
    best = max(adjusted_rand_score(truth, clusters_of(coordinates, 4, seed)) for seed in range(3))
    assert best > 0.98
    many = clusters_of(coordinates, 20, 0)
    pure = sum(np.bincount(truth[many == cluster]).max() for cluster in range(many.max() + 1))
    assert pure > 0.98 * len(truth)


@pytest.mark.parametrize("k", [0, 1, 2, 5, 40])
def test_every_cluster_has_cells(rng, k):
    coordinates = rng.normal(0, 1, (40, 3))
    codes = clusters_of(coordinates, k, 0)
    assert 1 <= codes.max() + 1 <= max(k, 1)
    assert np.bincount(codes).min() > 0
    np.testing.assert_array_equal(codes, clusters_of(coordinates, k, 0))


def test_length_does_not_matter_and_equal_cells_are_one_cluster(rng):
    s = rng.normal(0, 1, (60, 4))
    lengths = rng.uniform(0.5, 3, (60, 1))
    np.testing.assert_array_equal(clusters_of(s, 5, 1), clusters_of(s * lengths, 5, 1))
    assert clusters_of(np.ones((10, 3)), 4, 0).max() == 0
    assert clusters_of(np.zeros((10, 3)), 4, 0).max() == 0


# ---------------------------------------------------------------------------------------------- neighbours


@pytest.mark.parametrize("held", [7, 1000])
@pytest.mark.parametrize("k", [1, 5])
def test_nearest_equals_brute_force(rng, k, held, monkeypatch):
    monkeypatch.setattr(structure, "DISTANCES", held)
    points, landmarks = rng.normal(0, 1, (60, 4)), rng.normal(0, 1, (25, 4))
    for others, themselves in ((landmarks, False), (points, True)):
        distance = np.linalg.norm(points[:, None] - others, axis=2)
        if themselves:
            np.fill_diagonal(distance, np.inf)
        expected = np.argsort(distance, axis=1)[:, :k]
        found = nearest(points, others, k, among_themselves=themselves)
        np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(expected, axis=1))


def test_twins_are_each_others_neighbours_and_not_their_own():
    points = np.repeat(np.arange(5.0), 2)[:, None]
    assert nearest(points, points, 1, among_themselves=True)[:, 0].tolist() == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]


def test_shared_neighbours_equal_a_double_loop(rng):
    points = np.vstack([rng.normal(0, 1, (40, 3)), [[50.0, 50, 50]]])  # the last is nobody's neighbour
    neighbours = nearest(points, points, 4, among_themselves=True)
    sets = [set(row) for row in neighbours.tolist()]
    expected = np.zeros((41, 41))
    for i in range(41):
        for j in range(41):
            mutual = (j in sets[i]) + (i in sets[j])
            expected[i, j] = mutual * len(sets[i] & sets[j])
    sums = expected.sum(axis=1, keepdims=True)
    found = shared_neighbours(neighbours).toarray()
    np.testing.assert_allclose(found, np.divide(expected, sums, where=sums > 0, out=np.zeros_like(expected)))
    assert (found.diagonal() == 0).all()


def test_a_cell_that_shares_no_neighbour_has_no_weights():
    ring = np.array([[1], [2], [3], [0]])  # each the neighbour of the one before it
    assert shared_neighbours(ring).toarray().sum() == 0
