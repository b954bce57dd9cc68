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
from deepscore.errors import ConfigError, EngineError, InputError
from deepscore.output import plots
from deepscore.output.marker_match import MarkerMatch
from deepscore.output.plot_tables import TABLES

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
    table = TABLES["composition"](calls, groups)
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


def test_calls_against_labels_are_tiles_of_shares_or_counts(annotated, rng):
    annotated.obs["deepscore"] = calls = rng.choice(["a", "b", "Unclassified"], 300)
    annotated.obs["truth"] = truth = rng.choice(["b", "a", "c"], 300)
    counts = pd.crosstab(truth, calls)[["a", "b", "Unclassified"]]
    axes = deepscore.plots.confusion(annotated, "truth", values="count")
    assert axes.images[0].get_array().tolist() == counts.to_numpy().tolist()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a", "b", "Unclassified"]
    assert [text.get_text() for text in axes.texts] == [str(n) for n in counts.to_numpy().ravel()]
    axes = deepscore.plots.confusion(annotated, "truth")
    np.testing.assert_allclose(axes.images[0].get_array(), counts.div(counts.sum(axis=1), axis=0))
    assert axes.images[0].get_clim() == (0, 1)
    with pytest.raises(ConfigError) as caught:
        deepscore.plots.confusion(annotated, "truth", values="percent")
    assert caught.value.code == "bad_argument"


@pytest.fixture
def with_probabilities(annotated, rng):
    """Give the cells calls, labels and the probabilities of labels with a slash in their names."""
    labels = ["CD4/CD8", "NK"]
    values = rng.dirichlet([1, 1], 300)
    annotated.obs["deepscore"] = pd.Categorical(np.array(labels)[values.argmax(axis=1)], [*labels, "Unclassified"])
    annotated.obs["truth"] = np.array(labels)[rng.integers(0, 2, 300)]
    annotated.obsm["deepscore_probabilities"] = pd.DataFrame(values, annotated.obs_names, ["CD4|CD8", "NK"])
    annotated.uns["deepscore_colors"] = ["#112233", "#445566", "#999999"]
    return annotated


def test_probabilities_are_under_the_labels_own_names(with_probabilities):
    axes = deepscore.plots.probability_heatmap(with_probabilities)
    names = [[text.get_text() for text in texts] for texts in (axes.get_yticklabels(), axes.get_xticklabels())]
    assert names == [["CD4/CD8", "NK"], ["CD4/CD8", "NK"]]
    table = with_probabilities.obsm["deepscore_probabilities"]
    expected = table.groupby(with_probabilities.obs["deepscore"], observed=True).mean()
    np.testing.assert_allclose(axes.images[0].get_array(), expected)
    del with_probabilities.obsm["deepscore_probabilities"]
    with pytest.raises(InputError, match="probabilities=True") as caught:
        deepscore.plots.probability_heatmap(with_probabilities)
    assert caught.value.code == "column_not_found"


def test_curves_and_areas_have_the_labels_own_colours(with_probabilities):
    axes = deepscore.plots.roc(with_probabilities, "truth")
    assert [line.get_color() for line in axes.lines] == ["#999999", "#112233", "#445566"]
    table = TABLES["auc"](
        {"CD4/CD8": with_probabilities.obsm["deepscore_probabilities"]["CD4|CD8"]}, with_probabilities.obs["truth"]
    )
    assert axes.get_legend().get_texts()[0].get_text() == f"CD4/CD8 ({table['auc'][0]:.3f})"
    bars = deepscore.plots.auc(with_probabilities, "truth").patches
    assert [to_hex(bar.get_facecolor()) for bar in bars] == ["#112233", "#445566"]
    assert bars[0].get_width() == table["auc"][0]


def test_composition_has_the_labels_own_colours_unless_some_lack_one(with_probabilities):
    with_probabilities.obs["sample"] = "s"
    axes = deepscore.plots.composition(with_probabilities, "sample")
    assert [to_hex(bars[0].get_facecolor()) for bars in axes.containers] == ["#112233", "#445566"]
    with_probabilities.uns["deepscore_colors"] = ["#112233"]
    axes = deepscore.plots.composition(with_probabilities, "sample")
    assert to_hex(axes.containers[0][0].get_facecolor()) == "#0072b2"


