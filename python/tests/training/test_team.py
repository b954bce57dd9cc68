"""Training by several processes, as torchrun starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from itertools import count

import numpy as np
import pytest
import torch

import deepscore
from deepscore.interfaces.cli import main
from deepscore.training.team import ALONE, Team, first_to_fail, is_helper, team
from synthetic import dataset

# A process whose turn it is fails in the middle of the training.
FAILING = """
import os, sys
from deepscore.errors import EngineError
from deepscore.interfaces.cli import main
from deepscore.training.course import Course

step, steps = Course._step, []
def failing(self, *arguments):
    steps.append(1)
    if os.environ["RANK"] == "1" and len(steps) == 20:
        raise EngineError("write_failed", "The disk is full.")
    return step(self, *arguments)
Course._step = failing
sys.exit(main(sys.argv[1:]))
"""

# Each process writes down how many cells it has read.
READING = """
import os, sys
from deepscore.interfaces.cli import main
from deepscore.training import reference

deal_out = reference.deal_out_together
def counting(blocks, *arguments):
    def counted():
        for block in blocks:
            open(f"read{os.environ['RANK']}", "a").write(f"{block.shape[0]}\\n")
            yield block
    return deal_out(counted(), *arguments)
reference.deal_out_together = counting
sys.exit(main(sys.argv[1:]))
"""


def torchrun(*arguments, folder):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("team")
    dataset(1, n_cells=600).write_h5ad(folder / "ref.h5ad")
    return folder


TRAIN = ("train", "ref.h5ad", "--labels", "cell_type", "--hidden-nodes", "32,16", "--epochs", 4)


def test_two_processes_train_one_model(folder, monkeypatch):
    monkeypatch.chdir(folder)
    done = torchrun("-m", "deepscore", *TRAIN, "--early-stopping", "-o", "two", folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("-> two") == done.stdout.count("<DeepScore:") == 1
    told = [line for line in done.stderr.splitlines() if "cells x" in line]
    assert len(told) == 2  # the choice of features and the reference, once and not once for each process
    assert main([*map(str, TRAIN), "--early-stopping", "-o", "one", "-q"]) == 0
    assert "arning" not in done.stderr.replace("W1", "")
    one, two = (deepscore.load(name) for name in ("one", "two"))
    held_out = [ds.manifest["training"]["held_out"]["accuracy"] for ds in (one, two)]
    assert held_out[1] == pytest.approx(held_out[0], abs=0.005)
    assert len(two.manifest["training"]["history"]) == 4
    query = dataset(2, n_cells=300)
    right = [
        (ds.annotate(query.copy()).obs["deepscore"].astype(str) == query.obs["cell_type"]).mean() for ds in (one, two)
    ]
    assert right[1] == pytest.approx(right[0], abs=0.01)
    first = [ds.model.layers[0][0] for ds in (one, two)]
    assert not np.array_equal(*first)  # each process has learnt from its own half


def test_each_process_reads_a_part_of_a_store_and_all_learn_from_every_cell(folder):
    (folder / "reading.py").write_text(READING)
    done = torchrun("reading.py", *TRAIN, "-o", "shared", folder=folder)
    assert done.returncode == 0, done.stderr
    assert [sum(map(int, (folder / f"read{rank}").read_text().split())) for rank in (0, 1)] == [300, 300]
    assert deepscore.load(folder / "shared").manifest["training"]["n_cells"] == 600


def test_a_process_that_fails_ends_all_with_one_error_and_no_model(folder):
    (folder / "failing.py").write_text(FAILING)
    done = torchrun("failing.py", *TRAIN, "-o", "three", folder=folder)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("deepscore:")]
    assert errors == ["deepscore: The disk is full. [write_failed]"]
    assert not [path for path in folder.iterdir() if "three" in path.name]


def test_an_error_of_all_processes_is_said_once(folder):
    done = torchrun("-m", "deepscore", "train", "ref.h5ad", "--labels", "nothing", "-o", "four", folder=folder)
    assert done.returncode == 1
    assert done.stderr.count("[column_not_found]") == 1


def test_a_process_by_itself_is_alone(monkeypatch):
    with team("cpu") as together:
        assert together == ALONE
    assert first_to_fail()
    assert not is_helper()
    monkeypatch.setenv("RANK", "1")
    assert not is_helper()  # of another launcher, whose processes may each do a job of their own
    cells = np.arange(5)
    assert ALONE.own(cells).tolist() == cells.tolist()
    assert ALONE.total(1.5, 2, device=torch.device("cpu")) == [1.5, 2]
    assert ALONE.of_first(b"x", torch.device("cpu")) == b"x"
    assert ALONE.device("cuda") == "cuda"
    assert ALONE.rows(7) == (0, 7)
    assert ALONE.beside("x") == ["x"]


def test_what_was_said_before_a_restart_does_not_count(monkeypatch):
    store = torch.distributed.HashStore()
    store.set_timeout(timedelta(milliseconds=100))
    monkeypatch.setattr("deepscore.training.team._store", lambda _: store)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    for attempt, rank in (("0", 1), ("1", 0)):  # process 1 has not come to speak again
        monkeypatch.setattr("deepscore.training.team._calls", count())
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", attempt)
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        with pytest.raises(RuntimeError):
            Team(rank, 2).beside(attempt)
        assert first_to_fail()
        assert not first_to_fail()


def test_the_processes_of_each_machine_read_all_rows(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    found = []
    for rank in range(3):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        found.append(Team(rank + 3, 6).rows(10))
    assert found == [(0, 3), (3, 6), (6, 10)]


@pytest.mark.parametrize(("size", "here", "expected"), [(1, 1, False), (2, 2, True), (4, 2, False), (5, 3, False)])
def test_only_processes_of_one_machine_share_files(monkeypatch, size, here, expected):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(here))
    assert Team(0, size).on_one_machine is expected


@pytest.mark.parametrize("n", [6, 7, 100])
def test_the_cells_of_a_step_are_dealt_out(n):
    own = [Team(rank, 3).own(np.arange(n)) for rank in range(3)]
    assert sorted(np.concatenate(own)) == [*range(n)]
    assert min(map(len, own)) >= 2


def test_of_too_few_cells_each_process_takes_all():
    assert [Team(rank, 3).own(np.arange(5)).tolist() for rank in range(3)] == [[0, 1, 2, 3, 4]] * 3
