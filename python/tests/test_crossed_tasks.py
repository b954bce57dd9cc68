"""The generator of tasks: which parts of which files become references of which others."""

import importlib
from pathlib import Path

import pytest

import synthetic


@pytest.fixture
def crossed_tasks(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks" / "accuracy")
    return importlib.import_module("crossed_tasks")


def stored(path, labels, batches=1):
    data = synthetic.dataset(1, n_cells=90, n_features=200, labels=labels)
    data.obs = data.obs.rename(columns={"cell_type": "label"})
    data.obs["batch"] = [f"b{i % batches}" for i in range(90)]
    data.write_h5ad(path)
    return path


def test_every_study_is_the_reference_of_every_other(crossed_tasks, tmp_path):
    three, others = ("B", "T", "NK"), ("X", "Y", "Z")
    files = [stored(tmp_path / "one.h5ad", three, 2), stored(tmp_path / "two.h5ad", three)]
    files += [stored(tmp_path / "alone.h5ad", others), stored(tmp_path / "many.h5ad", others, 7)]
    entries = crossed_tasks.crossed(files)
    assert [task["name"] for task in entries] == [
        "one_b0_to_one_b1", "one_b1_to_one_b0", "one_to_two", "two_to_one", "two_to_one_b0", "two_to_one_b1",
        "alone_to_many", "many_to_alone",
    ]  # fmt: skip
    path = crossed_tasks.write_tasks(entries, tmp_path)
    tasks = {task.name: task for task in importlib.import_module("tasks").read_tasks(path)}
    reference, (query, truth) = tasks["one_b0_to_one_b1"].reference(), tasks["one_b0_to_one_b1"].query()
    assert set(reference.obs["batch"]) == {"b0"}
    assert len(truth) == query.n_obs == 45
    assert set(tasks["two_to_one"].query()[0].obs["batch"]) == {"b0", "b1"}
    assert list(tasks["two_to_one_b1"].query()[0].obs) == []
