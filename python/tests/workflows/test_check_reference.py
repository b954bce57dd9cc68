from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.model_selection import GroupKFold

import deepscore
from deepscore.errors import ConfigError, InputError
from deepscore.workflows import check_reference as check
from deepscore.workflows.check_reference import whole_batches, within_labels
from synthetic import LABELS, counts, dataset, digest, log_cp10k, multiome, names, sites, study, type_names


@pytest.fixture
def hard(rng):
    """Return cells that are not always told apart: log-normalised, in three batches, few counts."""
    data = dataset(3, n_cells=150, n_features=60)
    data.X = data.X.multiply(rng.random(data.X.shape) < 0.15).floor().tocsr()
    data.X = type(data.X)(log_cp10k(data.X), dtype=np.float32)
    data.obs["batch"] = np.repeat(["x", "y", "z"], [70, 50, 30])
    return data


def oracle(data, fold, features, query_features, batch):
    """Cross-validate by the public verbs, fold by fold, on cut AnnData; return the call of each cell."""
    calls = np.empty(data.n_obs, dtype=object)
    for left_out in sorted(set(fold)):
        learn, test = data[fold != left_out].copy(), data[fold == left_out, query_features].copy()
        ds = deepscore.DeepScore(common_features=features, epochs=30, batch_size=32, seed=4)
        ds.set_reference(learn, "cell_type", batch=batch, test_prop=0).train(progress=False)
        calls[fold == left_out] = ds.annotate(test, threshold=0, batch=batch, refine=False).obs["deepscore"]
    return calls


@pytest.mark.parametrize("batch", [None, "batch"])
@pytest.mark.parametrize("n_query", [None, 40])
def test_figures_are_those_of_the_public_verbs_fold_by_fold(hard, batch, n_query):
    features = list(hard.var_names[:50])
    query = None if n_query is None else hard[:20, :n_query].copy()
    before = digest(hard)
    found = deepscore.check_reference(
        hard, "cell_type", query, common_features=features, batch=batch, folds=3, seed=4, modality="rna"
    )
    assert digest(hard) == before
    if batch:
        fold = np.repeat([0, 1, 2], [70, 50, 30])
    else:
        fold = within_labels(pd.Categorical(hard.obs["cell_type"]).codes, 3, np.random.default_rng(4))
    truth = hard.obs["cell_type"].to_numpy(object)
    calls = oracle(hard, fold, features, hard.var_names[:n_query], batch)
    assert 0.4 < (truth == calls).mean() < 0.95  # neither perfect nor by chance
    precision, recall, f1, cells = precision_recall_fscore_support(truth, calls, labels=LABELS, zero_division=np.nan)
    table = found.labels
    assert table["label"].tolist() == list(LABELS)
    np.testing.assert_array_equal(table["cells"], cells)
    np.testing.assert_array_equal(table["tested"], cells)
    for name, expected in (("recall", recall), ("precision", precision), ("f1", f1)):
        np.testing.assert_allclose(table[name], expected, err_msg=name)
    every = [*LABELS, "Unclassified"]
    matrix = confusion_matrix(truth, calls, labels=every)
    pairs = {}
    for i, label in enumerate(LABELS):
        for j, other in enumerate(every):
            share = matrix[i, j] / cells[i]
            if i != j and share >= 0.1:
                pairs[label, other] = share
    assert found.confusable.set_index(["label", "taken_for"])["share"].to_dict() == pairs
    assert found.confusable["share"].is_monotonic_decreasing


def test_cells_of_a_label_are_dealt_out_evenly(rng):
    codes = rng.permutation(np.repeat(np.arange(5), [23, 2, 40, 1, 7]))
    fold = within_labels(codes, 4, np.random.default_rng(1))
    for code, n in enumerate([23, 2, 40, 1, 7]):
        sizes = np.bincount(fold[codes == code], minlength=4)
        assert sizes.max() - sizes.min() <= 1
        assert sizes.sum() == n
    np.testing.assert_array_equal(fold, within_labels(codes, 4, np.random.default_rng(1)))
    assert (fold != within_labels(codes, 4, np.random.default_rng(2))).any()


@pytest.mark.parametrize("n_folds", [2, 3, 6])
def test_batches_stay_whole(rng, n_folds):
    groups = rng.permutation(np.repeat(np.arange(6), [40, 31, 17, 9, 5, 2]))
    fold = whole_batches(groups, n_folds)
    expected = np.empty(len(groups), int)
    for i, (_, test) in enumerate(GroupKFold(n_folds).split(groups, groups=groups)):
        expected[test] = i
    same = fold[:, None] == fold
    np.testing.assert_array_equal(same, expected[:, None] == expected)


def test_more_folds_than_batches_are_one_for_each():
    assert whole_batches(np.array([1, 0, 1, 1]), 5).tolist() == [0, 1, 0, 0]


