from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.standardise import Scale
from deepscore.errors import ConfigError, InputError
from deepscore.model.evidence import contributions, require_method, standardised
from synthetic import full_model, random_model


@pytest.fixture
def cells(rng):
    """Return normalised cells, a scale of two batches, of which one lacks a feature, and the label of each cell."""
    block = sp.csr_matrix(rng.gamma(0.5, 1, (12, 30)) * (rng.random((12, 30)) < 0.6), dtype=np.float32)
    batches = np.arange(12) % 2
    centre, deviation = rng.uniform(0, 1, (2, 30)).astype(np.float32), rng.uniform(0.5, 2, (2, 30)).astype(np.float32)
    block = block.tolil()
    block[batches == 1, 7] = 0
    centre[1, 7] = 0
    return block.tocsr(), Scale(centre, deviation, batches), rng.integers(0, 3, 12)


def logit(model, block, scale, codes):
    """Return the calibrated logit of each cell's label, less the mean of all its logits."""
    logits = model.logits(block, scale).astype(np.float64) / model.temperature
    return logits[np.arange(len(codes)), codes] - logits.mean(axis=1)


def moved(block, scale, feature, by):
    """Return the cells with a feature of a higher standardised value."""
    dense = block.toarray().astype(np.float64)
    dense[:, feature] += by * scale.deviation[scale.batches, feature]
    return sp.csr_matrix(dense, dtype=np.float32)


def test_contributions_of_the_linear_path_add_up_to_its_logit(cells):
    block, scale, codes = cells
    model = full_model()
    found = contributions(model, block, scale, codes, "linear")
    _, linear = model.paths(block, scale)
    weight, bias = model.linear
    expected = (linear - bias)[np.arange(12), codes] - (linear - bias).mean(axis=1)
    np.testing.assert_allclose(found.sum(axis=1), expected / model.temperature, rtol=1e-4, atol=1e-4)
    z = standardised(block, scale)
    np.testing.assert_allclose(
        found[:, 4], z[:, 4] * (weight[4, codes] - weight[4].mean()) / model.temperature, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("make", [random_model, full_model])
def test_gradients_are_those_of_finite_differences(cells, activation, make):
    block, scale, codes = cells
    model = make(network={"hidden_nodes": [9, 7], "activation": activation})
    found = contributions(model, block, scale, codes, "gradient")
    z, step = standardised(block, scale), 1e-2
    for feature in (0, 7, 19):
        up, down = (logit(model, moved(block, scale, feature, by), scale, codes) for by in (step, -step))
        slope = (up - down) / (2 * step)
        np.testing.assert_allclose(found[:, feature], z[:, feature] * slope, rtol=0.05, atol=0.02)


def test_a_network_without_bends_is_explained_whole(cells):
    """Where no node bends, gradient times value is the difference to a cell of mean values."""
    block, scale, codes = cells
    straight = random_model(hidden=())
    model = replace(full_model(), layers=straight.layers)
    found = contributions(model, block, scale, codes, "gradient")
    mean = sp.csr_matrix(scale.centre[scale.batches])
    expected = logit(model, block, scale, codes) - logit(model, mean, scale, codes)
    np.testing.assert_allclose(found.sum(axis=1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["gradient", "linear"])
def test_a_missing_feature_adds_nothing(cells, method):
    block, scale, codes = cells
    found = contributions(full_model(), block, scale, codes, method)
    assert (found[scale.batches == 1, 7] == 0).all()
    assert (found[scale.batches == 0, 7] != 0).any()


def test_a_method_that_cannot_be_used_is_refused():
    with pytest.raises(ConfigError, match="gradient, linear"):
        require_method(full_model(), "guess")
    with pytest.raises(InputError) as caught:
        require_method(random_model(), "linear")
    assert caught.value.code == "no_linear_path"
