from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepscore.errors import InputError
from deepscore.features.marker_sets import jaccard_index, sets_of_lists, sets_of_statistics, sets_of_table


def seurat_table(change="avg_log2FC"):
    """Return markers in the order in which FindAllMarkers lists them; some are lower in their cluster."""
    rows = [
        ("0", "CD3D", 1e-9, 2.0),
        ("0", "CD3E", 1e-9, 1.5),
        ("0", "MS4A1", 1e-8, -3.0),
        ("0", "IL7R", 1e-4, 4.0),
        ("1", "MS4A1", 1e-7, 2.5),
        ("1", "CD79A", 1e-5, 3.5),
    ]
    return pd.DataFrame(rows, columns=["cluster", "gene", "p_val", change]).assign(p_val_adj=1.0)


@pytest.mark.parametrize("change", ["avg_log2FC", "avg_logFC"])
def test_markers_of_seurat_are_those_with_the_lowest_p_then_the_greatest_change(change, rng):
    table = seurat_table(change)
    expected = {"0": ("CD3D", "CD3E", "IL7R"), "1": ("MS4A1", "CD79A")}
    assert sets_of_table(table, 10) == expected
    assert sets_of_table(table, 2) == {label: names[:2] for label, names in expected.items()}
    mixed = table.iloc[rng.permutation(len(table))]
    assert sets_of_table(mixed, 2) == {label: names[:2] for label, names in expected.items()}


def test_markers_with_scores_are_those_with_the_highest():
    table = pd.DataFrame(
        {"group": list("aaabb"), "names": list("xyzuv"), "scores": [1, 3, -2, 5, 6], "pvals": [0.1, 0.2, 0, 0.3, 0]}
    )
    assert sets_of_table(table, 5) == {"a": ("y", "x"), "b": ("v", "u")}


def test_a_table_without_figures_is_in_its_own_order_and_a_label_without_markers_stays():
    table = pd.DataFrame({"label": ["a", "a", "b", None], "feature": ["x", None, "y", "z"]})
    assert sets_of_table(table, 5) == {"a": ("x",), "b": ("y",)}
    lower = pd.DataFrame({"cluster": ["a", "b"], "gene": ["x", "y"], "avg_logFC": [1, -1]})
    assert sets_of_table(lower, 5) == {"a": ("x",), "b": ()}


def test_a_table_of_names_has_a_column_for_each_label():
    table = pd.DataFrame({"T": ["CD3D", "CD3E"], "B": ["MS4A1", None]})
    assert sets_of_table(table, 5) == {"T": ("CD3D", "CD3E"), "B": ("MS4A1",)}


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"gene": ["x"], "avg_log2FC": [1.0]}),  # of FindMarkers: no cluster
        pd.DataFrame({"cluster": ["x"], "avg_log2FC": [1.0]}),
        pd.DataFrame({"cluster": ["x"], "gene": ["y"], "p_val": ["low"]}),
        pd.DataFrame(),
    ],
)
def test_a_table_without_labels_features_or_numbers_is_refused(table):
    with pytest.raises(InputError) as caught:
        sets_of_table(table, 5)
    assert caught.value.code == "unknown_markers"


def test_lists_keep_their_order_and_each_name_once():
    assert sets_of_lists({1: ["a", "b", "a", np.nan, "c"], "x": np.array([])}, 3) == {"1": ("a", "b", "c"), "x": ()}


@pytest.mark.parametrize("names", ["CD3D", 3])
def test_what_is_no_list_is_refused(names):
    with pytest.raises(InputError, match="list of names"):
        sets_of_lists({"T": names}, 3)


def test_the_highest_statistics_are_the_markers():
    names = np.array(["c", "a", "b", "d"], object)
    statistics = np.array([[1.0, 2, 2, -1], [0, -1, -2, 5]])
    assert sets_of_statistics(statistics, ["x", "y"], names, 3) == {"x": ("a", "b", "c"), "y": ("d",)}


def test_the_index_is_that_of_sets(rng):
    genes = [f"G{i}" for i in range(30)]
    sides = [{label: tuple(rng.choice(genes, rng.integers(1, 12), replace=False)) for label in "abc"} for _ in range(2)]
    found = jaccard_index(*sides)
    for i, one in enumerate(sides[0].values()):
        for j, other in enumerate(sides[1].values()):
            assert found[i, j] == pytest.approx(len(set(one) & set(other)) / len(set(one) | set(other)))
    np.testing.assert_array_equal(found.T, jaccard_index(*sides[::-1]))


def test_spellings_of_one_feature_are_one_and_nothing_has_nothing_in_common():
    sides = {"a": ("HLA-A", "ENSG00000141510.12"), "b": ()}, {"a": ("hla_a", "ENSG00000141510"), "b": ()}
    np.testing.assert_array_equal(jaccard_index(*sides), [[1, 0], [0, 0]])
