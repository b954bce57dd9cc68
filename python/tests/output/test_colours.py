from __future__ import annotations

import pytest

from deepscore.output.colours import GREY, OUTCOMES, colours_of, palette


@pytest.mark.parametrize("n", [1, 7, 8, 60])
def test_colours_differ_and_none_is_grey(n):
    found = palette(n)
    assert len(set(found)) == n
    assert all(len({colour[1:3], colour[3:5], colour[5:]}) > 1 for colour in found)
    assert len(set(OUTCOMES.values())) == len(OUTCOMES)


def test_a_data_sets_own_colours_are_taken_where_all_labels_have_one():
    own = {"a": "#111111", "b": "#222222", "c": "#333333"}
    assert colours_of(["b", "a", "Unclassified"], own) == {"b": "#222222", "a": "#111111", "Unclassified": GREY}
    assert colours_of(["Unclassified"], {"Unclassified": "#000000"}) == {"Unclassified": "#000000"}
    assert list(colours_of(["a", "d"], own).values()) == palette(2)
    assert list(colours_of(["x", "Unclassified", "y"])) == ["x", "y", "Unclassified"]
