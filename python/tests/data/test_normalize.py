from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.errors import InputError
from deepscore.data.normalize import Normalization, Values, detect, typical_total
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
    assert detect(blocks_of(raw.astype(kind)), "rna") == Values("counts")


def test_large_fractions_are_a_linear_scale(raw):
    assert detect(blocks_of(1e6 * raw / raw.sum(axis=1, keepdims=True)), "rna").kind == "counts"


@pytest.mark.parametrize("target", [1e4, 1e6, 50.0, 123_456.0])
def test_logarithms_of_any_target_sum_are_brought_to_ten_thousand(raw, target):
    data = blocks_of(lognorm(raw, target))
    values = detect(data, "rna")
    assert values.kind == "lognorm"
    assert values.factor == pytest.approx(1e4 / target, rel=1e-4)
    found = normalised(data, Normalization("lognorm"), EVERY, values)
    np.testing.assert_allclose(found, log_cp10k(raw), rtol=2e-4, atol=2e-5)


def test_logarithms_of_chosen_features_are_left_as_they_are(raw):
    some = lognorm(raw, 1e4)[:, ::2]  # totals differ: their target sum cannot be known
    data = blocks_of(some)
    values = detect(data, "rna")
    assert values == Values("lognorm", 1.0)
    np.testing.assert_array_equal(
        normalised(data, Normalization("lognorm"), np.arange(20), values), some.astype(np.float32)
    )


@pytest.mark.parametrize("base", [2.0, 10.0])
@pytest.mark.parametrize("chosen", [slice(None), slice(None, None, 2)])
@pytest.mark.parametrize("target", [1e4, 1e3])
def test_logarithms_of_another_base_become_natural_ones(raw, caplog, base, chosen, target):
    natural = lognorm(raw, target)[:, chosen]
    data = blocks_of(natural / np.log(base))
    with caplog.at_level("INFO"):
        values = detect(data, "rna")
    assert f"log{base:.0f}-normalised" in caplog.text
    expected = detect(blocks_of(natural), "rna")
    features = np.arange(data.n_features)
    np.testing.assert_allclose(
        normalised(data, Normalization("lognorm"), features, values),
        normalised(blocks_of(natural), Normalization("lognorm"), features, expected),
        rtol=1e-5,
    )
    np.testing.assert_allclose(values.linear(natural / np.log(base)), np.expm1(natural), rtol=1e-9)


def test_size_factors_other_than_totals_do_not_hide_the_base(raw, rng):
    factors = rng.lognormal(0, 0.5, (len(raw), 1))
    assert detect(blocks_of(np.log2(1 + raw / factors)), "rna") == Values("lognorm", 1.0, np.log(2))
    assert detect(blocks_of(np.log1p(raw / factors)), "rna") == Values("lognorm", 1.0)


def test_logarithms_of_no_counts_are_natural(rng):
    smooth = rng.gamma(2, 0.5, (200, 40)) * (rng.random((200, 40)) < 0.4)
    assert detect(blocks_of(smooth), "rna") == Values("lognorm", 1.0)


def test_log2_of_parts_per_million_is_recognised_by_the_total(rng):
    smooth = rng.gamma(0.3, 1, (100, 40))
    values = detect(blocks_of(np.log2(1 + 1e6 * smooth / smooth.sum(axis=1, keepdims=True))), "rna")
    assert values.base == np.log(2)
    assert values.factor == pytest.approx(0.01, rel=1e-4)


def test_empty_cells_do_not_hide_the_target_sum(raw):
    values = lognorm(raw, 1e4)
    values[::7] = 0
    assert detect(blocks_of(values), "rna").factor == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "words"), [(lambda x: x, "X: counts,"), (lambda x: lognorm(x, 1e4), "X: log-normalised")]
)
def test_one_line_says_what_was_found(raw, caplog, change, words):
    with caplog.at_level("INFO", logger="deepscore"):
        detect(blocks_of(change(raw)), "rna")
    (record,) = caplog.records
    assert record.getMessage().startswith(words)
    assert "130 cells x 40 features" in record.getMessage()


