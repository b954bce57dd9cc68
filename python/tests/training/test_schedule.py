from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepscore.model.network import Network
from deepscore.training.schedule import EarlyStop, Pace, default_batch_size, default_epochs, scheduled_lr, step_slices
from deepscore.training.settings import SETTINGS


@settings(max_examples=200)
@given(st.integers(2, 5000), st.integers(2, 600))
def test_steps_cover_all_cells_and_none_has_one_cell(n_cells, batch_size):
    parts = list(step_slices(n_cells, batch_size))
    lengths = [part.stop - part.start for part in parts]
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(n_cells))
    assert min(lengths) >= 2
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= max(1.5 * batch_size, 3)


@pytest.mark.parametrize(
    ("n_cells", "batch_size", "epochs"),
    [(10, 32, 30), (1024, 64, 30), (5000, 256, 20), (10_000, 512, 10), (50_000, 1024, 2), (10**6, 1024, 2)],
)
def test_batch_size_and_epochs_follow_the_number_of_cells(n_cells, batch_size, epochs):
    assert default_batch_size(n_cells) == batch_size
    assert default_epochs(n_cells) == epochs


@pytest.mark.parametrize(
    ("change", "batch_size", "epochs"),
    [
        ({}, 256, 20),
        ({"steps_per_epoch": 70}, 64, 20),
        ({"smallest_batch": 512}, 512, 20),
        ({"largest_batch": 128}, 128, 20),
        ({"cells_seen": 25_000}, 256, 5),
        ({"fewest_epochs": 24}, 256, 24),
        ({"most_epochs": 7}, 256, 7),
    ],
)
def test_batch_size_and_epochs_follow_the_settings(change, batch_size, epochs):
    changed = replace(SETTINGS, **change)
    assert (default_batch_size(5000, changed), default_epochs(5000, changed)) == (batch_size, epochs)


def rates(losses, name="loss"):
    """Return the rate of each epoch under the plateau schedule, given the loss of the epochs before it."""
    history = []
    for i, loss in enumerate(losses):
        lr = scheduled_lr("plateau", 1.0, i + 1, len(losses), history)
        history.append({"epoch": i + 1, "lr": lr, "loss": 1 / (i + 1), name: loss})
    return [record["lr"] for record in history]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([5, 4, 3, 2, 1, 0], [1, 1, 1, 1, 1, 1]),
        ([5, 4, 3, 3, 3, 3], [1, 1, 1, 1, 1, 0.5]),  # two epochs without an improvement
        ([5, 4, 4, 3, 4, 3], [1, 1, 1, 1, 1, 1]),  # one of the two was better
        ([1, 2, 2, 2, 2, 2, 2], [1, 1, 1, 0.5, 0.5, 0.25, 0.25]),  # an epoch of grace after each halving
    ],
)
@pytest.mark.parametrize("name", ["loss", "val_loss"])
def test_plateau_halves_the_rate_when_the_loss_stalls(losses, expected, name):
    assert rates([float(loss) for loss in losses], name) == expected


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "plateau"])
def test_one_epoch_has_the_given_rate(schedule):
    assert scheduled_lr(schedule, 0.3, 1, 1, []) == 0.3


def test_step_halves_after_each_third():
    found = [scheduled_lr("step", 0.4, epoch, 6, []) for epoch in range(1, 7)]
    assert found == pytest.approx([0.4, 0.4, 0.2, 0.2, 0.1, 0.1])


def test_cosine_ends_at_a_twentieth():
    found = [scheduled_lr("cosine", 1.0, epoch, 5, []) for epoch in range(1, 6)]
    assert found[0] == 1
    assert found[2] == pytest.approx((1 + 0.05) / 2)
    assert found[-1] == pytest.approx(0.05)
    assert found == sorted(found, reverse=True)
    assert scheduled_lr("cosine", 1.0, 5, 5, [], replace(SETTINGS, last_lr=0.2)) == pytest.approx(0.2)


def network(value):
    module = Network(3, (2,), 2, activation="relu", dropout_rate=0, batchnorm=True)
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, value)
    return module


@pytest.mark.parametrize(
    ("losses", "stops_after", "best"),
    [([3, 2, 1, 2, 2], 5, 3), ([3, 2, 2, 1], None, 0), ([1, 1, 1], 3, 1), ([3, float("nan"), 2, 1], None, 0)],
)
def test_early_stop_waits_and_keeps_the_best(losses, stops_after, best):
    stop, module, stopped = EarlyStop(patience=2), network(0), None
    for epoch, loss in enumerate(losses, 1):
        torch.nn.init.constant_(module.weights[0], epoch)
        if stop.after({"epoch": epoch, "val_loss": float(loss)}, module):
            stopped = epoch
            break
    assert stopped == stops_after
    if stops_after:
        assert stop.restore(module) == best
        assert module.weights[0].unique().tolist() == [best]


def test_without_patience_or_watched_cells_nothing_is_kept():
    module = network(1)
    assert not EarlyStop(None).after({"epoch": 1, "val_loss": 1.0}, module)
    stop = EarlyStop(1)
    assert not any(stop.after({"epoch": epoch, "loss": 1.0}, module) for epoch in range(1, 9))
    assert stop.restore(module) == 0
    assert module.weights[0].unique().tolist() == [1]


PACED = replace(SETTINGS, window=100, least_fall=0.1, small_loss=0.01, last_lr=0.05, most_passes=4)


def course_of(n_cells, loss_at, step=10):
    """Return the share of the rate at each step, given the loss by how many cells have been seen."""
    pace, shares = Pace(n_cells, PACED), []
    while not pace.done:
        shares.append(pace.share)
        pace.after(step, loss_at(pace.seen))
    return shares


def test_a_reference_that_is_soon_learnt_is_seen_once():
    shares = course_of(1200, lambda seen: 1.0 if seen < 200 else 0.3)
    assert 10 * len(shares) == 1200
    assert shares[:80] == [1.0] * 80
    expected = [0.05 + 0.95 * (1 + np.cos(np.pi * i / 40)) / 2 for i in range(40)]
    np.testing.assert_allclose(shares[80:], expected)


def test_one_that_is_not_is_seen_until_its_loss_falls_no_more():
    shares = course_of(300, lambda seen: 0.8 ** min(seen // 100, 6))  # a fifth less in each window, up to 600 cells
    assert 10 * shares.count(1.0) == pytest.approx(800, abs=20)  # the window in which it did not fall ends there
    assert 10 * len(shares) == pytest.approx(1200, abs=30)


def test_a_loss_that_falls_for_ever_ends_after_the_most_passes():
    assert 10 * len(course_of(300, lambda seen: 0.5 ** (seen / 100))) == 4 * 300


def test_a_loss_that_rises_ends_the_training_too():
    assert 10 * len(course_of(600, lambda seen: 1 + seen)) == 600


def test_a_fall_that_is_small_in_itself_is_not_worth_another_pass():
    shares = course_of(1200, lambda seen: 0.009 * 0.5 ** (seen / 100))
    assert 10 * len(shares) == 1200
