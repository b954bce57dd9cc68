from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import deepscore
from deepscore.data.labels import (
    MISSING,
    as_texts,
    check_labels,
    evenly,
    positions_of,
    read_labels,
    require_length,
    tell_labels,
    terms_of_labels,
)
from deepscore.errors import InputError
from synthetic import blocks_of

DATA = blocks_of(np.ones((4, 7)))


def array(*values):
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["B", None, np.nan, pd.NA, ""], ["B", None, None, None, None]),
        (["NA", "nan", "NaN", "NaT", "None", "<NA>", b"nan", "na"], [None] * 7 + ["na"]),
        (["nan", None, "a"], ["nan", None, "a"]),
        ([1.0, 2.5, np.float32(3), 4], ["1", "2.5", "3", "4"]),
        ([b"B", True], ["B", "True"]),
        ([], []),
    ],
)
def test_labels_become_text_and_missing_ones_none(values, expected):
    assert as_texts(values).tolist() == expected


def test_words_are_text_where_none_is_asked_for():
    assert as_texts(["nan", b"NA", "", None], words=()).tolist() == ["nan", "NA", None, None]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *[(word, None) for word in ("NA", "N/A", "na", "NaN", "null", "none", "-", " ", "\t", "unknown", "Unknown")],
        *[(word, None) for word in ("unassigned", "unclassified", "Unclassified", "UNKNOWN ", "\xa0n/a\xa0", "\u200b")],
        *[(word, None) for word in ("n.a.", "Not_assigned", "no-label", ".", "_", "Unknown cells", "NOT  ANNOTATED")],
        *[
            (word, word)
            for word in (
                "NK",
                "T",
                "unknown T",
                "unknown 2",
                "Un",
                "doublet",
                "CD4-",
                "0",
                "Natural",
                "NA cells",
                "Nonea",
            )
        ],
        ("T cell ", "T cell"),
        ("\u200b \tT\xa0cell\n", "T\xa0cell"),
        (None, None),
    ],
)
def test_words_for_a_missing_label_are_none_and_blanks_are_cut(text, label):
    assert read_labels(array(text)).tolist() == [label]


def test_the_caller_says_which_words_are_missing():
    texts = array("NA", "unknown", "doublet ", "", None, "  ")
    assert read_labels(texts, ()).tolist() == ["NA", "unknown", "doublet", None, None, None]
    assert read_labels(texts, ["doublet", "na"]).tolist() == ["NA", "unknown", None, None, None, None]


@pytest.mark.parametrize("word", MISSING)
def test_the_words_are_documented(word):
    told = " ".join(deepscore.DeepScore.set_reference.__doc__.lower().split())
    assert f'"{word}"' in told


def told_of(*texts, missing=None):
    texts = array(*texts)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tell_labels(texts, read_labels(texts, missing), missing)
    return [str(warning.message) for warning in caught]


def test_cells_that_are_left_out_are_counted_by_their_words():
    assert told_of("A", "B", "A") == []
    assert told_of("A", None, "B ") == ["1 of 3 cells have no label and are left out."]
    (told,) = told_of("A", "NA", "unknown", "NA ", None, " ", "B")
    assert told.startswith(
        "5 of 7 cells have no label and are left out: 'NA' (2), 'unknown' (1), no text (2). missing= says which"
    )
    assert told_of("A", "NA", missing=[]) == []


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (("T cell", "B", "T-cell", "t_cell", "T-cell"), ["'T cell' (1) and 'T-cell' (2) and 't_cell' (1)."]),
        (("Tcell", "T\xa0cell", "NK", "nk "), ["'NK' (1) and 'nk' (1); 'Tcell' (1) and 'T\\xa0cell' (1)."]),
        (("CD4", "CD4-", "CD4+", "CD4- T", "CD4 T", "T1", "T 2"), []),
        (("1.2", "12", "1_2", "Th1", "Th17", "NK", "NKT", "gut", "guts!"), ["'1.2' (1) and '1_2' (1)."]),
        (("B cell", "B cells", "DC", "DCs"), ["'B cell' (1) and 'B cells' (1); 'DC' (1) and 'DCs' (1)."]),
        (("T.cell", "'T cell'", "T (cell)."), ["\"'T cell'\" (1) and 'T (cell).' (1) and 'T.cell' (1)."]),
        (("\u03b2 cell", "Beta cell"), ["'Beta cell' (1) and '\u03b2 cell' (1)."]),
        (("Na\u00efve B", "naive B"), ["'Na\u00efve B' (1) and 'naive B' (1)."]),
        (("CD8\u2212CD4 T", "CD8-CD4 T"), ["'CD8-CD4 T' (1) and 'CD8\u2212CD4 T' (1)."]),
        ([f"{name}{i}" for i in range(7) for name in "Tt"], ["'T4' (1) and 't4' (1); and 2 more."]),
    ],
)
def test_labels_that_differ_in_their_spelling_are_told(texts, told):
    found = told_of(*texts)
    assert len(found) == len(told)
    for text, part in zip(found, told, strict=True):
        assert text.startswith("Some labels differ only in case, blanks, punctuation, accents or a plural: ")
        assert part in text


@pytest.mark.parametrize(
    "label", ["Doublets", "low_quality cells", "Other", "Unknown_1", "empty droplet", "contaminated"]
)
def test_labels_that_are_no_types_are_told(label):
    (told,) = told_of("A", "B", label, "Brother", "mixed lineage")
    assert (
        told
        == f"Some labels may be no type of cell: '{label}' (1). missing=['{label}'] leaves such cells out (--missing)."
    )
    assert told_of("A", label, missing=[]) == []


def test_values_are_found_by_the_names_of_their_cells():
    cells = array("c", "a", "b")
    assert positions_of(cells, array("a", "b", "c"), "labels").tolist() == [2, 0, 1]
    assert positions_of(cells, array("x", "y"), "labels").tolist() == [0, 1]  # too few, which is another error


def test_cells_of_one_name_are_not_told_apart():
    cells = array("a", "b", "b")
    assert positions_of(cells, cells.copy(), "labels").tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="1 cell names occur more than once") as caught:
        positions_of(cells, array("b", "a", "c"), "labels")
    assert caught.value.code == "duplicate_cells"


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


@pytest.mark.parametrize(
    ("labels", "terms", "expected"),
    [
        (["B", "T", "B", None], ["CL:1", "CL:2", "CL:1", "CL:9"], {"B": "CL:1", "T": "CL:2"}),
        (["CD4 T", "CD8 T"], ["CL:2", "CL:2"], {"CD4 T": "CL:2", "CD8 T": "CL:2"}),
        (["B", "B", "T"], [None, " CL:1 ", "unknown"], {"B": "CL:1"}),
        (["B", "B", "T"], ["CL:1", "CL:3", "CL:2"], {}),
        (["B"], [None], {}),
    ],
)
def test_a_label_has_a_term_where_its_cells_have_one(caplog, labels, terms, expected):
    with caplog.at_level("INFO", "deepscore"):
        assert terms_of_labels(np.array(labels, object), np.array(terms, object)) == expected
    assert bool(caplog.messages) == ("CL:3" in terms)
