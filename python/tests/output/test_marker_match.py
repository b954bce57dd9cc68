from __future__ import annotations

import numpy as np
import pytest

from deepscore.errors import InputError
from deepscore.output.marker_match import marker_match

T, B, NK = ("CD3D", "CD3E", "IL7R"), ("MS4A1", "CD79A", "CD79B"), ("NKG7", "GNLY", "CD3E")


def matchscore(reference, query):
    """Return matchSCore as Mereu et al. define it, by sets."""
    best = [max(len({*a} & {*b}) / len({*a} | {*b}) for b in query.values()) for a in reference.values()]
    return sum(best) / len(best)


def test_identical_markers_score_1_and_disjoint_ones_0():
    sets = {"T": T, "B": B}
    assert marker_match(sets, dict(sets)).score == 1
    assert marker_match({"T": T}, {"B": B}).score == 0


def test_the_score_and_the_best_matches_are_those_of_the_definition():
    reference, query = {"T": T, "B": B, "NK": NK}, {"1": T, "2": (*B[:2], "PAX5")}
    found = marker_match(reference, query)
    assert found.score == pytest.approx(matchscore(reference, query))
    assert found.best["label"].tolist() == ["B", "NK", "T"]
    assert found.best["match"].tolist() == ["2", "1", "1"]
    np.testing.assert_allclose(found.best["jaccard"], [2 / 4, 1 / 5, 1])
    assert found.jaccard.loc["B", "2"] == pytest.approx(2 / 4)


def test_numbered_clusters_are_in_the_order_of_their_numbers():
    found = marker_match({"T": T}, {"10": T, "2": B, "1": NK})
    assert found.jaccard.columns.tolist() == ["1", "2", "10"]


def test_the_table_of_the_reverse_comparison_is_turned():
    reference, query = {"T": T, "B": B}, {"1": NK, "2": B, "3": T}
    there, back = marker_match(reference, query), marker_match(query, reference)
    np.testing.assert_array_equal(there.jaccard.to_numpy(), back.jaccard.to_numpy().T)
    assert there.score == 1
    assert back.score == pytest.approx((1 / 5 + 1 + 1) / 3)


def test_it_is_told_in_words():
    shown = repr(marker_match({"T": T, "B": B}, {"1": T}))
    assert "matchSCore of 0.50" in shown
    assert "'T' matches '1' best (Jaccard index 1.00)" in shown
    assert "'B' shares no marker" in shown


def test_labels_without_any_marker_are_refused():
    for sides in (({"T": ()}, {"T": T}), ({"T": T}, {})):
        with pytest.raises(InputError) as caught:
            marker_match(*sides)
        assert caught.value.code == "no_markers"
