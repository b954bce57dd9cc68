"""Data sets and a trained model that many tests share."""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # two threads that wait by sleeping: tests share the machine

import anndata as ad
import mudata
import numpy as np
import pytest
from hypothesis import settings

import deepscore
import synthetic
from deepscore.interfaces import r as rbridge
from deepscore.model.model import Model
from deepscore.training.reference import Reference, prepare

if hasattr(mudata, "set_options"):  # before 0.4: else it warns
    mudata.set_options(pull_on_update=False)
settings.register_profile("suite", database=None, deadline=None, derandomize=True)
settings.load_profile("suite")
rbridge._torch_came_first = False  # else R would be warned of the torch that these tests have loaded


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture
def reference() -> ad.AnnData:
    return synthetic.dataset(1)


@pytest.fixture
def query() -> ad.AnnData:
    """Return cells of the same types, drawn anew."""
    return synthetic.dataset(2, n_cells=150)


@pytest.fixture(scope="session")
def prepared() -> Reference:
    """Return a reference with all features, ready to train on."""
    data = synthetic.dataset(1)
    features = tuple(data.var_names)
    labels = data.obs["cell_type"].to_numpy(object)
    return prepare(
        synthetic.blocks_of(data.X, data.var_names.to_numpy(object)), labels, synthetic.quick(common_features=features)
    )


@pytest.fixture(scope="session")
def trained() -> deepscore.DeepScore:
    """Return a trained model; tests must not change it."""
    data = synthetic.dataset(1)
    ds = deepscore.DeepScore((32, 16), list(data.var_names), epochs=12, batch_size=32, lr=0.01)
    return ds.set_reference(data, "cell_type").train(progress=False)


@pytest.fixture(scope="session")
def model() -> Model:
    return synthetic.random_model()


@pytest.fixture(scope="session")
def of_study() -> Model:
    """Return a model of the first five types of :func:`synthetic.study`, all of the same number of cells."""
    matrix, codes = synthetic.study(1, [120] * 5)
    from deepscore.training.fit import fit

    data = synthetic.blocks_of(matrix)
    config = synthetic.quick(common_features=tuple(data.feature_names), hidden_nodes=(32, 16), epochs=15, lr=0.01)
    return fit(prepare(data, synthetic.type_names(codes), config), config, synthetic.silent())
