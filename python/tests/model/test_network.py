from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from deepscore.model.config import ACTIVATIONS
from deepscore.model.network import Network, SparseMatrix, activation_function, sparse_rows
from deepscore.support.threads import one_torch_thread, torch_threads

N_CELLS, N_FEATURES, HIDDEN, N_LABELS = 40, 15, (9, 6), 4


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        yield


@pytest.fixture
def matrix(rng):
    dense = rng.normal(size=(N_CELLS, N_FEATURES)) * (rng.random((N_CELLS, N_FEATURES)) < 0.3)
    dense[5] = 0  # an empty cell
    dense[:, 3] = 0  # a feature that no cell has
    return sp.csr_matrix(dense, dtype=np.float32)


def network(**changes):
    options = {"activation": "relu", "dropout_rate": 0.0, "batchnorm": True} | changes
    return Network(N_FEATURES, HIDDEN, N_LABELS, **options)


def run(module, matrix, centres=None, batches=None):
    centres = torch.zeros(1, N_FEATURES) if centres is None else centres
    batches = torch.zeros(N_CELLS, dtype=torch.int64) if batches is None else batches
    return module(SparseMatrix.from_scipy(matrix), SparseMatrix.from_scipy(matrix.tocsc()), centres, batches)


def run_dense(module, dense):
    """Go through the same weights with dense products only."""
    weights, biases = list(module.weights), list(module.biases)
    x = dense @ weights[0] + biases[0]
    for norm, weight, bias in zip(module.norms, weights[1:], biases[1:], strict=True):
        x = module.dropout(module.activation(norm(x))) @ weight + bias
    return x


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_a_sparse_product_equals_a_dense_one(matrix, kind):
    matrix.indptr, matrix.indices = matrix.indptr.astype(kind), matrix.indices.astype(np.int32)
    weight = torch.randn(N_FEATURES, 7)
    found = sparse_rows(SparseMatrix.from_scipy(matrix), weight)
    torch.testing.assert_close(found, torch.from_numpy(matrix.toarray()) @ weight)


def test_the_product_of_empty_cells_is_nought():
    found = sparse_rows(SparseMatrix.from_scipy(sp.csr_matrix((3, 5), dtype=np.float32)), torch.randn(5, 2))
    assert found.tolist() == [[0, 0]] * 3


@pytest.fixture(params=["whole", "parts", "threads"])
def first_layer(request, monkeypatch):
    """Compute the first hidden layer at once, in parts, or in parts by threads; return those."""
    if request.param == "whole":
        yield None
        return
    monkeypatch.setattr("deepscore.model.network.WORTH_PARTS", 0)
    with torch_threads(2 if request.param == "threads" else 1) as pool:
        yield pool


