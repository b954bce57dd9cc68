from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.text import Text

import deepscore
import synthetic
from deepscore import plots
from deepscore.errors import InputError
from deepscore.workflows import plot_values

pyplot.switch_backend("agg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def annotated(trained):
    return trained.annotate(synthetic.dataset(2, n_cells=150), probabilities=True)


def test_calls_correlate_with_their_own_labels(annotated, trained):
    axes = plots.label_correlation(annotated, trained)
    matrix = axes.images[0].get_array()
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == list(trained.model.labels)
    assert np.diagonal(matrix)[:3].min() > 0.8 > 0.2 > matrix[:3][~np.eye(3, dtype=bool)].max()
    hidden = synthetic.hidden(annotated)
    again = plots.label_correlation(hidden, trained, **synthetic.READ_HIDDEN)
    np.testing.assert_array_equal(again.images[0].get_array(), matrix)


def test_dots_are_as_large_as_the_share_of_cells_that_have_the_feature(annotated, trained):
    evidence = deepscore.feature_importance(trained, annotated, "deepscore", progress=False)
    axes = plots.markers(annotated, trained, importance=evidence, n_features=2)
    of_dots = axes.collections[0]
    features = [text.get_text() for text in axes.get_xticklabels()]
    first = evidence.groupby("label").head(2)
    assert features == first["feature"].tolist()
    rows = [text.get_text() for text in axes.get_yticklabels()]
    share = [
        [(annotated[annotated.obs["deepscore"] == row, name].X.toarray() > 0).mean() for name in features]
        for row in rows
    ]
    np.testing.assert_allclose(of_dots.get_sizes(), 90 * np.ravel(share))
    assert of_dots.get_array().min() == 0
    assert of_dots.get_array().max() == 1
    own = plots.markers(annotated, trained, n_features=2)
    assert [text.get_text() for text in own.get_xticklabels()] == features


def test_cells_are_drawn_where_they_are_already_and_in_their_own_colours(annotated):
    cells = annotated.copy()
    cells.obsm["X_pca"], cells.obsm["X_umap"] = np.zeros((150, 5)), np.arange(300.0).reshape(150, 2)
    cells.uns["deepscore_colors"] = ["#111111", "#222222", "#333333", "#999999"]
    axes = plots.embedding(cells)
    assert axes.get_xlabel() == "umap 1"
    points = np.concatenate([part.get_offsets() for part in axes.collections])
    assert sorted(points.tolist()) == cells.obsm["X_umap"].tolist()
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    counts = cells.obs["deepscore"].value_counts()
    assert texts == [f"{label} ({counts[label]})" for label in (*synthetic.LABELS, "Unclassified") if counts[label]]
    assert [to_hex(part.get_facecolor()[0]) for part in axes.collections][:3] == ["#111111", "#222222", "#333333"]
    assert plots.embedding(cells, "deepscore_score", basis="pca").get_xlabel() == "pca 1"
    with pytest.raises(InputError, match="'X_umap'") as caught:
        plots.embedding(cells, basis="tsne")
    assert caught.value.code == "column_not_found"


def test_scores_have_a_scale_of_colours(annotated):
    cells = annotated.copy()
    cells.obsm["X_umap"] = np.arange(300.0).reshape(150, 2)
    axes = plots.embedding(cells, "deepscore_score")
    (dots,) = axes.collections
    assert dots.get_array().tolist() == sorted(cells.obs["deepscore_score"])  # the highest on top
    assert dots.get_clim() == (0, 1)


def test_where_there_are_no_coordinates_they_are_computed_and_not_kept(annotated, trained):
    axes = plots.embedding(annotated, ds=trained)
    points = np.concatenate([part.get_offsets() for part in axes.collections])
    expected = plot_values.coordinates(synthetic.blocks_of(annotated.X), trained.model)
    np.testing.assert_allclose(sorted(points.tolist()), sorted(expected.tolist()), atol=1e-6)
    assert list(annotated.obsm) == ["deepscore_probabilities"]
    assert len(plots.embedding(annotated, "batch").collections) == 2


def test_a_column_that_is_not_there_is_refused(annotated, trained):
    for draw in (plots.label_correlation, plots.markers):
        with pytest.raises(InputError) as caught:
            draw(annotated, trained, "donor")
        assert caught.value.code == "column_not_found"
    with pytest.raises(InputError) as caught:
        plots.embedding(annotated, "donor")
    assert caught.value.code == "column_not_found"


def overlapping(figure):
    """Return the pairs of texts of a figure that lie on each other."""
    figure.draw_without_rendering()
    boxes = [
        (text.get_text(), text.get_window_extent().padded(-1))
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible()
    ]
    return [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.overlaps(other)]


@pytest.mark.parametrize("n_labels", [3, 60])
def test_no_text_lies_on_another(n_labels):
    kinds = ["B cell", "Kidney proximal tubule epithelial cell", "T cell, CD4-positive, alpha-beta"]
    labels = [f"{kinds[i % 3]} {i // 3 + 1}" for i in range(n_labels)]
    reference, query = (synthetic.dataset(seed, 12 * n_labels, 400, labels) for seed in (1, 2))
    ds = deepscore.DeepScore((16,), epochs=3).set_reference(reference, "cell_type").train(progress=False)
    query = ds.annotate(query, threshold=0.1, probabilities=True)
    query.obs["cluster"] = np.arange(query.n_obs) % n_labels
    rng = np.random.default_rng(0)
    peaks = {label: [f"chr1:1000-{1100 + i}" for i in rng.integers(0, 900, 50)] for label in labels}
    match = deepscore.match_markers(reference, query, 5, labels="cell_type", query_labels="cluster")
    evidence = pd.DataFrame(
        [(label, f"GENE{rng.integers(400):03d}", i) for label in labels for i in range(3)],
        columns=["label", "feature", "importance"],
    )
    drawn = {
        "auc": plots.auc(query, "cell_type"),
        "composition": plots.composition(query, "cluster"),
        "confusion": plots.confusion(query, "cell_type"),
        "confusion, counts": plots.confusion(query, "cluster", values="count"),
        "embedding": plots.embedding(query, ds=ds),
        "embedding of scores": plots.embedding(query, "deepscore_score", ds=ds),
        "importance": plots.importance(evidence),
        "label_correlation": plots.label_correlation(query, ds),
        "marker_match": plots.marker_match(match),
        "markers": plots.markers(query, ds, importance=evidence),
        "peak_widths": plots.peak_widths(peaks),
        "probability_heatmap": plots.probability_heatmap(query),
        "recall": plots.recall(ds),
        "reliability": plots.reliability(query, "cell_type"),
        "roc": plots.roc(query, "cell_type"),
        "score_distribution": plots.score_distribution(query),
        "training_curve": plots.training_curve(ds),
    }
    assert {name.split(",")[0].split(" ")[0] for name in drawn} == {
        name for name in plots.__all__ if name not in ("embedding_figure", "principal_components")
    }
    assert {name: overlapping(axes.figure) for name, axes in drawn.items()} == {name: [] for name in drawn}
