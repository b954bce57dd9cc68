from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepscore.output.columns import OPTIONAL, are_terms_of_calls, columns_of, names_of_columns, table_of
from deepscore.query.annotation import Annotation


def annotation(**more):
    calls, raw, reasons = (np.array(values, object) for values in (["B", "Unclassified"], ["B", "T"], ["", "outlier"]))
    return Annotation(calls, np.array([0.9, 0.2]), raw, reasons, None, ("B", "T"), 1.0, **more)


def test_the_columns_of_an_annotation():
    columns = {name: values.tolist() for name, values in columns_of(annotation()).items()}
    assert columns == {
        "deepscore": ["B", "Unclassified"],
        "deepscore_score": [0.9, 0.2],
        "deepscore_raw": ["B", "T"],
        "deepscore_reason": ["", "outlier"],
    }


def test_clusters_add_two_columns():
    columns = columns_of(annotation(group_calls=np.array(["B", "B"], object), group_shares=np.array([1.0, 0.5])))
    assert list(columns)[-2:] == list(OPTIONAL) == ["deepscore_group", "deepscore_group_share"]
    assert columns["deepscore_group_share"].tolist() == [1.0, 0.5]


def test_the_table_has_a_column_of_each_label():
    found = replace(annotation(), probabilities=np.array([[0.9, 0.1], [0.4, 0.6]]), labels=("B/C", "T"))
    table = table_of(found, np.array(["x", "y"], object))
    assert list(table)[4:] == ["deepscore_probability_B/C", "deepscore_probability_T"]
    assert (table.index.name, table.index.tolist()) == ("cell", ["x", "y"])
    assert table.loc["y", "deepscore_probability_T"] == 0.6


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["B", "T cell"], ["B", "T cell"]),
        (["T/CD4", "T"], ["T|CD4", "T"]),
        (["T/CD4", "T|CD4"], ["T|CD4_", "T|CD4"]),
        (["T|CD4", "T/CD4", "T|CD4_"], ["T|CD4", "T|CD4__", "T|CD4_"]),
        (["_index", "", "."], ["_index_", "_", "._"]),
    ],
)
def test_names_of_columns_differ_and_are_no_paths(labels, names):
    assert names_of_columns(labels) == names


def test_calls_have_their_terms_where_the_model_knows_them():
    found = columns_of(annotation(terms={"B": "CL:0000236"}))
    assert found["cell_type_ontology_term_id"].tolist() == ["CL:0000236", "unknown"]
    assert "cell_type_ontology_term_id" not in columns_of(annotation(terms={}))


@pytest.mark.parametrize(
    ("calls", "terms", "expected"),
    [
        (["B", "Unclassified", "B"], ["CL:1", "unknown", "CL:1"], True),
        (["B", "Unclassified", "B"], ["CL:1", "CL:1", "CL:1"], False),
        (["B", "T", "B"], ["CL:1", "CL:1", "CL:2"], False),
        (["B"], [float("nan")], False),
        (None, ["CL:1"], False),
        (["B"], ["CL:1", "CL:1"], False),
    ],
)
def test_terms_of_an_earlier_annotation_follow_its_calls(calls, terms, expected):
    assert are_terms_of_calls(calls, terms) is expected
