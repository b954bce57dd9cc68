from __future__ import annotations

import sys
from collections import Counter

import anndata as ad
import matplotlib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib import pyplot
from matplotlib.colors import to_hex

import deepscore.plots
from deepscore.errors import EngineError, InputError
from deepscore.output import plots

matplotlib.use("agg")


@pytest.fixture
def annotated(rng):
    """Return 300 annotated cells, some without a label; their scores are whole thousandths, some on bounds of bins."""
    scores = np.append(rng.integers(0, 1001, 297), [350, 300, 1000]) / 1000
    reasons = np.where(scores < 0.5, "low confidence", "").astype(object)
    reasons[:40] = "outlier"
    obs = pd.DataFrame({"deepscore_score": scores, "deepscore_reason": reasons}, index=[f"c{i}" for i in range(300)])
    yield ad.AnnData(sp.csr_matrix((300, 1)), obs=obs)
    pyplot.close("all")


def test_the_public_functions_are_found_where_they_always_were():
    assert deepscore.plots.embedding_figure is plots.embedding_figure
    assert deepscore.plots.principal_components is plots.principal_components


def test_principal_components_are_those_of_a_dense_decomposition(rng):
    dense = rng.normal(size=(40, 12)) @ rng.normal(size=(12, 12))
    left, values, _ = np.linalg.svd(dense - dense.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * values[:2]
    found = plots.principal_components(sp.csr_matrix(dense))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("n_cells", [16, 64, 60])
def test_any_number_of_cells_has_components_and_cells_that_are_the_same_have_none(rng, n_cells):
    varying = rng.poisson(2, (n_cells, 100))
    assert plots.principal_components(sp.csr_matrix(varying)).std(axis=0).min() > 0
    for same in (np.zeros((n_cells, 100)), np.tile(rng.normal(size=100), (n_cells, 1))):
        np.testing.assert_array_equal(plots.principal_components(sp.csr_matrix(same)), np.zeros((n_cells, 2)))
    along_a_line = np.outer(np.arange(n_cells), np.ones(100))
    assert np.isfinite(plots.principal_components(sp.csr_matrix(along_a_line))).all()


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (5, 1), (5, 2), (3, 3)])
def test_few_cells_or_features_have_two_coordinates(rng, shape):
    found = plots.principal_components(sp.csr_matrix(rng.poisson(2, shape)))
    assert found.shape == (shape[0], 2)
    assert np.isfinite(found).all()


def test_the_picture_has_a_colour_for_each_label_and_grey_for_unclassified(rng):
    calls = np.array(["T cell", "B cell", "Unclassified", "T cell"], object)
    figure = plots.embedding_figure(rng.normal(size=(4, 2)), calls, ["B cell", "T cell"], "title")
    (axes,) = figure.axes
    assert axes.get_title() == "title"
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [text.split(" (")[0] for text in texts] == ["B cell", "T cell", "Unclassified"]
    points = {part.get_label().split(" (")[0]: part for part in axes.collections}
    assert [len(points[label].get_offsets()) for label in ("B cell", "T cell", "Unclassified")] == [1, 2, 1]
    colours = {label: to_hex(part.get_facecolor()[0]) for label, part in points.items()}
    assert len(set(colours.values())) == 3
    red, green, blue = (int(colours["Unclassified"][i : i + 2], 16) for i in (1, 3, 5))
    assert red == green == blue


def test_labels_beyond_the_palette_still_have_colours(rng):
    labels = [f"type {i}" for i in range(35)]
    figure = plots.embedding_figure(rng.normal(size=(35, 2)), np.array(labels, object), labels, "many")
    assert len(figure.axes[0].collections) >= 35


