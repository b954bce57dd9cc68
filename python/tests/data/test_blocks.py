from __future__ import annotations

import dataclasses
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deepscore.data import blocks
from deepscore.data.blocks import CellBlocks, Parts, require_unique, rows_per_block, tell_repeated_cells, watched
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


def sorted_rows(x):
    return sorted(map(tuple, x.toarray().tolist()))


def test_an_excerpt_of_few_cells_is_all_of_them(matrix):
    assert sorted_rows(blocks_of(matrix).excerpt(150)) == sorted_rows(sp.csr_matrix(matrix))


@pytest.mark.parametrize("n_cells", [100, 3000])
def test_an_excerpt_is_the_same_in_whatever_order_the_cells_are(rng, n_cells):
    x = rng.poisson(0.8, (2000, 30)).astype(np.float32)
    one = blocks_of(x, rows=300).excerpt(n_cells)
    assert abs(one.shape[0] - min(n_cells, 2000)) < 40
    assert set(sorted_rows(one)) <= set(sorted_rows(sp.csr_matrix(x)))
    cells, columns = rng.permutation(2000), rng.permutation(30)
    assert (one != blocks_of(x[cells], rows=77).excerpt(n_cells)).nnz == 0
    x *= rng.uniform(0.5, 1, x.shape).astype(np.float32)  # cells of the same counts have no order among themselves
    one = blocks_of(x, rows=300).excerpt(n_cells)
    assert (one[:, columns] != blocks_of(x[cells][:, columns], rows=77).excerpt(n_cells)).nnz == 0


def test_excerpts_read_a_data_set_once(rng):
    x = sp.csr_matrix(rng.poisson(0.5, (3000, 20)).astype(np.float32))
    data, read = blocks_of(x, rows=300), []
    counted = dataclasses.replace(data, read=lambda start, stop: read.append(start) or data.read(start, stop))
    large, small = counted.excerpt(2000), counted.excerpt()
    assert read == list(range(0, 3000, 300))
    assert (small != data.excerpt()).nnz == 0
    large.data[:] = 0
    assert counted.excerpt(2000).data.all()  # an excerpt may be changed


def test_an_excerpt_of_equal_cells_is_some_of_them():
    assert 50 <= blocks_of(np.ones((2000, 3), np.float32)).excerpt(100).shape[0] <= 2000


def test_an_excerpt_of_many_cells_is_of_runs_from_everywhere(monkeypatch, matrix):
    monkeypatch.setattr(blocks, "MOST_READ", 100)
    found = blocks_of(matrix).excerpt(100)
    np.testing.assert_array_equal(found.toarray(), matrix[blocks_of(matrix).spread(100)])


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
        assert asked == [(0, 23), (100, 150)]  # 64 rows cost less than to read again


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
    assert rows_per_block(n_cells, 2 * n_values, 4_000_000) == rows


@pytest.mark.parametrize(
    ("features", "cells", "code", "told"),
    [
        ([], ["x"], "empty_data", "1 cells x 0 features"),
        (["a"], [], "empty_data", "0 cells x 1 features"),
    ],
)
def test_names_must_be_there(features, cells, code, told):
    def never(start, stop):
        raise AssertionError("names are checked before any value is read")

    with pytest.raises(ValueError, match=told) as caught:
        CellBlocks(np.array(features, object), np.array(cells, object), never, 64, "X")
    assert caught.value.code == code


def test_names_that_occur_more_than_once_are_found_by_position_only():
    names = np.array(["a", "b", "a", "c"], object)
    data = blocks_of(np.arange(16).reshape(4, 4), names, np.array(["x", "y", "y", "z"], object))
    assert data.single.tolist() == [False, True, False, True]
    assert data.select(np.array([0, 1])).single.all()
    with pytest.warns(
        UserWarning, match=r"1 cell names occur more than once \(y\): results are in the order of the cells"
    ):
        tell_repeated_cells(data)
    tell_repeated_cells(data.take(np.array([0, 1])))
    require_unique(names[1:], "feature")
    with pytest.raises(InputError, match=r"1 feature names occur more than once \(a\)") as caught:
        require_unique(names, "feature")
    assert caught.value.code == "duplicate_features"


def test_cells_are_not_put_in_order_by_a_name_that_two_have():
    twice, once = (np.array(list(cells), object) for cells in ("xyy", "yxz"))
    data = blocks_of(np.arange(6).reshape(3, 2), cells=twice)
    assert data.in_order_of(twice.copy(), "Both") is data
    for one, order in ((data, twice[::-1]), (data, once), (blocks_of(np.ones((3, 2)), cells=once), twice)):
        with pytest.raises(InputError) as caught:
            one.in_order_of(order, "Both")
        assert caught.value.code == "duplicate_cells"


def test_a_data_set_is_frozen(matrix):
    with pytest.raises(dataclasses.FrozenInstanceError):
        blocks_of(matrix).rows = 3


# ------------------------------------------------------------------------------------------- to_csr, in_order_of


@given(
    arrays(np.int8, st.tuples(st.integers(1, 30), st.integers(1, 6)), elements=st.integers(0, 2)), st.integers(1, 31)
)
def test_all_cells_as_one_matrix(values, rows):
    found = blocks_of(values, rows=rows).to_csr()
    assert (found.dtype, found.shape, found.format) == (np.float32, values.shape, "csr")
    assert found.nnz == len(found.data) == len(found.indices) == np.count_nonzero(values)
    np.testing.assert_array_equal(found.toarray(), values)


