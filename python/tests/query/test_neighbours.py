from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.query.neighbours import Neighbourhoods, Space
from synthetic import log_cp10k, study


@pytest.fixture(params=[True, False], ids=["whole", "sample"])
def space(request):
    """Return 300 cells of five types from two technologies, and their neighbourhoods."""
    (one, codes), (other, others) = study(2, [30] * 5), study(3, [30] * 5, 1.0)
    x = sp.csr_matrix(log_cp10k(sp.vstack([one, other])), dtype=np.float32)
    groups = np.repeat([0, 2], 150)  # of the batch between them the sample has no cell
    return x, groups, np.concatenate([codes, others]), Space.of(x, groups, 3, whole=request.param)


def test_scores_are_those_of_dense_components(space):
    x, groups, _, found = space
    dense = x.toarray().astype(float)
    for group in (0, 2):
        rows = dense[groups == group]
        z = np.minimum(rows / np.sqrt(rows.var(axis=0) + 0.01), 8)
        expected = (z - z.mean(axis=0)) @ found.axes.basis
        np.testing.assert_allclose(found.scores[groups == group], expected, atol=1e-4)
    some = [0, 7, 155, 299]
    np.testing.assert_allclose(found.axes.scores(x[some], groups[some]), found.scores[some], atol=1e-8)


def test_averages_are_means_over_each_neighbourhood(space, rng):
    *_, found = space
    values = rng.normal(size=(300, 3))
    averages = found.average(values)
    for cell in range(0, 300, 17):
        if found.clusters is not None:
            expected = values[found.clusters == found.clusters[cell]].mean(axis=0)
        else:
            weights = found.weights.toarray()[cell]
            expected = weights @ values if weights.any() else values[cell]
        np.testing.assert_allclose(averages[cell], expected, atol=1e-12)


def test_neighbours_are_of_the_same_type_across_technologies(space):
    _, _, codes, found = space
    types = np.eye(5)[codes]
    assert (found.average(types) * types).sum(axis=1).mean() > 0.8


def test_what_neighbourhoods_say_of_the_sample_and_of_other_cells(space, rng):
    x, groups, codes, found = space
    probabilities, known = rng.dirichlet(np.ones(5), 300), rng.random(300)
    said = Neighbourhoods.of(found, probabilities, known)
    votes, chance = said.votes(x, groups, 0)
    np.testing.assert_allclose(said.overall, probabilities.mean(axis=0))
    np.testing.assert_allclose(votes.sum(axis=1), 1)
    some = said.votes(x[100:130], groups[100:130], 100)
    np.testing.assert_array_equal(some[0], votes[100:130])
    np.testing.assert_array_equal(some[1], chance[100:130])
    if found.clusters is None:
        np.testing.assert_allclose(votes, found.average(probabilities))
        np.testing.assert_array_equal(chance, known)
        return
    # a cell of the sample falls in its own cluster, but for a few at the borders; a new cell in one of its type
    assert np.isclose(votes, found.average(probabilities)).all(axis=1).mean() > 0.95
    counts, others = study(5, [40] * 5)
    new = sp.csr_matrix(log_cp10k(counts), dtype=np.float32)
    types = Neighbourhoods.of(found, np.eye(5)[codes], known).votes(new, np.zeros(200, np.intp), 0)[0]
    assert (types.argmax(axis=1) == others).mean() > 0.9


@pytest.fixture(params=[True, False], ids=["whole", "sample"])
def chromatin(request, rng):
    """Return the TF-IDF of 240 cells of three types, their types, and their neighbourhoods in its LSI."""
    types = np.arange(240) % 3
    counts = rng.poisson(rng.gamma(0.5, 0.6, (3, 90))[types] * rng.lognormal(0, 0.5, (240, 1)))
    x = sp.csr_matrix(np.log1p(counts * np.log1p(240 / np.maximum(counts.sum(axis=0), 1))), dtype=np.float32)
    return x, types, Space.of(x, np.zeros(240, np.intp), 1, whole=request.param, chromatin=True)


def test_components_of_chromatin_weigh_by_what_they_are_above_noise(chromatin):
    x, types, found = chromatin
    u, s, _ = np.linalg.svd(x.toarray().astype(float), full_matrices=False)
    expected = (u * np.sqrt(np.maximum(s**2 - s[29] ** 2, 0)))[:, 1:29]  # not the first, which is depth; 30th is noise
    centred = expected - expected.mean(axis=0)
    np.testing.assert_allclose(found.scores @ found.scores.T, centred @ centred.T, atol=1e-3)
    some = [0, 7, 155, 239]
    np.testing.assert_allclose(found.axes.scores(x[some], np.zeros(4, np.intp)), found.scores[some], atol=1e-8)
    one_hot = np.eye(3)[types]
    assert (found.average(one_hot) * one_hot).sum(axis=1).mean() > 0.75


@pytest.mark.parametrize("features", [1, 2, 3])
def test_chromatin_without_three_components_has_neighbours_all_the_same(rng, features):
    x = sp.csr_matrix(rng.poisson(1.0, (60, features)), dtype=np.float32)
    for values in (x, x * 0):
        found = Space.of(values, np.zeros(60, np.intp), 1, whole=True, chromatin=True)
        assert np.isfinite(found.average(rng.random((60, 2)))).all()
