from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from deepscore.data.modality import PEAKS
from deepscore.data.normalize import LogNorm
from deepscore.data.values import Values, check_values, detect, feature_share, typical_total
from deepscore.errors import ConfigError, InputError
from synthetic import blocks_of, counts, log_cp10k, study

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


def shallow(change):
    """Return cells of a study, changed: none above 20, in single precision."""
    matrix = np.minimum(study(5, [60, 60])[0].toarray().astype(np.float64), 18)
    return change(matrix, np.random.default_rng(8)).astype(np.float32)


def less_ambient(x, rng):
    return np.maximum(x - 0.1 * x.sum(axis=1, keepdims=True) * x.sum(axis=0) / x.sum(), 0)


COUNTS = {
    "a constant": lambda x, rng: 0.93 * x,
    "halves": lambda x, rng: 0.5 * x,
    "a factor of each value": lambda x, rng: x * rng.uniform(0.75, 1, x.shape),
    "a factor of each cell": lambda x, rng: x * rng.lognormal(0, 0.3, (len(x), 1)),
    "a factor of each feature": lambda x, rng: x * rng.lognormal(0, 0.3, x.shape[1]),
    "restored": lambda x, rng: np.where(x > 0, x + 1e-4, 0),
    "less ambient counts": less_ambient,
    "half are estimates": lambda x, rng: np.where(rng.random(x.shape) < 0.5, x * rng.random(x.shape), x),
    "of one total": lambda x, rng: 55 * x / x.sum(axis=1, keepdims=True),
    "parts of one": lambda x, rng: x / x.sum(axis=1, keepdims=True),
    "means of ten cells": lambda x, rng: x.reshape(12, 10, -1).mean(axis=1),
    "sums over weighted peaks": lambda x, rng: (x * rng.gamma(2, 0.2, x.shape[1])).reshape(len(x), -1, 3).sum(axis=2),
}


@pytest.mark.parametrize("change", COUNTS.values(), ids=COUNTS)
def test_counts_with_fractions_are_counts(change):
    assert detect(blocks_of(shallow(change))) == Values("counts")


@pytest.mark.parametrize("change", COUNTS.values(), ids=COUNTS)
@pytest.mark.filterwarnings("ignore:The values of X can be counts")  # of so few cells, some say nothing
def test_counts_with_fractions_of_a_few_cells_are_counts(change):
    assert detect(blocks_of(shallow(change)[:3])) == Values("counts")


def test_one_value_does_not_tell_what_all_are():
    for cell in (5, 2430):
        data = np.tile(shallow(COUNTS["a constant"]), (25, 1))
        data[cell, 0] = 55
        assert detect(blocks_of(data)) == Values("counts")


def test_values_are_told_by_cells_of_the_whole_data_set():
    data = np.tile(shallow(lambda x, rng: x), (25, 1))
    data[700:1800] *= np.float32(0.93)
    logarithms = np.where(np.arange(3000)[:, None] < 1000, 0, np.log1p(data))  # the first cells are empty
    assert detect(blocks_of(data)) == Values("counts")
    assert detect(blocks_of(logarithms)).form == "lognorm"


@pytest.mark.parametrize("target", [1e3, 1e4, 1e6])
@pytest.mark.parametrize("n_cells", [120, 5, 1])
@pytest.mark.parametrize("change", [lambda x: x, lambda x: x.round(2), lambda x: x[:, ::3]])
def test_logarithms_are_told_in_few_cells_rounded_and_of_some_features(target, n_cells, change):
    data = shallow(lambda x, rng: change(lognorm(x, target)))[:n_cells]
    assert detect(blocks_of(data)).form == "lognorm"


def test_a_warning_says_where_values_can_be_either(rng):
    data = np.minimum(rng.lognormal(-1, 1, (120, 50)), 12)  # as imputation makes them
    with pytest.warns(UserWarning, match=r"values='counts' or values='lognorm' \(on the command line --values\)"):
        assert detect(blocks_of(data)) == Values("counts")
    assert detect(replace(blocks_of(data), values="counts")) == Values("counts")  # no warning
    assert detect(replace(blocks_of(data), values="lognorm")) == Values("lognorm")


def deep(seed=4):
    """Return means and counts of 400 cells of four types in a panel of 200 genes that are all seen well."""
    rng = np.random.default_rng(seed)
    means = rng.lognormal(1.5, 0.4, 200) * rng.lognormal(0, 0.35, (4, 200))
    means = means[np.arange(400) % 4] * rng.lognormal(0, 0.2, (400, 1))
    return means, rng.poisson(means).astype(np.float64), rng


def smoothed(x, rng):
    """Return of each cell the weighted mean of thirty cells of its type."""
    alike = np.arange(len(x)) % 4 == (np.arange(len(x)) % 4)[:, None]
    weights = np.array([rng.permutation(100) < 30 for _ in x]) * rng.gamma(2, 1, (len(x), 100))
    return np.stack([w @ x[same] / w.sum() for w, same in zip(weights, alike, strict=True)])


DEEP_COUNTS = {
    "less ambient counts": lambda means, x, rng: less_ambient(x, rng),
    "a factor of each value": lambda means, x, rng: x * rng.lognormal(0, 0.2, x.shape),
    "less ambient counts, per size factor": lambda means, x, rng: (
        less_ambient(x, rng) / x.sum(axis=1, keepdims=True) * 1100 * rng.lognormal(0, 0.1, (len(x), 1))
    ),
    "denoised": lambda means, x, rng: means * rng.lognormal(0, 0.05, means.shape),
    "smoothed": lambda means, x, rng: smoothed(x, rng),
}
DEEP_LOGARITHMS = {
    "smoothed logarithms": lambda means, x, rng: smoothed(lognorm(x, 1e4), rng),
    "corrected for batches": lambda means, x, rng: lognorm(x, 1e4) * rng.lognormal(0, 0.05, x.shape[1]),
    "of counts less ambient ones": lambda means, x, rng: np.log1p(
        less_ambient(x, rng) / x.sum(axis=1, keepdims=True) * 1e4
    )[:, ::2],
    "of denoised counts, some features": lambda means, x, rng: lognorm(means * rng.lognormal(0, 0.05, x.shape), 1e4)[
        :, ::2
    ],
}


