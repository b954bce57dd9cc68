from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from deepscore.training.metrics import accuracy, macro_f1

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
