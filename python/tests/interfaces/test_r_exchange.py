from __future__ import annotations

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from deepscore.interfaces import r_exchange as bridge
from synthetic import dataset, peak_names


def value(answer):
    assert "error" not in answer, answer
    return answer["value"]


def layer(matrix, features):
    """Return a layer as R sends it: a function that reads the bytes of some rows."""
    csr = sp.csr_matrix(matrix, dtype=np.float64)

    def read(start, stop):
        part = csr[int(start) : int(stop)]
        return {
            "p": part.indptr.astype(np.int32).tobytes(),
            "i": part.indices.astype(np.int32).tobytes(),
            "x": part.data.tobytes(),
        }

    return {"features": list(features), "nnz": csr.nnz, "read": read}


def matrix_of(answer, n_cells):
    p, i = (np.frombuffer(b"".join(answer[name]), np.int32) for name in ("p", "i"))
    assert answer["width"] == 8
    x = np.frombuffer(b"".join(answer["x"]))
    return sp.csr_matrix((x, i, p), shape=(n_cells, len(answer["features"]))).toarray()


def written(path, **changes):
    counts = np.array([[1, 0, 2], [0, 3, 0]])
    whole = np.array([5, bridge.MISSING], np.int32)
    obs = {
        "factor": {"kind": "factor", "values": ["b", None], "levels": ["b", "a"], "ordered": True},
        "text": {"kind": "character", "values": ["x", None]},
        "full": {"kind": "character", "values": ["x", "y"]},
        "whole": {"kind": "integer", "values": whole.tobytes()},
        "truth": {"kind": "logical", "values": np.array([1, bridge.MISSING], np.int32).tobytes()},
        "number": {"kind": "double", "values": np.array([1.5, np.nan]).tobytes()},
    }
    given = {
        "cells": ["c1", "c2"],
        "features": ["A", "B", "C"],
        "layers": {"counts": layer(counts, "ABC"), "data": layer(np.log1p(counts)[:, [2, 0]], "CA")},
        "obs": obs,
        "var": {"mean": {"kind": "double", "values": np.arange(3.0).tobytes()}},
        "variable": ["C", "A"],
        "reductions": {
            "pca": {"values": np.arange(4.0).tobytes(), "facts": {"key": "PC_", "stdev": [2.0, 1.0], "global": False}},
        },
        "facts": {"assay": "RNA", "identities": None},
    }
    return bridge.write_h5ad(str(path), **(given | changes))


def test_what_r_sends_is_written_for_everybody(tmp_path):
    value(written(tmp_path / "a.h5ad"))
    found = ad.read_h5ad(tmp_path / "a.h5ad")
    assert found.X.toarray().tolist() == [[1, 0, 2], [0, 3, 0]]
    assert found.X.dtype == np.float32  # which holds small counts
    np.testing.assert_array_equal(found.layers["data"].toarray(), np.log1p([[1, 0, 2], [0, 0, 0]]))
    assert found.obs["factor"].cat.categories.tolist() == ["b", "a"]
    assert found.obs["factor"].cat.ordered
    assert found.obs.isna().sum().to_dict() == {
        "factor": 1, "text": 1, "full": 0, "whole": 1, "truth": 1, "number": 1
    }  # fmt: skip
    assert found.obs["whole"].iloc[0] == 5
    assert found.var["highly_variable"].tolist() == [True, False, True]
    assert found.var["highly_variable_rank"].iloc[[2, 0]].tolist() == [0, 1]
    assert found.obsm["X_pca"].tolist() == [[0, 1], [2, 3]]
    assert found.uns["seurat"]["reductions"]["pca"]["key"] == "PC_"


def test_what_was_written_comes_back(tmp_path):
    value(written(tmp_path / "a.h5ad"))
    found = value(bridge.read_h5ad(str(tmp_path / "a.h5ad"), None))
    assert matrix_of(found["layers"]["counts"], 2).tolist() == [[1, 0, 2], [0, 3, 0]]
    np.testing.assert_array_equal(matrix_of(found["layers"]["data"], 2), np.log1p([[1, 0, 2], [0, 0, 0]]))
    kinds = {name: column["kind"] for name, column in found["obs"].items()}
    assert kinds == {
        "factor": "factor", "text": "character", "full": "character", "whole": "integer", "truth": "logical",
        "number": "double",
    }  # fmt: skip
    assert found["obs"]["factor"]["values"] == ["b", None]
    assert found["obs"]["text"]["values"] == ["x", None]
    for name in ("whole", "truth"):
        assert np.frombuffer(found["obs"][name]["values"], np.int32)[1] == bridge.MISSING
    assert list(found["var"]) == ["mean"]
    assert found["variable"] == ["C", "A"]
    assert found["reductions"]["pca"]["facts"] == {"key": "PC_", "stdev": [2.0, 1.0], "global": False}
    assert found["assay"] == "RNA"
    assert found["identities"] is None


