from __future__ import annotations

import json
import re

import numpy as np
import pytest

import deepscore
from deepscore.interfaces import r_report
from deepscore.model import file as modelfile
from synthetic import blocks_of, dataset


@pytest.fixture
def sent(trained, query):
    """Return what R sends of an annotated query."""
    found = trained.annotate(query, threshold=0.6, batch="batch", probabilities=True)
    columns = {
        name: found.obs[name].astype(str).tolist() for name in ("deepscore", "deepscore_raw", "deepscore_reason")
    }
    columns["deepscore_score"] = found.obs["deepscore_score"].to_numpy().tobytes()
    blocks = blocks_of(query.X, query.var_names.to_numpy(object), query.obs_names.to_numpy(object))
    return found, modelfile.to_bytes(trained.model), blocks, found.obs_names.tolist(), columns


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)[1])


def test_the_page_is_that_of_python(trained, sent, tmp_path):
    found, model, blocks, cells, columns = sent
    beside = {
        "record": found.uns["deepscore"],
        "probabilities": found.obsm["deepscore_probabilities"].to_numpy().tobytes(),
        "colours": None,
    }
    batch, groups = found.obs["batch"].tolist(), {"values": found.obs["cell_type"].tolist()[::-1], "names": cells[::-1]}
    given = (None, batch, groups, beside, {"title": "T"})
    answer = r_report.report(model, blocks, cells, columns, str(tmp_path / "r.html"), *given)
    assert "error" not in answer
    assert answer["value"] is None
    deepscore.report(found, trained, tmp_path / "python.html", batch="batch", groups="cell_type", title="T")
    r, python = ((tmp_path / name).read_text(encoding="utf-8") for name in ("r.html", "python.html"))
    assert r == python


def test_coordinates_colours_and_a_check_are_taken(trained, sent, tmp_path):
    _, model, blocks, cells, columns = sent
    reference = dataset(1)
    check = deepscore.check_reference(reference, "cell_type", folds=2, common_features=trained.common_features)
    told = {
        "words": list(check.words),
        "labels": check.labels.to_dict("list"),
        "confusable": check.confusable.to_dict("list"),
        "overlap": None,
        "design": check.design,
    }
    points = np.random.default_rng(0).normal(size=(len(cells), 2))
    points[0] = np.nan
    own = {"B cell": "#010203", "NK cell": "#040506", "T cell": "#070809"}
    beside = {"basis": "UMAP_1 and UMAP_2", "points": points.tobytes(), "colours": own}
    answer = r_report.report(model, blocks, cells, columns, str(tmp_path / "r.html"), told, None, None, beside, {})
    assert "error" not in answer
    text, data = (tmp_path / "r.html").read_text(encoding="utf-8"), data_of(tmp_path / "r.html")
    assert "drawn on UMAP_1 and UMAP_2." in text
    assert f"Reference check ({check.design})" in text
    assert data["colours"] == list(own.values())
    assert data["threshold"] is None


def test_a_table_alone_and_errors(sent, tmp_path):
    _, model, blocks, cells, columns = sent
    path = str(tmp_path / "r.html")
    answer = r_report.report(model, None, cells, columns, path, None, ["a"] * len(cells), None, {}, {})
    assert "error" not in answer
    assert "which features they have is not known" in (tmp_path / "r.html").read_text(encoding="utf-8")
    for code, changes in {
        "groups_length": {"groups": ["a"]},
        "bad_argument": {"kwargs": {"title": 3}},
        "path_not_writable": {"path": str(tmp_path / "no" / "r.html")},
    }.items():
        given = {"path": path, "groups": None, "kwargs": {}} | changes
        answer = r_report.report(
            model, blocks, cells, columns, given["path"], None, None, given["groups"], {}, given["kwargs"]
        )
        assert answer["error"]["code"] == code


def test_a_path_is_reported_on(trained, sent, tmp_path):
    found, model, *_ = sent
    found.write_h5ad(tmp_path / "cells.h5ad")
    batch = {"values": found.obs["batch"].tolist(), "names": found.obs_names.tolist()}
    given = (str(tmp_path / "cells.h5ad"), str(tmp_path / "r.html"), None, batch, "cell_type", {"title": "T"})
    assert "error" not in r_report.report_of_path(model, *given)
    deepscore.report(found, trained, tmp_path / "python.html", batch="batch", groups="cell_type", title="T")
    r, python = ((tmp_path / name).read_text(encoding="utf-8") for name in ("r.html", "python.html"))
    assert r == python
    given = ("none.h5ad", *given[1:])
    assert r_report.report_of_path(model, *given)["error"]["code"] == "file_not_found"
