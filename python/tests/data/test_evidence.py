from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.evidence import (
    LINEAR,
    READINGS,
    has_long_tail,
    lattice,
    near_whole,
    one_total,
    repeated,
    too_uneven,
    transformed,
)
from synthetic import study

NATURAL, OF_TWO, OF_TEN = READINGS[1:]


def some(matrix):
    cells = sp.csr_matrix(matrix, dtype=np.float64)
    cells.eliminate_zeros()
    return cells[np.diff(cells.indptr) > 0]


def each(cells, change):
    """Change every value, through single precision, as files hold it."""
    return some(sp.csr_matrix((change(cells.data).astype(np.float32), cells.indices, cells.indptr), cells.shape))


def per_cell(cells, factors):
    return some(sp.diags(factors) @ cells)


@pytest.fixture
def raw():
    return some(study(5, [60, 60])[0])


@pytest.fixture
def normalised(raw):
    return per_cell(raw, 1e4 / np.asarray(raw.sum(axis=1)).ravel())


@pytest.mark.parametrize("base", [NATURAL, OF_TWO, OF_TEN])
def test_one_total_is_found_where_logarithms_are_taken_back(normalised, base):
    reading, total = one_total(each(normalised, lambda x: np.log1p(x) / base))
    assert reading == base
    assert total == pytest.approx(1e4, rel=1e-4)


def test_one_total_of_what_no_logarithm_was_taken_of(normalised):
    assert one_total(normalised / 1e4) == (LINEAR, pytest.approx(1))


def test_counts_of_their_own_depth_have_no_total(raw, normalised):
    assert one_total(raw) is None
    assert one_total(each(raw, np.log1p)) is None
    assert one_total(each(normalised, np.log1p)[:, ::2]) is None


def test_a_few_odd_cells_do_not_hide_a_total(normalised):
    x = each(normalised, np.log1p).tolil()
    x[3, 0] = 9
    assert one_total(some(x))[0] == NATURAL


def test_the_total_of_one_cell_is_told_by_a_power_of_ten(normalised):
    assert one_total(each(normalised, np.log1p)[:1])[0] == NATURAL
    assert one_total(each(1.07 * normalised, np.log1p)[:1]) is None
    assert one_total(each(1.07 * normalised, np.log1p)[:2])[0] == NATURAL
    assert one_total(each(some(np.tile(normalised[:1].toarray(), (9, 1))), np.log1p))[0] == NATURAL  # equal cells


@pytest.mark.parametrize("base", [NATURAL, OF_TWO, OF_TEN])
@pytest.mark.parametrize("decimals", [None, 3, 2])
@pytest.mark.parametrize("n_cells", [120, 1])
def test_a_lattice_tells_the_base_of_logarithms(raw, base, decimals, n_cells):
    factors = np.random.default_rng(1).lognormal(1, 0.4, raw.shape[0])  # of no total
    x = each(per_cell(raw, factors), lambda x: np.log1p(x) / base)
    if decimals is not None:
        x = each(x, lambda x: x.round(decimals))
    assert lattice(x[:n_cells]) == base


@pytest.mark.parametrize("by", [0.93, 0.5, 0.13, 0.1, 1.05, 1 / 3])
@pytest.mark.parametrize("n_cells", [120, 3])
def test_multiplied_counts_are_a_lattice_as_they_are(raw, by, n_cells):
    assert lattice(each(raw, lambda x: by * x)[:n_cells]) == LINEAR


def test_restored_counts_are_a_lattice_as_they_are(raw):
    assert lattice(each(raw, lambda x: x + 1e-4)) == LINEAR
    assert lattice(each(raw, lambda x: (0.93 * x).round(2))) == LINEAR


def test_rounding_alone_makes_no_lattice(rng):
    smooth = rng.gamma(2, 0.5, (100, 40))
    for decimals in (2, 3, 4):
        assert lattice(some(smooth.round(decimals))) is None
    assert lattice(some(smooth)) is None


def test_counts_less_a_little_are_near_whole_numbers(raw, rng):
    noisy = each(raw, lambda x: x * rng.uniform(0.75, 1, x.size))
    ambient = raw.sum(axis=1) @ (raw.sum(axis=0) / raw.sum()) * 0.05
    for cells in (noisy, noisy[:2], some(raw - sp.csr_matrix(ambient).multiply(raw > 0).maximum(0))):
        assert near_whole(cells)
        assert lattice(cells) is None


def test_counts_of_which_some_are_estimates_are_near_whole_numbers(raw, rng):
    assert near_whole(each(raw, lambda x: np.where(rng.random(x.size) < 0.6, x * rng.random(x.size), x)))


def test_logarithms_are_not_near_whole_numbers(normalised):
    assert not near_whole(each(normalised, np.log1p))
    assert not near_whole(each(normalised / 1e6, np.log1p))  # small ones, near to zero


def test_weighted_counts_recur_at_their_feature(raw, normalised, rng):
    weights = sp.diags(rng.lognormal(0, 0.3, raw.shape[1]))
    assert repeated(some(raw @ weights))
    assert not repeated(some(normalised @ weights))
    assert not repeated(each(raw, np.log1p))  # at any feature
    assert not repeated(each(normalised, lambda x: np.log1p(x).round(2)))
    assert not repeated(raw[:1])


def test_counts_have_a_longer_tail_than_logarithms(raw, normalised):
    assert has_long_tail(raw)
    assert not has_long_tail(each(normalised, np.log1p))


def test_deep_counts_would_be_uneven_as_logarithms(rng):
    means = rng.lognormal(1.5, 0.4, 200)
    deep = some(rng.poisson(means * rng.lognormal(0, 0.2, (300, 1))).clip(max=18))
    smooth = some((means * rng.lognormal(0, 0.02, (300, 200))).clip(max=18))
    assert too_uneven(deep)
    assert too_uneven(deep[:30])
    assert too_uneven(smooth)  # by one feature
    assert not too_uneven(smooth[:, :40])
    assert not too_uneven(each(deep, np.log1p))
    assert not too_uneven(each(smooth, np.log1p))


def test_what_counts_were_put_through_is_named(raw, normalised):
    assert transformed(each(raw, np.sqrt)) == "square roots"
    assert transformed(each(raw, lambda x: np.arcsinh(x / 5))) == "inverse hyperbolic sines"
    assert transformed(each(normalised, np.sqrt)) == "square roots"
    for cells in (raw, each(raw, lambda x: 0.5 * x), each(raw, np.log1p), each(normalised, np.log1p)):
        assert transformed(cells) is None


def test_a_total_of_smoothed_logarithms_is_none_of_theirs(rng):
    cells = rng.lognormal(1, 0.3, (100, 300))
    assert one_total(some(cells / cells.sum(axis=1, keepdims=True) * rng.uniform(498, 502, (100, 1)))) is None
