from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.linalg import clusters_of
from deepscore.query.neighbours import Neighbourhoods, Space, reweighted
from deepscore.query.settings import SETTINGS
from synthetic import log_cp10k, study


def one_batch(n):
    return np.zeros(n, np.intp)


@pytest.fixture(params=[True, False], ids=["whole", "sample"])
def space(request):
    """Return 300 cells of five types from two technologies, and their neighbourhoods."""
    (one, codes), (other, others) = study(2, [30] * 5), study(3, [30] * 5, 1.0)
    x = sp.csr_matrix(log_cp10k(sp.vstack([one, other])), dtype=np.float32)
    batches = np.repeat([0, 2], 150)  # of the batch between them the sample has no cell
    return x, batches, np.concatenate([codes, others]), Space.of(x, batches, 3, whole=request.param)


def test_coordinates_are_those_of_dense_components(space):
    x, batches, _, found = space
    dense = x.toarray().astype(float)
    for batch in (0, 2):
        rows = dense[batches == batch]
        z = np.minimum(rows / np.sqrt(rows.var(axis=0) + 0.01), 8)
        expected = (z - z.mean(axis=0)) @ found.axes.basis
        np.testing.assert_allclose(found.coordinates[batches == batch], expected, atol=1e-4)
        np.testing.assert_allclose(found.z.toarray()[batches == batch], z, atol=1e-5)
    some = [0, 7, 155, 299]
    np.testing.assert_allclose(found.axes.coordinates(x[some], batches[some]), found.coordinates[some], atol=1e-8)


def slow_weights(coordinates, k):
    """Find the k nearest neighbours of each cell, and count pair by pair how many of them two cells share."""
    n = len(coordinates)
    near = []
    for cell in range(n):
        distance = ((coordinates - coordinates[cell]) ** 2).sum(axis=1)
        distance[cell] = np.inf
        near.append(set(np.argsort(distance)[:k].tolist()))
    weights = np.zeros((n, n))
    for one in range(n):
        for other in near[one]:
            shared = len(near[one] & near[other])
            weights[one, other] += shared
            weights[other, one] += shared
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1)


