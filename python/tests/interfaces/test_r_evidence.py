"""What R gets; the same figures in both languages are tested by the shared cases and by the R package."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import deepscore
from deepscore.interfaces import r_evidence as bridge
from deepscore.interfaces.python_evidence import ranked
from deepscore.interfaces.readers import open_source
from deepscore.model import file as modelfile
from synthetic import blocks_of


def value(answer):
    assert "error" not in answer, answer["error"]
    return answer["value"]


def matrix(found):
    shape = len(found["rows"]), len(found["columns"])
    return pd.DataFrame(np.frombuffer(found["values"]).reshape(shape), found["rows"], found["columns"])


@pytest.fixture
def content(trained):
    return modelfile.to_bytes(trained.model)


@pytest.fixture
def cells(query):
    data = blocks_of(query.X, query.var_names.to_numpy(object), query.obs_names.to_numpy(object))
    return data, query.obs["cell_type"].tolist()


def test_tables_are_those_of_python(trained, query, content, cells):
    data, labels = cells
    found = value(bridge.feature_importance(content, data, labels, None, {"n_features": 3.0}))
    expected = deepscore.feature_importance(trained, query, "cell_type", n_features=3)
    pd.testing.assert_frame_equal(pd.DataFrame(found), expected, check_dtype=False)
    found = value(bridge.find_thresholds(content, data, labels, None, {}))
    expected = deepscore.find_thresholds(trained, query, "cell_type")
    pd.testing.assert_frame_equal(pd.DataFrame(found), expected, check_dtype=False)


def test_figures_are_those_of_python(trained, query, content, cells):
    data, labels = cells
    found = value(bridge.performance(content, data, labels, None, {"threshold": {"B cell": 0.9}}))
    expected = deepscore.performance(trained, query, "cell_type", {"B cell": 0.9})
    np.testing.assert_array_equal(matrix(found["confusion"]), expected.confusion)
    assert found["overall"]["accuracy"] == expected.accuracy
    assert found["roc"]["threshold"] == expected.roc["threshold"].tolist()


def test_markers_come_as_cells_columns_or_lists(query, cells):
    lists = {"T cell": ["GENE012", "GENE013"], "B cell": ["GENE000"]}
    columns = {"label": ["x", "x"], "feature": ["GENE012", "GENE000"], "importance": [1.0, float("nan")]}
    found = value(bridge.match_markers(None, None, [None, None], [{"lists": lists}, {"columns": columns}], {}))
    assert matrix(found["jaccard"]).loc["T cell", "x"] == 0.5
    assert found["best"]["match"] == [None, "x"]
    data, labels = cells
    found = value(bridge.match_markers(data, None, [labels, None], [None, {"lists": lists}], {"n_markers": 6.0}))
    expected = deepscore.match_markers(query, lists, 6, labels="cell_type")
    assert found["score"] == expected.score
    assert found["reference"] == {label: list(names) for label, names in expected.reference.items()}


def test_the_best_model_comes_as_a_file(prepared):
    config = {"hidden_nodes": [4.0], "epochs": 1.0}
    best = value(bridge.select_model(config, prepared.to_bytes(), {"n_models": 2.0}, {"progress": False}))
    assert len(modelfile.from_bytes(best).training["selection"]) == 2


def test_results_of_scanpy_are_found_or_are_not_there():
    data = ad.AnnData(np.ones((2, 2), np.float32))
    assert value(bridge.ranked_of(open_source(data), "mine")) is None
    data.uns["mine"] = {"names": pd.DataFrame({"T": ["CD3D"], "B": ["MS4A1"]})}
    found = value(bridge.ranked_of(open_source(data), "mine"))
    assert found == {"names": ["CD3D", "MS4A1"], "group": ["T", "B"]}
    assert ranked(open_source(data), "mine").to_dict("list") == found
