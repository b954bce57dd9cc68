from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import deepscore
from deepscore.chromatin import lsi
from deepscore.chromatin.lsi import LSI, depth_correlation, fit_lsi, tfidf
from deepscore.errors import ConfigError, InputError
from deepscore.normalize import Normalization, Values
from synthetic import blocks_of, dataset, peak_names


def peaks(rng, n_cells=80, n_features=130):
    """Return counts of three groups of cells, each with its own open peaks, at very different depths."""
    group = np.arange(n_cells) % 3
    rate = 0.2 + 2.0 * (np.arange(n_features)[None, :] % 3 == group[:, None])
    depth = rng.lognormal(0, 0.7, (n_cells, 1))
    return rng.poisson(rate * depth * rng.gamma(2, 0.5, n_features)).astype(np.float32)


def signac_tfidf(counts):
    """RunTFIDF with method 1: log1p of Diagonal(ncol / rowSums) %*% (counts %*% Diagonal(1 / colSums)) times 1e4."""
    by_feature = counts.T.astype(np.float64)
    n_features, n_cells = by_feature.shape
    expected = np.zeros((n_features, n_cells))
    for i in range(n_features):
        for j in range(n_cells):
            if by_feature[i, j]:
                tf = by_feature[i, j] / by_feature[:, j].sum()
                expected[i, j] = np.log1p(tf * (n_cells / by_feature[i].sum()) * 1e4)
    return expected.T


def signac_svd(x, n):
    """RunSVD: u of svd(t(object)), each column with mean 0 and sd 1; here from the whole dense decomposition."""
    u, d, vt = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    u = u[:, :n]
    return (u - u.mean(axis=0)) / u.std(axis=0, ddof=1), d[:n], vt[:n].T


def up_to_sign(found, expected):
    signs = np.sign((found * expected).sum(axis=0))
    return found * signs, expected


@given(arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 5)))
def test_tfidf_is_that_of_signac(counts):
    found, idf = tfidf(sp.csr_matrix(counts))
    np.testing.assert_allclose(found.toarray(), signac_tfidf(counts), rtol=1e-6)
    totals = counts.sum(axis=0)
    np.testing.assert_allclose(idf[totals > 0], len(counts) / totals[totals > 0])
    assert not idf[totals == 0].any()


def test_tfidf_leaves_its_input_alone_and_is_sparse(rng):
    counts = sp.csr_matrix(peaks(rng))
    before = counts.copy()
    found, _ = tfidf(counts)
    assert sp.isspmatrix_csr(found)
    assert found.dtype == np.float32
    assert found.nnz == counts.nnz
    np.testing.assert_array_equal(counts.toarray(), before.toarray())


def test_cells_and_features_without_counts_are_zero(rng):
    counts = peaks(rng)
    counts[3], counts[:, 7] = 0, 0
    found, idf = tfidf(sp.csr_matrix(counts))
    assert idf[7] == 0
    assert np.isfinite(found.data).all()
    assert not found[3].toarray().any()
    assert not found[:, 7].toarray().any()


def test_whole_numbers_are_as_good_as_floats(rng):
    counts = peaks(rng)
    found, _ = tfidf(sp.csr_matrix(counts.astype(np.int32)))
    np.testing.assert_array_equal(found.toarray(), tfidf(sp.csr_matrix(counts))[0].toarray())


