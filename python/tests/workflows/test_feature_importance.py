from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from deepscore.errors import ConfigError, InputError
from deepscore.workflows.feature_importance import ImportanceRequest, feature_importance
from synthetic import LABELS, MARKERS, blocks_of, dataset, full_model, names, normalised, random_model


def importance(model, data, labels=None, batch=None, **options):
    return feature_importance(model, data, ImportanceRequest(**options), labels=labels, batch=batch)


@pytest.fixture
def data():
    query = dataset(2, n_cells=150)
    return blocks_of(query.X, query.var_names.to_numpy(object)), query.obs["cell_type"].to_numpy(object)


def top(table, label, n=MARKERS):
    return set(table[table["label"] == label]["feature"].iloc[:n])


@pytest.mark.parametrize("method", ["gradient", "linear"])
@pytest.mark.parametrize("refine", [True, False])
def test_the_features_that_make_a_label_speak_for_it(trained, data, method, refine):
    for labels in (None, data[1]):
        table = importance(trained.model, data[0], labels, method=method, refine=refine)
        for i, label in enumerate(LABELS):
            assert top(table, label) == set(names("GENE", 80)[i * MARKERS : (i + 1) * MARKERS])
        assert len(table) == 3 * 80
        for _, part in table.groupby("label"):
            assert part["importance"].is_monotonic_decreasing
        assert table["label"].is_monotonic_increasing


def test_it_ranks_features_as_a_slow_permutation_does(trained, data, rng):
    """What a feature adds to the logits of a label's cells is lost where its values are exchanged between all cells."""
    model, (blocks, labels) = trained.model, data
    raw = blocks.to_csr().toarray()
    cells = normalised(model, raw).toarray()

    def margin(matrix):
        logits = model.logits(sp.csr_matrix(matrix), model.scale()) / model.temperature
        which = np.array([model.labels.index(label) for label in labels])
        return logits[np.arange(len(which)), which] - logits.mean(axis=1)

    before = margin(cells)
    lost = np.zeros(cells.shape[1])
    for feature in range(cells.shape[1]):
        for _ in range(5):
            mixed = cells.copy()
            mixed[:, feature] = rng.permutation(mixed[:, feature])
            lost[feature] += (before - margin(mixed)).mean() / 5
    table = importance(model, blocks, labels, by="overall", refine=False).set_index("feature")["importance"]
    found = table.loc[names("GENE", 80)].to_numpy()
    assert np.corrcoef(found, lost)[0, 1] > 0.95
    assert set(np.argsort(-found)[:18]) == set(np.argsort(-lost)[:18]) == set(range(18))


def test_label_and_overall_are_means_of_cells(data):
    model, blocks = full_model(n_features=80), data[0]
    of_cells = importance(model, blocks, data[1], by="cell", n_features=80, refine=False)
    assert of_cells.columns.tolist() == ["cell", "label", "feature", "importance"]
    wide = of_cells.pivot(index="cell", columns="feature", values="importance").loc[blocks.cell_names]
    by_label = wide.groupby(data[1]).mean()
    found = importance(model, blocks, data[1], refine=False)
    found = found.pivot(index="label", columns="feature", values="importance")
    np.testing.assert_allclose(found, by_label, rtol=1e-4, atol=1e-6)
    overall = importance(model, blocks, data[1], by="overall", refine=False)
    assert overall.columns.tolist() == ["feature", "importance"]
    np.testing.assert_allclose(overall["importance"], by_label.mean()[overall["feature"]], rtol=1e-4, atol=1e-6)


def test_some_cells_are_looked_at_and_their_best_features_listed(trained, data):
    cells = [data[0].cell_names[i] for i in (140, 3)]
    table = importance(trained.model, data[0], by="cell", cells=cells, n_features=4)
    assert table["cell"].tolist() == [cells[1]] * 4 + [cells[0]] * 4
    every = importance(trained.model, data[0], by="cell")
    assert len(every) == 150 * 20
    for cell in cells:
        of_one = every[every["cell"] == cell].head(4)
        np.testing.assert_allclose(table[table["cell"] == cell]["importance"], of_one["importance"], rtol=1e-5)


def test_blocks_and_order_of_cells_change_nothing(trained, data, rng):
    order = rng.permutation(150)
    whole = data[0].to_csr()
    mixed = blocks_of(whole[order], data[0].feature_names, data[0].cell_names[order], rows=7)
    one, other = (
        importance(trained.model, blocks).set_index(["label", "feature"])["importance"] for blocks in (data[0], mixed)
    )
    np.testing.assert_allclose(other.loc[one.index], one, atol=1e-5)


def test_cells_without_a_label_or_of_a_label_unknown_to_the_model_take_no_part(trained, data):
    labels = data[1].copy()
    labels[labels == LABELS[0]] = "platelet"
    labels[:5] = None
    with_fewer = importance(trained.model, data[0], labels)
    assert with_fewer["label"].unique().tolist() == list(LABELS[1:])


def test_symbols_are_shown_where_the_model_is_of_ids(data):
    ids = tuple(f"ENSG{i:011d}" for i in range(30))
    model = full_model(features=ids)
    model.training["other_names"] = {"symbol": names("SYM", 30).tolist()}
    table = importance(model, blocks_of(data[0].to_csr()[:, :30], np.array(ids, object)), refine=False)
    assert set(table["feature"]) == set(names("SYM", 30))


@pytest.mark.parametrize(
    ("options", "labels", "code"),
    [
        ({"method": "linear"}, None, "no_linear_path"),
        ({"cells": ["nobody"]}, None, "cells_not_found"),
        ({}, ["B cell"], "labels_length"),
        ({}, ["platelet"] * 150, "no_shared_labels"),
    ],
)
def test_what_makes_no_sense_is_refused(data, options, labels, code):
    labels = None if labels is None else np.array(labels, object)
    with pytest.raises(InputError) as caught:
        importance(random_model(n_features=80), data[0], labels, **options)
    assert caught.value.code == code


def test_where_no_cell_has_a_label_there_is_nothing_to_explain(trained, data):
    few = data[0].take(np.arange(3))
    labels = np.array(["B cell", None, None], object)
    other = [few.cell_names[1]]
    for by in ("label", "overall", "cell"):
        with pytest.raises(InputError) as caught:
            importance(trained.model, few, labels, by=by, cells=other)
        assert caught.value.code == "no_calls"


@pytest.mark.parametrize("options", [{"by": "gene"}, {"method": "x"}, {"n_features": 0}, {"refine": 1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        ImportanceRequest(**options)
