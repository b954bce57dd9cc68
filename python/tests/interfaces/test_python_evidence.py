from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import deepscore
from deepscore.errors import ConfigError, InputError
from deepscore.interfaces import python_evidence
from synthetic import LABELS, MARKERS, READ_HIDDEN, digest, hidden, names

OWN = {label: list(names("GENE", 80)[i * MARKERS : (i + 1) * MARKERS]) for i, label in enumerate(LABELS)}


def ranked(data, column="cell_type"):
    """Return what scanpy leaves in ``uns``, made of plain differences of means."""
    values, labels = data.X.toarray(), data.obs[column].to_numpy()
    scores = {label: values[labels == label].mean(0) - values[labels != label].mean(0) for label in LABELS}
    order = {label: np.argsort(-score) for label, score in scores.items()}
    found = {
        "params": {"groupby": column},
        "names": pd.DataFrame({label: data.var_names.to_numpy()[order[label]] for label in LABELS}),
        "scores": pd.DataFrame({label: scores[label][order[label]] for label in LABELS}),
    }
    return {name: x if isinstance(x, dict) else x.to_records(index=False) for name, x in found.items()}


def test_the_public_functions_are_these():
    assert deepscore.feature_importance is python_evidence.feature_importance
    assert deepscore.match_markers is python_evidence.match_markers


def test_evidence_of_cells_read_in_any_way(trained, query, tmp_path):
    before = digest(query)
    found = deepscore.feature_importance(trained, query, n_features=MARKERS)
    assert digest(query) == before
    assert {label: set(part["feature"]) for label, part in found.groupby("label")} == {
        label: set(own) for label, own in OWN.items()
    }
    trained.save(tmp_path / "model.deepscore")
    again = deepscore.feature_importance(
        tmp_path / "model.deepscore", hidden(query), "cell_type", n_features=MARKERS, **READ_HIDDEN
    )
    assert set(again["feature"]) == set(found["feature"])
    query.write_h5ad(tmp_path / "query.h5ad")
    of_file = deepscore.feature_importance(trained, tmp_path / "query.h5ad", n_features=MARKERS)
    pd.testing.assert_frame_equal(of_file, found)


def test_evidence_for_the_calls_of_an_annotation(trained, query):
    annotated = trained.annotate(query)
    of_calls = deepscore.feature_importance(trained, annotated, "deepscore")
    pd.testing.assert_frame_equal(of_calls, deepscore.feature_importance(trained, query))


def test_markers_of_every_form(trained, reference, query, tmp_path):
    sides = {"labels": "cell_type", "query_labels": "cell_type"}
    computed = deepscore.match_markers(reference, query, MARKERS, **sides)
    assert computed.score == 1
    query.uns["rank_genes_groups"] = ranked(query)
    long = pd.concat(
        [pd.DataFrame({"group": label, "names": own, "scores": 1.0}) for label, own in OWN.items()], ignore_index=True
    )
    evidence = deepscore.feature_importance(trained, query)
    reference.write_h5ad(tmp_path / "reference.h5ad")
    query.write_h5ad(tmp_path / "query.h5ad")
    for one in (OWN, long, pd.DataFrame(OWN), evidence):
        for other in (query, tmp_path / "query.h5ad", OWN):
            assert deepscore.match_markers(one, other, MARKERS).score == 1
    assert deepscore.match_markers(tmp_path / "reference.h5ad", query, MARKERS, labels="cell_type").score == 1


def test_the_calls_are_the_labels_of_a_query_where_nobody_names_them(trained, reference, query):
    found = deepscore.match_markers(reference, trained.annotate(query), MARKERS, labels="cell_type")
    assert found.score == 1


def test_results_of_scanpy_are_those_of_its_own_table(query):
    query.uns["other"] = ranked(query)
    found = deepscore.match_markers(OWN, query, 10, key="other")
    values, labels = query.X.toarray(), query.obs["cell_type"].to_numpy()
    for label in LABELS:
        score = values[labels == label].mean(0) - values[labels != label].mean(0)
        assert list(found.query[label]) == query.var_names[np.argsort(-score)[:10]].tolist()


@pytest.mark.parametrize(
    ("uns", "options", "code"),
    [
        ({}, {}, "no_labels"),
        ({"rank_genes_groups": {"params": {}}}, {}, "unknown_markers"),
        ({}, {"query_labels": "nothing"}, "column_not_found"),
    ],
)
def test_a_query_without_markers_is_refused(query, uns, options, code):
    query.uns.update(uns)
    with pytest.raises(InputError) as caught:
        deepscore.match_markers(OWN, query, **options)
    assert caught.value.code == code


def test_what_holds_no_markers_is_refused():
    for wrong in (3, [OWN]):
        with pytest.raises(InputError) as caught:
            deepscore.match_markers(OWN, wrong)
        assert caught.value.code == "unknown_data"


def test_calls_are_weighed_and_their_thresholds_used(trained, query, tmp_path):
    before = digest(query)
    found = deepscore.performance(trained, query, "cell_type")
    assert digest(query) == before
    assert found.accuracy == np.mean(trained.annotate(query).obs["deepscore"].astype(str) == query.obs["cell_type"])
    trained.save(tmp_path / "model.deepscore")
    thresholds = deepscore.find_thresholds(tmp_path / "model.deepscore", hidden(query), "cell_type", **READ_HIDDEN)
    again = deepscore.annotate(trained, query, thresholds)
    weighed = deepscore.performance(trained, query, query.obs["cell_type"], thresholds)
    assert weighed.confusion["Unclassified"].sum() == (again.obs["deepscore"] == "Unclassified").sum()
    again.write_h5ad(tmp_path / "query.h5ad")  # with the origin of the calls


@pytest.mark.parametrize("threshold", [{"B cell": 2}, {"platelet": 0.5}, [0.5, 0.6, 0.7], "high"])
def test_thresholds_that_make_no_sense_are_refused(trained, query, threshold):
    with pytest.raises(ConfigError):
        trained.annotate(query, threshold)


def test_the_best_of_several_models_annotates(reference, query):
    ds = deepscore.DeepScore((12, 8), list(reference.var_names), epochs=3, batch_size=32, seed=2)
    best = deepscore.select_model(ds.set_reference(reference, "cell_type"), 2, progress=False)
    assert [one["seed"] for one in best.manifest["training"]["selection"]] == [2, 3]
    assert best.config.hidden_nodes == (12, 8)
    assert np.mean(best.annotate(query).obs["deepscore"].astype(str) == query.obs["cell_type"]) > 0.9
    with pytest.raises(InputError) as caught:
        deepscore.select_model(best)
    assert caught.value.code == "no_reference"
    with pytest.raises(ConfigError):
        deepscore.select_model(best.model)
