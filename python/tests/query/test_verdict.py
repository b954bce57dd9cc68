from __future__ import annotations

import numpy as np
import pytest

from deepscore.query.verdict import Verdict, most_shifted

LOOKED_AT = Verdict(native=0.97, explained=0.612, agreement=0.885)


def test_a_query_of_the_reference_s_tissue_is_said_to_be():
    assert LOOKED_AT.words() == (
        "This query looks like the reference's tissue.",
        "The reference explains 61% of what tells its cells apart, and two ways of calling agree on 88% of the cells.",
    )


def test_a_foreign_query_is_warned_of_first():
    first, second = Verdict(native=0.1, explained=0.2, agreement=0.3, foreign=True).words()
    assert first.startswith("This query looks foreign: ")
    assert "explains 20% of what" in second
    assert "agree on 30% of the cells" in second


@pytest.mark.parametrize(
    ("higher", "lower", "expected"),
    [
        (("A", "B"), ("C",), "it has, on average, A, B higher and C lower."),
        (("A",), (), "it has, on average, A higher."),
        ((), ("C",), "it has, on average, C lower."),
    ],
)
def test_what_tells_a_query_from_the_reference_is_named(higher, lower, expected):
    (said,) = Verdict(higher=higher, lower=lower).words()
    assert said == f"Against a reference of its composition {expected}"


def test_where_nothing_was_looked_at_nothing_is_said():
    assert Verdict().words() == ()


def test_the_most_shifted_features_are_those_of_the_largest_ratios(rng):
    shift, deviation = rng.normal(size=40), rng.uniform(0.5, 2, 40)
    shift[3] = np.nan
    names = tuple(f"G{i}" for i in range(40))
    ratios = sorted((shift[i] / deviation[i], names[i]) for i in range(40) if i != 3)
    higher, lower = most_shifted(shift, deviation, names)
    assert lower == tuple(name for _, name in ratios[:5])
    assert higher == tuple(name for _, name in ratios[::-1][:5])
    assert most_shifted(np.zeros(4), np.ones(4), names[:4]) == ((), ())
    assert most_shifted(np.array([1.0, -2.0, 0.0]), np.ones(3), names[:3]) == (("G0",), ("G1",))