def test_labels_that_can_be_trusted_are_said_to_be(reference, query):
    found = deepscore.check_reference(reference, "cell_type", query, folds=2)
    recall, precision = found.labels["recall"].min(), found.labels["precision"].min()
    lowest = f"lowest recall {recall:.2f}, lowest precision {precision:.2f}"
    used = "The query has 80 of the 80 features used (100%)."
    assert found.words[:3] == (
        f"All 3 labels can be trusted ({lowest}).",
        used,
        "0% of the query's cells are Unclassified.",
    )
    assert found.query["unclassified"] == 0
    assert found.labels["trusted"].tolist() == [True] * 3
    assert len(found.confusable) == 0
    assert list(found.confusable) == ["label", "taken_for", "share"]
    assert found.overlap == {"features": 80, "found": 80, "share": 1.0}
    assert found.design == "2 folds, each with cells of every label"


def test_two_labels_of_the_same_cells_are_confusable(reference, rng):
    labels = reference.obs["cell_type"].astype(str).to_numpy(object)
    twins = np.flatnonzero(labels == "T cell")
    labels[rng.permutation(twins)[:40]] = "T cell too"
    found = deepscore.check_reference(reference, labels, folds=2)
    assert set(found.confusable.set_index(["label", "taken_for"]).index) == {
        ("T cell", "T cell too"),
        ("T cell too", "T cell"),
    }
    assert found.labels.set_index("label")["trusted"].to_dict() == {
        "B cell": True, "NK cell": True, "T cell": False, "T cell too": False
    }  # fmt: skip
    assert "of its cells are taken for 'T cell'" in found.words[1]
    assert "of the cells that get it are others" in " ".join(found.words)
    assert found.words[-1].startswith("2 of 4 labels can be trusted")


def test_a_label_with_two_cells_is_too_small_and_with_one_cannot_be_tested(reference):
    labels = reference.obs["cell_type"].astype(str).to_numpy(object)
    labels[:2], labels[2] = "rare", "single"
    found = deepscore.check_reference(reference, labels, folds=3)
    table = found.labels.set_index("label")
    assert table.loc[["rare", "single"], "cells"].tolist() == [2, 1]
    assert table.loc[["rare", "single"], "tested"].tolist() == [2, 0]
    assert table.loc["single", ["recall", "precision", "f1"]].isna().all()
    assert found.words[0].startswith("'rare' cannot be trusted: it has too few cells (2, fewer than 10)")
    assert found.words[1].startswith(
        "'single' cannot be trusted: it has too few cells (1, fewer than 10); it could not be tested"
    )


def test_a_label_of_one_batch_is_confounded(reference):
    batch = reference.obs["batch"].where(reference.obs["cell_type"] != "NK cell", "odd")
    found = deepscore.check_reference(reference, "cell_type", batch=batch)
    assert found.design == "whole batches left out: 2 folds of 2 batches"
    table = found.labels.set_index("label")
    assert table["tested"].to_dict() == {"B cell": 80, "NK cell": 0, "T cell": 80}
    assert table["trusted"].to_dict() == {"B cell": True, "NK cell": False, "T cell": True}
    expected = "'NK cell' cannot be trusted: it occurs in batch 'odd' only: label and batch are confounded."
    assert found.words[0] == expected


def test_a_label_for_each_batch_leaves_nothing_to_test(reference):
    found = deepscore.check_reference(reference, "cell_type", batch="cell_type")
    assert found.labels["tested"].tolist() == [0, 0, 0]
    assert not found.labels["trusted"].any()
    assert len(found.words) == 3
    two = reference[reference.obs["cell_type"] != "T cell"].copy()  # training is left with a single label
    assert deepscore.check_reference(two, "cell_type", batch="cell_type").labels["tested"].tolist() == [0, 0]


def test_one_batch_is_none(reference):
    once = deepscore.check_reference(reference, "cell_type", batch=["all"] * 240, folds=2)
    assert repr(once) == repr(deepscore.check_reference(reference, "cell_type", folds=2))


def test_features_that_the_query_lacks_are_told(reference, query):
    found = deepscore.check_reference(reference, "cell_type", query[:, 6:38].copy(), folds=2)
    assert found.overlap == {"features": 80, "found": 32, "share": 0.4}
    assert found.words[1].startswith("The query has 32 of the 80 features used (40%): give common_features=")
    without = reference.var_names.difference(reference.var_names[:12])  # the markers of B and NK cells
    found = deepscore.check_reference(reference, "cell_type", query[:, without].copy(), folds=2)
    assert found.labels.set_index("label")["trusted"].to_dict() == {"B cell": False, "NK cell": False, "T cell": True}


def test_the_query_is_looked_at_as_a_whole():
    reference, query = (
        ad.AnnData(counts.astype(np.float32)) for counts in (study(0, [60] * 5)[0], study(1, [50] * 5)[0])
    )
    labels = type_names(study(0, [60] * 5)[1])
    reference.var_names = query.var_names = names("GENE", 150)
    query.X = query.X.multiply(np.where(np.arange(150) == 7, 6, 1)).tocsr()
    found = deepscore.check_reference(reference, labels, query, folds=2)
    assert found.query["unclassified"] < 0.05
    assert found.query["native"] > 0.9
    assert 0.5 < found.query["explained"] <= 1
    assert "This query looks like the reference's tissue." in found.words
    assert found.words[-1].startswith("Against a reference of its composition it has, on average, GENE007, ")
    query.X = query.X[:, np.random.default_rng(0).permutation(150)]
    found = deepscore.check_reference(reference, labels, query, folds=2)
    assert found.query["unclassified"] >= 0.9
    assert found.query["native"] < 0.5
    assert any(word.startswith("This query looks foreign") for word in found.words)


