from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.modality import PROTEIN
from deepscore.data.modality.protein import CentredLogRatio
from deepscore.data.values import Values
from synthetic import blocks_of


@pytest.fixture
def raw(rng):
    """Return counts of 12 antibodies, of scales that differ a hundredfold."""
    return rng.poisson(rng.lognormal(0, 0.5, (40, 1)) * np.geomspace(1, 100, 12)).astype(float)


def centred(raw):
    """Work out Seurat's CLR of one cell after another."""
    found = np.zeros_like(raw)
    for cell, values in enumerate(raw):
        total = sum(np.log1p(value) for value in values if value > 0)
        found[cell] = [np.log1p(value / np.exp(total / len(values))) for value in values]
    return found


def test_antibodies_become_the_centred_log_ratio_of_each_cell(raw):
    data, every = blocks_of(raw, rows=7), np.arange(12)
    recipe = PROTEIN.recipe.learn(data, every, Values("counts"))
    np.testing.assert_allclose(recipe.matrix(data, every, Values("counts")).toarray(), centred(raw), rtol=1e-5)


def test_the_mean_is_over_the_features_that_are_there(raw):
    positions = np.array([3, -1, 0, 11])
    found = CentredLogRatio().matrix(blocks_of(raw), positions, Values("counts")).toarray()
    np.testing.assert_allclose(found[:, [0, 2, 3]], centred(raw[:, [3, 0, 11]]), rtol=1e-5)
    assert not found[:, 1].any()


def test_logarithms_and_empty_cells_are_read(raw):
    raw[5] = 0
    found = CentredLogRatio().matrix(blocks_of(np.log1p(raw)), np.arange(12), Values("lognorm")).toarray()
    np.testing.assert_allclose(found, centred(raw), rtol=1e-4, atol=1e-6)


def test_a_recipe_comes_back_from_what_a_file_holds():
    recipe = CentredLogRatio()
    assert (recipe.facts(), recipe.arrays()) == ({}, {})
    assert isinstance(CentredLogRatio.read({"method": "clr"}, {}), CentredLogRatio)
