from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from deepscore.training.held_out import held_out_facts, stratified_split
from deepscore.training.settings import SETTINGS


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


@pytest.mark.parametrize(("fewest", "expected"), [(4, [10, 1]), (5, [10, 0]), (101, [0, 0])])
def test_a_label_of_few_cells_is_not_split(rng, fewest, expected):
    codes = np.repeat([0, 1], [100, 4])
    held_out = stratified_split(codes, 0.1, rng, replace(SETTINGS, fewest_to_split=fewest))[1]
    assert np.bincount(codes[held_out], minlength=2).tolist() == expected


def test_the_split_follows_its_generator():
    codes = np.arange(90) % 3
    first, again, other = (stratified_split(codes, 0.2, np.random.default_rng(seed))[1] for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_the_figures_of_held_out_cells_are_those_of_scikit_learn(rng):
    logits, codes = rng.normal(0, 2, (60, 4)).astype(np.float32), np.arange(60) % 4
    found = held_out_facts(logits, codes)
    assert found["n_cells"] == 60
    assert found["accuracy"] == pytest.approx(accuracy_score(codes, logits.argmax(axis=1)))
    assert found["macro_f1"] == pytest.approx(f1_score(codes, logits.argmax(axis=1), average="macro"))
    assert 0 <= found["calibration_error"] <= 1
    assert held_out_facts(logits[:0], codes[:0]) == {"n_cells": 0}
