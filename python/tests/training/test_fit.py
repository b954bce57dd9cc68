from __future__ import annotations

import math
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss

from deepscore.model import file as modelfile
from deepscore.model.calibrate import cross_calibrated, expected_calibration_error, fit_temperature
from deepscore.support.config import SCHEDULES
from deepscore.errors import DeepScoreError, EngineError
from deepscore.model.linear import fit_linear
from deepscore.model.network import Network
from deepscore.query.novelty import profiles_of
from deepscore.training.reference import prepare
from deepscore.data.standardise import GroupSums
from deepscore.training.fit import fit, stratified_split
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
    weight, bias = fit_linear(
        reference.matrix[learn], codes[learn], len(reference.labels), scale.cells(learn), np.random.default_rng(0)
    )
    groups = 0 if cells.groups is None else cells.groups
    z = (reference.matrix[held_out].toarray() - cells.centre[groups]) / cells.deviation[groups]
    hidden, linear = epoch.logits(reference.matrix[held_out], cells), z @ weight + bias
    one = 0.25 / fit_temperature(hidden, codes[held_out])
    other = 0.75 / fit_temperature(linear, codes[held_out], 0.37)
    return one * hidden, other * linear, one, other


def sizes(model):
    return sum(float(np.abs(weight).sum()) for weight, _ in model.layers)


# ------------------------------------------------------------------------------------------------ the split


@pytest.mark.parametrize("proportion", [0.0, 0.1, 0.5, 0.9])
def test_the_split_is_stratified_and_keeps_small_labels(rng, proportion):
    n = {0: 100, 1: 1, 2: 3, 3: 4, 4: 37}
    codes = rng.permutation(np.repeat(list(n), list(n.values())))
    learn, held_out = stratified_split(codes, proportion, rng)
    assert sorted([*learn, *held_out]) == list(range(len(codes)))
    for label, count in n.items():
        expected = max(int(proportion * count), 1) if proportion and count >= 4 else 0
        assert (codes[held_out] == label).sum() == expected
        assert (codes[learn] == label).any()


