"""The open-set benchmark: which labels are withheld from which tasks, and what its tables say."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import synthetic


@pytest.fixture
def openset(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks" / "accuracy")
    return importlib.import_module("openset")


def stored(folder, name, sizes):
    data = synthetic.dataset(1, n_cells=sum(sizes.values()), n_features=20)
    data.obs["label"] = np.repeat(list(sizes), list(sizes.values()))
    data.write_h5ad(folder / name)


def task(openset, folder, **more):
    entry = {"name": "one", "modality": "rna", "reference": "ref.h5ad", "query": "pbmc3k.h5ad", "label": "label"}
    return openset.Task(folder, entry | {"kind": "closed"} | more)


@pytest.fixture
def folder(tmp_path):
    stored(tmp_path, "ref.h5ad", {"B": 20, "T": 20, "NK": 20, "L2/3": 20, "rare": 20, "few": 2})
    # T is more than half; rare is less than 2 %; few has 14 cells; nobody knows "other".
    stored(tmp_path, "pbmc3k.h5ad", {"T": 530, "B": 300, "L2/3": 60, "NK": 50, "other": 46, "few": 14})
    return tmp_path


def test_each_label_is_withheld_that_is_neither_too_rare_nor_too_common(openset, folder):
    cases = openset.withheld(task(openset, folder))
    assert [case["name"] for case in cases] == ["one_without_B", "one_without_L2-3", "one_without_NK"]
    assert openset.withheld(task(openset, folder), limit=1) == cases[:1]
    path = openset.write_tasks(cases, folder)
    first, second, _ = openset.read_tasks(path)
    assert set(first.reference().obs["label"]) == {"T", "NK", "L2/3", "rare", "few"}
    assert set(second.reference().obs["label"]) == {"T", "B", "NK", "rare", "few"}
    assert first.query()[0].n_obs == 1000
    assert (first.open_set, first.group, first.family) == (True, "rna, open-set", "blood")


def test_what_a_task_says_of_its_cells_stays(openset, folder):
    where = {"label": ["B", "T", "NK"], "batch": ["odd"]}
    cases = openset.withheld(task(openset, folder, reference_where=where))
    assert [case["reference_where"] for case in cases] == [
        {"label": ["NK", "T"], "batch": ["odd"]},
        {"label": ["B", "T"], "batch": ["odd"]},
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "open-set"},
        {"modality": "activity"},
        {"bridge": {}},
        {"reference_where": {"label": ["B", "T"]}},  # one label would remain
    ],
)
def test_tasks_that_no_label_is_withheld_from(openset, folder, more):
    assert openset.withheld(task(openset, folder, **more)) == []


@pytest.mark.parametrize(
    ("more", "family"),
    [
        ({}, "blood"),
        ({"query": "tasic.h5ad", "modality": "spatial"}, "cortex"),
        ({"query": "snare_peaks.h5ad", "modality": "peaks"}, "peaks"),
        ({"query": "cite.h5ad", "modality": "protein"}, "protein"),
        ({"query": "kidney.h5ad"}, "kidney"),
    ],
)
def test_a_task_belongs_to_the_family_of_its_query(openset, tmp_path, more, family):
    assert task(openset, tmp_path, **more).family == family


def test_each_case_counts_once_in_its_family(openset):
    columns = ["family", "task", "method", "seed", "auroc", "unclassified_unknown"]
    rows = [
        ("blood", "b1", "deepscore", "0", 0.8, 0.5),
        ("blood", "b1", "deepscore", "1", 0.6, 0.5),
        ("blood", "b2", "deepscore", "0", 0.9, 0.7),
        ("islets", "i1", "deepscore", "0", 1.0, 1.0),
        ("blood", "b1", "lr_refz", "", 0.5, 0.0),
        ("blood", "b2", "lr_refz", "", 0.7, 0.0),
        ("blood", "b1", "singler", "", 0.9, 0.0),
        ("islets", "i1", "lr_refz", "", 0.4, 0.0),
    ]
    runs = pd.DataFrame(rows, columns=columns).reindex(columns=[*columns, *set(openset.OPEN) - set(columns)])
    means = openset.by_family(runs).set_index(["family", "method"])
    assert means.loc[("blood", "deepscore"), "auroc"] == pytest.approx(0.8)
    assert means.loc[("blood", "deepscore"), "cases"] == 2
    assert means.loc[("**all**", "deepscore"), "auroc"] == pytest.approx((0.7 + 0.9 + 1.0) / 3)
    leads = openset.leads(means.reset_index()).set_index("family")
    assert leads.loc["blood", "which"] == "singler"
    assert leads.loc["blood", "AUROC less best peer"] == pytest.approx(-0.1)
    assert leads.loc["islets", "AUROC less best peer"] == pytest.approx(0.6)
    assert "| b1 | 0.700 | 0.500 | 0.900 | 0.500 |" in openset.every_case(runs)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_near_cells_are_sure_whatever_the_querys_scale(openset, tmp_path, metric):
    method = importlib.import_module("methods.knn_distance")
    reference, query = synthetic.dataset(1), synthetic.dataset(2, 120)
    reference.obs["label"] = reference.obs["cell_type"]
    reference = reference[reference.obs["label"] != "T cell"].copy()
    query.X = query.X * 3
    calls, confidence, _ = method.transfer(reference, query, task(openset, tmp_path), metric)
    known = (query.obs["cell_type"] != "T cell").to_numpy()
    assert (calls == query.obs["cell_type"].to_numpy(str))[known].mean() > 0.8
    assert confidence[known].mean() > confidence[~known].mean()
