"""The figures of the accuracy benchmark: scores of a run, the margins over peers, cells annotated in another order."""

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks" / "accuracy")
    return importlib.import_module


def test_right_labels_withheld_are_those_of_known_cells_that_the_threshold_took(load):
    result = {
        "truth": ["B", "B", "T", "T", "NK", "NK"],
        "labels": ["B", "T"],
        "best": ["B", "T", "T", "T", "B", "T"],
        "calls": ["Unclassified", "Unclassified", "Unclassified", "T", "Unclassified", "T"],
        "confidence": [0.4, 0.4, 0.3, 0.9, 0.2, 0.8],
        "permuted": ["Unclassified", "B", "Unclassified", "T", "Unclassified", "T"],
    }
    found = load("score").score(result, open_set=True)
    assert found["withheld_right"] == 2 / 4  # the second cell's best label is wrong, the fifth has none that is right
    assert found["unclassified_known"] == 3 / 4
    assert found["unclassified_unknown"] == 1 / 2
    assert found["equal_permuted"] == 5 / 6
    assert found["accuracy"] == 1 / 4
    del result["permuted"]
    assert "equal_permuted" not in load("score").score(result, open_set=False)


def test_the_floor_of_the_calibration_error_is_that_of_perfect_scores(load):
    score = load("score")
    rng = np.random.default_rng(0)
    few, many = rng.uniform(0.4, 1, 60), rng.uniform(0.4, 1, 6000)
    assert score.calibration_floor(few) == score.calibration_floor(few)
    # Of one bin with n cells of chance p, the mean of |share - p| is sqrt(2 p (1 - p) / (pi n)), nearly.
    same = np.full(4000, 0.7)
    assert score.calibration_floor(same, n_draws=400) == pytest.approx(np.sqrt(2 * 0.21 / (np.pi * 4000)), rel=0.15)
    assert score.calibration_floor(np.ones(50)) == 0
    assert score.calibration_floor(many) < score.calibration_floor(few) < 0.2
    right = rng.random(len(many)) < many
    assert score.calibration_error(many, right) == pytest.approx(score.calibration_floor(many), abs=0.01)


def test_calls_of_permuted_cells_come_back_in_the_querys_order(load):
    names = np.array([f"cell{i}" for i in range(50)])
    assert load("one").permuted(lambda order: names[order], 50) == names.tolist()
    assert load("one").permuted(lambda order: names, 50) != names.tolist()  # calls that depend on the place


def runs(**figures):
    rows = [("rna", "one", "blood"), ("rna", "two", "islets"), ("rna, open-set", "three", "blood")]
    names = ("group", "task", "family")
    return [
        dict(zip(names, row, strict=True), method="deepscore", seed="0", seconds=1.0, megabytes=1.0)
        | {name: values[i] for name, values in figures.items() if values[i] is not None}
        for i, row in enumerate(rows)
    ]


def test_margins_have_mean_and_worst_and_use_the_file_of_peers_where_none_is_run(load, tmp_path, capsys):
    rows = runs(
        accuracy=[0.9, 0.8, 0.9],
        macro_f1=[0.8, 0.6, 0.9],
        withheld_right=[0.0, 0.03, 0.0],
        ece=[0.1, 0.02, 0.2],
        auroc=[None, None, 0.7],
    )
    lines = ["task,method,version,accuracy,macro_f1,auroc_unknown"]
    lines += ["one,lr_refz,1,0.8,0.7,", "one,seurat,1,0.7,0.75,", "two,lr_refz,1,0.9,0.65,", "two,lost,1,,,"]
    lines += ["three,lr_refz,1,0.8,0.7,0.9", "another,lr_refz,1,1,1,"]
    (tmp_path / "peers.csv").write_text("\n".join(lines) + "\n")
    run, methods = load("run"), load("catalog").discover()
    tasks = [load("tasks").Task(tmp_path, {"name": row["task"]}) for row in rows]
    own = [methods["deepscore"]]
    peers = run.kept_peers(tmp_path / "tasks.toml", tasks, own)
    assert len(peers) == 5
    assert run.kept_peers(tmp_path / "tasks.toml", tasks, [*own, methods["lr_refz"]]) == []
    assert run.kept_peers(tmp_path / "elsewhere" / "tasks.toml", tasks, own) == []

    load("report").write(rows, tmp_path, peers)
    text = (tmp_path / "accuracy.md").read_text()
    assert "No peer was run: theirs are the figures of peers.csv" in text
    assert "| right labels withheld | 3 all | 0.010 | 0.030 | two |" in text
    assert "| ECE | 2 closed | 0.060 | 0.100 | one |" in text
    assert "| macro-F1 less best peer | 2 closed | 0.000 | -0.050 | two |" in text
    assert "| AUROC less best peer | 1 open-set | -0.200 | -0.200 | three |" in text
    assert "| **worst** | 0.600 | -0.050 |" in text
    assert "| islets | 1 | 0.800 | 0.600 | 0.020 |  | 0.030 |" in text
    assert set(pd.read_csv(tmp_path / "accuracy.csv")["method"]) == {"deepscore"}  # peers that were not run are no runs

    load("report").write(rows, tmp_path, [])
    assert "peers.csv" not in (tmp_path / "accuracy.md").read_text()
    capsys.readouterr()


def test_several_runs_at_once_come_back_in_order(load, tmp_path, monkeypatch, capsys):
    run, methods = load("run"), load("catalog").discover()
    monkeypatch.setattr(run, "environment", lambda method: Path("python"))
    found = {"calls": ["B", "T"], "truth": ["B", "T"], "labels": ["B", "T"], "confidence": [1, 1], "seconds": 1.0}
    monkeypatch.setattr(run, "result", lambda *_: json.loads(json.dumps(found)))
    monkeypatch.setenv("SEEDS", "0,1")
    entry = {"modality": "rna", "kind": "closed", "query": "x.h5ad"}
    tasks = [load("tasks").Task(tmp_path, entry | {"name": f"task{i}"}) for i in range(5)]
    chosen = [methods["deepscore"], methods["lr_refz"], methods["ceiling_rna"]]
    one = run.measure(tmp_path, tasks, chosen)
    assert [(row["task"], row["method"], row["seed"]) for row in one] == [
        (f"task{i}", *of) for i in range(5) for of in (("deepscore", "0"), ("deepscore", "1"), ("lr_refz", ""))
    ]
    monkeypatch.setenv("JOBS", "3")
    assert run.measure(tmp_path, tasks, chosen) == one
    capsys.readouterr()
