from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from scipy import special

from deepscore.model.calibrate import cross_calibrated, expected_calibration_error, fit_temperature

softmax = partial(special.softmax, axis=1)


def sampled(rng, temperature, n=40_000):
    """Return logits, and labels drawn from what they mean at a temperature."""
    logits = rng.normal(0, 4, (n, 4))
    chances = softmax(logits / temperature)
    codes = (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logits.astype(np.float32), np.minimum(codes, 3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5, 6.0])
def test_the_temperature_that_made_the_labels_is_recovered(rng, temperature):
    logits, codes = sampled(rng, temperature)
    assert fit_temperature(logits, codes) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("n", [1, 3, 40, 3000])
@pytest.mark.parametrize("expected", [0.37, 1.0, 4.0])
def test_the_temperature_is_the_best_of_a_fine_grid(rng, n, expected):
    logits, codes = (part[:n] for part in sampled(rng, 0.6, 3000))
    grid = np.exp(np.linspace(np.log(1 / 20), np.log(20), 4001))
    losses = [
        -np.log(softmax(logits.astype(float) / t)[np.arange(n), codes]).mean()
        + 0.02 / (1 + n / 50) * np.log(t / expected) ** 2
        for t in grid
    ]
    assert fit_temperature(logits, codes, expected) == pytest.approx(grid[np.argmin(losses)], rel=0.005)


def test_few_cells_that_are_all_right_do_not_ask_for_certainty(rng):
    codes = rng.integers(0, 3, 5)
    logits = (5 * np.eye(3)[codes]).astype(np.float32)  # without a pull: as cold as can be
    assert 0.5 < fit_temperature(logits, codes) < 1
    assert 0.3 < fit_temperature(logits, codes, 0.37) < 0.5


def test_the_temperature_has_limits(rng):
    logits = rng.normal(0, 1, (50, 3)).astype(np.float32)
    assert fit_temperature(logits / 10, logits.argmax(axis=1)) == pytest.approx(1 / 20, rel=0.01)
    assert fit_temperature(1000 * logits, logits.argmin(axis=1)) == pytest.approx(20, rel=0.01)


@pytest.mark.parametrize("expected", [1.0, 0.37])
def test_without_held_out_cells_the_temperature_is_the_expected_one(expected):
    assert fit_temperature(np.empty((0, 3), np.float32), np.empty(0, np.intp), expected) == expected
    assert fit_temperature(np.empty((0, 3), np.float32), np.empty(0, np.intp)) == 1


def slow_calibration_error(probabilities, codes, bins):
    error = 0.0
    for i in range(bins):
        inside = [
            (max(row), row.argmax() == code)
            for row, code in zip(probabilities, codes, strict=True)
            if i / bins <= max(row) < (i + 1) / bins or (i == bins - 1 and max(row) == 1)
        ]
        if inside:
            confidence, right = np.mean(inside, axis=0)
            error += len(inside) / len(codes) * abs(confidence - right)
    return error


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("stretch", [0.3, 1, 3])
def test_calibration_error_equals_a_slow_loop(rng, bins, stretch):
    logits, codes = sampled(rng, 1.0, 500)
    probabilities = softmax(stretch * logits.astype(float))
    probabilities[:20] = np.eye(4)[codes[:20]]  # certain
    found = expected_calibration_error(probabilities, codes, bins)
    assert found == pytest.approx(slow_calibration_error(probabilities, codes, bins), abs=1e-12)


def test_calibration_lowers_the_error(rng):
    logits, codes = sampled(rng, 3.0, 5000)
    before, after = (
        expected_calibration_error(softmax(logits.astype(float) / t), codes)
        for t in (1, fit_temperature(logits, codes))
    )
    assert after < 0.03 < 0.2 < before


def test_calibration_error_of_no_cells_is_not_a_number():
    assert math.isnan(expected_calibration_error(np.empty((0, 3)), np.empty(0, np.intp)))


def test_each_half_is_calibrated_on_the_other(rng):
    logits, codes = sampled(rng, 3.0, 101)
    even, odd = slice(0, None, 2), slice(1, None, 2)
    expected = np.empty(logits.shape)
    for half, other in ((even, odd), (odd, even)):
        expected[half] = softmax(logits[half].astype(float) / fit_temperature(logits[other], codes[other]))
    np.testing.assert_allclose(cross_calibrated(logits, codes), expected, rtol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_very_few_cells_can_be_calibrated(rng, n):
    logits, codes = sampled(rng, 2.0, 20)
    found = cross_calibrated(logits[:n], codes[:n])
    assert found.shape == (n, 4)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


def test_cells_that_the_calibration_has_seen_flatter_it(rng):
    seen, unseen = [], []
    for _ in range(40):
        logits, codes = sampled(rng, 3.0, 30)
        seen.append(expected_calibration_error(softmax(logits.astype(float) / fit_temperature(logits, codes)), codes))
        unseen.append(expected_calibration_error(cross_calibrated(logits, codes), codes))
    assert np.mean(unseen) > np.mean(seen)
