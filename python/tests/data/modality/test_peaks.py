from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.modality import PEAKS, TfIdf
from deepscore.data.moments import moments
from deepscore.data.values import Values
from deepscore.errors import InputError
from synthetic import blocks_of, counts, peak_names


@pytest.fixture
def raw(rng):
    return counts(rng, np.arange(130) % 3, 40).toarray().astype(np.float64)


def normalised(data, normalization, positions, values):
    return normalization.matrix(data, positions, values).toarray()


def test_peaks_become_tf_idf(raw):
    positions = np.array([3, 8, -1, 1])
    idf = np.array([2.0, 30.0, 5.0, 1.1], np.float32)
    found = normalised(blocks_of(raw), TfIdf(idf), positions, Values("counts"))
    frequency = raw / raw.sum(axis=1, keepdims=True)
    expected = np.log1p(frequency[:, positions] * idf * 1e4) * (positions >= 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("times", [1, 1000])
def test_the_recipe_of_peaks_is_a_plain_formula(rng, times):
    counts = times * rng.poisson(0.6, (90, 12))
    counts[:, 4] = 0
    counts[7] = 0
    positions = np.array([3, 8, 4, 0])
    found = TfIdf.of_sums(moments(blocks_of(counts), Values("counts")), positions)
    totals = counts.sum(axis=1)
    scale = 0.3 * min(np.median(totals[totals > 0]), 10_000)
    idf = [np.log(1 + 90 / max(counts[:, peak].sum(), 1)) for peak in positions]
    assert found.method == "tfidf"
    assert found.target_total == pytest.approx(scale)
    np.testing.assert_allclose(found.idf, idf, rtol=1e-6)
    expected = np.log1p(scale * counts[:, positions] / np.maximum(totals, 1)[:, None] * np.array(idf))
    values = normalised(blocks_of(counts), found, positions, Values("counts"))
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_a_count_in_a_common_peak_of_a_median_cell_becomes_about_one(rng):
    counts = rng.poisson(0.05, (400, 3000))  # as sparse as chromatin
    every = np.arange(3000)
    recipe = TfIdf.of_sums(moments(blocks_of(counts), Values("counts")), np.arange(counts.shape[1]))
    values = normalised(blocks_of(counts), recipe, every, Values("counts"))
    assert 0.5 < np.median(values[counts == 1]) < 1.5


def test_peaks_without_any_count_have_a_recipe(raw):
    found = TfIdf.of_sums(moments(blocks_of(0 * raw), Values("counts")), np.arange(3))
    assert found.target_total == pytest.approx(3000)
    np.testing.assert_allclose(found.idf, np.log1p(len(raw)), rtol=1e-6)


def test_a_recipe_comes_back_from_its_facts_and_arrays():
    recipe = TfIdf(np.array([1.0, 2.5], np.float32), 321.0)
    again = TfIdf.read(recipe.facts(), recipe.arrays())
    assert again.target_total == 321
    np.testing.assert_array_equal(again.idf, recipe.idf)


def test_peaks_are_counts_or_refused(raw):
    assert PEAKS.detect(blocks_of(raw, peak_names(40))) == Values("counts")
    with pytest.raises(InputError) as caught:
        PEAKS.detect(blocks_of(raw / 3, peak_names(40)))
    assert caught.value.code == "scaled_data"
