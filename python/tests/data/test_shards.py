from __future__ import annotations

import errno
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data import shards as module
from deepscore.data.shards import Shards, deal_out, deal_out_together
from deepscore.errors import EngineError

N_CELLS, N_FEATURES = 400, 30
# Values of a shard, and of those that stay in memory: one shard, some in memory, some on disk.
PLACES = {"one": (10**9, 10**9), "memory": (300, 10**9), "disk": (300, 0)}


@pytest.fixture
def matrix(rng):
    found = sp.random(N_CELLS, N_FEATURES, 0.2, format="csr", dtype=np.float32, random_state=rng)
    return sp.diags((np.arange(N_CELLS) != 7).astype(np.float32)).tocsr() @ found  # one cell has nothing


def dealt(matrix, place, step=23):
    """Deal the rows out as they come in blocks."""
    per_shard, held = PLACES[place]
    edges = [*range(0, matrix.shape[0], step), matrix.shape[0]]
    blocks = (matrix[a:b] for a, b in pairwise(edges))
    return deal_out(blocks, matrix.shape[0], matrix.shape[1], per_shard, held)


@pytest.mark.parametrize("place", PLACES)
def test_every_cell_is_in_one_shard_with_its_values(matrix, place):
    found, dense, seen = dealt(matrix, place), matrix.toarray(), []
    for cells, part in found:
        np.testing.assert_array_equal(part.toarray(), dense[cells])
        assert part.dtype == np.float32
        seen.extend(cells.tolist())
    assert sorted(seen) == list(range(N_CELLS))
    assert (found.n_cells, found.n_features) == matrix.shape
    assert (len(found.parts) == 1) == (place == "one")


@pytest.mark.parametrize("place", PLACES)
def test_cells_are_found_by_their_positions_in_any_order(matrix, place, rng):
    found, dense = dealt(matrix, place), matrix.toarray()
    some = rng.permutation(N_CELLS)[:50]
    np.testing.assert_array_equal(found.at(some).toarray(), dense[some])
    np.testing.assert_array_equal(found.at(np.sort(some)).toarray(), dense[np.sort(some)])
    part = found.take(some)
    np.testing.assert_array_equal(part.at(np.array([3, 1])).toarray(), dense[some[[3, 1]]])
    assert part.n_cells == 50
    assert sum(len(cells) for cells, _ in part) == 50
    assert found.take(np.arange(N_CELLS)) is found
    assert found.at(some[:0]).shape == (0, N_FEATURES)


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_a_sorted_data_set_is_mixed_in_every_shard(place):
    labels = np.repeat(np.arange(4), 250)
    sorted_cells = sp.csr_matrix(np.eye(4, dtype=np.float32)[labels])
    found = dealt(sorted_cells, place, step=10)
    assert len(found.parts) == 3
    for cells, _ in found:
        share = np.bincount(labels[cells], minlength=4) / len(cells)
        np.testing.assert_allclose(share, 0.25, atol=0.08)  # three deviations of a fair deal


def test_the_order_of_the_shards_is_the_callers(matrix):
    found = dealt(matrix, "disk")
    order = [2, 0, 1]
    of_order = [cells for cells, _ in found.in_order(order)]
    for i, cells in zip(order, of_order, strict=True):
        np.testing.assert_array_equal(cells, found.parts[i].cells)


def test_values_on_disk_take_six_bytes_and_none_in_memory(matrix, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = []
    monkeypatch.setattr(module.tempfile, "TemporaryFile", lambda **how: made.append(open_in(tmp_path, how)) or made[-1])
    found = dealt(matrix, "disk")
    assert made[0].seek(0, 2) == 6 * matrix.nnz
    assert found.at(np.arange(N_CELLS)).nnz == matrix.nnz


def open_in(folder, how):
    return open(folder / f"{how['prefix']}x", "w+b", buffering=how["buffering"])


def test_more_features_than_two_bytes_can_number(rng):
    wide = sp.random(300, 2**16 + 9, 0.001, format="csr", dtype=np.float32, random_state=rng)
    found = deal_out((wide[i : i + 20] for i in range(0, 300, 20)), 300, wide.shape[1], 2000, 0)
    assert len(found.parts) > 1
    assert (found.at(np.arange(300)) != wide).nnz == 0


def test_a_full_disk_is_told_of(matrix, monkeypatch):
    class Full:
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(module.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(EngineError, match="TMPDIR") as caught:
        dealt(matrix, "disk")
    assert caught.value.code == "write_failed"


def test_no_file_is_left_behind(matrix, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = dealt(matrix, "disk")
    assert list(tmp_path.iterdir()) == []
    assert isinstance(found, Shards)


class Processes:
    """Some processes of a machine, as threads: each gets what all of them give."""

    def __init__(self, size):
        self.barrier, self.given = threading.Barrier(size), [None] * size

    def beside(self, rank, what):
        self.given[rank] = what
        self.barrier.wait(10)
        found = list(self.given)
        self.barrier.wait(10)
        return found


def dealt_together(matrix, place, edges):
    """Deal out the rows between each two edges by a process of its own; return what each of them has."""
    per_shard, held = PLACES[place]
    processes = Processes(len(edges) - 1)

    def deal(rank):
        first, stop = edges[rank : rank + 2]
        blocks = (matrix[a : min(a + 23, stop)] for a in range(first, stop, 23))
        beside = partial(processes.beside, rank)
        return deal_out_together(blocks, first, stop - first, matrix.shape[1], beside, per_shard, held)

    with ThreadPoolExecutor(len(edges) - 1) as pool:
        return list(pool.map(deal, range(len(edges) - 1)))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("edges", [(0, 150, 150, N_CELLS), (0, 390, N_CELLS), (0, N_CELLS)])
def test_processes_that_read_a_part_each_have_all_cells_in_the_same_shards(matrix, place, edges):
    every, dense = dealt_together(matrix, place, edges), matrix.toarray()
    for found in every:
        assert (found.n_cells, found.n_features) == matrix.shape
        assert len(found.parts) == len(every[0].parts)
        assert (len(found.parts) == 1) == (place == "one")
        seen = []
        for (cells, part), (of_first, _) in zip(found, every[0], strict=True):
            np.testing.assert_array_equal(cells, of_first)
            np.testing.assert_array_equal(part.toarray(), dense[cells])
            seen.extend(cells.tolist())
        assert sorted(seen) == list(range(N_CELLS))
        if place == "one":
            assert seen == list(range(N_CELLS))


def test_processes_that_cannot_open_the_files_of_others_read_all_by_themselves(matrix, monkeypatch):
    monkeypatch.setattr(module._Spill, "path", property(lambda spill: f"/nowhere/{id(spill)}"))
    assert dealt_together(matrix, "disk", (0, 150, N_CELLS)) == [None, None]
