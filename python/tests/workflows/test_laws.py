"""Laws of a call that need more than one annotation or model; the others are tested with what keeps them."""

from __future__ import annotations

import numpy as np
import pytest

from deepscore.data.labels import UNCLASSIFIED
from deepscore.training.fit import fit
from deepscore.training.reference import prepare
from deepscore.workflows.annotate import AnnotateRequest, annotate
from synthetic import blocks_of, quick, silent, study, type_names


def trained_on(counts, codes):
    data = blocks_of(counts)
    config = quick(common_features=tuple(data.feature_names), hidden_nodes=(32, 16), epochs=15, lr=0.01)
    return fit(prepare(data, type_names(codes), config), config, silent())


def called(model, counts, **options):
    return annotate(model, blocks_of(counts), AnnotateRequest(**options))


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_company_makes_no_sure_call_another(of_study, seed, shift):
    counts, _ = study(seed, [200, 50, 120, 80, 30], shift)
    whole = called(of_study, counts)
    for half in (np.arange(0, 480, 2), np.arange(240)):
        found = called(of_study, counts[half])
        sure = whole.scores[half] >= 0.9
        assert sure.sum() > 100
        assert not (sure & (found.calls != whole.calls[half]) & (found.calls != UNCLASSIFIED)).any()


@pytest.mark.parametrize("shift", [0.0, 0.5, 0.8])
def test_a_sorted_query_is_called_as_each_cell_by_itself(of_study, shift):
    for label in range(5):
        sizes = np.where(np.arange(5) == label, 150, 0)
        counts, codes = study(4 + label, sizes, shift)
        right, alone = (
            (called(of_study, counts, refine=refine).calls == type_names(codes)).mean() for refine in (True, False)
        )
        assert right >= alone - 0.01


@pytest.mark.parametrize("seed", range(3))
def test_scores_mean_what_they_say(of_study, seed, rng):
    counts, codes = study(20 + seed, [200] * 5)
    counts.data = rng.binomial(counts.data.astype(int), 0.2).astype(np.float32)  # few counts: types are hard to tell
    counts.eliminate_zeros()
    found = called(of_study, counts, threshold=0.0)
    right = found.calls == type_names(codes)
    assert right.mean() < 0.97
    tenth = np.minimum((found.scores * 10).astype(int), 9)
    gaps = [abs((found.scores - right)[tenth == one].sum()) for one in range(10)]
    assert sum(gaps) / len(right) < 0.1


def test_more_cells_in_the_reference_cost_no_accuracy():
    accuracy = []
    for n in (20, 60, 200):
        model = trained_on(*study(30, [n] * 5))
        queries = [study(seed, [60] * 5, 0.5) for seed in (1, 2, 3)]
        accuracy.append(
            np.mean([(called(model, counts).calls == type_names(codes)).mean() for counts, codes in queries])
        )
    assert accuracy[0] - 0.01 <= accuracy[1] <= accuracy[2] + 0.01
