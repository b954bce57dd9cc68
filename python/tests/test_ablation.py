"""The ablation replaces parts of the engine by name: each replacement must still fit what it replaces."""

from __future__ import annotations

import importlib
from pathlib import Path

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
        options = {key: value for key, value in change.items() if isinstance(key, str)}
        with ablation.patched({key: value for key, value in change.items() if key not in options}):
            for more in ({}, {"peaks": peaks}):
                found = ablation.annotated(model, query, **(more | options))
                assert (found.obs["deepscore"] == query.obs["cell_type"]).mean() > 0.8


def test_training_works_without_each_part(ablation):
    data, query = multiome(1, 60)[1], multiome(2, 60)[1]
    data.obs["label"] = data.obs["cell_type"]
    for change in ablation.TRAINING.values():
        with ablation.patched(change):
            model = ablation.trained(data, query, "peaks")
        assert len(ablation.annotated(model, query)) == 60
