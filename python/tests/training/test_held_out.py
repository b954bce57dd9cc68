from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score

from deepscore.model.calibrate import fit_temperature
from deepscore.training.held_out import held_out_facts, stratified_split, tell_few, tell_held_out
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
    found = held_out_facts(logits, codes, tuple("ABCD"))
    assert found["n_cells"] == 60
    assert found["accuracy"] == pytest.approx(accuracy_score(codes, logits.argmax(axis=1)))
    assert found["macro_f1"] == pytest.approx(f1_score(codes, logits.argmax(axis=1), average="macro"))
    halves = np.arange(60) % 2 == 0
    likely = np.empty((60, 4))
    for half in (halves, ~halves):  # each calibrated on the other
        likely[half] = softmax(logits[half].astype(float) / fit_temperature(logits[~half], codes[~half]), axis=1)
    assert found["loss"] == pytest.approx(log_loss(codes, likely), rel=1e-5)
    assert 0 <= found["calibration_error"] <= 1
    recalls = recall_score(codes, logits.argmax(axis=1), average=None)
    assert found["labels"] == {
        label: {"n_cells": 15, "recall": pytest.approx(recall)} for label, recall in zip("ABCD", recalls, strict=True)
    }
    assert held_out_facts(logits[:0], codes[:0], tuple("ABCD")) == {"n_cells": 0}


def test_one_label_has_a_recall_and_no_accuracy(rng):
    logits = np.eye(3, dtype=np.float32)[[1, 1, 1, 0]]
    found = held_out_facts(logits, np.full(4, 1), tuple("ABC"))
    assert found == {
        "n_cells": 4,
        "labels": {"A": {"n_cells": 0}, "B": {"n_cells": 4, "recall": 0.75}, "C": {"n_cells": 0}},
    }


def told_by(tell, *arguments):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tell(*arguments)
    return "".join(str(warning.message) for warning in caught)


def test_labels_of_few_cells_are_told():
    codes = np.repeat([0, 1, 2, 3], [10, 9, 4, 3])
    assert told_by(tell_few, tuple("ABCD"), codes, 0.1) == (
        "These labels have fewer than 10 cells and cannot be trusted: 'B' (9), 'C' (4), 'D' (3). None of the cells of "
        "'D' is held out: how well they are recognised is not known."
    )
    assert "held out" not in told_by(tell_few, tuple("ABCD"), codes, 0)  # as it was asked for
    assert "held out" not in told_by(tell_few, tuple("ABC"), codes[:23], 0.1)
    assert told_by(tell_few, tuple("AB"), np.repeat([0, 1], 10), 0.1) == ""


@pytest.mark.parametrize(
    ("right", "told"),
    [
        ((50, 14, 7, 2), ""),
        ((50, 13, 7, 0), "Poorly recognised among the held-out cells: 'B' (65% of 20)."),
        (
            (25, 9, 0, 5),
            "Of 85 held-out cells 46% are called right, which is poor. Poorly recognised among the held-out cells: "
            "'C' (0% of 10), 'B' (45% of 20), 'A' (50% of 50).",
        ),
    ],
)
def test_poor_figures_are_told(right, told):
    sizes = np.array([50, 20, 10, 5])
    codes = np.repeat(np.arange(4), sizes)
    calls = np.concatenate(
        [np.where(np.arange(n) < hits, i, (i + 1) % 4) for i, (n, hits) in enumerate(zip(sizes, right, strict=True))]
    )
    found = told_by(tell_held_out, held_out_facts(np.eye(4, dtype=np.float32)[calls], codes, tuple("ABCD")))
    assert found == (told and f"{told} check_reference() tells what they are taken for.")


def test_few_held_out_cells_and_the_facts_of_older_files_tell_nothing():
    logits = np.eye(2, dtype=np.float32)[np.ones(9, int)]
    assert told_by(tell_held_out, held_out_facts(logits, np.arange(9) % 2, tuple("AB"))) == ""
    assert told_by(tell_held_out, {"n_cells": 0}) == ""
    assert told_by(tell_held_out, {"n_cells": 24, "accuracy": 0.9, "macro_f1": 0.8}) == ""