def test_the_split_follows_its_generator():
    codes = np.arange(90) % 3
    first, again, other = (stratified_split(codes, 0.2, np.random.default_rng(seed))[1] for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_no_step_sees_one_cell(prepared, monkeypatch):
    seen = watch_steps(monkeypatch, lambda network, batch: len(batch.indptr) - 1)
    n = len(prepared.codes) - stratified_split(prepared.codes, 0.1, np.random.default_rng(0))[1].size
    fit(prepared, quick(batch_size=n - 1, epochs=1), silent())
    fit(prepared, quick(batch_size=5, epochs=1), silent())
    assert min(seen) > 1
    assert sum(seen) == 2 * n


def watch_steps(monkeypatch, look):
    """Collect what `look` returns before every step of training."""
    seen, forward = [], Network.forward

    def watched(self, batch, *others):
        seen.append(look(self, batch))
        return forward(self, batch, *others)

    monkeypatch.setattr(Network, "forward", watched)
    return seen


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


def test_max_norm_holds_after_every_step(prepared, monkeypatch):
    longest = watch_steps(
        monkeypatch, lambda network, _: max(float(w.detach().norm(dim=0).max()) for w in network.weights)
    )
    fit(prepared, quick(max_norm=0.5, batchnorm=False, lr=0.05), silent())
    assert len(longest) > 8
    assert longest[0] > 0.5  # as drawn
    assert max(longest[1:]) <= 0.5 + 1e-5


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


def test_early_stopping_watches_a_tenth_of_the_cells_that_are_not_held_out(noisy):
    rng, seen = np.random.default_rng(0), []
    learn, held_out = stratified_split(noisy.codes, 0.1, rng)
    watched = learn[stratified_split(noisy.codes[learn], 0.1, rng)[1]]
    options = silent(early_stopping=True)
    told = fit(noisy, quick(epochs=2), options, lambda _, model: seen.append(model)).training
    assert told["held_out"]["n_cells"] == len(held_out)
    for record, model in zip(told["history"], seen, strict=True):
        probabilities, codes = model.predict_proba(noisy.matrix[watched]), noisy.codes[watched]
        assert record["val_loss"] == pytest.approx(log_loss(codes, probabilities), rel=1e-4)
        assert record["val_accuracy"] == pytest.approx(accuracy_score(codes, probabilities.argmax(axis=1)))


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


def expected_rates(schedule, lr, history):
    """Compute plainly which rate each epoch should have had."""
    n = len(history)
    if schedule == "constant":
        return [lr] * n
    if schedule == "step":
        return [lr / 2 ** math.floor(3 * i / n) for i in range(n)]
    if schedule == "cosine":
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
        course = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=n - 1, eta_min=lr / 20)
        rates = []
        for _ in range(n):
            rates += course.get_last_lr()
            optimizer.step()
            course.step()
        return rates
    rates, halved = [lr], False
    for i in range(1, n):  # the losses of the epochs before this one
        losses = [record["loss"] for record in history[:i]]
        halved = i > 2 and min(losses[-2:]) >= min(losses[:-2]) and not halved
        rates.append(rates[-1] / 2 if halved else rates[-1])
    return rates


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_schedule_is_followed(noisy, schedule, monkeypatch):
    taken, step = [], torch.optim.AdamW.step

    def watched(self, *args, **kwargs):
        taken.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    model = fit(noisy, quick(epochs=14, lr=0.05, dropout_rate=0.9), silent(lr_schedule=schedule))
    history = model.training["history"]
    rates = [record["lr"] for record in history]
    assert rates == pytest.approx(expected_rates(schedule, 0.05, history))
    assert taken == [rate for rate in rates for _ in range(len(taken) // 14)]
    assert (min(rates) < 0.05) == (schedule != "constant")


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
    assert told["agreement"] == (hidden.argmax(axis=1) == linear.argmax(axis=1)).mean()
    np.testing.assert_allclose(model.layers[-1][0], one * seen[-1].layers[-1][0], rtol=1e-5)
    every = fit_linear(prepared.matrix, prepared.codes, 3, model.scale(), np.random.default_rng(3))
    for found, expected in zip(model.linear, every, strict=True):  # fitted once more, on all cells
        np.testing.assert_allclose(found, other * expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(model.linear[0], other * fit_linear(
        prepared.matrix[learn], prepared.codes[learn], 3, model.scale(), np.random.default_rng(3)
    )[0], rtol=1e-3)  # fmt: skip


@pytest.mark.parametrize("early_stopping", [False, True])
def test_without_held_out_cells_nothing_is_told_of_them_and_the_linear_path_has_learnt_all(early_stopping):
    data = dataset(1, n_cells=60)
    reference = prepare(blocks_of(data.X), data.obs["cell_type"].to_numpy(object), quick(), test_prop=0)
    model = fit(reference, quick(epochs=1), silent(early_stopping=early_stopping))
    assert model.training["held_out"] == {"n_cells": 0}
    assert model.temperature == 1
    path = fit_linear(reference.matrix, reference.codes, 3, model.scale(), np.random.default_rng(0))
    np.testing.assert_allclose(model.linear[0], 0.75 / 0.37 * path[0], rtol=1e-5)


def test_rare_labels_weigh_more_by_the_root_of_their_rarity(prepared, monkeypatch):
    seen, real = [], torch.nn.functional.cross_entropy

    def watched(logits, codes, weight=None):
        seen.append(weight)
        return real(logits, codes, weight)

    monkeypatch.setattr("deepscore.training.fit.cross_entropy", watched)
    cells = np.concatenate([np.flatnonzero(prepared.codes == label)[:n] for label, n in enumerate((80, 20, 5))])
    fit(replace(prepared.subset(cells), test_prop=0.0), quick(epochs=1), silent())
    weight = seen[0].numpy()
    np.testing.assert_allclose(weight / weight[0], [1, 2, 4], rtol=1e-5)
    assert (weight * [80, 20, 5]).sum() == pytest.approx(105, rel=1e-5)  # the mean cell weighs 1


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
    dense[batch == "odd"] *= np.resize([1, 9], data.n_vars)  # one sample has more of every other feature
    reference = prepare(blocks_of(dense), data.obs["cell_type"].to_numpy(object), quick(), batch=batch)
    seen = []
    network = quick(hidden_nodes=(32, 16), epochs=10, lr=0.01)
    model = fit(reference, network, silent(), lambda _, model: seen.append(model))
    learn, cells = stratified_split(reference.codes, 0.1, np.random.default_rng(0))
    sums = GroupSums(2, 80).add(reference.matrix[learn], reference.groups[learn])
    scale = sums.by_group(reference.groups, sums.pooled())
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


@pytest.mark.parametrize("progress", [True, False])
def test_the_progress_bar_shows_loss_and_accuracy(prepared, capsys, progress):
    model = fit(prepared, quick(), silent(progress=progress))
    told = capsys.readouterr()
    last = model.training["history"][-1]
    for wanted in (f"loss={last['loss']:.3f}", f"accuracy={last['accuracy']:.3f}", "4/4"):
        assert (wanted in told.err) == progress
    assert told.out == ""


def test_without_tensorboard_it_is_said_what_to_install(prepared, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(EngineError, match=r"pip install tensorboard\.") as caught:
        fit(prepared, quick(), silent(tensorboard=str(tmp_path)))
    assert caught.value.code == "missing_package"


def test_tensorboard_reads_what_was_written(prepared, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "board"
    history = fit(prepared, quick(), silent(tensorboard=folder, early_stopping=True)).training["history"]
    events = EventAccumulator(str(folder)).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "accuracy", "lr", "val_loss", "val_accuracy"}
    for name in events.Tags()["scalars"]:
        found = events.Scalars(name)
        assert [event.step for event in found] == [1, 2, 3, 4]
        assert [event.value for event in found] == pytest.approx([record[name] for record in history])


@pytest.mark.parametrize("device", ["banana", "cuda:99", "meta", "hpu"])
def test_a_device_that_is_not_there_is_refused(prepared, device):
    with pytest.raises(DeepScoreError) as caught:
        fit(prepared, quick(epochs=1, device=device), silent())
    assert caught.value.code == "bad_argument"


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


@pytest.mark.parametrize(("batch_size", "inside"), [(256, 1), (257, 2)])
def test_small_batches_are_trained_on_by_one_thread_and_the_callers_number_comes_back(prepared, batch_size, inside):
    seen = []

    def watch(epoch, model):
        seen.append(torch.get_num_threads())
        if epoch == 2:
            raise RuntimeError

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError):
            fit(prepared, quick(batch_size=batch_size, epochs=2), silent(), watch)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [inside, inside]


def test_a_training_that_diverges_is_told(prepared):
    with pytest.raises(DeepScoreError, match="lr|learning rate"):
        fit(prepared, quick(epochs=20, lr=10, l2=1e3, batchnorm=False), silent())


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
