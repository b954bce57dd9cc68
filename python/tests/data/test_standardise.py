from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.standardise import Scale, SumsByCode, scaled
from synthetic import counts, log_cp10k

NOISE = 0.1  # added to every deviation, so that features without variance are not blown up
PRIOR = 50


@pytest.fixture
def batches(rng):
    return rng.permutation(np.repeat([0, 1, 2], [100, 40, 3]))


@pytest.fixture
def values(rng, batches):
    return log_cp10k(counts(rng, batches, 20)).astype(np.float32)


@pytest.fixture
def sums(values, batches):
    found = SumsByCode(3, 20)
    for start in range(0, len(values), 50):
        found.add(sp.csr_matrix(values[start : start + 50]), batches[start : start + 50])
    return found


def test_pooled_is_mean_and_deviation_of_all_cells(values, sums):
    pooled = sums.pooled()
    np.testing.assert_allclose(pooled.centre, values.mean(axis=0)[None], rtol=1e-5)
    np.testing.assert_allclose(pooled.deviation, np.sqrt(values.var(axis=0) + NOISE**2)[None], rtol=1e-4)
    assert pooled.batches is None
    assert pooled.centre.dtype == pooled.deviation.dtype == np.float32


def test_a_batch_is_shrunk_towards_the_prior_as_if_that_were_fifty_cells(values, batches, sums):
    prior = Scale(np.full((1, 20), 2, np.float32), np.full((1, 20), 3, np.float32))
    found = sums.by_batch(batches, prior)
    for batch in range(3):
        cells = values[batches == batch].astype(float)
        own = len(cells) / (len(cells) + PRIOR)
        np.testing.assert_allclose(found.centre[batch], own * cells.mean(axis=0) + (1 - own) * 2, rtol=1e-5)
        variance = own * (cells.var(axis=0) + NOISE**2) + (1 - own) * 9
        np.testing.assert_allclose(found.deviation[batch], np.sqrt(variance), rtol=1e-4)
    assert found.batches is batches


def test_a_batch_without_cells_takes_the_prior(values, batches):
    found = SumsByCode(4, 20).add(sp.csr_matrix(values), batches)
    prior = found.pooled()
    own = found.by_batch(batches, prior)
    np.testing.assert_allclose(own.centre[3], prior.centre[0], rtol=1e-6)
    np.testing.assert_allclose(own.deviation[3], prior.deviation[0], rtol=1e-6)


def test_scaling_divides_and_keeps_zeros_unstored(values, batches, sums):
    matrix = sp.csr_matrix(values)
    pooled = sums.pooled()
    by_batch = sums.by_batch(batches, pooled)
    for scale, divisor in ((pooled, pooled.deviation), (by_batch, by_batch.deviation[batches])):
        found = scaled(matrix, scale)
        assert found.nnz == matrix.nnz
        np.testing.assert_allclose(found.toarray(), values / divisor, rtol=1e-6)
    np.testing.assert_array_equal(matrix.toarray(), values)


def test_the_scale_of_some_cells(batches, sums):
    own = sums.by_batch(batches, sums.pooled())
    np.testing.assert_array_equal(own.cells(slice(5, 9)).batches, batches[5:9])
    np.testing.assert_array_equal(own.cells(np.array([3, 1])).batches, batches[[3, 1]])
    assert sums.pooled().cells(slice(0, 2)).batches is None


def test_a_feature_that_a_batch_lacks_is_stored_as_its_mean():
    scale = Scale(np.array([[1.0, 2.0, 3.0]], np.float32), np.array([[0.5, 1.0, 2.0]], np.float32))
    measured = np.array([[True, False, True], [True, True, False]])
    batches = np.array([1, 0, 1])
    of_cells = scale.of_cells(batches, measured)
    assert of_cells.centre.tolist() == [[1, 0, 3], [1, 2, 0]]
    assert of_cells.deviation.tolist() == [[0.5, 1, 2]] * 2
    assert of_cells.batches is batches
    alone = scale.of_cells(batches, measured[:1])
    assert alone.centre.tolist() == [[1, 0, 3]]
    assert alone.batches is None
