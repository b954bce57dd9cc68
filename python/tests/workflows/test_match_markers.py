from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepscore.errors import ConfigError, InputError
from deepscore.workflows.match_markers import LabelledCells, MatchRequest, match_markers
from synthetic import LABELS, MARKERS, blocks_of, dataset, names

OWN = {label: tuple(names("GENE", 80)[i * MARKERS : (i + 1) * MARKERS]) for i, label in enumerate(LABELS)}


def cells(seed, **options):
    data = dataset(seed, **options)
    return LabelledCells(blocks_of(data.X, data.var_names.to_numpy(object)), data.obs["cell_type"].to_numpy(object))


@pytest.mark.parametrize("test", ["t-test", "wilcoxon"])
def test_markers_of_cells_are_those_that_the_labels_were_made_of(test):
    found = match_markers(cells(1), cells(2), MatchRequest(n_markers=MARKERS, test=test))
    assert found.score == 1
    assert {label: {*some} for label, some in found.query.items()} == {label: {*own} for label, own in OWN.items()}
    assert match_markers(cells(1), OWN, MatchRequest(n_markers=MARKERS)).score == 1


def test_of_two_data_sets_only_what_both_have_can_be_a_marker():
    reference, query = cells(1), cells(2)
    fewer = LabelledCells(query.blocks.select(np.arange(4, 60)), query.labels)
    found = match_markers(reference, fewer, MatchRequest(n_markers=2))
    assert not {*names("GENE", 4)} & {name for some in found.reference.values() for name in some}
    assert found.jaccard.loc["B cell", "B cell"] == 1  # the two that are left


def test_cells_without_a_call_take_no_part():
    query = cells(2)
    labels = query.labels.copy()
    labels[:40] = "Unclassified"
    for missing in (None, ["none"]):
        found = match_markers(cells(1), LabelledCells(query.blocks, labels), MatchRequest(n_markers=6, missing=missing))
        assert found.jaccard.columns.tolist() == sorted(LABELS)
    labels[40:50] = "unknown"
    with pytest.warns(UserWarning, match="10 of 200 cells have no label"):
        match_markers(OWN, LabelledCells(query.blocks, labels), MatchRequest())


def test_lists_are_compared_as_a_whole_and_tables_by_their_first_hundred():
    lists = {"a": [f"G{i}" for i in range(250)], "b": [f"H{i}" for i in range(3)]}
    found = match_markers(lists, lists, MatchRequest())
    assert len(found.reference["a"]) == 250
    assert len(match_markers(lists, lists, MatchRequest(n_markers=9)).reference["a"]) == 9
    table = pd.DataFrame([(label, name) for label, some in lists.items() for name in some], columns=["cluster", "gene"])
    assert len(match_markers(table, lists, MatchRequest()).reference["a"]) == 100


def test_labels_without_markers_and_names_of_two_kinds_are_told():
    with pytest.warns(UserWarning, match=r"labels of the query have no markers: 'x'"):
        match_markers(OWN, {**OWN, "x": ()}, MatchRequest())
    with pytest.warns(UserWarning, match="'GENE000', the query as 'CD3D'"):
        match_markers(OWN, {"T": ["CD3D"]}, MatchRequest())


def test_one_label_has_nobody_to_differ_from():
    query = cells(2)
    with pytest.raises(InputError) as caught:
        match_markers(OWN, LabelledCells(query.blocks, np.full(240, "B", object)), MatchRequest())
    assert caught.value.code == "one_label"


@pytest.mark.parametrize("options", [{"n_markers": 0}, {"test": "anova"}, {"missing": 3}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        MatchRequest(**options)
