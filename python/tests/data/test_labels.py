from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepscore.data.labels import as_texts, check_labels, evenly, positions_of, require_length
from deepscore.errors import InputError
from synthetic import blocks_of

DATA = blocks_of(np.ones((4, 7)))


def array(*values):
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["B", None, np.nan, pd.NA, ""], ["B", None, None, None, None]),
        (["NA", "nan", "None", "<NA>", b"nan"], ["NA", None, None, None, None]),
        (["nan", None, "a"], ["nan", None, "a"]),
        ([1.0, 2.5, np.float32(3), 4], ["1", "2.5", "3", "4"]),
        ([b"B", True], ["B", "True"]),
        ([], []),
    ],
)
def test_labels_become_text_and_missing_ones_none(values, expected):
    assert as_texts(values).tolist() == expected


def test_values_are_found_by_the_names_of_their_cells():
    cells = array("c", "a", "b")
    assert positions_of(cells, array("a", "b", "c"), "labels").tolist() == [2, 0, 1]
    assert positions_of(cells, array("x", "y"), "labels").tolist() == [0, 1]  # too few, which is another error


@pytest.mark.parametrize(
    ("names", "told"),
    [(("a", "b", "b"), "named twice, such as b"), (("a", None, "d"), "2 of 3 cells are not named, such as c")],
)
def test_names_of_other_cells_are_refused(names, told):
    with pytest.raises(InputError, match=f"names of batch.*{told}.*unname") as caught:
        positions_of(array("c", "a", "b"), array(*names), "batch")
    assert caught.value.code == "labels_cells"


def test_labels_are_counted_once_and_sorted_as_text():
    assert check_labels(DATA, array("10", "9", None, "10")) == ["10", "9"]
    assert check_labels(DATA, array("T", "B", "T", "NK"), 3) == ["B", "NK", "T"]


@pytest.mark.parametrize(
    ("labels", "n_labels", "code", "told"),
    [
        (array("B", "T", "B"), None, "labels_length", "3 entries, the data set 4 cells"),
        (array(*"BTBTBTB"), None, "wrong_orientation", "7 entries, as many as the data set has features"),
        (array(None, None, None, None), None, "no_labels", "All 4 labels are missing"),
        (array("B", "B", None, "B"), None, "one_label", "'B'"),
        (array("B", "T\0", "B", "T"), None, "invalid_text", "NUL"),
        (
            array("B", "T", "B", "T"),
            5,
            "n_labels_mismatch",
            "n_labels is 5, but the labels hold 2 different ones: B, T",
        ),
    ],
)
def test_labels_that_cannot_be_learnt_are_refused(labels, n_labels, code, told):
    with pytest.raises(InputError, match=told) as caught:
        check_labels(DATA, labels, n_labels)
    assert caught.value.code == code


def test_a_vector_is_named_in_its_error():
    require_length(DATA, array("a", "a", "b", "b"), "batch")
    with pytest.raises(InputError, match="batch has 1 entries") as caught:
        require_length(DATA, array("a"), "batch")
    assert caught.value.code == "batch_length"


@pytest.mark.parametrize(("most", "expected"), [(12, [5, 5, 2]), (27, [13, 12, 2]), (40, [25, 13, 2]), (9, [4, 3, 2])])
def test_large_labels_give_way_first(rng, most, expected):
    codes = rng.permutation(np.repeat([0, 1, 2], [50, 13, 2]))
    found = evenly(codes, most, rng)
    assert found.tolist() == sorted(set(found.tolist()))
    sizes = np.bincount(codes[found], minlength=3)
    assert sizes.sum() == most
    np.testing.assert_allclose(sizes, expected, atol=1)
    assert sizes[2] == 2  # a small label stays whole


def test_few_cells_are_all_taken_and_the_choice_follows_its_generator():
    codes = np.arange(90) % 3
    assert evenly(codes, 90, np.random.default_rng(0)).tolist() == list(range(90))
    first, again, other = (evenly(codes, 30, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2))
    assert first == again != other