@pytest.mark.parametrize("change", DEEP_COUNTS.values(), ids=DEEP_COUNTS)
def test_deep_counts_are_not_taken_for_logarithms_without_a_word(change):
    data = np.minimum(change(*deep()), 19.5)
    with pytest.warns(UserWarning, match="can be counts with fractions, or logarithms"):
        assert detect(blocks_of(data)) == Values("counts")


@pytest.mark.parametrize("change", DEEP_LOGARITHMS.values(), ids=DEEP_LOGARITHMS)
def test_logarithms_of_deep_cells_are_told_whatever_was_done_to_them(change):
    assert detect(blocks_of(change(*deep()))).form == "lognorm"


@pytest.mark.parametrize(
    ("change", "name"),
    [(np.sqrt, "square roots"), (np.arcsinh, "inverse hyperbolic sines"), (lambda x: np.arcsinh(x / 5), "inverse")],
)
def test_other_transformations_of_counts_are_told(change, name):
    for raw in (shallow(lambda x, rng: x), deep()[1]):
        with pytest.warns(UserWarning, match=f"values of X are {name}.* of counts: they are taken as counts"):
            assert detect(blocks_of(change(raw))) == Values("counts")


def test_what_the_caller_says_holds(raw):
    linear, logarithms = blocks_of(0.37 * raw), blocks_of(lognorm(raw, 1e6) / np.log(2))
    assert detect(replace(linear, values="lognorm")) == Values("lognorm")
    assert detect(replace(logarithms, values="counts")) == Values("counts")
    assert detect(replace(logarithms, values="lognorm")) == Values("lognorm", pytest.approx(0.01, rel=1e-4), np.log(2))
    assert detect(replace(blocks_of(0 * raw), values="lognorm")) == Values("lognorm")


def test_what_cannot_be_logarithms_is_not_taken_for_them(raw):
    for data, kind in ((blocks_of(100 * raw), None), (blocks_of(raw), "peaks")):
        with pytest.raises(ConfigError, match="lognorm") as caught:
            detect(replace(data, values="lognorm"), kind)
        assert caught.value.code == "bad_argument"


def test_peaks_with_fractions_are_counts_where_the_caller_says_so(raw):
    data = blocks_of(0.37 * raw)
    with pytest.raises(InputError, match="values='counts'"):
        PEAKS.detect(data)
    assert PEAKS.detect(replace(data, values="counts")) == Values("counts")


@pytest.mark.parametrize(
    ("change", "words"), [(lambda x: x, "X: counts,"), (lambda x: lognorm(x, 1e4), "X: log-normalised")]
)
def test_one_line_says_what_was_found(raw, caplog, change, words):
    with caplog.at_level("INFO", logger="deepscore"):
        detect(blocks_of(change(raw)))
    (record,) = caplog.records
    assert record.getMessage().startswith(words)
    assert "130 cells x 40 features" in record.getMessage()


@pytest.mark.parametrize(("times", "expected"), [(1, 55), (2, 110), (170, 9350), (200, 1e4)])
def test_the_typical_total_is_the_median_of_the_cells_that_have_counts(raw, times, expected):
    raw = times * raw[:129]
    raw[[3, 50]] = 0
    totals = raw.sum(axis=1)
    assert np.median(totals[totals > 0]) == 55 * times
    assert typical_total(totals, Values("counts")) == pytest.approx(expected)


def test_a_typical_total_that_says_nothing_is_ten_thousand(raw):
    shares = raw / raw.sum(axis=1, keepdims=True)
    for matrix, values in (
        (shares, Values("counts")),  # proportions
        (0 * raw, Values("counts")),
        (lognorm(raw, 1e6), Values("lognorm", 0.01)),
    ):
        assert typical_total(matrix.sum(axis=1), values) == 1e4


@pytest.mark.parametrize(("median", "expected"), [(1, 1e4), (1.4, 1e4), (1.5, 1.5), (8, 8), (10_001, 1e4)])
def test_the_totals_of_a_small_panel_say_something(median, expected):
    assert typical_total(np.array([0, median, median], np.float32), Values("counts")) == pytest.approx(expected)


@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-6, 0.37, 1.0, 1e6]))
def test_the_total_of_fractions_is_the_same_in_any_order_of_the_features(seed, scale):
    rng = np.random.default_rng(seed)
    fractions = (scale * rng.lognormal(0, 2, (20, 60)) * (rng.random((20, 60)) < 0.7)).astype(np.float32)
    found = check_values(sp.csr_matrix(fractions), "X")
    assert found.dtype == np.float32
    assert found.tolist() == [np.float32(math.fsum(row)) for row in fractions.tolist()]  # exact sums, rounded once
    assert check_values(sp.csr_matrix(fractions[:, rng.permutation(60)]), "X").tolist() == found.tolist()


def test_the_share_of_some_features_is_that_of_their_counts(raw):
    columns = np.array([3, 8, 21])
    expected = raw[:, columns].sum() / raw.sum()
    assert feature_share(blocks_of(raw), columns, Values("counts")) == pytest.approx(expected)
    logarithms = np.log1p(raw)
    assert feature_share(blocks_of(logarithms), columns, Values("lognorm")) == pytest.approx(expected, rel=1e-5)
