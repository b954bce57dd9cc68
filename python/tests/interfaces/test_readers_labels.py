from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import torch

from deepscore.errors import InputError
from deepscore.interfaces.readers import labels_of, open_source, values_of

CELLS = ["c1", "c2", "c3", "c4"]


@pytest.fixture
def source():
    obs = pd.DataFrame({"text": ["B", "T", "B", None], "number": [1.0, 2.0, 1.0, np.nan]}, index=CELLS)
    return open_source(ad.AnnData(np.ones((4, 2)), obs=obs))


def series(values, index, dtype=None):
    return pd.Series(values, index=index, dtype=dtype)


LABELS = {
    "column": ("text", ["B", "T", "B", None]),
    "column of numbers": ("number", ["1", "2", "1", None]),
    "list": (["B", "T", "B", None], ["B", "T", "B", None]),
    "tuple": (("B", "T", "B", "T"), ["B", "T", "B", "T"]),
    "array": (np.array(["B", "T", "B", "T"]), ["B", "T", "B", "T"]),
    "integers": (np.array([1, 2, 1, 10]), ["1", "2", "1", "10"]),
    "float32": (np.array([1, 2, 1, np.nan], np.float32), ["1", "2", "1", None]),
    "float64": (np.array([1, 2.5, 1, np.nan]), ["1", "2.5", "1", None]),
    "booleans": (np.array([True, False, True, True]), ["True", "False", "True", "True"]),
    "categorical": (pd.Categorical(["B", "T", "B", None], categories=["T", "B", "unused"]), ["B", "T", "B", None]),
    "Series of cells": (series(["B", "T", "B", "T"], CELLS), ["B", "T", "B", "T"]),
    "Series in another order": (series(["T", "B", "T", "B"], ["c4", "c3", "c2", "c1"]), ["B", "T", "B", "T"]),
    "Series of more cells": (series(list("BTBTX"), [*CELLS, "c5"])[CELLS], ["B", "T", "B", "T"]),
    "Series by position": (series(["B", "T", "B", "T"], range(4)), ["B", "T", "B", "T"]),
    "categorical Series": (series(["T", "B"] * 2, CELLS[::-1], "category"), ["B", "T", "B", "T"]),
    "strings with a missing one": (series(["B", pd.NA, "B", "T"], CELLS, "string"), ["B", None, "B", "T"]),
    "nullable integers": (series([1, pd.NA, 3, 4], CELLS, "Int64"), ["1", None, "3", "4"]),
    "empty text": (["B", "", "B", "T"], ["B", None, "B", "T"]),
    "missing ones as words": (series(["B", None, "T", np.nan], CELLS, object).astype(str), ["B", None, "T", None]),
    "missing ones as words in a list": (["B", "nan", "<NA>", "T"], ["B", None, None, "T"]),
    "missing ones as a category": (pd.Categorical(["B", "nan", "B", "T"]), ["B", None, "B", "T"]),
    "a word beside a missing one": (["B", "nan", None, "T"], ["B", "nan", None, "T"]),
    "masked": (np.ma.masked_array(["B", "T", "B", "T"], mask=[0, 0, 1, 0]), ["B", "T", None, "T"]),
    "tensor": (torch.tensor([1, 2, 1, 10]), ["1", "2", "1", "10"]),
    "lazy": (da.from_array(np.array(["B", "T", "B", "T"])), ["B", "T", "B", "T"]),
    "not a time": ([pd.NaT, "B", "T", "T"], [None, "B", "T", "T"]),
}


@pytest.mark.parametrize(("given", "expected"), LABELS.values(), ids=LABELS)
def test_values_become_one_text_per_cell(source, given, expected):
    assert values_of(source, given, "labels").tolist() == expected


def test_a_word_for_a_missing_label_is_text(source):
    assert labels_of(source, pd.Categorical(["B", "nan", "NA", None])).tolist() == ["B", "nan", "NA", None]
    assert labels_of(source, "text").tolist() == ["B", "T", "B", None]


@pytest.mark.parametrize(
    "index", [["c1", "c2", "c3", "x"], ["c1", "c2", "c3", "c3"]], ids=["another cell", "a cell twice"]
)
def test_a_series_of_other_cells_is_refused(source, index):
    with pytest.raises(InputError, match="The names of labels are not the names of the cells") as caught:
        values_of(source, series(["B"] * 4, index), "labels")
    assert caught.value.code == "labels_cells"


@pytest.mark.parametrize("index", [pd.RangeIndex(3, -1, -1), [3, 2, 1, 0]], ids=["range", "list"])
def test_a_series_of_numbers_is_aligned_where_they_are_names_of_cells(source, index):
    values = series(["B", "T", "B", None], index)
    numbered = open_source(ad.AnnData(np.ones((4, 2)), obs=pd.DataFrame(index=["0", "1", "2", "3"])))
    assert values_of(numbered, values, "labels").tolist() == [None, "B", "T", "B"]
    with pytest.raises(InputError) as caught:
        values_of(source, values, "labels")
    assert caught.value.code == "labels_cells"


@pytest.mark.parametrize(
    "values",
    [pd.Series([np.ones(1)] * 4), np.rec.fromarrays([["a"] * 4, [1] * 4]), torch.ones(2, 2), [{"a"}] * 4],
    ids=["arrays", "records", "tensor", "sets"],
)
def test_values_that_are_no_labels_are_refused(source, values):
    with pytest.raises(InputError) as caught:
        values_of(source, values, "groups")
    assert caught.value.code == "groups_length"


def test_a_column_that_is_not_there_is_refused_with_those_that_are(source):
    with pytest.raises(InputError, match="'text', 'number'") as caught:
        values_of(source, "cell_type", "labels")
    assert caught.value.code == "column_not_found"
