from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from deepscore.data.content import cell_keys, content_keys, pattern_keys, value_keys


@given(st.permutations(range(8)), st.permutations(range(5)))
def test_the_key_of_a_cell_depends_on_its_values_alone(rows, columns):
    x = np.arange(40).reshape(8, 5) % 7 * np.float32(0.37)
    expected = content_keys(sp.csr_matrix(x))
    assert len(set(expected.tolist())) == len(np.unique(x, axis=0))
    assert content_keys(sp.csr_matrix(x[rows])).tolist() == expected[rows].tolist()
    stored = sp.csr_matrix((x[:, columns].ravel(), np.tile(columns, 8), np.arange(0, 41, 5)), shape=(8, 5))
    assert stored.nnz == 40  # the zeros are stored, and columns do not ascend
    assert content_keys(stored).tolist() == expected.tolist()


def test_keys_are_spread_evenly_over_all_numbers(rng):
    keys = content_keys(sp.csr_matrix(rng.poisson(0.3, (5000, 40)).astype(np.float32)))
    tenths = np.bincount((np.unique(keys) / 2**64 * 10).astype(int), minlength=10)
    assert tenths.min() > 0.8 * tenths.mean()


def test_the_key_of_the_values_does_not_depend_on_their_columns(rng):
    x = rng.poisson(0.7, (300, 30)) * np.float32(0.37)
    x[1] = -0.0  # a zero, too
    keys = value_keys(sp.csr_matrix(x))
    assert value_keys(sp.csr_matrix(x[:, rng.permutation(30)])).tolist() == keys.tolist()
    assert len(set(keys.tolist())) == len({tuple(sorted(row)) for row in x.tolist()})


def test_the_key_of_the_pattern_depends_on_which_values_are_above_0_alone(rng):
    x = rng.poisson(0.3, (400, 12)) * np.float32(0.37)
    keys = pattern_keys(sp.csr_matrix(x))
    assert len(set(keys.tolist())) == len(np.unique(x > 0, axis=0)) < len(np.unique(x, axis=0))
    stored = sp.csr_matrix((x.ravel(), np.tile(np.arange(12), 400), np.arange(0, 4801, 12)), shape=x.shape)
    for same in (sp.csr_matrix(np.log1p(x)), sp.csr_matrix((x > 0) * rng.uniform(0.1, 9, x.shape)), stored):
        assert pattern_keys(same).tolist() == keys.tolist()


def test_the_key_of_a_cell_is_that_of_equal_cells_of_its_batch_alone(rng):
    x, batches = rng.poisson(0.3, (400, 6)).astype(np.float32), rng.integers(0, 3, 400)
    keys = cell_keys(sp.csr_matrix(x), batches)
    assert len(set(keys.tolist())) == len(np.unique(np.column_stack([x, batches]), axis=0))
    for cell in range(0, 400, 7):
        equal = (x == x[cell]).all(axis=1) & (batches == batches[cell])
        assert (keys == keys[cell]).tolist() == equal.tolist()
