from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from deepscore.data.standardise import Scale, SumsByCode
from deepscore.model.linear import fit_linear
from devices import DEVICES, marked
from synthetic import counts, log_cp10k

N_CELLS, N_FEATURES = 300, 40


@pytest.fixture
def codes(rng):
    return rng.permutation(np.repeat([0, 1, 2], [220, 65, 15]))  # very unequal


@pytest.fixture
def matrix(rng, codes):
    return sp.csr_matrix(log_cp10k(counts(rng, codes, N_FEATURES)), dtype=np.float32)


def standardised(matrix, scale):
    batches = 0 if scale.batches is None else scale.batches
    return (matrix.toarray().astype(float) - scale.centre[batches]) / scale.deviation[batches]


def expected_fit(z, codes):
    oracle = LogisticRegression(C=2 / z.shape[1], class_weight="balanced", max_iter=5000, tol=1e-8).fit(z, codes)
    return oracle.coef_.T, oracle.intercept_


def same_as_oracle(matrix, codes, scale):
    weight, bias = fit_linear(matrix, codes, 3, scale)
    assert (weight.dtype, bias.dtype, weight.shape, bias.shape) == (np.float32, np.float32, (matrix.shape[1], 3), (3,))
    z = standardised(matrix, scale)
    w, b = expected_fit(z, codes)
    np.testing.assert_allclose(weight, w, atol=0.02 * np.abs(w).max())
    np.testing.assert_allclose(softmax(z @ weight + bias, axis=1), softmax(z @ w + b, axis=1), atol=0.01)


def test_it_is_the_balanced_logistic_regression_of_scikit_learn(matrix, codes, rng):
    same_as_oracle(matrix, codes, SumsByCode(1, N_FEATURES).add(matrix, 0 * codes).pooled())


def test_each_batch_has_its_own_offset_and_deviation(matrix, codes, rng):
    batches = rng.integers(0, 3, N_CELLS)
    shifted = (matrix.toarray() * rng.uniform(0.3, 3, (3, N_FEATURES))[batches]).astype(np.float32)
    matrix = sp.csr_matrix(shifted)
    sums = SumsByCode(3, N_FEATURES).add(matrix, batches)
    scale = sums.by_batch(batches, sums.pooled())
    assert np.ptp(scale.centre, axis=0).max() > 2
    same_as_oracle(matrix, codes, scale)


def test_a_label_without_cells_gets_no_weight_of_its_own(matrix, codes, rng):
    scale = SumsByCode(1, N_FEATURES).add(matrix, 0 * codes).pooled()
    some = np.flatnonzero(codes != 1)
    weight, bias = fit_linear(matrix[some], codes[some], 4, scale)
    logits = standardised(matrix[some], scale) @ weight + bias
    assert (logits.argmax(axis=1) == codes[some]).mean() > 0.95
    assert np.isfinite(weight).all()


@pytest.mark.parametrize("n", [2, 3])
def test_very_few_cells_and_one_feature(n, rng):
    matrix = sp.csr_matrix(np.array([[0.0], [2.0], [2.0]])[:n], dtype=np.float32)
    scale = Scale(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32))
    weight, bias = fit_linear(matrix, np.array([0, 1, 1])[:n], 2, scale)
    assert (standardised(matrix, scale) @ weight + bias).argmax(axis=1).tolist() == [0, 1, 1][:n]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_batches", [1, 2])
def test_every_device_fits_the_same(matrix, codes, device, n_batches):
    batches = np.arange(N_CELLS) % n_batches
    sums = SumsByCode(n_batches, N_FEATURES).add(matrix, batches)
    scale = sums.pooled() if n_batches == 1 else sums.by_batch(batches, sums.pooled())
    expected = fit_linear(matrix, codes, 3, scale)
    with marked():
        found = fit_linear(matrix, codes, 3, scale, device)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 if device.startswith("cpu") else 1e-3)
