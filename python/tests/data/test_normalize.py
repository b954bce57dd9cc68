from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.normalize import LogNorm
from deepscore.data.values import Values, detect
from deepscore.errors import InputError
from synthetic import blocks_of, counts, log_cp10k

EVERY = np.arange(40)


@pytest.fixture
def raw(rng):
    return counts(rng, np.arange(130) % 3, 40).toarray().astype(np.float64)


def normalised(data, normalization, positions, values):
    return normalization.matrix(data, positions, values).toarray()


def lognorm(raw, target):
    return np.log1p(target * raw / raw.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("rows", [1, 64, 1000])
def test_counts_become_log1p_of_counts_per_ten_thousand(raw, rows):
    found = normalised(blocks_of(raw, rows=rows), LogNorm(), EVERY, Values("counts"))
    np.testing.assert_allclose(found, log_cp10k(raw), rtol=1e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize("scale", [300.0, 1234.5, 1e4])
@pytest.mark.parametrize("target", [1e4, 1e6])
def test_counts_and_their_logarithms_come_to_the_same_scale(raw, scale, target):
    recipe = LogNorm(scale)
    for matrix in (raw, lognorm(raw, target)):
        data = blocks_of(matrix)
        found = normalised(data, recipe, EVERY, detect(data))
        np.testing.assert_allclose(found, log_cp10k(raw, scale), rtol=3e-4, atol=2e-5)
        assert found.dtype == np.float32


def test_totals_are_those_of_all_features_and_missing_ones_stay_empty(raw):
    positions = np.array([5, -1, 0, 39, -1])
    found = normalised(blocks_of(raw), LogNorm(), positions, Values("counts"))
    expected = np.where(positions >= 0, log_cp10k(raw)[:, positions], 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_empty_cell_stays_empty(raw):
    raw[3] = 0
    found = normalised(blocks_of(raw), LogNorm(), EVERY, Values("counts"))
    assert not found[3].any()
    assert np.isfinite(found).all()


def test_the_data_are_not_changed(raw):
    matrix = sp.csr_matrix(raw, dtype=np.float32)
    before = matrix.copy()
    for values in (Values("counts"), Values("lognorm", 1.0), Values("lognorm", 2.0)):
        normalised(blocks_of(matrix), LogNorm(), EVERY, values)
    assert (matrix != before).nnz == 0


@pytest.mark.parametrize(("value", "code"), [(np.nan, "non_finite"), (np.inf, "non_finite"), (-3, "negative_values")])
def test_a_bad_value_in_a_late_cell_is_found_while_streaming(rng, value, code):
    matrix = rng.poisson(1.0, (2500, 5)).astype(np.float64) + 1
    values = detect(blocks_of(matrix))
    matrix[110, 2] = value  # as if it were beyond the cells from which the kind of values is told
    data = blocks_of(matrix)
    with pytest.raises(InputError) as caught:
        normalised(data, LogNorm(), np.array([0]), values)
    assert caught.value.code == code


def test_totals_may_be_taken_over_the_chosen_features_alone(raw):
    positions = np.array([5, -1, 0, 39])
    values = Values("counts", in_features=0.25)  # the chosen ones are taken to have a quarter of all counts
    found = normalised(blocks_of(raw), LogNorm(), positions, values)
    chosen = raw[:, [5, 0, 39]]
    totals = np.maximum(4 * chosen.sum(axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(found[:, [0, 2, 3]], np.log1p(1e4 * chosen / totals), rtol=1e-5)
    assert not found[:, 1].any()


def test_the_recipe_of_genes_is_the_median_total_of_the_reference(raw):
    recipe = LogNorm.learn(blocks_of(20 * raw), EVERY, Values("counts"))
    assert recipe.target_total == 20 * np.median(raw.sum(axis=1))
    assert LogNorm.read(recipe.facts(), recipe.arrays()).target_total == recipe.target_total
