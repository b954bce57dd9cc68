from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.query import cells as query_cells
from deepscore.query.align import align
from deepscore.query.cells import QueryCells, gathered
from synthetic import blocks_of, full_model, recorded

N_CELLS, N_FEATURES = 130, 30


@pytest.fixture
def raw(rng):
    return rng.poisson(0.7, (N_CELLS, N_FEATURES)).astype(np.float32)


def read(raw, batch=None, **options):
    return QueryCells.read(align(full_model(), blocks_of(raw, rows=16), batch), **options)


def in_parts(raw, size):
    return [(start, sp.csr_matrix(raw[start : start + size])) for start in range(0, N_CELLS, size)]


def test_equal_cells_have_keys_of_their_own_and_so_have_those_of_another_batch(raw):
    twice = np.vstack([raw, raw])
    alone, same = set(read(raw).keys.tolist()), read(twice).keys
    assert len(set(same.tolist())) == 2 * N_CELLS
    assert set(same[:N_CELLS].tolist()) == alone
    other = read(raw, np.array(["a", "b"] * (N_CELLS // 2), object))
    assert len(alone & set(other.keys.tolist())) == N_CELLS // 2  # those of the first batch


def test_of_equal_cells_of_a_batch_the_first_stands_for_all(raw, rng):
    raw[7] = 0
    again = np.concatenate([np.arange(N_CELLS), rng.integers(0, N_CELLS, 90), [7, 7]])
    batch = rng.choice(["a", "b"], len(again)).astype(object)
    for of_cells, known in ((None, list(again)), (batch, list(zip(again, batch, strict=True)))):
        found = read(raw[again], of_cells).first_equal
        assert found.tolist() == [known.index(cell) for cell in known]
        assert found.dtype == np.intp


@pytest.mark.parametrize("most", [0, 1000, 1500, 10**6])
def test_what_is_not_held_is_read_again(raw, most, monkeypatch, rng):
    monkeypatch.setattr(query_cells, "CELLS_PER_CALL", 20)
    data, asked = recorded(blocks_of(raw, rows=16))
    query = align(full_model(), data)
    whole = query.cells(np.arange(N_CELLS)).toarray()
    asked.clear()
    cells = QueryCells.read(query, most)
    assert asked == list(range(N_CELLS))
    n_held = sum(block.shape[0] for _, block in cells.held)
    assert sum(block.nnz for _, block in cells.held) <= most
    asked.clear()
    firsts, blocks = zip(*cells.blocks(), strict=True)
    assert asked == list(range(n_held, N_CELLS))
    assert sp.vstack(blocks).toarray().tolist() == whole.tolist()
    assert list(firsts) == np.cumsum([0, *(block.shape[0] for block in blocks[:-1])]).tolist()
    for rows in (rng.permutation(N_CELLS), np.array([129, 0, 57]), np.array([3])):
        assert cells.at(rows).toarray().tolist() == whole[rows].tolist()


@pytest.mark.parametrize("cells_per_call", [1, 20, 10_000])
def test_joined_blocks_hold_all_cells_in_order(raw, cells_per_call, monkeypatch):
    monkeypatch.setattr(query_cells, "CELLS_PER_CALL", cells_per_call)
    joined = list(gathered(in_parts(raw, 13)))
    assert (sp.vstack([block for _, block in joined]).toarray() == raw).all()
    assert [start for start, _ in joined] == np.cumsum([0, *(b.shape[0] for _, b in joined[:-1])]).tolist()
    assert min((b.shape[0] for _, b in joined[:-1]), default=cells_per_call) >= cells_per_call


def test_joined_blocks_of_dense_cells_stay_small(raw, monkeypatch):
    monkeypatch.setattr(query_cells, "VALUES_PER_BLOCK", 100)
    joined = list(gathered(in_parts(raw, 1)))
    assert (sp.vstack([block for _, block in joined]).toarray() == raw).all()
    for (_, block), (after, _) in itertools.pairwise(joined):
        assert block[:-1].nnz < 100 <= block.nnz
        assert after < N_CELLS


def test_counts_and_their_logarithms_are_in_the_same_order(raw, rng):
    cells, logarithms = read(raw), read(np.log1p(1e4 * raw / raw.sum(axis=1, keepdims=True)))
    assert cells.order().tolist() == logarithms.order().tolist() != list(range(N_CELLS))
    moved = rng.permutation(N_CELLS)
    assert moved[read(raw[moved]).order()].tolist() == cells.order().tolist()