@pytest.mark.parametrize("filled", [slice(0, 1), slice(149, 150), slice(0, 75), slice(75, 150), slice(0, 0)])
def test_arrays_grow_wherever_the_values_are(matrix, filled):
    values = np.zeros_like(matrix)
    values[filled] = 1 + matrix[filled]
    found = blocks_of(values, rows=10).to_csr()
    np.testing.assert_array_equal(found.toarray(), values)
    assert len(found.data) == np.count_nonzero(values)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_positions_of_either_width_become_one_matrix(matrix, kind):
    whole = sp.csr_matrix(matrix, dtype=np.float32)

    def read(start, stop):
        some = whole[start:stop]
        some.indices, some.indptr = some.indices.astype(kind), some.indptr.astype(kind)
        some.data = np.append(some.data, 9)  # room for more, as matrices in memory may have
        some.indices = np.append(some.indices, 3).astype(kind)
        return some

    found = dataclasses.replace(blocks_of(matrix, rows=40), read=read).to_csr()
    assert (found != whole).nnz == 0
    assert found.indices.dtype == np.int32


def test_one_matrix_is_held_once_and_nothing_dense():
    columns = np.tile(np.arange(0, 100_000, 500), 16).astype(np.int32)  # 200 values in each cell

    def read(start, stop):
        n = stop - start
        arrays = np.ones(200 * n, np.float32), np.resize(columns, 200 * n), np.arange(0, 200 * n + 1, 200)
        return sp.csr_matrix(arrays, shape=(n, 100_000))

    cells, features = (np.arange(n).astype(str).astype(object) for n in (20_000, 100_000))
    data = CellBlocks(features, cells, read, 500, "X")
    tracemalloc.start()
    try:
        found = data.to_csr()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = found.data.nbytes + found.indices.nbytes
    assert found.nnz == 200 * 20_000
    assert size == 8 * found.nnz
    assert peak < 2 * size  # dense it would be 250 times as much


def test_cells_come_in_the_order_of_another_data_set(matrix, rng):
    data, order = blocks_of(matrix, rows=20), rng.permutation(150)
    found = data.in_order_of(data.cell_names[order], "These")
    assert found.cell_names.tolist() == data.cell_names[order].tolist()
    assert found.feature_names is data.feature_names
    np.testing.assert_array_equal(found.to_csr().toarray(), matrix[order])
    assert data.in_order_of(data.cell_names.copy(), "These") is data


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a", "b"], "there are 2 and 3, of which 2"),
        (["a", "b", "c", "d"], "there are 4 and 3, of which 3"),
        (["a", "b", "x"], "there are 3 and 3, of which 2"),
        (["x-1", "y-1", "z-1"], r"of which 0 have a name in common \(not so 'x-1' and 'a'\)"),
    ],
)
def test_different_cells_are_refused(names, told):
    data = blocks_of(np.ones((3, 2)), cells=np.array(["a", "b", "c"], object))
    with pytest.raises(InputError, match=f"The one and the other must hold the same cells: .*{told}") as caught:
        data.in_order_of(np.array(names, object), "The one and the other")
    assert caught.value.code == "different_cells"


def test_long_reads_show_how_far_they_are(monkeypatch, capsys):
    data, now = blocks_of(np.eye(300), rows=100), iter(range(0, 10_000, 2))
    monkeypatch.setattr("tqdm.std.time", lambda: float(next(now)))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert [start for start, _ in watched(data, data.n_cells, "read")] == [0, 100, 200]
    assert "read: 100%" in capsys.readouterr().err
    monkeypatch.setattr("tqdm.std.time", lambda: 0.0)
    list(watched(data, data.n_cells, "read"))
    assert not capsys.readouterr().err


@pytest.fixture
def merged(matrix):
    """Return two data sets in one, each of which lacks features of the other."""
    data = blocks_of(matrix)
    parts = Parts.of(data.feature_names, ["b", "a"] * 75, {"a": ["GENE000", "GENE003"], "b": ["GENE011"]})
    return dataclasses.replace(data, parts=parts)


def test_parts_tell_what_each_has_measured(merged):
    measured = merged.parts.measured
    assert merged.parts.names == ("a", "b")
    assert merged.parts.of_cell.tolist() == [1, 0] * 75
    assert [np.flatnonzero(~row).tolist() for row in measured] == [[0, 3], [11]]
    assert Parts.of(merged.feature_names, ["a"] * 150, {"a": []}) is None
    some = merged.select(np.array([3, 11, 5])).take(np.array([7, 2]))
    assert some.parts.measured.tolist() == [[False, True, True], [True, False, True]]
    assert some.parts.of_cell.tolist() == [0, 1]
    assert merged.counted_in(merged.feature_names[:1], merged.read).parts is None


def test_features_that_all_parts_have_are_kept_and_told(merged, matrix, caplog):
    with caplog.at_level("INFO", "deepscore"):
        kept = merged.measured_by_all()
    np.testing.assert_array_equal(kept.to_csr().toarray(), matrix[:, [1, 2, 4, 5, 6, 7, 8, 9, 10]])
    assert kept.parts is None
    assert "9 of 12 features are in all of a, b" in caplog.text
    whole = blocks_of(matrix)
    assert whole.measured_by_all() is whole
    with pytest.raises(InputError) as caught:
        merged.select(np.array([0, 11])).measured_by_all()
    assert caught.value.code == "no_shared_features"
