from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.interfaces.stores import OpenStores, close, open_path, open_values


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_values_and_layers_stay_on_disk(query, tmp_path, suffix):
    path = tmp_path / f"query{suffix}"
    query.layers["dense"] = query.X.toarray()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's of its next format
        getattr(query, f"write_{suffix[1:]}")(path)
    found = open_path(path)
    for values in (found.X, found.layers["dense"]):
        assert not sp.issparse(values)
        assert not isinstance(values, np.ndarray)
    assert found.obs["cell_type"].tolist() == query.obs["cell_type"].tolist()


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_values_are_opened_without_the_tables(query, tmp_path, suffix):
    path = tmp_path / f"query{suffix}"
    query.layers["dense"], query.raw = query.X.toarray(), query.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(query, f"write_{suffix[1:]}")(path)
    for where in ("X", "raw/X", "layers/dense"):
        values = open_values(path, None, where)
        rows = values[3:5]
        np.testing.assert_array_equal(rows.toarray() if sp.issparse(rows) else rows, query.X[3:5].toarray())
        close(values)
    assert open_values(path, None, "layers/none") is None
    assert open_values(tmp_path / "table.csv", None, "X") is None


def test_the_files_that_were_asked_for_last_are_open(tmp_path):
    for name in "abc":
        with h5py.File(tmp_path / name, "w") as file:
            file["x"] = [ord(name)]
    opened = []

    def value(name):
        def open_():
            opened.append(name)
            return h5py.File(tmp_path / name, "r")["x"]

        return stores.get(name, open_)

    stores = OpenStores(most=2)
    first = value("a")
    assert [chr(value(name)[0]) for name in "abacb"] == list("abacb")
    assert opened == ["a", "b", "c", "b"]
    assert first.id.valid == 0  # "a" was closed to open "b" again


def test_a_closed_data_set_opens_its_values_by_itself(query, tmp_path):
    query.write_h5ad(tmp_path / "a.h5ad")
    found = open_path(tmp_path / "a.h5ad")
    close(found)
    assert not found.file.is_open
    np.testing.assert_array_equal(found.X[:3].toarray(), query.X[:3].toarray())
    found.file.close()
