from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from deepscore.data.standardise import Scale
from deepscore.query.align import align
from deepscore.query.cells import QueryCells
from deepscore.query.sample import Sample
from deepscore.query.settings import SETTINGS
from synthetic import blocks_of, full_model, log_cp10k, names, recorded


def query_of(n_cells, n_features=30, rows=64):
    """Return a cheap query of two values in each cell, no two cells alike."""
    cell = np.arange(n_cells)
    values = np.column_stack([np.ones(n_cells), 1 + cell // (7 * n_features)]).ravel().astype(np.float32)
    features = np.column_stack([cell % n_features, (cell + 1 + cell % 7) % n_features]).ravel()
    matrix = sp.csr_matrix((values, features, np.arange(0, 2 * n_cells + 1, 2)), shape=(n_cells, n_features))
    return blocks_of(matrix, rows=rows)


def sample_of(query, **numbers):
    """Return the sample of a query, of which all cells are looked at or as many as the numbers say."""
    return Sample.of(QueryCells.read(query), replace(SETTINGS, **numbers))


@pytest.mark.parametrize(("n_cells", "looked_at"), [(9_999, 9_999), (10_000, 10_000), (10_001, 5_000)])
def test_of_more_than_10000_cells_5000_are_looked_at(n_cells, looked_at):
    data, read = recorded(query_of(n_cells, rows=4096))
    query = align(full_model(), data)
    read.clear()
    sample = sample_of(query)
    assert sorted(read) == list(range(n_cells))  # each cell is read once
    assert len(set(sample.rows.tolist())) == len(sample.rows) == looked_at
    assert sample.whole == (looked_at == n_cells)
    tenths = np.bincount(sample.rows * 10 // n_cells)  # from everywhere
    assert tenths.min() > 0.8 * tenths.mean()


def test_the_same_cells_are_looked_at_in_the_same_order_whatever_theirs(rng):
    counts, batch = rng.poisson(1, (900, 30)), rng.choice(["a", "b", "c"], 900).astype(object)
    one = sample_of(align(full_model(), blocks_of(counts), batch), whole=0, sample=200)
    order = rng.permutation(900)
    other = sample_of(align(full_model(), blocks_of(counts[order]), batch[order]), whole=0, sample=200)
    assert order[other.rows].tolist() == one.rows.tolist()
    assert (one.x != other.x).nnz == 0
    assert one.batches.tolist() == other.batches.tolist()


@pytest.mark.parametrize("n_small", [10, 49, 50, 120])
def test_of_each_batch_50_cells_are_looked_at_in_any_case(n_small):
    batch = np.full(900, "large", object)
    batch[300 : 300 + n_small] = "small"
    sample = sample_of(align(full_model(), query_of(900), batch), whole=0, sample=100)
    assert not sample.whole
    assert sample.n_batches == 2
    assert sample.batches.tolist() == [int(name == "small") for name in batch[sample.rows]]
    large, small = np.bincount(sample.batches)
    assert small == min(n_small, 50)
    assert 50 <= large <= 100 <= large + small + 1


def test_a_sample_of_all_cells_is_the_whole():
    sample = sample_of(align(full_model(), query_of(300)), whole=300)
    assert sample.whole
    assert sorted(sample.rows.tolist()) == list(range(300))


@pytest.mark.parametrize("batched", [False, True], ids=["one", "batches"])
def test_one_cell_of_several_equal_ones_stands_for_all(rng, batched):
    counts = np.vstack([rng.poisson(1, (90, 30)), rng.poisson(1, (1, 30))])
    original = np.concatenate([np.arange(91), rng.integers(0, 91, 180), np.full(40, 90)])  # of each cell
    order = rng.permutation(len(original))
    original = original[order]
    batch = np.where(rng.random(len(order)) < 0.5, "a", "b").astype(object) if batched else np.full(len(order), "a")
    cells = QueryCells.read(align(full_model(), blocks_of(counts[original]), batch.astype(object)))
    sample, every = Sample.of(cells), Sample.of(cells, copies=True)
    same = pd.MultiIndex.from_arrays([original, batch])
    assert len(sample.rows) == same.nunique()
    assert sample.rows.tolist() == [row for row in cells.order() if row in set(sample.rows)]
    assert not same[sample.rows].duplicated().any()
    assert same[sample.rows[sample.of_cells]].equals(same)
    np.testing.assert_array_equal(sample.x[sample.of_cells].toarray(), cells.at(np.arange(len(order))).toarray())
    assert every.rows.tolist() == cells.order().tolist()
    assert every.rows[every.of_cells].tolist() == list(range(len(order)))


def test_cells_that_are_there_several_times_make_no_query_large(rng):
    counts = np.tile(rng.poisson(1, (100, 30)), (4, 1))
    query = align(full_model(), blocks_of(counts))
    assert sample_of(query, whole=100).whole
    assert not sample_of(query, whole=99, sample=50).whole
    cells = QueryCells.read(query)
    assert not Sample.of(cells, replace(SETTINGS, whole=399), copies=True).whole


def test_a_sample_holds_normalised_cells_and_what_the_query_has(rng):
    model, counts = full_model(), rng.poisson(1.5, (300, 20)).astype(float)
    query = align(model, blocks_of(counts, names("GENE", 20)), np.resize(["a", "b"], 300).astype(object))
    sample = sample_of(query, whole=0, sample=100)
    expected = log_cp10k(counts, model.normalization.target_total)[sample.rows]
    np.testing.assert_allclose(sample.x.toarray()[:, :20], expected, rtol=1e-5)
    assert not sample.x[:, 20:].nnz
    assert sample.present.tolist() == [True] * 20 + [False] * 10
    assert sample.model is model


@pytest.fixture
def sample(rng):
    """Return 60 cells of two batches; of the one between them there is none."""
    x = sp.csr_matrix(rng.gamma(1, 1, (60, 30)) * (rng.random((60, 30)) < 0.4), dtype=np.float32)
    batches = np.where(np.arange(60) % 3, 2, 0)
    return Sample(full_model(), x, batches, 3, (np.arange(30) % 4 > 0)[None], np.arange(60), np.arange(60))


def test_sums_are_those_of_some_cells_of_each_batch(sample):
    dense = sample.x.toarray().astype(float)
    for cells in (np.arange(60), np.array([0, 5, 6, 59])):
        found = sample.sums(cells)
        for batch in range(3):
            of_batch = [cell for cell in cells if sample.batches[cell] == batch]
            assert found.n[batch, 0] == len(of_batch)
            np.testing.assert_allclose(found.total[batch], dense[of_batch].sum(axis=0), rtol=1e-5)
            np.testing.assert_allclose(found.squares[batch], (dense[of_batch] ** 2).sum(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(sample.sums().total, sample.sums(np.arange(60)).total)


@pytest.mark.parametrize("n_batches", [1, 3])
def test_calls_are_the_network_s_best_labels_by_the_scale_of_each_batch(sample, rng, n_batches):
    batches = sample.batches if n_batches == 3 else np.zeros(60, np.intp)
    sample = replace(sample, batches=batches, n_batches=n_batches)
    centre = rng.uniform(0, 1, (n_batches, 30)).astype(np.float32)
    deviation = rng.uniform(0.5, 2, (n_batches, 30)).astype(np.float32)
    z = (sample.x.toarray() - centre[batches] * sample.present) / deviation[batches]
    hidden = z
    for weight, bias in sample.model.layers[:-1]:
        hidden = np.maximum(hidden @ weight + bias, 0)
    logits = hidden @ sample.model.layers[-1][0] + sample.model.layers[-1][1]
    logits += z @ sample.model.linear[0] + sample.model.linear[1]
    found = sample.calls(Scale(centre, deviation, batches))
    assert found.tolist() == logits.argmax(axis=1).tolist()
    assert len(set(found)) > 1


def test_the_mean_over_a_batch_is_0_where_it_has_no_cell(sample, rng):
    values = rng.normal(size=60)
    expected = [values[sample.batches == 0].mean(), 0, values[sample.batches == 2].mean()]
    np.testing.assert_allclose(sample.batch_mean(values), expected)


@pytest.mark.parametrize(("share", "expected"), [(0.5, True), (0.09, False)])
def test_a_feature_of_which_a_batch_has_none_was_not_measured_where_it_is_expected(rng, share, expected):
    """Of 100 cells, 50 or 9 would have it."""
    counts = rng.poisson(2.0, (200, 30)) + 1
    batch = np.repeat(["a", "b"], 100).astype(object)
    counts[:, 7] = 0
    counts[: int(100 * share), 7] = 3
    sample = sample_of(align(full_model(), blocks_of(counts), batch))
    assert sample.measured[0].all()
    assert np.flatnonzero(~sample.measured[1]).tolist() == [7] * expected
    assert sample.present.sum() == 30 - expected
    assert sample_of(align(full_model(), blocks_of(counts))).measured.tolist() == [[True] * 30]