@pytest.mark.parametrize("batchnorm", [True, False])
@pytest.mark.parametrize("n_batches", [1, 3])
@pytest.mark.parametrize("hidden", [HIDDEN, (3,)])  # of three nodes, one of the four parts has none
def test_result_and_gradient_equal_those_of_a_dense_network(matrix, batchnorm, n_batches, hidden, first_layer):
    options = {"activation": "relu", "dropout_rate": 0.0, "batchnorm": batchnorm}
    module = Network(N_FEATURES, hidden, N_LABELS, **options)
    module.pool = first_layer
    centres = torch.randn(n_batches, N_FEATURES)
    batches = torch.arange(N_CELLS) % n_batches
    dense = torch.from_numpy(matrix.toarray()) - centres[batches]
    weigh = torch.randn(N_CELLS, N_LABELS)
    results, gradients = [], []
    for result in (run(module, matrix, centres, batches), run_dense(module, dense)):
        module.zero_grad()
        (result * weigh).sum().backward()
        results.append(result)
        gradients.append([parameter.grad.clone() for parameter in module.parameters()])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)
    assert len(gradients[0]) == 2 * (1 + len(hidden)) + (2 * len(hidden) if batchnorm else 0)
    for sparse, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(sparse, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("batchnorm", [True, False])
def test_folded_layers_equal_the_network_at_rest(matrix, activation, batchnorm):
    module = network(activation=activation, batchnorm=batchnorm, dropout_rate=0.5)
    for _ in range(5):  # so that the statistics of batch normalisation are not the initial ones
        run(module, matrix)
    module.eval()
    for norm in module.norms:
        for parameter in norm.parameters():
            torch.nn.init.normal_(parameter, 1, 0.3)
    for norm in module.norms if batchnorm else ():
        norm.running_var[0] = 1e-6  # a node that hardly varies: the small term in the root matters
    x = torch.from_numpy(matrix.toarray())
    layers = module.folded()
    for i, (weight, bias) in enumerate(layers):
        x = x @ torch.from_numpy(weight) + torch.from_numpy(bias)
        x = activation_function(activation)(x) if i < len(layers) - 1 else x
    torch.testing.assert_close(x, run(module, matrix), rtol=1e-4, atol=1e-4)


def test_folded_layers_are_copies():
    module = network(batchnorm=False)
    layers = module.folded()
    before = [(weight.copy(), bias.copy()) for weight, bias in layers]
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    for pair, kept in zip(layers, before, strict=True):
        for now, then in zip(pair, kept, strict=True):
            np.testing.assert_array_equal(now, then)
            assert now.dtype == np.float32


def test_a_network_without_hidden_layers_is_a_linear_one(matrix):
    module = Network(N_FEATURES, (), N_LABELS, activation="relu", dropout_rate=0.5, batchnorm=True)
    torch.testing.assert_close(run(module, matrix), run_dense(module, torch.from_numpy(matrix.toarray())))


def test_max_norm_shortens_only_what_is_too_long():
    module = network()
    with torch.no_grad():
        module.weights[0][:, 2] *= 1e-3
    before = [weight.detach().clone() for weight in module.weights]
    module.constrain(0.8)
    for old, new in zip(before, module.weights, strict=True):
        wanted = old.norm(dim=0).clamp_max(0.8)
        torch.testing.assert_close(new.norm(dim=0), wanted)
        torch.testing.assert_close(new / new.norm(dim=0), old / old.norm(dim=0))
    assert torch.equal(module.weights[0][:, 2], before[0][:, 2])


def test_dropout_acts_in_training_only(matrix, first_layer):
    module = network(batchnorm=False, dropout_rate=0.5)
    module.pool = first_layer
    assert not torch.equal(run(module, matrix), run(module, matrix))
    module.eval()
    assert torch.equal(run(module, matrix), run(module, matrix))
    steady = network(batchnorm=False, dropout_rate=0.0)
    assert torch.equal(run(steady, matrix), run(steady, matrix))


@pytest.mark.parametrize("dropout_rate", [0.0, 0.5])
def test_the_parts_of_a_layer_are_the_same_to_the_last_bit_whatever_computes_them(matrix, dropout_rate, monkeypatch):
    monkeypatch.setattr("deepscore.model.network.WORTH_PARTS", 0)
    found = []
    for n_threads in (1, 2, 4):
        torch.manual_seed(3)
        module = network(dropout_rate=dropout_rate)
        with one_torch_thread(), torch_threads(n_threads) as module.pool:
            result = run(module, matrix)
            result.square().sum().backward()
        gradients = [parameter.grad for parameter in module.parameters()]
        found.append([result, *gradients, *(values for norm in module.norms for values in norm.buffers())])
    for others in found[1:]:
        assert all(map(torch.equal, found[0], others))


def test_parts_of_a_layer_keep_its_running_statistics(matrix, monkeypatch):
    whole, parts = network(), network()
    parts.load_state_dict(whole.state_dict())
    run(whole, matrix)
    monkeypatch.setattr("deepscore.model.network.WORTH_PARTS", 0)
    run(parts, matrix)
    for one, other in zip(whole.norms, parts.norms, strict=True):
        assert one.running_mean.any()
        torch.testing.assert_close(other.running_mean, one.running_mean)
        torch.testing.assert_close(other.running_var, one.running_var)


def test_parts_of_a_layer_are_single_whatever_the_caller_has_set(matrix, monkeypatch):
    monkeypatch.setattr("deepscore.model.network.WORTH_PARTS", 0)
    module, centres = network(), torch.zeros(1, N_FEATURES)
    torch.set_default_dtype(torch.float64)
    try:
        result = run(module, matrix, centres)
        result.sum().backward()
    finally:
        torch.set_default_dtype(torch.float32)
    assert {values.dtype for values in (result, *(one.grad for one in module.parameters()))} == {torch.float32}


def test_dropout_drops_the_asked_share():
    dropped = network(dropout_rate=0.3).dropout(torch.ones(20_000)) == 0
    assert float(dropped.float().mean()) == pytest.approx(0.3, abs=0.02)


def test_batch_normalisation_centres_every_hidden_layer(matrix):
    module, seen = network(), []
    for norm in module.norms:
        norm.register_forward_hook(lambda _, __, out: seen.append(out))
    run(module, matrix)
    assert len(seen) == len(HIDDEN)
    for out in seen:
        torch.testing.assert_close(out.mean(dim=0), torch.zeros(out.shape[1]), atol=1e-5, rtol=0)
        torch.testing.assert_close(out.std(dim=0, correction=0), torch.ones(out.shape[1]), atol=0.05, rtol=0)


@pytest.mark.parametrize(("one", "other"), list(itertools.pairwise(ACTIVATIONS)))
def test_activations_differ(one, other):
    x = torch.linspace(-3, 3, 13)
    assert not torch.allclose(activation_function(one)(x), activation_function(other)(x))


def test_weights_start_at_the_scale_of_their_inputs():
    module = Network(2000, (300,), 5, activation="relu", dropout_rate=0, batchnorm=True)
    assert float(module.weights[0].detach().std()) == pytest.approx((2 / 2000) ** 0.5, rel=0.02)
    assert all(not bias.any() for bias in module.biases)
