"""The ablation leaves out parts of the engine by its settings and options: each of them must exist, and work."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from synthetic import multiome

BENCHMARKS = Path(__file__).parents[1] / "benchmarks" / "accuracy"


@pytest.fixture
def ablation(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("ablation")


def test_annotation_works_without_each_part(ablation):
    (data, _), (query, peaks) = multiome(1), multiome(2, 120)
    data.obs["label"] = data.obs["cell_type"]
    model = ablation.trained(data, query, "rna")
    for change in ablation.ANNOTATION.values():
        for beside in ({}, {"peaks": peaks}):
            found = ablation.annotated(model, query, **(beside | change))
            assert (found.calls == query.obs["cell_type"].to_numpy(object)).mean() > 0.8


def test_training_works_without_each_part(ablation):
    data, query = multiome(1, 60)[1], multiome(2, 60)[1]
    data.obs["label"] = data.obs["cell_type"]
    for change in ablation.TRAINING.values():
        model = ablation.trained(data, query, "peaks", **change)
        assert len(ablation.annotated(model, query).calls) == 60


def test_a_path_alone_is_alone(ablation):
    (data, _), (query, _) = multiome(1), multiome(2, 60)
    data.obs["label"] = data.obs["cell_type"]
    for name, left_out in (("linear path alone", 0), ("hidden layers alone", 1)):
        model = ablation.trained(data, query, "rna", **ablation.TRAINING[name])
        assert not np.any((model.layers[-1], model.linear)[left_out][0])
