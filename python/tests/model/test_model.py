from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import special

from deepscore.data.standardise import Scale
from deepscore.model import file as modelfile
from deepscore.model.config import ACTIVATIONS
from devices import DEVICES, marked
from synthetic import full_model, random_model

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
PLAIN = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "gelu": lambda x: 0.5 * x * (1 + special.erf(x / np.sqrt(2))),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
    "silu": lambda x: x * special.expit(x),
    "tanh": np.tanh,
    "sigmoid": special.expit,
}


@pytest.fixture
def cells(rng):
    dense = rng.gamma(1, 1, (25, 30)) * (rng.random((25, 30)) < 0.4)
    dense[3] = 0
    return dense.astype(np.float32)


def forward(model, dense, centre, deviation):
    """Go through the model plainly: standardise, multiply, activate, divide by the temperature."""
    x = (dense.astype(float) - centre) / deviation
    logits = 0 if model.linear is None else x @ model.linear[0] + model.linear[1]
    *hidden, (weight, bias) = model.layers
    for w, b in hidden:
        x = PLAIN[model.network["activation"]](x @ w + b)
    return special.softmax((logits + x @ weight + bias) / model.temperature, axis=1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_probabilities_equal_a_plain_forward_pass(cells, activation):
    model = random_model(network={"activation": activation})
    expected = forward(model, cells, model.mean, model.deviation)
    np.testing.assert_allclose(model.predict_proba(sp.csr_matrix(cells)), expected, atol=2e-6)


@pytest.mark.parametrize("hidden", [(), (5,), (9, 8, 7, 6)])
def test_any_number_of_layers(cells, hidden):
    model = random_model(hidden=hidden)
    expected = forward(model, cells, model.mean, model.deviation)
    np.testing.assert_allclose(model.predict_proba(sp.csr_matrix(cells)), expected, atol=2e-6)


@pytest.mark.parametrize("hidden", [(), (5,), (9, 8)])
def test_the_linear_path_is_added(cells, rng, hidden):
    model, batches = full_model(hidden=hidden), rng.integers(0, 2, 25)
    scale = Scale(
        rng.uniform(0, 2, (2, 30)).astype(np.float32), rng.uniform(0.5, 2, (2, 30)).astype(np.float32), batches
    )
    for which in (model.scale(), scale):
        rows = 0 if which.batches is None else batches
        expected = forward(model, cells, which.centre[rows], which.deviation[rows])
        np.testing.assert_allclose(model.predict_proba(sp.csr_matrix(cells), which), expected, atol=2e-6)
        deep, linear = model.paths(sp.csr_matrix(cells), which)
        z = (cells - which.centre[rows]) / which.deviation[rows]
        np.testing.assert_allclose(linear, z @ model.linear[0] + model.linear[1], atol=2e-5)
        alone = dataclasses.replace(model, linear=None)
        np.testing.assert_allclose(deep, alone.logits(sp.csr_matrix(cells), which), atol=2e-5)
        assert alone.paths(sp.csr_matrix(cells), which)[1] is None


def test_each_cell_is_standardised_by_its_group(cells, model, rng):
    centre, deviation = rng.uniform(0, 2, (3, 30)), rng.uniform(0.5, 2, (3, 30))
    batches = rng.integers(0, 3, 25)
    scale = Scale(centre.astype(np.float32), deviation.astype(np.float32), batches)
    expected = forward(model, cells, centre[batches], deviation[batches])
    np.testing.assert_allclose(model.predict_proba(sp.csr_matrix(cells), scale), expected, atol=2e-6)


@pytest.mark.parametrize("model", [random_model(), full_model()], ids=["version 1", "linear path"])
def test_a_missing_feature_counts_as_its_mean(cells, model):
    present = np.arange(30) % 4 != 0
    cells[:, ~present] = 0
    filled = np.where(present, cells, model.mean)
    expected = forward(model, filled, model.mean, model.deviation)
    np.testing.assert_allclose(model.predict_proba(sp.csr_matrix(cells), present=present), expected, atol=2e-6)


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_the_type_of_indices_does_not_matter(cells, model, index):
    block = sp.csr_matrix(cells)
    expected = model.predict_proba(block)
    block.indices, block.indptr = block.indices.astype(index), block.indptr.astype(index)
    np.testing.assert_array_equal(model.predict_proba(block), expected)


def test_prediction_changes_nothing(cells, model):
    block = sp.csr_matrix(cells)
    layers = [(weight.copy(), bias.copy()) for weight, bias in model.layers]
    model.predict_proba(block, present=np.ones(30, bool))
    np.testing.assert_array_equal(block.toarray(), cells)
    for now, then in zip(model.layers, layers, strict=True):
        for a, b in zip(now, then, strict=True):
            np.testing.assert_array_equal(a, b)


def test_temperature_softens_without_changing_the_best_label(cells):
    cold, warm = (random_model(temperature=t).predict_proba(sp.csr_matrix(cells)) for t in (1.0, 5.0))
    assert (cold.argmax(axis=1) == warm.argmax(axis=1)).all()
    assert (cold.max(axis=1) > warm.max(axis=1)).all()


def test_a_model_is_frozen(model):
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.temperature = 1.0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batches", [None, "two"])
def test_every_device_says_the_same(cells, device, batches):
    model, cells = full_model(), sp.csr_matrix(cells)
    scale, present = model.scale(), np.arange(len(model.features)) % 3 > 0
    if batches:
        scale = Scale(np.vstack([scale.centre] * 2), np.vstack([scale.deviation] * 2), np.arange(cells.shape[0]) % 2)
    there = dataclasses.replace(model, device=device)
    with marked():
        found = [there.predict_proba(cells, scale, None if batches else present), there.linear_proba(cells, scale)]
    expected = [model.predict_proba(cells, scale, None if batches else present), model.linear_proba(cells, scale)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6 if device.startswith("cpu") else 1e-4)


def test_the_weights_are_moved_once_and_no_part_of_files_and_copies(cells):
    model = full_model()
    cells = sp.csr_matrix(cells)
    there = dataclasses.replace(model, device="cpu:0")
    expected = there.logits(cells, there.scale())
    first = there._weights
    there.logits(cells, there.scale())
    assert there._weights is first
    assert modelfile.to_bytes(there) == modelfile.to_bytes(model)
    assert modelfile.from_bytes(modelfile.to_bytes(there)).device == "cpu"
    again = copy.copy(there)
    assert "_weights" not in vars(again)
    np.testing.assert_array_equal(again.logits(cells, again.scale()), expected)
