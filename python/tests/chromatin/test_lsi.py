from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import deepscore
from deepscore.chromatin import lsi
from deepscore.chromatin.lsi import LSI, fit_lsi
from deepscore.data.modality import TfIdf
from deepscore.data.moments import moments
from deepscore.data.values import Values
from deepscore.errors import InputError
from synthetic import blocks_of, dataset, peak_names


def peaks(rng, n_cells=80, n_features=130):
    """Return counts of three groups of cells, each with its own open peaks, at very different depths."""
    group = np.arange(n_cells) % 3
    rate = 0.2 + 2.0 * (np.arange(n_features)[None, :] % 3 == group[:, None])
    depth = rng.lognormal(0, 0.7, (n_cells, 1))
    return rng.poisson(rate * depth * rng.gamma(2, 0.5, n_features)).astype(np.float32)


def signac_tfidf(counts, idf=None):
    """RunTFIDF with method 1: log1p of count / total of the cell x cells / total of the feature x 1e4."""
    idf = len(counts) / np.maximum(counts.sum(axis=0, dtype=np.float64), 1) if idf is None else idf
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True, dtype=np.float64) * idf)


def signac_svd(x, n):
    """RunSVD: u of svd(t(object)), each column with mean 0 and sd 1; here from the whole dense decomposition."""
    u, d, vt = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    u = u[:, :n]
    return (u - u.mean(axis=0)) / u.std(axis=0, ddof=1), d[:n], vt[:n].T


def up_to_sign(found, expected):
    signs = np.sign((found * expected).sum(axis=0))
    return found * signs, expected


