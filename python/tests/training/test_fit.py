from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from deepscore.data.standardise import SumsByCode
from deepscore.model import file as modelfile
from deepscore.model.calibrate import cross_calibrated, expected_calibration_error, fit_temperature
from deepscore.model.linear import fit_linear
from deepscore.model.profiles import profiles_of
from deepscore.training.fit import fit
from deepscore.training.held_out import stratified_split
from deepscore.training.reference import prepare
from synthetic import blocks_of, dataset, quick, silent


@pytest.fixture(scope="module")
def noisy():
    """Return a reference whose labels mean nothing, so that training soon makes things worse."""
    data = dataset(4, n_cells=120)
    labels = np.random.default_rng(4).permutation(data.obs["cell_type"].to_numpy(object))
    return prepare(blocks_of(data.X), labels, quick())


def same(one, other):
    return all(
        np.array_equal(a, b) for x, y in zip(one.layers, other.layers, strict=True) for a, b in zip(x, y, strict=True)
    )


def of_epoch(epoch, model):
    """Tell whether a model has the layers of an epoch, the last one times its share of the logits."""
    (*first, last), (*same_first, same_last) = epoch.layers, model.layers
    share = same_last[1][0] / last[1][0]
    return all(
        np.array_equal(a, b) for x, y in zip(first, same_first, strict=True) for a, b in zip(x, y, strict=True)
    ) and all(np.allclose(share * a, b, rtol=1e-5) for a, b in zip(last, same_last, strict=True))


def expected_sum(epoch, reference, learn, held_out, scale):
    """Work out the paths plainly; return what each adds to the logits of the held-out cells, and the two shares."""
    codes, cells = reference.codes, scale.cells(held_out)
    weight, bias = fit_linear(reference.matrix[learn], codes[learn], len(reference.labels), scale.cells(learn))
    batches = 0 if cells.batches is None else cells.batches
    z = (reference.matrix[held_out].toarray() - cells.centre[batches]) / cells.deviation[batches]
    hidden, linear = epoch.logits(reference.matrix[held_out], cells), z @ weight + bias
    one = 0.25 / fit_temperature(hidden, codes[held_out])
    other = 0.75 / fit_temperature(linear, codes[held_out], 0.37)
    return one * hidden, other * linear, one, other


def sizes(model):
    return sum(float(np.abs(weight).sum()) for weight, _ in model.layers)


# ---------------------------------------------------------------------------------------------------- seeds


def test_the_same_seed_gives_the_same_weights(prepared):
    first, again, other = (fit(prepared, quick(seed=seed), silent()) for seed in (7, 7, 8))
    assert same(first, again)
    assert first.temperature == again.temperature
    assert first.training == again.training
    assert not same(first, other)


def test_the_random_state_of_the_caller_is_left_alone(prepared):
    torch.manual_seed(5)
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(prepared, quick(epochs=1), silent())
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002


def test_the_random_state_of_the_caller_does_not_matter(prepared):
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        models.append(fit(prepared, quick(epochs=1), silent()))
    assert same(*models)


# -------------------------------------------------------------------------------------------------- add-ons


def test_max_norm_holds_in_the_model(prepared):
    seen = []
    model = fit(prepared, quick(max_norm=0.5, batchnorm=False, lr=0.05), silent(), lambda _, m: seen.append(m))
    assert max(np.linalg.norm(weight, axis=0).max() for weight, _ in seen[-1].layers) <= 0.5 + 1e-5
    assert of_epoch(seen[-1], model)


@pytest.mark.parametrize(("name", "value"), [("l1", 0.01), ("l2", 5.0)])
def test_l1_and_l2_give_smaller_weights(prepared, name, value):
    plain, small = (fit(prepared, quick(batchnorm=False, **{name: v}), silent()) for v in (0.0, value))
    assert sizes(small) < 0.97 * sizes(plain)


def test_l1_brings_more_weights_near_nought_than_l2_of_the_same_size(prepared):
    l1, l2 = (
        fit(prepared, quick(batchnorm=False, epochs=15, lr=0.01, **{name: value}), silent())
        for name, value in (("l1", 0.02), ("l2", 5.0))
    )
    near = [np.mean(np.abs(model.layers[0][0]) < 0.01) for model in (l1, l2)]
    assert near[0] > near[1]


@pytest.mark.parametrize(
    "change", [{"dropout_rate": 0.5}, {"batchnorm": False}, {"activation": "tanh"}, {"lr": 0.01}, {"batch_size": 16}]
)
def test_every_argument_changes_the_model(prepared, change):
    assert not same(fit(prepared, quick(), silent()), fit(prepared, quick(**change), silent()))


