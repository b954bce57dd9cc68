from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.data.labels import UNCLASSIFIED
from deepscore.query.annotation import Answers, vote
from deepscore.query.settings import SETTINGS
from synthetic import LABELS, random_model, type_names


def answered(in_view, known=None, *, alone=None, counts=None, table=True, size=7):
    """Fill in answers, block by block."""
    n = len(in_view)
    known = np.ones(n) if known is None else np.array(known)
    alone = in_view if alone is None else alone
    block = sp.csr_matrix(np.ones((n, 4)) if counts is None else counts)
    answers = Answers(n, in_view.shape[1], table=table)
    for first in [*range(0, n, size)][::-1]:  # in any order
        rows = slice(first, first + size)
        answers.put(first, block[rows], alone[rows], in_view[rows], known[rows])
    return answers


@pytest.fixture
def probabilities(rng):
    return rng.dirichlet(np.ones(3), 40)


@pytest.mark.parametrize("size", [1, 7, 40])
def test_a_call_is_the_best_label_in_view_where_its_score_reaches_the_threshold(probabilities, rng, size):
    known, alone = rng.random(40), rng.dirichlet(np.ones(3), 40)
    found = answered(probabilities, known, alone=alone, size=size).annotation(random_model(), 0.9, 0.4)
    for cell in range(40):
        score = max(probabilities[cell]) * known[cell]
        assert found.scores[cell] == pytest.approx(score)
        best = LABELS[probabilities[cell].tolist().index(max(probabilities[cell]))]
        assert found.calls[cell] == (best if score >= 0.4 else UNCLASSIFIED)
        assert found.raw[cell] == LABELS[alone[cell].tolist().index(max(alone[cell]))]
        assert (found.reasons[cell] == "") == (score >= 0.4)
    assert UNCLASSIFIED in found.calls
    assert set(found.calls) - {UNCLASSIFIED}
    np.testing.assert_array_equal(found.probabilities, probabilities)
    assert (found.labels, found.overlap) == (LABELS, 0.9)
    assert (found.group_calls, found.group_shares) == (None, None)


def test_a_score_equal_to_the_threshold_is_enough(probabilities):
    answers = answered(probabilities)
    scores = answers.scores
    found = answers.annotation(random_model(), 1.0, float(scores[7]))
    assert found.calls[7] != UNCLASSIFIED
    assert (found.calls == UNCLASSIFIED).sum() == (scores < scores[7]).sum() > 0


def test_the_table_is_kept_only_on_request(probabilities):
    assert answered(probabilities, table=False).annotation(random_model(), 1.0, 0.5).probabilities is None


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_cells_without_counts_have_no_label_whatever_the_threshold(threshold):
    counts = np.ones((20, 4))
    counts[[3, 11]] = 0
    stored = sp.csr_matrix(counts)
    stored.data[stored.indptr[5] : stored.indptr[6]] = 0  # stored zeros are no counts
    found = answered(np.tile([0.9, 0.05, 0.05], (20, 1)), counts=stored).annotation(random_model(), 1.0, threshold)
    empty = [3, 5, 11]
    assert found.calls[empty].tolist() == [UNCLASSIFIED] * 3
    assert found.reasons[empty].tolist() == ["no counts"] * 3
    assert found.scores[empty].tolist() == [0] * 3
    assert (np.delete(found.scores, empty) == 0.9).all()
    assert set(np.delete(found.calls, empty)) == {LABELS[0]}


@pytest.mark.parametrize(
    ("known", "best", "overlap", "reason"),
    [
        (1.0, 0.7, 1.0, ""),
        (1.0, 0.5, 1.0, "low confidence"),
        (0.5, 0.9, 1.0, "low confidence"),
        (0.51, 0.9, 1.0, "low confidence"),
        (0.49, 0.9, 1.0, "outlier"),
        (0.0, 0.9, 1.0, "outlier"),
        (1.0, 0.5, 0.5, "low confidence"),
        (1.0, 0.5, 0.49, "low overlap"),
        (1.0, 0.7, 0.49, ""),
        (0.49, 0.9, 0.49, "outlier"),
    ],
)
def test_a_cell_without_a_label_has_its_reason(known, best, overlap, reason):
    rest = (1 - best) / 2
    found = answered(np.array([[best, rest, rest]]), [known]).annotation(random_model(), overlap, 0.6)
    assert found.reasons.tolist() == [reason]
    assert found.calls.tolist() == [UNCLASSIFIED if reason else LABELS[0]]


def test_numbers_may_be_others():
    answers = answered(np.array([[0.4, 0.3, 0.3]] * 2), [0.7, 0.9])
    some = replace(SETTINGS, outlier=0.8, good_overlap=0.3)
    found = answers.annotation(random_model(), 0.4, 0.6, settings=some)
    assert found.reasons.tolist() == ["outlier", "low confidence"]


# ------------------------------------------------------------------------------------------------------ votes


@pytest.mark.parametrize(
    ("groups", "winners", "shares"),
    [
        (["x", "x", "x", "y"], ["B", "B", "B", "B"], [2 / 3] * 3 + [1]),
        (["x", "x", "y", "y"], ["B", "B", "B", "B"], [1, 1, 0.5, 0.5]),  # of equal ones the first by name
        ([None] * 4, ["B", "B", "T", "B"], [1] * 4),
        (["x", None, "x", "x"], ["B", "B", "B", "B"], [2 / 3, 1, 2 / 3, 2 / 3]),
    ],
)
def test_votes(groups, winners, shares):
    groups = np.array(groups, object)
    found = vote(np.array(["B", "B", "T", "B"], object), groups)
    assert found[0].tolist() == winners
    np.testing.assert_allclose(found[1], shares)


def test_groups_get_the_most_frequent_call_of_their_cells(rng):
    calls = rng.choice(np.array([*LABELS, UNCLASSIFIED], object), 200)
    groups = type_names(rng.integers(0, 9, 200))
    groups[rng.random(200) < 0.1] = None
    before = groups.tolist()
    winners, shares = vote(calls, groups)
    for cell in range(200):
        if groups[cell] is None:
            assert (winners[cell], shares[cell]) == (calls[cell], 1)
            continue
        counted = Counter(calls[groups == groups[cell]])
        best = min(label for label, n in counted.items() if n == max(counted.values()))
        assert winners[cell] == best
        assert shares[cell] == pytest.approx(counted[best] / counted.total())
    assert groups.tolist() == before


def test_unclassified_cells_vote_too(probabilities):
    groups = np.resize(["x", "y", None], 40).astype(object)
    found = answered(probabilities).annotation(random_model(), 1.0, 0.6, groups)
    calls, shares = vote(found.calls, groups)
    assert found.group_calls.tolist() == calls.tolist()
    np.testing.assert_array_equal(found.group_shares, shares)
    assert UNCLASSIFIED in found.group_calls


def test_the_calls_for_some_of_the_cells(probabilities):
    groups = np.array(["a", "b"] * 20, dtype=object)
    found = answered(probabilities).annotation(random_model(), 0.9, 0.5, groups)
    some = found.of_cells(slice(10, 13))
    assert some.calls.tolist() == found.calls[10:13].tolist()
    assert some.group_calls.tolist() == found.group_calls[10:13].tolist()
    np.testing.assert_array_equal(some.probabilities, probabilities[10:13])
    assert (some.labels, some.overlap) == (found.labels, 0.9)
    assert (
        answered(probabilities, table=False).annotation(random_model(), 1, 0.5).of_cells(slice(3)).group_calls is None
    )
