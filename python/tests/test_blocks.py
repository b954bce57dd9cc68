from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.blocks import CellBlocks, overlapped, rows_per_block
from deepscore.errors import InputError
from synthetic import blocks_of


@pytest.fixture
def matrix(rng):
    return rng.poisson(0.7, (150, 12))


@pytest.mark.parametrize("rows", [1, 64, 150, 1000])
@pytest.mark.parametrize("kind", [np.int32, np.float64, np.float32, np.bool_])
def test_blocks_are_all_rows_in_order_as_float32(matrix, rows, kind):
    values = matrix.astype(kind)
    parts = list(blocks_of(values, rows=rows))
    assert [start for start, _ in parts] == list(range(0, 150, rows))
    assert all(part.dtype == np.float32 and part.format == "csr" for _, part in parts)
    np.testing.assert_array_equal(sp.vstack([part for _, part in parts]).toarray(), values.astype(np.float32))


def test_select_keeps_the_named_columns_in_the_given_order(matrix):
    part = blocks_of(matrix).select(np.array([7, 0, 3]))
    assert part.feature_names.tolist() == ["GENE007", "GENE000", "GENE003"]
    np.testing.assert_array_equal(part.read(0, 150).toarray(), matrix[:, [7, 0, 3]])
    assert part.n_cells == 150


def test_a_sample_of_few_cells_is_all_of_them(matrix):
    np.testing.assert_array_equal(blocks_of(matrix).sample(150).toarray(), matrix)


def test_a_sample_comes_from_start_middle_and_end(matrix):
    rows = np.r_[0:10, 70:80, 140:150]
    np.testing.assert_array_equal(blocks_of(matrix).sample(30).toarray(), matrix[rows])


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_take_keeps_the_named_rows(matrix, rows):
    which, asked, whole = np.r_[0, 3:9, 20, 22, 100:150], [], blocks_of(matrix, rows=rows)

    def read(start, stop):
        asked.append((start, stop))
        return whole.read(start, stop)

    some = dataclasses.replace(whole, read=read).take(which)
    assert some.cell_names.tolist() == whole.cell_names[which].tolist()
    assert some.feature_names is whole.feature_names
    np.testing.assert_array_equal(sp.vstack([block for _, block in some]).toarray(), matrix[which])
    if rows > 150:
        assert asked == [(0, 1), (3, 9), (20, 21), (22, 23), (100, 150)]


@pytest.mark.parametrize(("n_cells", "run"), [(40, 10), (70, 10), (149, 10), (10, 10), (12, 5), (5, 10)])
def test_spread_gives_runs_at_even_distances_from_both_ends(matrix, n_cells, run):
    found = blocks_of(matrix).spread(n_cells, run)
    n_runs = max(n_cells // run, 1)
    starts = [i * (150 - run) // max(n_runs - 1, 1) for i in range(n_runs)]
    assert found.tolist() == sorted({start + i for start in starts for i in range(run)})
    assert found[0] == 0
    assert found[-1] == (149 if n_runs > 1 else run - 1)


def test_spread_of_few_cells_is_all_of_them(matrix):
    assert blocks_of(matrix).spread(150).tolist() == list(range(150))
    assert blocks_of(matrix).spread(10_000).tolist() == list(range(150))


@pytest.mark.parametrize(
    ("n_cells", "n_values", "rows"),
    [
        (100_000, 100_000 * 1000, 2000),  # two million values in a block
        (1000, 1000 * 10_000_000, 64),  # never fewer cells than this
        (10**6, 10**6, 16_384),  # nor more than that
        (10, 0, 16_384),
    ],
)
def test_rows_per_block(n_cells, n_values, rows):
    assert rows_per_block(n_cells, n_values) == rows


@pytest.mark.parametrize(
    ("features", "cells", "code", "told"),
    [
        (["a", "b", "a"], ["x"], "duplicate_features", "1 feature names .*(a)"),
        (["a"], ["x", "y", "y"], "duplicate_cells", "1 cell names .*(y)"),
        ([], ["x"], "empty_data", "1 cells x 0 features"),
        (["a"], [], "empty_data", "0 cells x 1 features"),
    ],
)
def test_names_must_be_there_and_unique(features, cells, code, told):
    def never(start, stop):
        raise AssertionError("names are checked before any value is read")

    with pytest.raises(ValueError, match=told) as caught:
        CellBlocks(np.array(features, object), np.array(cells, object), never, 64, "X")
    assert caught.value.code == code


def test_a_data_set_is_frozen(matrix):
    with pytest.raises(dataclasses.FrozenInstanceError):
        blocks_of(matrix).rows = 3


# ------------------------------------------------------------------------------------------------- overlapped


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_overlapped_keeps_the_order(n):
    assert list(overlapped(lambda i: i * i, range(n))) == [i * i for i in range(n)]


def test_overlapped_fetches_here_and_computes_there():
    fetched = []

    def items():
        for _ in range(3):
            fetched.append(threading.get_ident())
            yield None

    computed = set(overlapped(lambda _: threading.get_ident(), items()))
    assert set(fetched) == {threading.get_ident()}
    assert threading.get_ident() not in computed


def test_overlapped_fetches_while_the_other_thread_computes():
    second_fetched = threading.Event()

    def items():
        yield 0
        second_fetched.set()
        yield 1

    assert list(overlapped(lambda _: second_fetched.wait(5), items())) == [True, True]


@pytest.mark.parametrize("bad", ["fetch", "compute"])
def test_overlapped_hands_on_errors(bad):
    def items():
        yield 1
        if bad == "fetch":
            raise InputError("non_finite", "a bad block")
        yield 0

    with pytest.raises(InputError if bad == "fetch" else ZeroDivisionError):
        list(overlapped(lambda i: 1 / i, items()))