def test_the_model_has_the_asked_layers(prepared):
    model = fit(prepared, quick(hidden_nodes=(7, 5, 4), epochs=1), silent())
    assert [weight.shape for weight, _ in model.layers] == [(80, 7), (7, 5), (5, 4), (4, 3)]


# ---------------------------------------------------------------------------------------- stop and schedule


def test_early_stopping_restores_the_best_epoch(noisy):
    config = {"lr": 0.03, "dropout_rate": 0.0}
    options = {"early_stopping": True, "patience": 3, "lr_schedule": "constant"}
    stopped = fit(noisy, quick(epochs=40, **config), silent(**options))
    losses = [record["val_loss"] for record in stopped.training["history"]]
    best = stopped.training["best_epoch"]
    assert best == 1 + int(np.argmin(losses))
    assert len(losses) == best + 3 < 40
    assert same(stopped, fit(noisy, quick(epochs=best, **config), silent(**options)))


def test_without_early_stopping_the_last_epoch_is_kept(prepared):
    seen = []
    model = fit(prepared, quick(), silent(), lambda epoch, model: seen.append((epoch, model)))
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4]
    assert of_epoch(seen[-1][1], model)
    assert not of_epoch(seen[-2][1], model)
    assert model.training["best_epoch"] == 4


def test_the_models_of_earlier_epochs_do_not_change_later(prepared):
    kept = []
    fit(prepared, quick(batchnorm=False), silent(), lambda _, model: kept.append((model, model.layers[0][0].copy())))
    for model, weight in kept:
        np.testing.assert_array_equal(model.layers[0][0], weight)


# -------------------------------------------------------------------------------------------- what is told


def test_the_facts_of_training(prepared):
    facts = fit(prepared, quick(seed=9), silent()).training
    assert (facts["seed"], facts["n_cells"], facts["n_unlabelled"]) == (9, 240, 0)
    assert facts["cells_per_label"] == {"B cell": 80, "NK cell": 80, "T cell": 80}
    assert (facts["epochs"], facts["batch_size"], facts["best_epoch"]) == (4, 32, 4)
    assert [record["epoch"] for record in facts["history"]] == [1, 2, 3, 4]