def test_the_title_has_the_calibration_error(annotated):
    annotated.obs["deepscore"], annotated.obs["deepscore_score"] = "a", 0.75
    annotated.obs["truth"] = ["a", "b"] * 150
    axes = deepscore.plots.reliability(annotated, "truth")
    assert axes.get_title() == "calibration error 0.250 (300 cells)"
    assert axes.collections[0].get_offsets().tolist() == [[0.75, 0.5]]
    annotated.obs["truth"] = None
    assert "nan (0 cells)" in deepscore.plots.reliability(annotated, "truth").get_title()


def test_the_course_of_a_training_is_drawn_with_the_epoch_that_was_kept(trained):
    axes = deepscore.plots.training_curve(trained)
    history = trained.manifest["training"]["history"]
    losses, kept = axes.lines
    assert losses.get_ydata().tolist() == [record["loss"] for record in history]
    assert kept.get_xdata()[0] == trained.manifest["training"]["best_epoch"]
    (beside,) = [other for other in axes.figure.axes if other is not axes]
    assert beside.lines[0].get_ydata().tolist() == [record["accuracy"] for record in history]
    pyplot.close("all")
    with pytest.raises(InputError) as caught:
        deepscore.plots.training_curve(deepscore.DeepScore())
    assert caught.value.code == "not_trained"


def test_the_recall_of_a_model_and_of_a_check_is_drawn(trained, reference):
    told = trained.manifest["training"]["held_out"]["labels"]
    axes = deepscore.plots.recall(trained)
    assert [bar.get_width() for bar in axes.patches] == [one["recall"] for one in told.values()]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [f"{name} ({one['n_cells']})" for name, one in told.items()]
    check = deepscore.check_reference(reference, "cell_type", folds=2)
    axes = deepscore.plots.recall(check)
    assert [bar.get_width() for bar in axes.patches] == check.labels["recall"].tolist()
    found = deepscore.performance(trained, reference, "cell_type")
    axes = deepscore.plots.recall(found)
    assert [bar.get_width() for bar in axes.patches] == found.labels["sensitivity"].tolist()
    pyplot.close("all")


def test_the_features_of_each_label_are_written_in_their_tiles():
    table = pd.DataFrame(
        {"label": ["T", "T", "B"], "feature": ["CD3E", "A-VERY-LONG-NAME-OF-A-GENE", "CD19"], "importance": [1, 3, 2]}
    )
    axes = deepscore.plots.importance(table, n_features=2)
    assert [text.get_text() for text in axes.texts] == ["CD19", "", "A-VERY...-GENE", "CD3E"]
    assert axes.images[0].get_array().filled(np.nan).tolist()[1] == [3, 1]
    pyplot.close("all")
    with pytest.raises(InputError, match="'importance'") as caught:
        deepscore.plots.importance(table.drop(columns="importance"))
    assert caught.value.code == "column_not_found"


def test_the_best_match_of_each_label_is_framed():
    jaccard = pd.DataFrame([[0.5, 0.0], [0.0, 0.0]], ["T", "B"], ["1", "2"])
    best = pd.DataFrame({"label": ["T", "B"], "match": ["1", None], "jaccard": [0.5, 0.0]})
    axes = deepscore.plots.marker_match(MarkerMatch(jaccard, 0.25, best, {}, {}))
    assert axes.images[0].get_array().tolist() == [[0.0, 0.0], [0.5, 0.0]]
    (frame,) = axes.lines
    assert (frame.get_xdata().mean().round(), frame.get_ydata().mean().round()) == (0, 1)
    assert axes.get_title() == "matchSCore 0.25"
    pyplot.close("all")


def test_widths_of_names_of_a_data_set_and_of_several_are_drawn():
    names = ["chr1:10-510", "chr1:1000-2000"]
    axes = deepscore.plots.peak_widths(names)
    values, bounds, _ = axes.patches[0].get_data()
    assert values.sum() == 1
    assert (bounds[0], bounds[-1]) == (500, 1001)
    data = ad.AnnData(np.ones((1, 2)), var=pd.DataFrame(index=names))
    axes = deepscore.plots.peak_widths({"reference": data, "query": names[:1]})
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["reference (2)", "query (1)"]
    pyplot.close("all")
