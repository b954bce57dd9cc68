from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.metrics import accuracy_score, f1_score

from deepscore.training.metrics import (
    accuracy,
    adjusted_rand_index,
    area_under_curve,
    macro_f1,
    purity,
    roc_curve,
)

LABELS = np.array(["B", "NK", "T", "rare"])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("as_text", [True, False])
def test_figures_are_those_of_scikit_learn(seed, as_text):
    rng = np.random.default_rng(seed)
    truth, calls = rng.choice(4, 60, p=[0.5, 0.3, 0.18, 0.02]), rng.integers(0, 4, 60)
    calls[::2] = truth[::2]
    if as_text:
        truth, calls = LABELS[truth], LABELS[calls]
    assert accuracy(truth, calls) == pytest.approx(accuracy_score(truth, calls))
    expected = f1_score(truth, calls, labels=np.unique(truth), average="macro", zero_division=0)
    assert macro_f1(truth, calls) == pytest.approx(expected)


def test_a_label_that_is_never_called_counts_as_nought():
    assert macro_f1(["B", "B", "T"], ["B", "B", "Unclassified"]) == pytest.approx(0.5)
    assert accuracy(["B", "B", "T"], ["B", "B", "Unclassified"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(40))
def test_curves_areas_and_agreement_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(4, 40)
    scores = rng.integers(0, rng.integers(2, 30), n) / 30  # many of them equal
    positive = rng.permutation(np.arange(n) < rng.integers(1, n))
    limits, false, true = roc_curve(scores, positive)
    expected = metrics.roc_curve(positive, scores, drop_intermediate=True)
    np.testing.assert_allclose(false, expected[0])
    np.testing.assert_allclose(true, expected[1])
    np.testing.assert_allclose(limits[1:], expected[2][1:])
    assert area_under_curve(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores))
    truth, clusters = LABELS[rng.integers(0, 4, n)], rng.integers(0, 3, n)
    assert adjusted_rand_index(truth, clusters) == pytest.approx(metrics.adjusted_rand_score(truth, clusters))
    counts = metrics.cluster.contingency_matrix(truth, clusters)
    assert purity(truth, clusters) == pytest.approx(counts.max(axis=0).sum() / n)


def test_partitions_that_are_trivial_agree():
    assert adjusted_rand_index(["a"] * 3, [1] * 3) == 1
    assert adjusted_rand_index(["a"], [1]) == 1
    assert adjusted_rand_index(["a", "b"], ["x", "y"]) == 1


def test_an_area_needs_both_kinds():
    assert np.isnan(area_under_curve(np.array([0.1, 0.2]), np.array([True, True])))