def test_held_out_figures_are_those_of_cells_that_training_never_saw(prepared):
    seen = []
    model = fit(prepared, quick(seed=3, epochs=2), silent(), lambda _, model: seen.append(model))
    learn, cells = stratified_split(prepared.codes, 0.1, np.random.default_rng(3))
    hidden, linear, one, other = expected_sum(seen[-1], prepared, learn, cells, model.scale())
    logits = hidden + linear
    codes, calls, told = prepared.codes[cells], logits.argmax(axis=1), model.training["held_out"]
    assert model.temperature == pytest.approx(fit_temperature(logits, codes), rel=1e-4)
    error = expected_calibration_error(cross_calibrated(logits, codes), codes)
    assert told["calibration_error"] == pytest.approx(error, rel=1e-3)
    assert told["n_cells"] == len(cells) == 24
    assert told["accuracy"] == pytest.approx(accuracy_score(codes, calls))
    assert told["macro_f1"] == pytest.approx(f1_score(codes, calls, average="macro"))
    np.testing.assert_allclose(model.layers[-1][0], one * seen[-1].layers[-1][0], rtol=1e-5)
    every = fit_linear(prepared.matrix, prepared.codes, 3, model.scale())
    for found, expected in zip(model.linear, every, strict=True):  # fitted once more, on all cells
        np.testing.assert_allclose(found, other * expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(model.linear[0], other * fit_linear(
        prepared.matrix[learn], prepared.codes[learn], 3, model.scale()
    )[0], rtol=1e-3)  # fmt: skip


@pytest.mark.parametrize("early_stopping", [False, True])
def test_without_held_out_cells_nothing_is_told_of_them_and_the_linear_path_has_learnt_all(early_stopping):
    data = dataset(1, n_cells=60)
    reference = prepare(blocks_of(data.X), data.obs["cell_type"].to_numpy(object), quick(), test_prop=0)
    model = fit(reference, quick(epochs=1), silent(early_stopping=early_stopping))
    assert model.training["held_out"] == {"n_cells": 0}
    assert model.temperature == 1
    path = fit_linear(reference.matrix, reference.codes, 3, model.scale())
    np.testing.assert_allclose(model.linear[0], 0.75 / 0.37 * path[0], rtol=1e-5)


def test_the_profiles_are_those_of_the_reference(prepared):
    model, expected = fit(prepared, quick(epochs=1), silent()), profiles_of(prepared.matrix, prepared.codes)
    np.testing.assert_array_equal(model.profiles.mean, expected.mean)
    np.testing.assert_array_equal(model.profiles.owner, expected.owner)


def test_a_label_without_cells_is_trained_around(prepared):
    some = prepared.subset(np.flatnonzero(prepared.codes != 1))  # as a fold of the reference check
    model = fit(some, quick(), silent(), cell_by_cell=True)
    assert model.profiles is None
    assert (model.logits(prepared.matrix, model.scale()).argmax(axis=1)[prepared.codes != 1] != 1).all()


def test_batches_of_the_reference_are_standardised_each_by_itself():
    data = dataset(1)
    dense, batch = data.X.toarray(), data.obs["batch"].to_numpy(object)
    dense[batch == "odd"] *= np.resize([1, 9], data.n_vars)  # one batch has more of every other feature
    reference = prepare(blocks_of(dense), data.obs["cell_type"].to_numpy(object), quick(), batch=batch)
    seen = []
    network = quick(hidden_nodes=(32, 16), epochs=10, lr=0.01)
    model = fit(reference, network, silent(), lambda _, model: seen.append(model))
    learn, cells = stratified_split(reference.codes, 0.1, np.random.default_rng(0))
    sums = SumsByCode(2, 80).add(reference.matrix[learn], reference.batches[learn])
    scale = sums.by_batch(reference.batches, sums.pooled())
    logits, codes = sum(expected_sum(seen[-1], reference, learn, cells, scale)[:2]), reference.codes[cells]
    assert model.temperature == pytest.approx(fit_temperature(logits, codes), rel=1e-4)
    assert model.training["held_out"]["accuracy"] == accuracy_score(codes, logits.argmax(axis=1)) > 0.9
    assert model.training["n_batches"] == 2
    np.testing.assert_allclose(model.mean, sums.pooled().centre[0], rtol=1e-6)


def test_mean_and_deviation_are_those_of_the_cells_learnt_from(prepared):
    learn, _ = stratified_split(prepared.codes, 0.1, np.random.default_rng(0))
    dense = prepared.matrix[learn].toarray().astype(float)
    model = fit(prepared, quick(epochs=1), silent())
    np.testing.assert_allclose(model.mean, dense.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(model.deviation, np.sqrt(dense.var(axis=0) + 0.01), rtol=1e-4)


@contextmanager
def double_precision():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("state", [double_precision, torch.no_grad, torch.inference_mode])
def test_what_the_caller_has_set_in_torch_does_not_matter(prepared, state):
    expected = modelfile.to_bytes(fit(prepared, quick(epochs=2), silent(early_stopping=True)))
    with state():
        assert modelfile.to_bytes(fit(prepared, quick(epochs=2), silent(early_stopping=True))) == expected


def test_one_thread_trains_whatever_the_callers_number_which_comes_back(prepared):
    seen = []

    def watch(epoch, model):
        seen.append(torch.get_num_threads())
        if epoch == 2:
            raise RuntimeError

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model = fit(prepared, quick(epochs=2), silent())
        with pytest.raises(RuntimeError):
            fit(prepared, quick(epochs=2), silent(), watch)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]
    assert modelfile.to_bytes(model) == modelfile.to_bytes(fit(prepared, quick(epochs=2), silent()))


# -------------------------------------------------------------------------------------------------- quality


def test_loss_falls_and_cells_are_told_apart(prepared):
    model = fit(prepared, quick(hidden_nodes=(32, 16), epochs=10, lr=0.01), silent())
    history = model.training["history"]
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert model.training["held_out"]["accuracy"] > 0.95


def test_a_label_with_one_cell_is_learnt():
    data = dataset(8, n_cells=61)
    labels = data.obs["cell_type"].to_numpy(object)
    labels[10] = "alone"
    reference = prepare(blocks_of(data.X), labels, quick())
    model = fit(reference, quick(epochs=60, lr=0.01, dropout_rate=0.0), silent())
    assert model.training["cells_per_label"]["alone"] == 1
    assert model.labels[model.predict_proba(reference.matrix[10])[0].argmax()] == "alone"


@pytest.mark.parametrize("n_cells", [2, 3, 5])
def test_very_few_cells_can_be_trained_on(n_cells):
    data = dataset(8, n_cells=n_cells, labels=("B cell", "T cell"))
    reference = prepare(blocks_of(data.X), data.obs["cell_type"].to_numpy(object), quick(common_features=("GENE001",)))
    assert fit(reference, quick(epochs=2), silent(early_stopping=True)).labels == ("B cell", "T cell")


def test_two_trainings_at_once_are_those_of_one_after_the_other(prepared):
    alone = fit(prepared, quick(), silent())
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda seed: fit(prepared, quick(seed=seed), silent()), [0, 0]))
    for model in both:
        for (weight, _), (expected, _) in zip(model.layers, alone.layers, strict=True):
            np.testing.assert_array_equal(weight, expected)