@pytest.mark.parametrize(
    ("n", "k"),
    [(40, 3), (119, 3), (120, 4), (239, 7), (240, 8), (449, 14), (450, 15), (600, 15)],
)
def test_a_cell_has_15_neighbours_but_one_for_each_30_cells_and_three_at_least(n, k):
    x = sp.csr_matrix(log_cp10k(study(2, [n // 4, n // 4, n // 4, n - 3 * (n // 4)])[0]), dtype=np.float32)
    found = Space.of(x, one_batch(n), 1, whole=True)
    assert found.clusters is None
    np.testing.assert_allclose(found.weights.toarray(), slow_weights(found.coordinates, k), atol=1e-12)


@pytest.mark.parametrize(("n", "clusters"), [(20, 1), (59, 2), (60, 3), (319, 15), (320, 16), (400, 20)])
def test_a_cluster_of_a_sample_has_20_cells_in_the_mean(n, clusters):
    x = sp.csr_matrix(log_cp10k(study(2, [n // 2, n - n // 2])[0]), dtype=np.float32)
    found = Space.of(x, one_batch(n), 1, whole=False)
    np.testing.assert_array_equal(found.clusters, clusters_of(found.coordinates, clusters, 0))
    assert found.clusters.max() + 1 == clusters
    expected = np.array([(found.clusters == i) / (found.clusters == i).sum() for i in range(clusters)])
    np.testing.assert_allclose(found.weights.toarray(), expected)


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


def test_a_cell_that_shares_no_neighbour_has_its_own_value(space):
    *_, found = space
    values = np.arange(300.0)[:, None]
    if found.clusters is None:
        weights = found.weights.tolil()
        weights[[4, 99]] = 0
        averages = replace(found, weights=sp.csr_array(weights)).average(values)[:, 0]
        assert averages[[4, 99]].tolist() == [4, 99]
        np.testing.assert_array_equal(np.delete(averages, [4, 99]), np.delete(found.average(values)[:, 0], [4, 99]))


def test_neighbours_are_of_the_same_type_across_technologies(space):
    _, _, codes, found = space
    types = np.eye(5)[codes]
    assert (found.average(types) * types).sum(axis=1).mean() > 0.8


# ------------------------------------------------------------------------------------ what neighbourhoods say


def slow_reweighted(probabilities, votes, overall):
    """Weigh cell by cell and label by label: the square root of how much more frequent a label is than in the query."""
    found = np.zeros_like(probabilities)
    for cell, (own, said) in enumerate(zip(probabilities, votes, strict=True)):
        for label, p in enumerate(own):
            found[cell, label] = p * ((said[label] + 0.02) / (overall[label] + 0.02)) ** 0.5
        found[cell] /= sum(found[cell])
    return found


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_labels_are_weighed_by_how_much_more_frequent_they_are_among_neighbours(space, rng):
    x, batches, _, found = space
    probabilities, known = rng.dirichlet(np.full(5, 0.3), 300), rng.random(300)
    said = Neighbourhoods.of(found, probabilities, known)
    np.testing.assert_allclose(said.overall, probabilities.mean(axis=0))
    if found.clusters is None:
        votes, chance = found.average(probabilities), known
    else:  # the cluster whose mean direction is nearest to the cell's
        directions = unit(found.coordinates)
        members = [found.clusters == i for i in range(found.clusters.max() + 1)]
        centres = np.array([directions[cells].mean(axis=0) for cells in members])
        where = [np.argmin(((centres - direction) ** 2).sum(axis=1)) for direction in directions]
        votes = np.array([probabilities[members[i]].mean(axis=0) for i in where])
        chance = np.array([known[members[i]].mean() for i in where])
    new = rng.dirichlet(np.full(5, 0.3), 300)
    result, of_cells = said.reweigh(new, x, batches)
    np.testing.assert_allclose(result, slow_reweighted(new, votes, probabilities.mean(axis=0)), atol=1e-9)
    np.testing.assert_allclose(of_cells, chance)
    some = said.reweigh(new[100:130], x[100:130], batches[100:130], 100)
    np.testing.assert_allclose(some[0], result[100:130], atol=1e-12)
    np.testing.assert_array_equal(some[1], of_cells[100:130])


def test_new_cells_fall_into_a_cluster_of_their_type():
    counts, codes = study(2, [60] * 5)
    x, batches = sp.csr_matrix(log_cp10k(counts), dtype=np.float32), one_batch(300)
    found = Space.of(x, batches, 1, whole=False)
    types = Neighbourhoods.of(found, np.eye(5)[codes], np.ones(300))
    counts, others = study(5, [40] * 5)
    new = sp.csr_matrix(log_cp10k(counts), dtype=np.float32)
    said = types.reweigh(np.full((200, 5), 0.2), new, one_batch(200))[0]
    assert (said.argmax(axis=1) == others).mean() > 0.9


def test_what_is_as_frequent_among_neighbours_as_in_the_query_changes_nothing(rng):
    probabilities, overall = rng.dirichlet(np.ones(4), 50), rng.dirichlet(np.ones(4))
    same = np.tile(overall, (50, 1))
    np.testing.assert_allclose(reweighted(probabilities, same, overall, 0.5, 0.02), probabilities)
    votes = rng.dirichlet(np.ones(4), 50)
    np.testing.assert_allclose(reweighted(probabilities, votes, overall, 0.0, 0.02), probabilities)
    raised = reweighted(probabilities, votes, overall, 1.0, 0.1)
    odds = probabilities * (votes + 0.1) / (overall + 0.1)
    np.testing.assert_allclose(raised, odds / odds.sum(axis=1, keepdims=True))


# ------------------------------------------------------------------------------------------------- chromatin


@pytest.fixture(params=[True, False], ids=["whole", "sample"])
def chromatin(request, rng):
    """Return the TF-IDF of 240 cells of three types, their types, and their neighbourhoods in its LSI."""
    types = np.arange(240) % 3
    counts = rng.poisson(rng.gamma(0.5, 0.6, (3, 90))[types] * rng.lognormal(0, 0.5, (240, 1)))
    x = sp.csr_matrix(np.log1p(counts * np.log1p(240 / np.maximum(counts.sum(axis=0), 1))), dtype=np.float32)
    return x, types, Space.of(x, one_batch(240), 1, whole=request.param, latent=True)


def test_components_of_chromatin_weigh_by_what_they_are_above_noise(chromatin):
    x, types, found = chromatin
    u, s, _ = np.linalg.svd(x.toarray().astype(float), full_matrices=False)
    expected = (u * np.sqrt(np.maximum(s**2 - s[29] ** 2, 0)))[:, 1:29]  # not the first, which is depth; 30th is noise
    centred = expected - expected.mean(axis=0)
    np.testing.assert_allclose(found.coordinates @ found.coordinates.T, centred @ centred.T, atol=1e-3)
    some = [0, 7, 155, 239]
    np.testing.assert_allclose(found.axes.coordinates(x[some], one_batch(4)), found.coordinates[some], atol=1e-8)
    one_hot = np.eye(3)[types]
    assert (found.average(one_hot) * one_hot).sum(axis=1).mean() > 0.75


def test_chromatin_of_two_batches_has_one_space(chromatin):
    x, _, found = chromatin
    both = Space.of(x, np.arange(240) % 2, 2, whole=found.clusters is None, latent=True)
    np.testing.assert_allclose(both.coordinates, found.coordinates, atol=1e-9)


@pytest.mark.parametrize("features", [1, 2, 3])
def test_chromatin_without_three_components_has_neighbours_all_the_same(rng, features):
    x = sp.csr_matrix(rng.poisson(1.0, (60, features)), dtype=np.float32)
    for values in (x, x * 0):
        found = Space.of(values, one_batch(60), 1, whole=True, latent=True)
        plain = Space.of(values, one_batch(60), 1, whole=True)
        np.testing.assert_array_equal(found.coordinates, plain.coordinates)  # principal components
        assert np.isfinite(found.average(rng.random((60, 2)))).all()


def test_chromatin_with_three_components_has_one_without_the_first_and_the_noise(rng):
    x = sp.csr_matrix(rng.poisson(1.0, (60, 20)), dtype=np.float32)
    three = Space.of(x, one_batch(60), 1, whole=True, latent=True, settings=replace(SETTINGS, lsi_components=3))
    assert three.coordinates.shape == (60, 1)


def test_numbers_may_be_others(rng):
    x = sp.csr_matrix(log_cp10k(study(2, [40, 40])[0]), dtype=np.float32)
    some = replace(SETTINGS, neighbours=5, cells_per_neighbour=4, fewest_neighbours=1, cells_per_cluster=40)
    found = Space.of(x, one_batch(80), 1, whole=True, settings=some)
    np.testing.assert_allclose(found.weights.toarray(), slow_weights(found.coordinates, 5), atol=1e-12)
    assert Space.of(x, one_batch(80), 1, whole=False, settings=some).clusters.max() == 1
