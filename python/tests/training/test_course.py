from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from deepscore.data.shards import deal_out
from deepscore.errors import DeepScoreError
from deepscore.model.network import Network
from deepscore.training.config import SCHEDULES
from deepscore.training.fit import fit
from deepscore.training.held_out import stratified_split
from deepscore.training.reference import prepare
from deepscore.training.settings import SETTINGS
from synthetic import blocks_of, dataset, quick, silent


@pytest.fixture(scope="module")
def noisy():
    """Return a reference whose labels mean nothing, so that training soon makes things worse."""
    data = dataset(4, n_cells=120)
    labels = np.random.default_rng(4).permutation(data.obs["cell_type"].to_numpy(object))
    return prepare(blocks_of(data.X), labels, quick())


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


def test_max_norm_holds_after_every_step(prepared, monkeypatch):
    longest = watch_steps(
        monkeypatch, lambda network, _: max(float(w.detach().norm(dim=0).max()) for w in network.weights)
    )
    fit(prepared, quick(max_norm=0.5, batchnorm=False, lr=0.05), silent())
    assert len(longest) > 8
    assert longest[0] > 0.5  # as drawn
    assert max(longest[1:]) <= 0.5 + 1e-5


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_early_stopping_watches_a_tenth_of_the_cells_that_are_not_held_out(noisy, share):
    rng, seen = np.random.default_rng(0), []
    learn, held_out = stratified_split(noisy.codes, 0.1, rng)
    watched = learn[stratified_split(noisy.codes[learn], share, rng)[1]]
    options, changed = silent(early_stopping=True), replace(SETTINGS, watched_prop=share)
    told = fit(noisy, quick(epochs=2), options, lambda _, model: seen.append(model), settings=changed).training
    assert told["held_out"]["n_cells"] == len(held_out)
    for record, model in zip(told["history"], seen, strict=True):
        probabilities, codes = model.predict_proba(noisy.matrix[watched]), noisy.codes[watched]
        assert record["val_loss"] == pytest.approx(log_loss(codes, probabilities), rel=1e-4)
        assert record["val_accuracy"] == pytest.approx(accuracy_score(codes, probabilities.argmax(axis=1)))


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


def test_rare_labels_weigh_more_by_the_root_of_their_rarity(prepared, monkeypatch):
    seen, real = [], torch.nn.functional.cross_entropy

    def watched(logits, codes, weight=None):
        seen.append(weight)
        return real(logits, codes, weight)

    monkeypatch.setattr("deepscore.training.course.cross_entropy", watched)
    cells = np.concatenate([np.flatnonzero(prepared.codes == label)[:n] for label, n in enumerate((80, 20, 5))])
    fit(replace(prepared.subset(cells), test_prop=0.0), quick(epochs=1), silent())
    weight = seen[0].numpy()
    np.testing.assert_allclose(weight / weight[0], [1, 2, 4], rtol=1e-5)
    assert (weight * [80, 20, 5]).sum() == pytest.approx(105, rel=1e-5)  # the mean cell weighs 1


@pytest.mark.parametrize("progress", [True, False])
def test_the_progress_bar_shows_loss_and_accuracy(prepared, capsys, monkeypatch, progress):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    model = fit(prepared, quick(), silent(progress=progress))
    told = capsys.readouterr()
    last = model.training["history"][-1]
    for wanted in (f"loss={last['loss']:.3f}", f"accuracy={last['accuracy']:.3f}", "4/4"):
        assert (wanted in told.err) == progress
    assert told.out == ""


@pytest.mark.parametrize("device", ["banana", "cuda:99", "meta", "hpu"])
def test_a_device_that_is_not_there_is_refused(prepared, device):
    with pytest.raises(DeepScoreError) as caught:
        fit(prepared, quick(epochs=1, device=device), silent())
    assert caught.value.code == "bad_argument"


def test_a_training_that_diverges_is_told(prepared):
    with pytest.raises(DeepScoreError, match="lr|learning rate"):
        fit(prepared, quick(epochs=20, lr=10, l2=1e3, batchnorm=False), silent())


def test_a_large_reference_is_learnt_until_it_has_converged(prepared):
    few = replace(SETTINGS, large=100, window=100, least_fall=0.5, most_epochs=5, most_passes=5)
    model = fit(prepared, quick(epochs=None, batch_size=32), silent(), settings=few)
    told = model.training
    assert 1 <= told["epochs"] == len(told["history"]) == told["best_epoch"] <= 5
    assert told["history"][-1]["lr"] < 0.2 * model.network["lr"]  # it has come to rest
    for options in ({"lr_schedule": "constant"}, {"early_stopping": True}):  # these say themselves how it goes
        assert fit(prepared, quick(epochs=None), silent(**options), settings=few).training["epochs"] == 5


@pytest.mark.parametrize("held", [10**9, 0])
def test_a_reference_in_shards_is_learnt_as_well_as_in_one_piece(held, monkeypatch):
    data = dataset(1, n_cells=400)
    labels = data.obs["cell_type"].to_numpy(object)
    in_order = np.argsort(labels, kind="stable")  # sorted by label, as files often are
    plain = deal_out

    def dealt(blocks, n_cells, n_features):
        return plain((part for block in blocks for part in (block[:150], block[150:])), n_cells, n_features, 2000, held)

    monkeypatch.setattr("deepscore.training.reference.deal_out", dealt)
    batch = np.resize(np.array(["a", "b"], dtype=object), 400)
    sharded = prepare(blocks_of(data.X[in_order]), labels[in_order], quick(), batch=batch)
    assert len(sharded.cells.parts) > 2
    monkeypatch.setattr("deepscore.training.reference.deal_out", plain)
    whole = prepare(blocks_of(data.X[in_order]), labels[in_order], quick(), batch=batch)
    np.testing.assert_array_equal(sharded.matrix.toarray(), whole.matrix.toarray())
    one, other = (fit(reference, quick(epochs=20), silent()) for reference in (sharded, whole))
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-5)
    for a, b in zip(one.linear, other.linear, strict=True):  # fitted on the same cells
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999
    np.testing.assert_array_equal(one.profiles.mean, other.profiles.mean)
    assert one.training["held_out"]["n_cells"] == other.training["held_out"]["n_cells"]
    assert one.training["held_out"]["accuracy"] > 0.9
    again = fit(sharded, quick(epochs=20), silent())
    np.testing.assert_array_equal(one.layers[0][0], again.layers[0][0])
