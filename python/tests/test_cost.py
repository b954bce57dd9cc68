"""What the verbs cost, without a clock: how often they read each cell, the memory they take, and what they start.

``make bench-speed`` measures times; these are the causes that a slow machine does not hide.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import deepscore
import synthetic
from deepscore.data.blocks import MOST_IN_EXCERPT
from deepscore.interfaces import readers

# Of up to 10,000 cells all are read to choose some that tell what the values are: here are more.
N_CELLS, N_FEATURES, N_CHOSEN = 12_000, 60, 50


class Reads:
    """How often each row was read, of each data set that was opened."""

    def __init__(self) -> None:
        self.of_each: list[np.ndarray] = []

    def count(self, reader):
        """Return a reader of rows that counts what it reads, wherever the rows come from."""

        def counting(matrix, *arguments):
            read, rows = reader(matrix, *arguments)
            times = np.zeros(matrix.shape[0], np.intp)
            self.of_each.append(times)

            def counted(start, stop):
                times[start:stop] += 1
                return read(start, stop)

            return counted, rows

        return counting

    def of(self, call):
        """Return what a call returns, and how often it read the rows of each data set."""
        self.of_each.clear()
        return call(), list(self.of_each)


@pytest.fixture
def reads(monkeypatch):
    found = Reads()
    monkeypatch.setattr(readers, "_reader", found.count(readers._reader))
    return found


@pytest.fixture(scope="module")
def in_memory():
    return tuple(synthetic.dataset(seed, N_CELLS, N_FEATURES) for seed in (1, 2))


@pytest.fixture(params=["memory", "path"])
def pair(request, in_memory, tmp_path):
    """Return a reference and a query."""
    if request.param == "memory":
        return tuple(data.copy() for data in in_memory)
    paths = tmp_path / "reference.h5ad", tmp_path / "query.h5ad"
    for data, path in zip(in_memory, paths, strict=True):
        data.write_h5ad(path)
    return paths


def assert_passes(times, passes, excerpts):
    """Most rows are read `passes` times, all at least so often, and those of an excerpt once more for each."""
    assert times.min() == np.median(times) == passes
    assert times.sum() - passes * N_CELLS <= excerpts * MOST_IN_EXCERPT


def new_model(features=None):
    return deepscore.DeepScore((8,), features, epochs=1)


def chosen():
    return list(synthetic.names("GENE", N_FEATURES)[:N_CHOSEN])


def test_features_are_found_in_two_passes(pair, reads):
    _, of_each = reads.of(lambda: deepscore.find_common_features(*pair, N_CHOSEN))
    assert len(of_each) == 2
    for times in of_each:
        assert_passes(times, 2, 1)


def test_a_reference_is_read_once_and_training_reads_nothing(pair, reads):
    ds, (times,) = reads.of(lambda: new_model(chosen()).set_reference(pair[0], "cell_type"))
    assert_passes(times, 1, 2)
    assert reads.of(lambda: ds.train(progress=False))[1] == []
    assert_passes(times, 1, 2)


def test_a_reference_without_features_is_read_three_times(pair, reads):
    _, (times,) = reads.of(lambda: new_model().set_reference(pair[0], "cell_type"))
    assert_passes(times, 3, 3)


@pytest.mark.parametrize("refine", [True, False])
def test_a_query_is_read_once(pair, reads, refine):
    ds = new_model(chosen()).set_reference(pair[0], "cell_type").train(progress=False)
    _, (times,) = reads.of(lambda: ds.annotate(pair[1], refine=refine))
    assert_passes(times, 1, 2)


# ---------------------------------------------------------------------------------- memory, processes and threads

# Cells and genes with few counts each: a dense array of them is 40 times as large as what is stored, even if each of
# its values is one byte. The limit is in MB.
MANY_CELLS, MANY_GENES, COUNTS_PER_CELL = 60_000, 10_000, 30
LIMIT = 2 / 3 * MANY_CELLS * MANY_GENES / 1e6
CALLS = '''
import json, os, subprocess, sys, threading, warnings
import anndata as ad
import numpy as np
import deepscore

folder, n_features, planted = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
warnings.simplefilter("ignore")
paths = [os.path.join(folder, f"{name}.h5ad") for name in ("reference", "query")]


def memory(name):
    return int(open("/proc/self/status").read().split(name)[1].split()[0]) * 1024 / 1e6


def measured(verb, *arguments):
    """Return what a verb returns; note the most memory over that before it."""
    open("/proc/self/clear_refs", "w").write("5")
    before = memory("VmRSS:")
    found = verb(*arguments)
    megabytes.append(memory("VmHWM:") - before)
    return found


def call(reference, query):
    features = measured(deepscore.find_common_features, reference, query, n_features)
    ds = measured(deepscore.DeepScore((8,), features, epochs=1).set_reference, reference, "label")
    measured(lambda: ds.train(progress=False))
    measured(ds.annotate, query)


def waste(reference):
    kept.append(np.ones(ad.read_h5ad(reference, backed="r").shape, bool))
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    subprocess.run([sys.executable, "-c", ""], check=True)


kept, megabytes, few = [], [], ad.read_h5ad(paths[0])[:600].copy()
if not planted:
    call(few, few.copy())  # libraries are loaded, and the thread that watches the bars of tqdm begins
    megabytes.clear()
started, new = [], ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen")
sys.addaudithook(lambda event, _: started.append(event) if event in new else None)
threads = threading.active_count()
if planted:
    measured(waste, paths[0])
else:
    call(*paths)
    call(*map(ad.read_h5ad, paths))
threads = threading.active_count() - threads
print(json.dumps({"megabytes": max(megabytes), "threads": threads, "started": started}))
'''


def sparse_cells(seed):
    """Return cells of three labels, each with some genes of its own and most from the same ones."""
    rng, codes = np.random.default_rng(seed), np.arange(MANY_CELLS) % 3
    genes = (rng.random((MANY_CELLS, COUNTS_PER_CELL)) ** 3 * MANY_GENES / 4).astype(np.int32)
    genes[:, :10] += codes[:, None] * (MANY_GENES // 4)
    ends = np.arange(0, genes.size + 1, COUNTS_PER_CELL)
    x = sp.csr_matrix((np.ones(genes.size, np.float32), genes.ravel(), ends), shape=(MANY_CELLS, MANY_GENES))
    x.sum_duplicates()
    obs = pd.DataFrame({"label": [f"type {code}" for code in codes]}, index=[f"cell{i}" for i in range(MANY_CELLS)])
    return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(MANY_GENES)]))


@pytest.fixture(scope="module")
def cost(tmp_path_factory):
    """Return a function that makes all calls in a process of their own, and what that took."""
    folder = tmp_path_factory.mktemp("cost")
    for seed, name in enumerate(("reference", "query")):
        sparse_cells(seed).write_h5ad(folder / f"{name}.h5ad")
    env = {**os.environ, "OMP_NUM_THREADS": "2"}  # each thread that computes holds a block

    def run(planted):
        words = [sys.executable, "-c", CALLS, str(folder), str(MANY_GENES), json.dumps(planted)]
        done = subprocess.run(words, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux tells the peak of some calls")
def test_no_array_of_cells_by_features_is_made_and_nothing_is_left_running(cost):
    """The largest arrays are those of the sample of a query: some 200 MB, however many cells the query has."""
    found = cost(planted=False)
    assert found["megabytes"] < LIMIT
    assert found["threads"] == 0
    assert found["started"] == []


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux tells the peak of some calls")
def test_a_dense_array_a_thread_and_a_process_would_be_seen(cost):
    found = cost(planted=True)
    assert found["megabytes"] > LIMIT
    assert found["threads"] == 1
    assert "subprocess.Popen" in found["started"]