def twentieth(score):
    """Return the number of a score's bin, by whole numbers."""
    return min(round(score * 1000) // 50, 19)


def test_scores_are_counted_by_outcome(annotated):
    columns = annotated.obs["deepscore_score"], annotated.obs["deepscore_reason"]
    table = plots.TABLES["score_distribution"](*columns)
    expected = Counter((reason or "called", twentieth(score)) for score, reason in zip(*columns, strict=True))
    rows = table[["outcome", "lower", "cells"]].itertuples(index=False)
    assert {(outcome, round(lower * 20)): cells for outcome, lower, cells in rows if cells} == expected
    assert table["outcome"].drop_duplicates().tolist() == ["called", "low confidence", "outlier"]
    assert table.groupby("outcome")["colour"].nunique().tolist() == [1, 1, 1]
    assert table["colour"].nunique() == 3


def test_cells_without_a_score_are_left_out():
    table = plots.TABLES["score_distribution"]([0.9, np.nan, None], ["", None, None])
    assert table["cells"].sum() == 1
    assert plots.TABLES["score_distribution"]([], []).columns.tolist() == table.columns.tolist()


def test_the_distribution_of_scores_is_stacked_with_the_threshold(annotated):
    axes = deepscore.plots.score_distribution(annotated, threshold=0.6)
    tops = [max(bar.get_y() + bar.get_height() for bar in bars) for bars in zip(*axes.containers, strict=True)]
    cells = Counter(map(twentieth, annotated.obs["deepscore_score"]))
    assert tops == [cells[i] for i in range(20)]
    assert axes.lines[0].get_xdata()[0] == 0.6
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["called", "low confidence", "outlier"]
    assert not deepscore.plots.score_distribution(annotated, threshold=None).lines


def test_a_plot_is_drawn_where_it_is_wanted_and_shown_on_demand(annotated, monkeypatch):
    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(True))
    _, ax = pyplot.subplots()
    assert deepscore.plots.score_distribution(annotated, ax=ax) is ax
    assert not shown
    deepscore.plots.score_distribution(annotated, show=True)
    assert shown


def test_cells_that_are_not_annotated_are_refused(annotated):
    del annotated.obs["deepscore_score"]
    with pytest.raises(InputError, match="Annotate them first") as caught:
        deepscore.plots.score_distribution(annotated)
    assert caught.value.code == "column_not_found"


def test_plots_need_matplotlib(annotated, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EngineError) as caught:
        deepscore.plots.score_distribution(annotated)
    assert caught.value.code == "missing_package"


@pytest.mark.parametrize("n_labels", [2, 30])
def test_the_calls_of_each_group_are_shared_out(annotated, rng, n_labels):
    labels = [f"type {i:02}" for i in range(n_labels)]
    calls = rng.choice([*labels, "Unclassified"], 300).astype(object)
    groups = rng.choice(["s1", "s2", None], 300, p=[0.7, 0.2, 0.1]).astype(object)
    annotated.obs["deepscore"], annotated.obs["sample"] = calls, pd.Categorical(groups)
    table = plots.TABLES["composition"](calls, groups)
    expected = Counter((group, call) for group, call in zip(groups, calls, strict=True) if group)
    rows = list(table.itertuples(index=False))
    assert {(row.group, row.call): row.cells for row in rows if row.cells} == expected
    totals = Counter(group for group in groups if group)
    np.testing.assert_allclose([row.share for row in rows], [row.cells / totals[row.group] for row in rows])
    colours = {row.call: row.colour for row in rows}
    assert list(colours) == [*labels, "Unclassified"]
    assert len(set(colours.values())) == n_labels + 1
    axes = deepscore.plots.composition(annotated, "sample")
    bars = [[bar.get_height() for bar in container] for container in axes.containers]
    np.testing.assert_allclose(np.sum(bars, axis=0), 1)
    np.testing.assert_allclose(bars[0], [expected[group, labels[0]] / totals[group] for group in ("s1", "s2")])
    assert [to_hex(container[0].get_facecolor()) for container in axes.containers] == [
        colour.lower() for colour in colours.values()
    ]


def test_a_group_that_is_not_there_is_refused(annotated):
    annotated.obs["deepscore"] = "a"
    with pytest.raises(InputError, match="'sample'"):
        deepscore.plots.composition(annotated, "sample")


def test_numbered_clusters_keep_their_names_beside_a_missing_one():
    table = plots.TABLES["composition"](["a", "b", "a"], [1.0, 2.0, np.nan])
    assert table["group"].unique().tolist() == ["1", "2"]