def test_the_frequencies_of_a_reference_are_used_for_a_query(rng):
    reference, query = peaks(rng), peaks(rng, 20)
    _, idf = tfidf(sp.csr_matrix(reference))
    found, same = tfidf(sp.csr_matrix(query), idf, scale=100)
    assert same is idf
    totals = query.sum(axis=1, keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(found.toarray(), np.log1p(query / totals * idf * 100), rtol=1e-6)


@pytest.mark.parametrize("shape", [(80, 130), (130, 80)])
def test_the_reference_is_embedded_as_signac_does(rng, shape):
    x, _ = tfidf(sp.csr_matrix(peaks(rng, *shape)))
    lsi = fit_lsi(x, 6)
    cells, values, loadings = signac_svd(x.toarray(), 6)
    np.testing.assert_allclose(lsi.singular_values, values, rtol=1e-6)
    np.testing.assert_allclose(*up_to_sign(lsi.loadings, loadings), atol=1e-6)
    np.testing.assert_allclose(*up_to_sign(lsi.embed(x), cells), atol=1e-5)
    np.testing.assert_allclose(lsi.embed(x).mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(lsi.embed(x).std(axis=0, ddof=1), 1, rtol=1e-6)


def test_a_query_is_projected_with_the_terms_of_the_reference(rng):
    counts = peaks(rng)
    x, idf = tfidf(sp.csr_matrix(counts))
    query, _ = tfidf(sp.csr_matrix(peaks(rng, 30)), idf)
    lsi = fit_lsi(x, 5)
    u, d, vt = np.linalg.svd(x.toarray().astype(np.float64), full_matrices=False)
    expected = query.toarray() @ vt[:5].T / d[:5]
    expected = (expected - u[:, :5].mean(axis=0)) / u[:, :5].std(axis=0, ddof=1)
    np.testing.assert_allclose(np.abs(lsi.embed(query)), np.abs(expected), atol=1e-5)
    # a cell of the reference is where it was
    np.testing.assert_allclose(lsi.embed(x[10:12]), lsi.embed(x)[10:12], atol=1e-12)


def test_the_same_seed_gives_the_same_and_another_the_same_up_to_rounding(rng):
    x, _ = tfidf(sp.csr_matrix(peaks(rng)))
    first, second, other = fit_lsi(x, 4, seed=1), fit_lsi(x, 4, seed=1), fit_lsi(x, 4, seed=2)
    np.testing.assert_array_equal(first.loadings, second.loadings)
    np.testing.assert_allclose(first.loadings, other.loadings, atol=1e-6)
    assert (first.loadings[np.abs(first.loadings).argmax(axis=0), np.arange(4)] > 0).all()
    assert first.loadings.dtype == np.float32


def test_components_are_at_most_what_the_matrix_allows(rng):
    x, _ = tfidf(sp.csr_matrix(peaks(rng, 9)))
    assert fit_lsi(x).loadings.shape == (130, 8)
    low = sp.csr_matrix(np.outer(rng.random(30), rng.random(40)) + np.outer(rng.random(30), rng.random(40)))
    lsi = fit_lsi(low, 10)
    assert lsi.loadings.shape == (40, 2)
    assert np.isfinite(lsi.embed(low)).all()


def test_equal_cells_give_finite_values():
    x = sp.csr_matrix(np.ones((6, 5), dtype=np.float32))
    lsi = fit_lsi(x, 3)
    assert lsi.loadings.shape == (5, 1)
    np.testing.assert_allclose(lsi.embed(x), 0, atol=1e-6)


def test_the_first_component_follows_depth(rng):
    counts = peaks(rng, 150)
    totals = counts.sum(axis=1)
    x, _ = tfidf(sp.csr_matrix(counts))
    embedding = fit_lsi(x, 4).embed(x)
    found = depth_correlation(embedding, totals)
    expected = [np.corrcoef(column, np.log(totals.astype(np.float64)))[0, 1] for column in embedding.T]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.abs(found).argmax() == 0
    assert abs(found[0]) > 0.8


def test_correlation_leaves_out_empty_cells_and_says_nan_for_constants(rng):
    embedding = np.column_stack([rng.random(12), np.ones(12)])
    totals = np.arange(12)
    found = depth_correlation(embedding, totals)
    assert found[0] == pytest.approx(np.corrcoef(embedding[1:, 0], np.log(totals[1:]))[0, 1])
    assert np.isnan(found[1])
    assert np.isnan(depth_correlation(embedding, np.full(12, 5))).all()


def test_bad_input_is_refused(rng):
    with pytest.raises(ConfigError) as refused:
        fit_lsi(sp.csr_matrix(peaks(rng)), 0)
    assert refused.value.code == "bad_argument"
    with pytest.raises(InputError) as refused:
        fit_lsi(sp.csr_matrix(np.ones((1, 5))))
    assert refused.value.code == "too_few_cells"
    with pytest.raises(InputError) as refused:
        fit_lsi(sp.csr_matrix((6, 5)))
    assert refused.value.code == "empty_data"


def test_a_fit_can_be_rebuilt_from_its_arrays(rng):
    x, _ = tfidf(sp.csr_matrix(peaks(rng)))
    lsi = fit_lsi(x, 3)
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
    recipe = Normalization.of_peaks(data, columns, counts.sum(axis=0)[columns].astype(np.float64))
    x = recipe.matrix(data, columns, Values("counts"))
    np.testing.assert_allclose(lsi.signac_tfidf(x, recipe).toarray(), signac_tfidf(counts)[:, columns], rtol=1e-4)


def test_a_reference_is_embedded_as_runsvd_does_it(of_peaks, reference):
    found = of_peaks.embed(reference.copy()).obsm["X_lsi"]
    expected, *_ = signac_svd(signac_tfidf(reference.X.toarray()), 8)
    np.testing.assert_allclose(*up_to_sign(found[:, :8], expected), atol=1e-3)
    totals = np.asarray(reference.X.sum(axis=1)).ravel()
    assert abs(depth_correlation(found, totals)[0]) > 0.7


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
    of = of_peaks._model.lsi
    expected = (np.log1p(1e4 * tf * idf) @ of.loadings / of.singular_values - of.mean) / of.deviation
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_model_of_genes_embeds_nothing(trained, query):
    with pytest.raises(InputError, match="models of peaks") as caught:
        trained.embed(query)
    assert caught.value.code == "no_lsi"
