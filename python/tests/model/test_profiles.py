from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.labels import evenly
from deepscore.model.profiles import WITHIN, profiles_of
from synthetic import log_cp10k, random_profiles, study


@pytest.fixture(scope="module")
def reference():
    counts, codes = study(1, [400, 130, 60, 3, 1])
    return sp.csr_matrix(log_cp10k(counts), dtype=np.float32), codes


def test_profiles_hold_means_numbers_and_variances(reference):
    matrix, codes = reference
    found, dense = profiles_of(matrix, codes), matrix.toarray().astype(float)
    assert np.bincount(found.owner).tolist() == [6, 2, 1, 1, 1]
    assert np.bincount(found.owner, found.cells).tolist() == [400, 130, 60, 3, 1]
    for label in range(5):
        cells = dense[codes == label]
        np.testing.assert_allclose(found.label_means()[label], cells.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(found.variance[label], cells.var(axis=0), atol=1e-4)
    assert found.within.shape == (matrix.shape[1], WITHIN)
    np.testing.assert_allclose(found.within.T @ found.within, np.eye(WITHIN), atol=1e-5)
    for part in (found.mean, found.variance, found.within):
        assert part.dtype == np.float32
    again = profiles_of(matrix, codes)
    np.testing.assert_array_equal(found.mean, again.mean)


@pytest.mark.parametrize(("n", "profiles"), [(119, 1), (120, 2), (179, 2), (180, 3), (359, 5), (360, 6), (500, 6)])
def test_a_label_has_a_profile_for_each_60_cells_but_six_at_most(n, profiles):
    counts, codes = study(1, [n, 20])
    found = profiles_of(sp.csr_matrix(log_cp10k(counts), dtype=np.float32), codes)
    assert np.bincount(found.owner).tolist() == [profiles, 1]


def test_directions_within_labels_are_those_in_which_their_cells_vary_most(reference):
    matrix, codes = reference
    dense = matrix.toarray().astype(float)
    z = dense / np.sqrt(dense.var(axis=0) + 0.01)
    for label in range(5):
        z[codes == label] -= z[codes == label].mean(axis=0)
    expected = np.linalg.svd(z, full_matrices=False)[1]
    found = np.linalg.svd(z @ profiles_of(matrix, codes).within)[1]
    np.testing.assert_allclose(found, expected[:3], rtol=0.01)


def test_the_mean_of_a_label_weighs_its_profiles_by_their_cells(rng):
    profiles = random_profiles(rng, 12)  # of the first label two, of 4 and 6 cells
    expected = [0.4 * profiles.mean[0] + 0.6 * profiles.mean[1], profiles.mean[2], profiles.mean[3]]
    np.testing.assert_allclose(profiles.label_means(), expected, rtol=1e-6)
    one = replace(profiles, cells=np.array([0, 6, 1, 1]))
    np.testing.assert_allclose(one.label_means(), profiles.mean[1:], rtol=1e-6)


def test_of_a_large_reference_some_cells_stand_for_all(reference):
    matrix, codes = reference
    whole = profiles_of(matrix, codes)
    kept = evenly(codes, 260, np.random.default_rng(0))
    some = profiles_of(matrix[kept], codes[kept], np.bincount(codes))
    cells = (np.bincount(profiles.owner, profiles.cells) for profiles in (some, whole))
    np.testing.assert_allclose(*cells, atol=0.005 * len(codes))
    np.testing.assert_allclose(some.label_means(), whole.label_means(), atol=0.7)
    np.testing.assert_allclose(some.label_means()[2:], whole.label_means()[2:], atol=1e-5)  # small labels stay whole


def test_a_reference_of_two_cells_has_profiles():
    found = profiles_of(sp.csr_matrix([[1.0, 0, 2], [0, 3, 1]], dtype=np.float32), np.array([0, 1]))
    np.testing.assert_array_equal(found.mean, [[1, 0, 2], [0, 3, 1]])
    assert not found.variance.any()
    assert not found.within.any()
