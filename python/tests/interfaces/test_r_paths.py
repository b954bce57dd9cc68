from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepscore.interfaces import r_paths
from deepscore.model import file as modelfile
from synthetic import dataset


@pytest.fixture
def query(tmp_path):
    dataset(5).write_h5ad(tmp_path / "query.h5ad")
    return str(tmp_path / "query.h5ad")


def asked(function, *arguments):
    answer = function(*arguments)
    assert answer.get("error") is None, answer
    return answer["value"]


def test_the_table_that_r_writes_is_that_of_python(trained, query, tmp_path):
    model, out = bytearray(modelfile.to_bytes(trained.model)), tmp_path / "labels.parquet"
    batch = dataset(5).obs["batch"].tolist()
    asked(r_paths.annotate_to_parquet, model, query, str(out), {"batch": batch, "groups": "batch", "threshold": 0.6})
    trained.annotate_to_parquet(query, tmp_path / "expected.parquet", 0.6, batch, groups="batch")
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(tmp_path / "expected.parquet"))
    asked(r_paths.annotate_to_parquet, model, [query, query], str(out), {})
    assert pd.read_parquet(out)["file"].tolist() == [query] * 480


def test_what_a_cluster_would_read_gets_the_calls_and_features_of_python(trained, query):
    model = bytearray(modelfile.to_bytes(trained.model))
    answer = asked(r_paths.annotate_paths, model, query, {"groups": "batch", "client": None, "refine": False})
    found = trained.annotate(query, groups="batch", refine=False)
    assert answer["cells"] == found.obs_names.tolist()
    assert answer["columns"]["deepscore"] == found.obs["deepscore"].tolist()
    assert np.frombuffer(answer["columns"]["deepscore_score"]).tolist() == found.obs["deepscore_score"].tolist()
    features = asked(r_paths.find_common_features_of_paths, query, [query], {"n_features": 7, "client": None})
    assert len(features) == 7


def test_errors_are_those_of_python(trained, query):
    model = bytearray(modelfile.to_bytes(trained.model))
    answer = r_paths.annotate_paths(model, query, {"client": 7})
    assert answer["error"]["code"] == "bad_argument"
