"""Real processes: a scheduler and workers, some of which are killed."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time

import anndata as ad
import cloudpickle
import pandas as pd
import pytest
from distributed import Client

import deepscore
from deepscore.errors import DeepScoreError
from deepscore.interfaces import cluster as clusters
from deepscore.interfaces import parts
from deepscore.interfaces.cli import main
from synthetic import dataset

N_CELLS = 10_500  # more than are looked at together
PER_RANGE = 1_500


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    dataset(5, N_CELLS).write_h5ad(folder / "query.h5ad")
    dataset(1).write_h5ad(folder / "reference.h5ad")
    return folder


class Processes:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, folder):
        self.file, self.workers = folder / f"scheduler-{secrets.token_hex(4)}.json", []
        self.scheduler = started("scheduler", "--port", "0", "--scheduler-file", self.file)
        while not self.file.exists():
            assert self.scheduler.poll() is None
            time.sleep(0.05)
        time.sleep(0.2)
        self.address = json.loads(self.file.read_text())["address"]

    def scale(self, n_workers, client):
        while len(self.workers) < n_workers:
            self.workers.append(started("worker", self.address, "--nthreads", "1", "--nanny", "--memory-limit", "0"))
        client.wait_for_workers(n_workers, timeout=60)

    def stop(self):
        for process in (*self.workers, self.scheduler):
            process.terminate()
        for process in (*self.workers, self.scheduler):
            process.wait(20)


def started(what, *options):
    command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def cluster(folder):
    found = Processes(folder)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def client(cluster):
    with Client(cluster.address, set_as_default=False) as one:
        cluster.scale(1, one)
        yield one


@pytest.fixture(scope="module")
def expected(trained, folder):
    """Return the table that one process writes."""
    trained.annotate_to_parquet(folder / "query.h5ad", folder / "expected.parquet", groups="batch")
    return pd.read_parquet(folder / "expected.parquet")


@pytest.fixture(autouse=True)
def many_ranges(monkeypatch):
    """Let the client make seven ranges of the query."""
    monkeypatch.setattr(parts, "row_ranges", lambda n: [(a, min(a + PER_RANGE, n)) for a in range(0, n, PER_RANGE)])


def killed_at_first(folder, mark):
    """Return a function for workers: the first time that it is called, its process is killed."""

    def call(function, *args):
        try:
            os.close(os.open(os.path.join(folder, mark), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return function(*args)
        os.kill(os.getpid(), signal.SIGKILL)

    return call


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_calls_and_features_of_one_process(
    trained, folder, cluster, client, expected, tmp_path, n_workers
):
    cluster.scale(n_workers, client)
    query, reference = folder / "query.h5ad", folder / "reference.h5ad"
    trained.annotate_to_parquet(query, tmp_path / "labels.parquet", groups="batch", client=client)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "labels.parquet"), expected)
    found = trained.annotate(query, groups="batch", client=cluster.address)
    for column in expected:
        assert found.obs[column].tolist() == expected[column].tolist()
    options = {"n_features": 30, "labels": "cell_type"}
    for strategy in ("variable", "markers_in_variable", "markers"):
        here, there = (
            deepscore.find_common_features(reference, query, strategy=strategy, client=one, **options)
            for one in (None, client)
        )
        assert here == there


def test_a_worker_that_is_killed_costs_a_retry(trained, folder, cluster, client, expected, tmp_path, monkeypatch):
    write_part, wrapper = parts._write_part, killed_at_first(str(tmp_path), "killed")

    def at_risk(cells, start, each, shared):
        if start == 3_000:
            return wrapper(write_part, cells, start, each, shared)
        return write_part(cells, start, each, shared)

    monkeypatch.setattr(parts, "_write_part", at_risk)
    trained.annotate_to_parquet(folder / "query.h5ad", tmp_path / "labels.parquet", groups="batch", client=client)
    assert (tmp_path / "killed").exists()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "labels.parquet"), expected)


def test_a_scheduler_that_is_lost_is_told_and_the_run_goes_on_without(trained, folder, expected, tmp_path):
    out, own = tmp_path / "labels.parquet", Processes(tmp_path)
    own.workers.append(started("worker", own.address, "--nthreads", "1", "--no-nanny"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            join = parts._write

            def lost_after_two(*args):
                for number, n_cells in enumerate(join(*args)):
                    if number == 1:
                        own.scheduler.kill()
                    yield n_cells

            patch.setattr(parts, "_write", lost_after_two)
            with pytest.raises(DeepScoreError, match="same again") as error:
                trained.annotate_to_parquet(folder / "query.h5ad", out, groups="batch", client=own.address)
        assert error.value.code == "cluster_lost"
    finally:
        own.stop()
    assert 2 <= len(list(parts.folder_of(out).glob("part-*.parquet"))) < 7 + 1
    trained.annotate_to_parquet(folder / "query.h5ad", out, groups="batch")
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected)


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("stored", ["list", "zarr", "layer"])
def test_workers_open_values_wherever_they_lie(trained, folder, client, tmp_path, stored):
    query = ad.read_h5ad(folder / "query.h5ad")
    if stored == "list":
        few = query[:, 10:].copy()  # of which the first features are missing
        for name, data in (("query", query), ("few", few)):
            data.write_h5ad(tmp_path / f"{name}.h5ad")
        paths, layer = [tmp_path / "query.h5ad", tmp_path / "few.h5ad", tmp_path / "query.h5ad"], None
    elif stored == "zarr":
        paths, layer = tmp_path / "query.zarr", None
        query.write_zarr(paths)
    else:
        paths, layer = tmp_path / "query.h5ad", "counts"
        query.layers["counts"], query.X = query.X, None
        query.write_h5ad(paths)
    for name, one in (("there", client), ("here", None)):
        trained.annotate_to_parquet(paths, tmp_path / f"{name}.parquet", layer=layer, client=one)
    there, here = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("there", "here"))
    pd.testing.assert_frame_equal(there, here)


def test_what_a_worker_holds_does_not_grow_with_the_cells(folder, client, tmp_path):
    dataset(5, 2 * N_CELLS).write_h5ad(tmp_path / "twice.h5ad")
    sizes = []
    for path in (folder / "query.h5ad", tmp_path / "twice.h5ad"):
        opened = clusters.open_on(client, path).blocks
        sizes.append(len(cloudpickle.dumps(opened.elsewhere.args[1])))
    assert abs(sizes[1] - sizes[0]) < 100
    assert sizes[0] < 20_000


def test_the_command_line_takes_the_address(trained, folder, cluster, client, expected, tmp_path, capsys):
    trained.save(tmp_path / "model")
    query, address, out = folder / "query.h5ad", cluster.address, tmp_path / "labels.parquet"
    arguments = ["annotate", tmp_path / "model", query, "-o", out, "--groups", "batch", "--scheduler", address]
    assert not main([str(one) for one in arguments])
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected)
    capsys.readouterr()
    features = ["features", str(folder / "reference.h5ad"), str(query), "--n-features", "9"]
    printed = []
    for more in ([], ["--scheduler", address]):
        assert not main([*features, *more])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


@pytest.mark.parametrize(
    ("data", "address", "code"),
    [("memory", None, "bad_argument"), ("path", "tcp://127.0.0.1:9", "cluster_lost"), ("path", 8786, "bad_argument")],
)
def test_what_no_cluster_can_do_is_refused(trained, folder, client, monkeypatch, data, address, code):
    monkeypatch.setattr(clusters, "PATIENCE", 1)
    query = ad.read_h5ad(folder / "query.h5ad") if data == "memory" else folder / "query.h5ad"
    with pytest.raises(DeepScoreError) as error:
        trained.annotate(query, client=client if address is None else address)
    assert error.value.code == code


def test_paths_that_workers_cannot_see_are_named(trained, folder, client, monkeypatch):
    monkeypatch.setattr(clusters, "_unseen", lambda paths: "/data/query.h5ad")
    with pytest.raises(DeepScoreError, match="/data/query.h5ad: its workers must see") as error:
        trained.annotate(folder / "query.h5ad", client=client)
    assert error.value.code == "file_not_found"


def test_without_distributed_it_is_said_what_to_install(trained, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DeepScoreError, match=r"deepscore\[cluster\]") as error:
        trained.annotate(folder / "query.h5ad", client="tcp://127.0.0.1:9")
    assert error.value.code == "missing_package"


def test_raw_peaks_are_not_read_by_a_cluster(trained, folder):
    with pytest.raises(DeepScoreError, match="peaks") as error:
        trained.annotate(folder / "query.h5ad", peaks="peaks.h5ad", client="tcp://127.0.0.1:9")
    assert error.value.code == "bad_argument"
