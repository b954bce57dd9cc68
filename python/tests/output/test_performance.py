from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from deepscore.output.performance import best_thresholds, performance_of

LABELS = ("B", "NK", "T")


def array(values):
    return np.array(list(values), object)


@pytest.fixture
def cells(rng):
    """Return true labels, one of them unknown to the model, calls and scores of 200 cells."""
    truth = array(rng.choice([*LABELS, "platelet"], 200, p=[0.4, 0.2, 0.3, 0.1]))
    scores = rng.dirichlet(np.ones(3), 200)
    for i, label in enumerate(LABELS):
        scores[truth == label, i] += rng.gamma(1, 1, (truth == label).sum())
    scores /= scores.sum(axis=1, keepdims=True)
    calls = np.where(scores.max(axis=1) < 0.5, "Unclassified", array(LABELS)[scores.argmax(axis=1)]).astype(object)
    return truth, calls, scores


def test_each_label_has_the_figures_of_scikit_learn(cells):
    truth, calls, scores = cells
    found = performance_of(truth, calls, scores, LABELS).labels.set_index("label")
    for i, label in enumerate(LABELS):
        own, called, row = truth == label, calls == label, found.loc[label]
        tn, fp, fn, tp = metrics.confusion_matrix(own, called).ravel()
        assert (row["cells"], row["called"]) == (tp + fn, tp + fp)
        assert row["sensitivity"] == pytest.approx(metrics.recall_score(own, called))
        assert row["specificity"] == pytest.approx(tn / (tn + fp))
        assert row["precision"] == pytest.approx(metrics.precision_score(own, called))
        assert row["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(own, called))
        assert row["f1"] == pytest.approx(metrics.f1_score(own, called))
        assert row["auc"] == pytest.approx(metrics.roc_auc_score(own, scores[:, i]))
        assert row["unclassified"] == pytest.approx(np.mean(calls[own] == "Unclassified"))
    assert found.loc["platelet", ["cells", "called"]].tolist() == [(truth == "platelet").sum(), 0]
    assert np.isnan(found.loc["platelet", "sensitivity"])


def test_the_whole_has_the_figures_of_scikit_learn(cells):
    truth, calls, scores = cells
    found = performance_of(truth, calls, scores, LABELS)
    known = truth != "platelet"
    assert found.n_cells == 200
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth[known], calls[known]))
    recalls = metrics.recall_score(truth, calls, labels=LABELS, average=None)
    assert found.balanced_accuracy == pytest.approx(recalls.mean())
    assert found.macro_f1 == pytest.approx(metrics.f1_score(truth, calls, labels=LABELS, average="macro"))
    assert found.auc == pytest.approx(found.labels["auc"].mean())
    assert found.unclassified == pytest.approx(np.mean(calls[known] == "Unclassified"))
    assert found.rejected == pytest.approx(np.mean(calls[~known] == "Unclassified"))
    assert found.ari == pytest.approx(metrics.adjusted_rand_score(truth, calls))
    assert found.overall["accuracy"] == found.accuracy


def test_the_confusion_table_counts_cells(cells):
    truth, calls, scores = cells
    table = performance_of(truth, calls, scores, LABELS).confusion
    assert table.index.tolist() == [*LABELS[:2], "T", "platelet"]
    assert table.columns.tolist() == [*LABELS, "Unclassified"]
    for label in table.index:
        for call in table.columns:
            assert table.loc[label, call] == sum(a == label and b == call for a, b in zip(truth, calls, strict=True))


def test_curves_are_those_of_each_label(cells):
    truth, calls, scores = cells
    curves = performance_of(truth, calls, scores, LABELS).roc
    for i, label in enumerate(LABELS):
        part = curves[curves["label"] == label]
        false, true, _ = metrics.roc_curve(truth == label, scores[:, i])
        np.testing.assert_allclose(part[["false_positive_rate", "true_positive_rate"]], np.c_[false, true])


def test_labels_that_no_cell_has_and_single_labels_have_no_figures(cells):
    _, _, scores = cells
    found = performance_of(array(["B"] * 200), array(["B"] * 200), scores, LABELS)
    table = found.labels.set_index("label")
    assert table.loc["B", "sensitivity"] == 1
    assert np.isnan(table.loc["B", "specificity"])
    assert table.loc["T"].isna().sum() > 4
    assert np.isnan(found.rejected)
    assert len(found.roc) == 0
    assert "accuracy 1.000" in repr(found)
    assert "nan" not in repr(found)


def test_it_is_printed_with_its_tables(cells):
    shown = repr(performance_of(*cells, LABELS))
    assert shown.startswith("<Performance: 200 cells, accuracy 0.")
    assert "platelet" in shown
    assert "Unclassified" in shown


def test_no_threshold_parts_better_than_the_one_that_is_found(cells):
    truth, _, scores = cells
    found = best_thresholds(truth, scores, LABELS)
    assert found["label"].tolist() == list(LABELS)
    for i, row in found.iterrows():
        own, score = truth == row["label"], scores[:, i]

        def youden(limit, own=own, score=score):
            return np.mean(score[own] >= limit) + np.mean(score[~own] < limit)

        assert row["sensitivity"] + row["specificity"] == pytest.approx(youden(row["threshold"]))
        assert youden(row["threshold"]) == pytest.approx(max(map(youden, score)))
        assert row["auc"] == pytest.approx(metrics.roc_auc_score(own, score))
        assert row["cells"] == own.sum()


def test_a_threshold_is_midway_between_what_it_parts_and_one_half_where_nothing_is_to_part():
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9]])
    found = best_thresholds(array("aabb"), scores, ("a", "b", "c")[:2])
    np.testing.assert_allclose(found["threshold"], [0.45, 0.55])
    alone = best_thresholds(array("aaaa"), scores, ("a", "b"))
    assert alone["threshold"].tolist() == [0.5, 0.5]
    assert alone["sensitivity"].isna().all()