@pytest.mark.parametrize("rows", [1, 64, 1000])
def test_counts_become_log1p_of_counts_per_ten_thousand(raw, rows):
    found = normalised(blocks_of(raw, rows=rows), Normalization("lognorm"), EVERY, Values("counts"))
    np.testing.assert_allclose(found, log_cp10k(raw), rtol=1e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize("scale", [300.0, 1234.5, 1e4])
@pytest.mark.parametrize("target", [1e4, 1e6])
def test_counts_and_their_logarithms_come_to_the_same_scale(raw, scale, target):
    recipe = Normalization("lognorm", scale=scale)
    for matrix in (raw, lognorm(raw, target)):
        data = blocks_of(matrix)
        found = normalised(data, recipe, EVERY, detect(data, "rna"))
        np.testing.assert_allclose(found, log_cp10k(raw, scale), rtol=3e-4, atol=2e-5)
        assert found.dtype == np.float32


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


def test_totals_are_those_of_all_features_and_missing_ones_stay_empty(raw):
    positions = np.array([5, -1, 0, 39, -1])
    found = normalised(blocks_of(raw), Normalization("lognorm"), positions, Values("counts"))
    expected = np.where(positions >= 0, log_cp10k(raw)[:, positions], 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_peaks_become_tf_idf(raw):
    positions = np.array([3, 8, -1, 1])
    idf = np.array([2.0, 30.0, 5.0, 1.1], np.float32)
    found = normalised(blocks_of(raw), Normalization("tfidf", idf), positions, Values("counts"))
    frequency = raw / raw.sum(axis=1, keepdims=True)
    expected = np.log1p(frequency[:, positions] * idf * 1e4) * (positions >= 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("times", [1, 1000])
def test_the_recipe_of_peaks_is_a_plain_formula(rng, times):
    counts = times * rng.poisson(0.6, (90, 12))
    counts[:, 4] = 0
    counts[7] = 0
    positions = np.array([3, 8, 4, 0])
    found = Normalization.of_peaks(blocks_of(counts), counts[:, positions].sum(axis=0).astype(float))
    totals = counts.sum(axis=1)
    scale = 0.3 * min(np.median(totals[totals > 0]), 10_000)
    idf = [np.log(1 + 90 / max(counts[:, peak].sum(), 1)) for peak in positions]
    assert found.method == "tfidf"
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found.idf, idf, rtol=1e-6)
    expected = np.log1p(scale * counts[:, positions] / np.maximum(totals, 1)[:, None] * np.array(idf))
    values = normalised(blocks_of(counts), found, positions, Values("counts"))
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_a_count_in_a_common_peak_of_a_median_cell_becomes_about_one(rng):
    counts = rng.poisson(0.05, (400, 3000))  # as sparse as chromatin
    every = np.arange(3000)
    recipe = Normalization.of_peaks(blocks_of(counts), counts.sum(axis=0).astype(float))
    values = normalised(blocks_of(counts), recipe, every, Values("counts"))
    assert 0.5 < np.median(values[counts == 1]) < 1.5


def test_peaks_without_any_count_have_a_recipe(raw):
    found = Normalization.of_peaks(blocks_of(0 * raw), np.zeros(3))
    assert found.scale == pytest.approx(3000)
    np.testing.assert_allclose(found.idf, np.log1p(len(raw)), rtol=1e-6)


def test_an_empty_cell_stays_empty(raw):
    raw[3] = 0
    found = normalised(blocks_of(raw), Normalization("lognorm"), EVERY, Values("counts"))
    assert not found[3].any()
    assert np.isfinite(found).all()


def test_the_data_are_not_changed(raw):
    matrix = sp.csr_matrix(raw, dtype=np.float32)
    before = matrix.copy()
    for values in (Values("counts"), Values("lognorm", 1.0), Values("lognorm", 2.0)):
        normalised(blocks_of(matrix), Normalization("lognorm"), EVERY, values)
    assert (matrix != before).nnz == 0


@pytest.mark.parametrize(("value", "code"), [(np.nan, "non_finite"), (np.inf, "non_finite"), (-3, "negative_values")])
def test_a_bad_value_in_a_late_cell_is_found_while_streaming(rng, value, code):
    matrix = rng.poisson(1.0, (900, 5)).astype(np.float64) + 1
    matrix[250, 2] = value  # beyond the cells from which the kind of values is told
    data = blocks_of(matrix)
    values = detect(data, "rna")
    with pytest.raises(InputError) as caught:
        normalised(data, Normalization("lognorm"), np.array([0]), values)
    assert caught.value.code == code