def test_cells_without_counts_are_unclassified(reference):
    dense = reference.X.toarray()
    dense[np.flatnonzero(reference.obs["cell_type"] == "B cell")[:20]] = 0
    reference.X = dense
    found = deepscore.check_reference(reference, "cell_type", folds=2)
    assert found.labels.loc[0, "recall"] <= 0.75
    assert found.confusable.to_numpy().tolist() == [["B cell", "Unclassified", 0.25]]


def test_cells_without_a_label_are_left_out(reference):
    labels = reference.obs["cell_type"].astype(object).copy()
    labels.iloc[:30] = None
    kept = reference[30:].copy()
    options = {"batch": "batch", "common_features": list(reference.var_names)}
    with pytest.warns(UserWarning, match="30 of 240 cells have no label"):
        some = deepscore.check_reference(reference, labels, **options)
    all_ = deepscore.check_reference(kept, "cell_type", **options)
    pd.testing.assert_frame_equal(some.labels, all_.labels)
    assert some.labels["cells"].sum() == 210


def test_the_same_seed_gives_the_same_check(hard):
    first, again, other = (deepscore.check_reference(hard, "cell_type", folds=2, seed=s) for s in (1, 1, 2))
    assert repr(first) == repr(again) != repr(other)


def test_peaks_are_checked(rng):
    codes = np.arange(120) % 3
    data = ad.AnnData(counts(rng, codes, 60), obs=pd.DataFrame({"x": codes.astype(str)}, index=map(str, range(120))))
    data.var_names = [f"chr2:{1000 * i}-{1000 * i + 500}" for i in range(60)]
    assert deepscore.check_reference(data, "x", data, folds=2).labels["recall"].min() > 0.8


def test_training_is_short_and_not_too_short():
    config = deepscore.DeepScore().config
    for n_cells, most in ((40, 3_000), (800, 30_000), (2_400, 30_000), (12_000, 36_000), (200_000, 400_000)):
        brief = check._brief(n_cells, config)
        assert brief.epochs * n_cells <= most
        assert brief.epochs * n_cells / brief.batch_size >= (180 if n_cells > 200 else 30)


def test_a_check_shows_all_of_it(hard):
    found = deepscore.check_reference(hard, "cell_type", folds=2)
    assert str(found) == repr(found)
    for part in (found.design, *found.words, *LABELS, "recall", "taken_for"):
        assert part in str(found)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"folds": 1}, "bad_argument"),
        ({"folds": 2.5}, "bad_argument"),
        ({"seed": -1}, "bad_argument"),
        ({"modality": "proteome"}, "bad_argument"),
        ({"common_features": ["GENE001", "GENE001"]}, "bad_argument"),
        ({"common_features": ["GENE001", "MISSING"]}, "features_not_found"),
        ({"labels": None}, "no_labels"),
        ({"labels": "none"}, "column_not_found"),
        ({"labels": ["one"] * 240}, "one_label"),
        ({"labels": ["a", "b"]}, "labels_length"),
        ({"batch": ["a", "b"]}, "batch_length"),
        ({"layer": "none"}, "layer_not_found"),
        ({"query": dataset(2), "query_layer": "none"}, "layer_not_found"),
        ({"query": "none.h5ad"}, "file_not_found"),
        ({"reference": 3}, "unknown_data"),
        ({"query": 3}, "unknown_data"),
        ({"modality": "peaks"}, "modality_mismatch"),
    ],
)
def test_bad_input_has_a_code(reference, changes, code):
    kind = ConfigError if code == "bad_argument" else InputError
    with pytest.raises(kind) as caught:
        deepscore.check_reference(**({"reference": reference, "labels": "cell_type"} | changes))
    assert caught.value.code == code


def test_a_query_that_annotation_would_refuse_is_refused(reference, query):
    other = query.copy()
    other.var_names = [f"XX{name}" for name in query.var_names]
    scaled = query.copy()
    scaled.X = query.X.toarray() - 0.5
    scaled.X[:, :40] *= -1
    for bad, code in ((other, "no_shared_features"), (query.T.copy(), "wrong_orientation"), (scaled, "scaled_data")):
        with pytest.raises(InputError) as caught:
            deepscore.check_reference(reference, "cell_type", bad)
        assert caught.value.code == code


def test_a_query_with_other_peaks_is_judged_as_it_is_annotated():
    reference, query = multiome(1)[1], multiome(2)[1]
    query.var_names = sites(shift=20)
    assert not query.var_names.isin(reference.var_names).any()
    found = deepscore.check_reference(reference, "cell_type", query, folds=2)
    assert found.overlap["share"] > 0.9
