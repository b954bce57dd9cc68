from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import settings as settings_of_tests
from hypothesis import strategies as st

from deepscore.query import cells as query_cells
from deepscore.query.align import align
from deepscore.query.candidates import Candidates, candidates_of
from deepscore.query.cells import QueryCells, gathered, look_through
from deepscore.query.sample import Sample
from deepscore.query.settings import SETTINGS
from synthetic import blocks_of, full_model, recorded


def query_of(seed, n_cells, n_different, n_batches, rows=16):
    """Return a query with copies of cells, of batches some of which are rare."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.4, (n_different, 30)).astype(np.float32)[rng.integers(0, n_different, n_cells)]
    batch = np.array([f"b{code}" for code in np.minimum(rng.geometric(0.5, n_cells), n_batches)], object)
    return align(full_model(), blocks_of(counts, rows=rows), batch)


def same(found, expected):
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.batches.tolist() == expected.batches.tolist()
    assert found.n_batches == expected.n_batches
    assert found.measured.tolist() == expected.measured.tolist()
    assert found.of_cells is None
    for name in ("data", "indices", "indptr"):
        assert getattr(found.x, name).tolist() == getattr(expected.x, name).tolist()


numbers = st.fixed_dictionaries(
    {"whole": st.integers(0, 60), "sample": st.integers(1, 80), "cells_per_batch": st.integers(1, 20)}
)


@settings_of_tests(deadline=None, max_examples=60)
@given(
    st.integers(0, 99),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 5),
    numbers,
    st.lists(st.integers(1, 299)),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_ranges_in_any_order_give_the_sample_of_all_cells(seed, n, n_different, n_batches, of, cuts, values, random):
    settings = replace(SETTINGS, **of)
    query = query_of(seed, n, n_different, n_batches)
    expected = Sample.of(QueryCells.read(query), settings)
    edges = [0, *sorted({cut for cut in cuts if cut < n}), n]
    parts = [
        candidates_of(gathered(query.normalised(start, stop)), query.batches, settings, values=values)
        for start, stop in itertools.pairwise(edges)
    ]
    random.shuffle(parts)
    while len(parts) > 1:  # merged as they come
        some = [parts.pop() for _ in range(random.randint(2, len(parts)))]
        parts.insert(random.randint(0, len(parts)), Candidates.merged(some, settings))
    found = Candidates.merged(parts, settings).looked_at(settings)
    if expected.whole:
        assert found is None
    else:
        found = replace(found, x=query.cells(found.rows)) if found.x is None else found
        same(Sample.of_large(query, found, settings), expected)


@pytest.mark.parametrize("cells_per_call", [1, 20, 10_000])
@pytest.mark.parametrize("most", [0, 500, 10**6])
def test_each_cell_is_read_once_and_the_first_ones_are_held(monkeypatch, cells_per_call, most):
    monkeypatch.setattr(query_cells, "CELLS_PER_CALL", cells_per_call)
    settings = replace(SETTINGS, whole=0, sample=40)
    data, read = recorded(blocks_of(np.random.default_rng(0).poisson(0.7, (200, 30)), rows=16))
    query = align(full_model(), data)
    whole = query.cells(np.arange(200)).toarray()
    expected = Sample.of(QueryCells.read(query), settings)
    read.clear()
    candidates, held = look_through(query, settings, most)
    assert read == list(range(200))
    same(Sample.of_large(query, candidates.looked_at(settings), settings), expected)
    assert sum(block.nnz for _, block in held.held) <= most
    for start, stop in ((0, None), (0, 200), (3, 150), (120, 121), (190, 200)):
        blocks = list(held.blocks(start, stop))
        assert sp.vstack([block for _, block in blocks]).toarray().tolist() == whole[start:stop].tolist()
        starts = np.cumsum([start, *(block.shape[0] for _, block in blocks[:-1])])
        assert [first for first, _ in blocks] == starts.tolist()


def test_few_cells_are_kept_whatever_the_size_of_the_query():
    settings = replace(SETTINGS, whole=20, sample=10, cells_per_batch=3)
    query = query_of(1, 5_000, 5_000, 3)
    found = candidates_of(gathered(query.normalised()), query.batches, settings)
    assert 21 <= len(found.rows) <= 21 + 3 * 3
    assert candidates_of(gathered(query.normalised()), query.batches, settings, values=False).x is None