@pytest.mark.parametrize("shape", [(80, 130), (130, 80)])
def test_the_reference_is_embedded_as_signac_does(rng, shape):
    x = sp.csr_matrix(signac_tfidf(peaks(rng, *shape)))
    lsi = fit_lsi(x)
    cells, values, loadings = signac_svd(x.toarray(), 50)
    np.testing.assert_allclose(lsi.singular_values, values, rtol=1e-6)
    np.testing.assert_allclose(*up_to_sign(lsi.loadings, loadings), atol=1e-6)
    np.testing.assert_allclose(*up_to_sign(lsi.embed(x), cells), atol=1e-5)
    np.testing.assert_allclose(lsi.embed(x).mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(lsi.embed(x).std(axis=0, ddof=1), 1, rtol=1e-6)


def test_a_query_is_projected_with_the_terms_of_the_reference(rng):
    counts = peaks(rng)
    x = sp.csr_matrix(signac_tfidf(counts))
    query = sp.csr_matrix(signac_tfidf(peaks(rng, 30), len(counts) / counts.sum(axis=0)))
    lsi = fit_lsi(x)
    u, d, vt = np.linalg.svd(x.toarray(), full_matrices=False)
    expected = query @ vt[:50].T / d[:50]
    expected = (expected - u[:, :50].mean(axis=0)) / u[:, :50].std(axis=0, ddof=1)
    np.testing.assert_allclose(np.abs(lsi.embed(query)), np.abs(expected), atol=1e-5)
    # a cell of the reference is where it was
    np.testing.assert_allclose(lsi.embed(x[10:12]), lsi.embed(x)[10:12], atol=1e-12)


def test_the_same_seed_gives_the_same_and_another_the_same_up_to_rounding(rng):
    x = sp.csr_matrix(signac_tfidf(peaks(rng)))
    first, second, other = (fit_lsi(x, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.loadings, second.loadings)
    np.testing.assert_allclose(first.loadings, other.loadings, atol=1e-6)
    assert (first.loadings[np.abs(first.loadings).argmax(axis=0), np.arange(50)] > 0).all()
    assert first.loadings.dtype == np.float32


def test_components_are_at_most_what_the_matrix_allows(rng):
    x = sp.csr_matrix(signac_tfidf(peaks(rng, 9)))
    assert fit_lsi(x).loadings.shape == (130, 8)
    low = sp.csr_matrix(np.outer(rng.random(30), rng.random(40)) + np.outer(rng.random(30), rng.random(40)))
    lsi = fit_lsi(low)
    assert lsi.loadings.shape == (40, 2)
    assert np.isfinite(lsi.embed(low)).all()


def test_equal_cells_give_finite_values():
    x = sp.csr_matrix(np.ones((6, 5), dtype=np.float32))
    lsi = fit_lsi(x)
    assert lsi.loadings.shape == (5, 1)
    np.testing.assert_allclose(lsi.embed(x), 0, atol=1e-6)


def test_bad_input_is_refused():
    with pytest.raises(InputError) as refused:
        fit_lsi(sp.csr_matrix(np.ones((1, 5))))
    assert refused.value.code == "too_few_cells"
    with pytest.raises(InputError) as refused:
        fit_lsi(sp.csr_matrix((6, 5)))
    assert refused.value.code == "empty_data"


def test_a_fit_can_be_rebuilt_from_its_arrays(rng):
    x = sp.csr_matrix(signac_tfidf(peaks(rng)))
    lsi = fit_lsi(x)
    again = LSI(lsi.loadings, lsi.singular_values, lsi.mean, lsi.deviation)
    np.testing.assert_array_equal(again.embed(x), lsi.embed(x))


# ------------------------------------------------------------------------------------- in a model of peaks


@pytest.fixture(scope="module")
def reference():
    data = dataset(4, n_cells=120)
    data.var_names = peak_names(80)
    return data


@pytest.fixture(scope="module")
def of_peaks(reference):
    return deepscore.DeepScore((8,), epochs=2).set_reference(reference, "cell_type").train(progress=False)


def test_signacs_tfidf_is_recovered_from_the_recipe_of_a_model(rng):
    counts = peaks(rng)
    data, columns = blocks_of(counts, peak_names(130)), np.arange(3, 120)
    recipe = TfIdf.of_sums(moments(data, Values("counts")), columns)
    x = recipe.matrix(data, columns, Values("counts"))
    np.testing.assert_allclose(lsi.signac_tfidf(x, recipe).toarray(), signac_tfidf(counts)[:, columns], rtol=1e-4)


def test_a_reference_is_embedded_as_runsvd_does_it(of_peaks, reference):
    found = of_peaks.embed(reference.copy()).obsm["X_lsi"]
    expected, *_ = signac_svd(signac_tfidf(reference.X.toarray()), 8)
    np.testing.assert_allclose(*up_to_sign(found[:, :8], expected), atol=1e-3)
    totals = np.asarray(reference.X.sum(axis=1)).ravel()
    assert abs(np.corrcoef(found[:, 0], np.log(totals))[0, 1]) > 0.7


def test_a_query_is_embedded_with_the_terms_of_the_reference(of_peaks, reference, tmp_path):
    of_peaks.save(tmp_path / "peaks.deepscore")
    query = dataset(5, n_cells=40)
    query.var_names = [name.replace("chr", "").replace(":", "-") for name in peak_names(80)]
    query = query[:, ::-1].copy()
    found = deepscore.load(tmp_path / "peaks.deepscore").embed(query).obsm["X_lsi"]
    counts = query.X.toarray()[:, ::-1]
    in_order = [list(peak_names(80)).index(name) for name in of_peaks.common_features]
    tf = (counts / counts.sum(axis=1, keepdims=True))[:, in_order]
    idf = reference.n_obs / reference.X.toarray().sum(axis=0)[in_order]
    of = of_peaks.model.lsi
    expected = (np.log1p(1e4 * tf * idf) @ of.loadings / of.singular_values - of.mean) / of.deviation
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_model_of_genes_embeds_nothing(trained, query):
    with pytest.raises(InputError, match="models of peaks") as caught:
        trained.embed(query)
    assert caught.value.code == "no_lsi"