@pytest.mark.parametrize("path", ["out.csv", "none/out.h5ad", "out.zarr"])
def test_other_files_are_refused_before_anything_is_read(tmp_path, path):
    answer = written(tmp_path / path, layers={"counts": {"read": None}})
    assert answer["error"]["code"] == "path_not_writable"
    assert not list(tmp_path.iterdir())


@pytest.fixture
def foreign():
    """Return a data set as scanpy leaves it: logarithms in X, counts in .raw."""
    data = dataset(1, n_cells=60)
    data.raw = data
    counts = data.X.toarray()
    data.X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    data.obs["batch"] = data.obs["batch"].astype("category")
    data.obs["n"] = np.arange(60, dtype=np.int64) + 2**40
    data.obsm["X_umap"] = np.arange(120, dtype=np.float32).reshape(60, 2)
    return data


def read(data, tmp_path, modality=None):
    data.write_h5ad(tmp_path / "foreign.h5ad")
    return bridge.read_h5ad(str(tmp_path / "foreign.h5ad"), modality)


def test_counts_and_logarithms_are_told_by_their_values(foreign, tmp_path):
    found = value(read(foreign, tmp_path))
    np.testing.assert_array_equal(matrix_of(found["layers"]["counts"], 60), foreign.raw.X.toarray())
    np.testing.assert_array_equal(matrix_of(found["layers"]["data"], 60), foreign.X)
    assert found["obs"]["n"]["kind"] == "double"
    assert np.frombuffer(found["obs"]["n"]["values"]).tolist() == foreign.obs["n"].tolist()
    assert found["reductions"]["umap"]["facts"] == {}
    assert found["assay"] == "RNA"


def test_a_layer_of_counts_goes_before_raw_and_the_rest_is_told(foreign, tmp_path):
    foreign.layers["counts"] = foreign.raw.X * 2
    foreign.layers["spliced"] = foreign.raw.X
    foreign.obsm["table"] = pd.DataFrame({"a": np.arange(60)}, index=foreign.obs_names)
    foreign.obsp["graph"] = sp.eye_array(60, format="csr")
    answer = read(foreign, tmp_path)
    found = value(answer)
    np.testing.assert_array_equal(matrix_of(found["layers"]["counts"], 60), 2 * foreign.raw.X.toarray())
    (told,) = [note["text"] for note in answer["notes"] if "left out" in note["text"]]
    for part in ("layers['spliced']", ".raw", "obsm['table']", "obsp['graph']"):
        assert part in told


def test_of_raw_with_more_features_those_of_x_are_taken(foreign, tmp_path):
    few = foreign[:, [7, 3, 5]].copy()
    answer = read(few, tmp_path)
    found = value(answer)
    assert found["features"] == ["GENE007", "GENE003", "GENE005"]
    np.testing.assert_array_equal(matrix_of(found["layers"]["counts"], 60), foreign.raw.X.toarray()[:, [7, 3, 5]])
    assert any("77 features that only .raw has" in note["text"] for note in answer["notes"])


def test_where_x_is_scaled_raw_is_read_with_its_own_features(foreign, tmp_path):
    few = foreign[:, :5].copy()
    few.X = few.X - few.X.mean(axis=0)
    found = value(read(few, tmp_path))
    assert list(found["layers"]) == ["counts"]
    assert len(found["features"]) == 80
    del few.raw
    assert read(few, tmp_path)["error"]["code"] == "scaled_data"


def test_peaks_and_modalities_of_a_mudata_are_read(foreign, tmp_path):
    peaks = dataset(2, n_cells=60)
    peaks.obs_names = foreign.obs_names
    peaks.var_names = peak_names(80)
    del foreign.raw
    mudata.MuData({"rna": foreign, "atac": peaks}).write_h5mu(tmp_path / "both.h5mu")
    path = str(tmp_path / "both.h5mu")
    found = value(bridge.read_h5ad(path, "peaks"))
    assert found["features"] == peaks.var_names.tolist()
    assert found["assay"] == "peaks"
    assert value(bridge.read_h5ad(path, "rna"))["assay"] == "RNA"
    assert bridge.read_h5ad(path, None)["error"]["code"] == "modality_required"


def test_large_and_exact_values_stay_in_double_precision(tmp_path):
    exact = [[2.0**40 + 1, 0.1], [0, 3]]
    value(written(tmp_path / "a.h5ad", features=["A", "B"], layers={"data": layer(exact, "AB")}, var={}, variable=[]))
    found = ad.read_h5ad(tmp_path / "a.h5ad")
    assert found.X.toarray().tolist() == exact
