from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.interfaces.stores import open_path


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
