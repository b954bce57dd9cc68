from __future__ import annotations

import json
import re
from base64 import b64decode

import mudata
import numpy as np
import pandas as pd
import pytest

import deepscore
import synthetic
from deepscore.errors import ConfigError, InputError
from deepscore.output.colours import palette


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)[1])


@pytest.fixture
def annotated(trained, query):
    return trained.annotate(query, threshold=0.6, batch="batch")


def test_a_report_is_written_of_what_was_annotated(trained, annotated, tmp_path):
    before = annotated.copy()
    path = tmp_path / "report.html"
    assert deepscore.report(annotated, trained, path, batch="batch", groups="cell_type") is None
    data, text = data_of(path), path.read_text(encoding="utf-8")
    assert data["names"] == annotated.obs_names.tolist()
    assert data["threshold"] == 0.6
    assert data["samples"]["names"] == ["even", "odd"]
    assert data["clusters"]["names"] == sorted(synthetic.LABELS)
    assert "Annotated cells" in text
    assert trained.manifest["content_sha256"] in text
    assert "threshold = 0.6" in text
    assert "batch = batch" in text
    pd.testing.assert_frame_equal(annotated.obs, before.obs)
    assert set(annotated.obsm) == set(before.obsm)


def test_the_record_may_hold_arrays_of_one_value(trained, annotated, tmp_path):
    annotated.uns["deepscore"] |= {"threshold": np.array([0.6]), "native": np.array(0.01)}
    deepscore.report(annotated, trained, tmp_path / "r.html")
    assert data_of(tmp_path / "r.html")["threshold"] == 0.6
    assert "chance 1%" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_path_a_saved_model_and_options_do_as_well(trained, annotated, tmp_path):
    annotated.write_h5ad(tmp_path / "cells.h5ad")
    trained.save(tmp_path / "model.deepscore")
    for number, given in enumerate([(annotated, trained), (tmp_path / "cells.h5ad", tmp_path / "model.deepscore")]):
        deepscore.report(*given, tmp_path / f"{number}.html", title="T", progress=False)
    one, two = ((tmp_path / f"{number}.html").read_text(encoding="utf-8") for number in (0, 1))
    assert one == two
    deepscore.report(tmp_path / "cells.h5ad", trained, tmp_path / "2.html")
    assert "<h1>cells.h5ad</h1>" in (tmp_path / "2.html").read_text(encoding="utf-8")


def test_labels_have_the_colours_that_the_data_set_keeps(trained, annotated, tmp_path):
    own = ["#010203", "#040506FF", "#070809", "#0A0B0C"]
    for given, wanted in ((own, [colour[:7] for colour in own[:3]]), (["red", *own[1:]], palette(3))):
        annotated.uns["deepscore_colors"] = given
        deepscore.report(annotated, trained, tmp_path / "r.html")
        assert data_of(tmp_path / "r.html")["colours"] == wanted


def test_known_coordinates_are_found(trained, annotated, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "r.html"
    for name, wanted in (("X_pca", None), ("X_umap", None), ("X_tsne", "tsne")):
        annotated.obsm[name] = rng.normal(size=(annotated.n_obs, 3))
        deepscore.report(annotated, trained, path, basis=wanted)
        assert f"drawn on the first two columns of {name}." in path.read_text(encoding="utf-8")
    for name in ("X_umap", "X_pca", "X_tsne"):
        del annotated.obsm[name]
    deepscore.report(annotated, trained, path)
    assert "drawn on two principal components" in path.read_text(encoding="utf-8")
    with pytest.raises(InputError, match="'X_no'") as caught:
        deepscore.report(annotated, trained, path, basis="X_no")
    assert caught.value.code == "column_not_found"


def _antibodies(query):
    other = query[:, :5].copy()
    other.var_names = [f"AB{i}" for i in range(5)]
    return other


def test_a_modality_is_reported_on(trained, query, tmp_path):
    both = mudata.MuData({"rna": query, "prot": _antibodies(query)})
    found = trained.annotate(both, modality="rna", threshold=0.7)
    deepscore.report(found, trained, tmp_path / "r.html", modality="rna")
    assert data_of(tmp_path / "r.html")["threshold"] == 0.7


def test_the_probabilities_tell_the_label_that_comes_closest(trained, query, tmp_path):
    found = trained.annotate(query, threshold=1.0, probabilities=True)
    deepscore.report(found, trained, tmp_path / "r.html")
    best = np.frombuffer(b64decode(data_of(tmp_path / "r.html")["best"]), "<u2")
    assert best.tolist() == found.obsm["deepscore_probabilities"].to_numpy().argmax(axis=1).tolist()


def test_a_table_of_cells_is_reported_on_without_features(trained, annotated, tmp_path):
    path = tmp_path / "r.html"
    deepscore.report(annotated.obs, trained, path, batch="batch", groups=np.arange(150) // 50)
    text = path.read_text(encoding="utf-8")
    assert "which features they have is not known" in text
    assert data_of(path)["levels"]
    with pytest.raises(InputError) as caught:
        deepscore.report(annotated.obs, trained, path, batch="no")
    assert caught.value.code == "column_not_found"
    with pytest.raises(InputError) as caught:
        deepscore.report(annotated.obs, trained, path, batch=["a", "b"])
    assert caught.value.code == "batch_length"


def test_what_cannot_be_reported_is_refused_and_an_older_page_stays(trained, annotated, tmp_path):
    path = tmp_path / "r.html"
    path.write_text("older")
    cases = [
        ("column_not_found", (synthetic.dataset(2), trained, path), {}),
        ("bad_argument", (annotated, 3, path), {}),
        ("bad_argument", (annotated, trained, path), {"check": "no"}),
        ("bad_argument", (annotated, trained, path), {"title": 7}),
        ("column_not_found", (annotated, trained, path), {"batch": "no"}),
        ("path_not_writable", (annotated, trained, tmp_path / "no" / "r.html"), {}),
    ]
    for code, given, options in cases:
        with pytest.raises((InputError, ConfigError)) as caught:
            deepscore.report(*given, **options)
        assert caught.value.code == code
    assert path.read_text() == "older"
    assert [one.name for one in tmp_path.iterdir()] == ["r.html"]
