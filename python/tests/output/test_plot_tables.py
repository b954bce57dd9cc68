"""Each table is compared with going through the cells one by one, or with scikit-learn's or numpy's answer."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from sklearn.metrics import auc, roc_auc_score, roc_curve

from deepscore.errors import InputError
from deepscore.output.plot_tables import TABLES, in_order

LABELS = ["B", "T 10", "T 2"]


def twentieth(score):
    """Return the number of a score's bin, by whole numbers."""
    return min(round(score * 1000) // 50, 19)


def test_names_are_in_the_order_of_their_numbers():
    names = ["type 10", "Unclassified", "type 2", "10", "9", "Zebra", "type 2b", "type 2"]
    assert in_order(names) == ["9", "10", "Zebra", "type 2", "type 2b", "type 10", "Unclassified"]


def test_scores_are_counted_by_outcome(rng):
    scores = np.append(rng.integers(0, 1001, 297), [350, 300, 1000]) / 1000
    reasons = np.where(scores < 0.5, "low confidence", "").astype(object)
    reasons[:40] = "outlier"
    table = TABLES["score_distribution"](scores, reasons)
    expected = Counter((reason or "called", twentieth(score)) for score, reason in zip(scores, reasons, strict=True))
    rows = table[["outcome", "lower", "cells"]].itertuples(index=False)
    assert {(outcome, round(lower * 20)): cells for outcome, lower, cells in rows if cells} == expected
    assert table["outcome"].drop_duplicates().tolist() == ["called", "low confidence", "outlier"]
    assert table.groupby("outcome")["colour"].nunique().tolist() == [1, 1, 1]
    assert table["colour"].nunique() == 3


def test_cells_without_a_score_are_left_out():
    table = TABLES["score_distribution"]([0.9, np.nan, None], ["", None, None])
    assert table["cells"].sum() == 1
    assert TABLES["score_distribution"]([], []).columns.tolist() == table.columns.tolist()


def test_numbered_clusters_keep_their_names_beside_a_missing_one():
    table = TABLES["composition"](["a", "b", "a"], [1.0, 2.0, np.nan])
    assert table["group"].unique().tolist() == ["1", "2"]


def test_calls_have_their_own_colours_and_nothing_comes_of_no_cells():
    table = TABLES["composition"](["a", "Unclassified"], ["x", "x"], {"a": "#123456"})
    assert table["colour"].tolist() == ["#123456", "#999999"]
    assert not len(TABLES["confusion"]([], []))
    assert TABLES["embedding"](["b", "a", None, "b", "Unclassified"]).to_numpy().tolist() == [
        ["a", "#0072B2", 1],
        ["b", "#E69F00", 2],
        ["Unclassified", "#999999", 1],
    ]


@pytest.fixture
def probabilities(rng):
    """Return rounded probabilities, with ties, of 400 cells, one of which has none, and their labels."""
    truth = rng.integers(0, 3, 400)
    values = rng.random((400, 3)).round(2) + 0.4 * np.eye(3)[truth]
    values[7] = np.nan
    names = np.array(LABELS, object)[truth]
    names[[3, 90]] = None
    return dict(zip(LABELS, values.T, strict=True)), names


def test_probabilities_are_averaged_in_each_group(probabilities):
    values, _ = probabilities
    groups = np.array(["2", "10", None, "2"] * 100, object)
    found = TABLES["probability_heatmap"](values, groups)
    sums, cells = defaultdict(float), Counter()
    for i, group in enumerate(groups):
        if group is None or np.isnan(values["B"][i]):
            continue
        cells[group] += 1
        for label in LABELS:
            sums[group, label] += values[label][i]
    expected = [(g, name, cells[g], sums[g, name] / cells[g]) for g in ("2", "10") for name in ("B", "T 2", "T 10")]
    assert found.iloc[:, :3].to_numpy().tolist() == [list(row[:3]) for row in expected]
    np.testing.assert_allclose(found["probability"], [row[3] for row in expected])


def test_scores_are_compared_with_the_share_of_right_calls(rng):
    scores = rng.integers(0, 101, 500) / 100
    calls, truth = (rng.choice(["a", "b", "Unclassified", None], 500).astype(object) for _ in range(2))
    found = TABLES["reliability"](calls, scores, truth)
    bins = defaultdict(list)
    for call, score, label in zip(calls, scores, truth, strict=True):
        if call in ("a", "b") and label is not None:
            bins[min(round(score * 100) // 10, 9)].append((score, call == label))
    assert found["cells"].tolist() == [len(bins[i]) for i in sorted(bins)]
    np.testing.assert_allclose(found["lower"], [i / 10 for i in sorted(bins)])
    np.testing.assert_allclose(found["score"], [np.mean([s for s, _ in bins[i]]) for i in sorted(bins)])
    np.testing.assert_allclose(found["right"], [np.mean([r for _, r in bins[i]]) for i in sorted(bins)])


def test_curves_are_those_of_scikit_learn(probabilities):
    values, truth = probabilities
    kept = np.array([name is not None for name in truth]) & ~np.isnan(values["B"])
    found = TABLES["roc"](values, truth, dict.fromkeys(LABELS, "#123456"))
    assert found["label"].unique().tolist() == ["B", "T 2", "T 10"]
    assert set(found["colour"]) == {"#123456"}
    for label, curve in found.groupby("label"):
        is_label, score = truth[kept] == label, values[label][kept]
        assert curve["cells"].unique().tolist() == [is_label.sum()]
        np.testing.assert_allclose(curve["auc"], roc_auc_score(is_label, score))
        false, true, _ = roc_curve(is_label, score)
        drawn = curve[["false_positive_rate", "true_positive_rate"]].to_numpy()
        np.testing.assert_allclose(np.interp(drawn[:, 0], false, true), np.interp(drawn[:, 0], *drawn.T))
        np.testing.assert_allclose(auc(*drawn.T), auc(false, true))
    areas = TABLES["auc"](values, truth)
    assert areas["auc"].tolist() == found.drop_duplicates("label")["auc"].tolist()


def test_a_long_curve_is_thinned_and_keeps_its_shape(rng):
    is_label = rng.random(20_000) < 0.3
    score = rng.normal(size=20_000) + is_label
    found = TABLES["roc"]({"a": score}, np.where(is_label, "a", "b"))
    assert len(found) <= 200
    assert found.iloc[[0, -1], -2:].to_numpy().tolist() == [[0, 0], [1, 1]]
    false, true, _ = roc_curve(is_label, score)
    assert np.abs(np.interp(false, found["false_positive_rate"], found["true_positive_rate"]) - true).max() < 0.02
    np.testing.assert_allclose(found["auc"].iloc[0], roc_auc_score(is_label, score))


def test_labels_that_no_cell_or_all_cells_have_have_no_curve():
    found = TABLES["roc"]({"a": [0.1, 0.9], "b": [0.9, 0.1], "c": [0.0, 0.0]}, ["a", "b"])
    assert found["label"].unique().tolist() == ["a", "b"]
    assert not len(TABLES["auc"]({"a": [0.1]}, ["a"]))


def test_profiles_are_correlated(rng):
    groups, labels = rng.normal(size=(2, 30)), rng.normal(size=(3, 30))
    groups[1] = 2.5
    found = TABLES["label_correlation"](["9", "10"], groups, ["T", "B", "A"], labels)
    assert found[["group", "label"]].to_numpy().tolist() == [[g, name] for g in ("9", "10") for name in ("A", "B", "T")]
    expected = [np.corrcoef(groups[0], labels[i])[0, 1] for i in (2, 1, 0)]
    np.testing.assert_allclose(found["correlation"], [*expected, np.nan, np.nan, np.nan])


def test_expression_is_laid_out_by_label_and_brought_between_lowest_and_highest():
    means = [[0.0, 2.0, 1.0], [4.0, 2.0, 0.5]]
    shares = [[0.0, 0.5, 0.25], [1.0, 0.5, 0.125]]
    found = TABLES["markers"](["x", "b"], means, shares, ["G1", "G2", "G3"], ["T", "T", "B"])
    assert found.to_numpy().tolist() == [
        ["b", "G3", "B", 0.5, 0.0, 0.125],
        ["b", "G1", "T", 4.0, 1.0, 1.0],
        ["b", "G2", "T", 2.0, 0.0, 0.5],
        ["x", "G3", "B", 1.0, 1.0, 0.25],
        ["x", "G1", "T", 0.0, 0.0, 0.0],
        ["x", "G2", "T", 2.0, 0.0, 0.5],
    ]


def test_the_most_important_features_come_first():
    found = TABLES["importance"](["T", "B", "T", "T"], ["G1", "G2", "G3", "G4"], [0.1, -1.0, 0.7, 0.7], 2)
    assert found.to_numpy().tolist() == [["B", 1, "G2", -1.0], ["T", 1, "G3", 0.7], ["T", 2, "G4", 0.7]]


def test_matches_are_laid_out_in_order():
    labels, groups = ["T", "B", "T", "B"], ["10", "10", "9", "9"]
    found = TABLES["marker_match"](labels, groups, [0.1, 0.2, 0.3, 0.0], {"T": "9", "B": None})
    assert found.to_numpy().tolist() == [
        ["B", "9", 0.0, False],
        ["B", "10", 0.2, False],
        ["T", "9", 0.3, True],
        ["T", "10", 0.1, False],
    ]


def test_the_course_of_a_training_has_what_was_recorded():
    history = [
        {"epoch": 1, "loss": 2.0, "accuracy": 0.5, "lr": 0.1},
        {"epoch": 2, "loss": 1.0, "accuracy": 0.7, "lr": 0},
    ]
    assert TABLES["training_curve"](history).to_numpy().tolist() == [
        ["loss", "training", 1, 2.0],
        ["loss", "training", 2, 1.0],
        ["accuracy", "training", 1, 0.5],
        ["accuracy", "training", 2, 0.7],
    ]
    watched = TABLES["training_curve"]([one | {"val_loss": 3.0, "val_accuracy": 0.4} for one in history])
    assert watched["cells"].unique().tolist() == ["training", "set apart"]
    assert len(watched) == 8
    assert not len(TABLES["training_curve"]([]))


def test_recall_is_in_the_order_of_the_labels():
    found = TABLES["recall"](["T 10", "T 2", "B"], [3, 5, None], [0.5, 1.0, None])
    assert found["label"].tolist() == ["B", "T 2", "T 10"]
    np.testing.assert_array_equal(found[["cells", "recall"]], [[np.nan, np.nan], [5, 1], [3, 0.5]])


def test_widths_of_peaks_are_counted(rng):
    sets = {
        name: [f"chr1:{10_000 * i}-{10_000 * i + width}" for i, width in enumerate(rng.integers(100, 5000, 300))]
        for name in ("second", "first")
    }
    found = TABLES["peak_widths"](sets)
    assert found["peaks_of"].unique().tolist() == ["second", "first"]
    for name, part in found.groupby("peaks_of"):
        widths = [int(end) - int(start) for start, end in (peak[5:].split("-") for peak in sets[name])]
        expected = [
            sum(low <= w < high for w in widths) for low, high in zip(part["lower"], part["upper"], strict=True)
        ]
        assert part["peaks"].tolist() == expected
        np.testing.assert_allclose(part["share"], np.array(expected) / 300)
        steps = np.diff(np.log(part["lower"]))
        np.testing.assert_allclose(steps, steps[0])
    same = TABLES["peak_widths"]({"all": ["chr1-10-510", "chr1_20_520"]})
    assert same.iloc[:, 2:].to_numpy().tolist() == [[500, 501, 2, 1]]
    assert not len(TABLES["peak_widths"]({"none": []}))
    with pytest.raises(InputError) as caught:
        TABLES["peak_widths"]({"genes": ["CD3E"]})
    assert caught.value.code == "invalid_peaks"
