from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.normalize import LogNorm
from deepscore.data.values import Values, detect, feature_share, typical_total
from synthetic import blocks_of, counts, log_cp10k

EVERY = np.arange(40)


@pytest.fixture
def raw(rng):
    return counts(rng, np.arange(130) % 3, 40).toarray().astype(np.float64)


def normalised(data, normalization, positions, values):
    return normalization.matrix(data, positions, values).toarray()


def lognorm(raw, target):
    return np.log1p(target * raw / raw.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.uint16, np.bool_])
def test_whole_numbers_are_counts(raw, kind):
    assert detect(blocks_of(raw.astype(kind))) == Values("counts")


def test_large_fractions_are_a_linear_scale(raw):
    assert detect(blocks_of(1e6 * raw / raw.sum(axis=1, keepdims=True))).form == "counts"


@pytest.mark.parametrize("target", [1e4, 1e6, 50.0, 123_456.0])
def test_logarithms_of_any_target_sum_are_brought_to_ten_thousand(raw, target):
    data = blocks_of(lognorm(raw, target))
    values = detect(data)
    assert values.form == "lognorm"
    assert values.factor == pytest.approx(1e4 / target, rel=1e-4)
    found = normalised(data, LogNorm(), EVERY, values)
    np.testing.assert_allclose(found, log_cp10k(raw), rtol=2e-4, atol=2e-5)


def test_logarithms_of_chosen_features_are_left_as_they_are(raw):
    some = lognorm(raw, 1e4)[:, ::2]  # totals differ: their target sum cannot be known
    data = blocks_of(some)
    values = detect(data)
    assert values == Values("lognorm", 1.0)
    np.testing.assert_array_equal(normalised(data, LogNorm(), np.arange(20), values), some.astype(np.float32))


@pytest.mark.parametrize("base", [2.0, 10.0])
@pytest.mark.parametrize("chosen", [slice(None), slice(None, None, 2)])
@pytest.mark.parametrize("target", [1e4, 1e3])
def test_logarithms_of_another_base_become_natural_ones(raw, caplog, base, chosen, target):
    natural = lognorm(raw, target)[:, chosen]
    data = blocks_of(natural / np.log(base))
    with caplog.at_level("INFO"):
        values = detect(data)
    assert f"log{base:.0f}-normalised" in caplog.text
    expected = detect(blocks_of(natural))
    features = np.arange(data.n_features)
    np.testing.assert_allclose(
        normalised(data, LogNorm(), features, values),
        normalised(blocks_of(natural), LogNorm(), features, expected),
        rtol=1e-5,
    )
    np.testing.assert_allclose(values.linear(natural / np.log(base)), np.expm1(natural), rtol=1e-9)


def test_size_factors_other_than_totals_do_not_hide_the_base(raw, rng):
    factors = rng.lognormal(0, 0.5, (len(raw), 1))
    assert detect(blocks_of(np.log2(1 + raw / factors))) == Values("lognorm", 1.0, np.log(2))
    assert detect(blocks_of(np.log1p(raw / factors))) == Values("lognorm", 1.0)


def test_logarithms_of_no_counts_are_natural(rng):
    smooth = rng.gamma(2, 0.5, (200, 40)) * (rng.random((200, 40)) < 0.4)
    assert detect(blocks_of(smooth)) == Values("lognorm", 1.0)


def test_log2_of_parts_per_million_is_recognised_by_the_total(rng):
    smooth = rng.gamma(0.3, 1, (100, 40))
    values = detect(blocks_of(np.log2(1 + 1e6 * smooth / smooth.sum(axis=1, keepdims=True))))
    assert values.base == np.log(2)
    assert values.factor == pytest.approx(0.01, rel=1e-4)


def test_empty_cells_do_not_hide_the_target_sum(raw):
    values = lognorm(raw, 1e4)
    values[::7] = 0
    assert detect(blocks_of(values)).factor == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "words"), [(lambda x: x, "X: counts,"), (lambda x: lognorm(x, 1e4), "X: log-normalised")]
)
def test_one_line_says_what_was_found(raw, caplog, change, words):
    with caplog.at_level("INFO", logger="deepscore"):
        detect(blocks_of(change(raw)))
    (record,) = caplog.records
    assert record.getMessage().startswith(words)
    assert "130 cells x 40 features" in record.getMessage()


@pytest.mark.parametrize(("times", "expected"), [(1, 1e4), (2, 110), (3, 165), (170, 9350), (200, 1e4)])
def test_the_typical_total_is_the_median_of_the_cells_that_have_counts(raw, times, expected):
    raw = times * raw[:129]
    raw[[3, 50]] = 0
    totals = raw.sum(axis=1)
    assert np.median(totals[totals > 0]) == 55 * times  # below 100 they are no counts of molecules
    assert typical_total(blocks_of(raw), Values("counts")) == pytest.approx(expected)


def test_a_typical_total_that_says_nothing_is_ten_thousand(raw):
    shares = raw / raw.sum(axis=1, keepdims=True)
    for matrix, values in (
        (shares, Values("counts")),  # proportions
        (0 * raw, Values("counts")),
        (lognorm(raw, 1e6), Values("lognorm", 0.01)),
    ):
        assert typical_total(blocks_of(matrix), values) == 1e4


def test_the_share_of_some_features_is_that_of_their_counts(raw):
    columns = np.array([3, 8, 21])
    expected = raw[:, columns].sum() / raw.sum()
    assert feature_share(blocks_of(raw), columns, Values("counts")) == pytest.approx(expected)
    logarithms = np.log1p(raw)
    assert feature_share(blocks_of(logarithms), columns, Values("lognorm")) == pytest.approx(expected, rel=1e-5)
