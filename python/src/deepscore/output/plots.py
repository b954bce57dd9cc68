"""Plots of annotated cells, models and checks, of what their columns and tables say.

What a plot draws is a table of :mod:`~deepscore.output.plot_tables`, which both languages share; :func:`table_of` gets
it. Those that read the values of a data set are in :mod:`deepscore.interfaces.plots`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, svds

from ..data.labels import UNCLASSIFIED
from ..data.linalg import SEED
from ..errors import InputError
from ..support.checks import choice
from ..training.held_out import LEAST_RATE
from .colours import GREY, SHADES, palette
from .columns import names_of_columns
from .drawing import (
    LEAST_HEIGHT,
    LEAST_WIDTH,
    axes_for,
    bars,
    frame,
    height_of,
    labelled,
    legend,
    missing_packages,
    name_ticks,
    scale_of_colours,
    shorts,
    stack,
    tile_texts,
    tiles,
    tiles_size,
    width_of,
    width_of_legend,
)
from .figures import label_figures
from .performance import Performance
from .plot_tables import TABLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "auc",
    "column_of",
    "composition",
    "confusion",
    "embedding_figure",
    "importance",
    "marker_match",
    "own_colours",
    "peak_widths",
    "principal_components",
    "probability_heatmap",
    "recall",
    "reliability",
    "roc",
    "score_distribution",
    "training_curve",
]

PROBABILITIES = "deepscore_probabilities"


def principal_components(matrix: sp.csr_matrix) -> npt.NDArray[np.float64]:
    """Return the first two principal components, cells x 2; zeros where all cells are the same."""
    x = sp.csr_matrix(matrix, dtype=np.float64)
    if not (x.max(axis=0) != x.min(axis=0)).nnz:
        return np.zeros((x.shape[0], 2))
    mean = np.asarray(x.mean(axis=0)).ravel()
    if min(x.shape) < 3:
        dense = x.toarray() - mean
        return np.pad(dense[:, :2], ((0, 0), (0, 2 - min(2, dense.shape[1]))))
    centred = LinearOperator(  # centred without being made dense
        x.shape,
        matvec=lambda v: x @ v.ravel() - mean @ v.ravel(),
        rmatvec=lambda u: x.T @ u.ravel() - mean * u.sum(),
        dtype=np.float64,
    )
    start = np.random.default_rng(SEED).normal(size=min(x.shape))  # equal numbers have no part in centred columns
    left, values, _ = svds(centred, k=2, v0=start)
    points: npt.NDArray[np.float64] = (left * values)[:, ::-1]
    return points


def embedding_figure(
    points: npt.NDArray[np.float64], calls: npt.NDArray[Any], labels: Sequence[str], title: str
) -> Figure:
    """Draw cells on two coordinates, coloured by their calls; "Unclassified" is grey."""
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError:
        raise missing_packages() from None
    counted = labelled([*labels, UNCLASSIFIED], [int((calls == label).sum()) for label in [*labels, UNCLASSIFIED]])
    figure = NewFigure(figsize=(4.5 + width_of_legend(counted), 4.5), layout="constrained")
    axes = figure.subplots()
    colours = [*palette(len(labels)), GREY]
    for label, text, colour in zip([*labels, UNCLASSIFIED], counted, colours, strict=True):
        cells = calls == label
        axes.scatter(points[cells, 0], points[cells, 1], s=8, color=colour, label=text, linewidths=0)
    axes.set(title=title, xticks=[], yticks=[])
    legend(axes, markerscale=2)
    return figure


def score_distribution(
    adata: Any, *, threshold: float | None = 0.5, ax: Axes | None = None, show: bool = False
) -> Axes:
    """Draw how many cells have which score, those without a label by the reason why.

    Parameters
    ----------
    adata
        An annotated query: its ``obs`` has the columns that ``annotate`` adds.
    threshold
        Where to draw the line of the threshold, 0 to 1; None for no line.
    ax
        Where to draw; by default a new figure, which grows with the names on it.
    show
        Show the figure at once.

    Returns
    -------
    The Axes that were drawn on.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found`` where the cells are not annotated.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    scores, reasons = column_of(adata, "deepscore_score"), column_of(adata, "deepscore_reason")
    table = TABLES["score_distribution"](scores, reasons)
    with axes_for(ax, show) as axes:
        drawn = table.rename(columns={"outcome": "series", "lower": "x", "cells": "height"})
        stack(axes, drawn, table["width"].max(), align="edge")
        if threshold is not None:
            axes.axvline(threshold, color="black", linestyle="dashed", linewidth=1)
        axes.set(xlabel="score", ylabel="cells", xlim=(0, 1))
    return axes


def composition(adata: Any, groups: str, *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw which share of each cluster or batch has which call.

    Parameters
    ----------
    adata
        An annotated query: its ``obs`` has the columns that ``annotate`` adds. Calls have the colours of
        ``uns["deepscore_colors"]``.
    groups
        Column of ``obs`` with the clusters or batches.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found`` where the cells are not annotated or have no such column.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    calls = column_of(adata, "deepscore")
    table = TABLES["composition"](calls, column_of(adata, groups), own_colours(adata, "deepscore"))
    names = table["group"].drop_duplicates().tolist()
    width = max(LEAST_WIDTH, height_of(len(names))) + width_of_legend(table["call"].unique().tolist()) + 0.8
    with axes_for(ax, show, width, 4.2 + width_of(names)) as axes:
        places = {name: i for i, name in enumerate(names)}
        drawn = table.assign(x=table["group"].map(places), series=table["call"], height=table["share"])
        stack(axes, drawn, 0.8, align="center")
        name_ticks(axes.xaxis, names, turned=len(names) * width_of(names) > LEAST_WIDTH)
        axes.set(xlabel=groups, ylabel="share of cells", ylim=(0, 1))
    return axes


def confusion(
    adata: Any,
    groups: str,
    *,
    values: Literal["share", "count"] = "share",
    ax: Axes | None = None,
    show: bool = False,
) -> Axes:
    """Draw calls against clusters, or against labels that are known.

    Parameters
    ----------
    adata
        An annotated query: its ``obs`` has the columns that ``annotate`` adds.
    groups
        Column of ``obs`` with the clusters or labels: the rows. Cells without one are left out.
    values
        ``"share"`` of the cells of a row, 0 to 1, or ``"count"`` of cells.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found`` where the cells are not annotated or have no such column.
    deepscore.errors.ConfigError
        ``bad_argument``.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    choice("values", values, ["share", "count"])
    table = TABLES["confusion"](column_of(adata, "deepscore"), column_of(adata, groups))
    size = tiles_size(table["group"].unique().tolist(), table["call"].unique().tolist())
    with axes_for(ax, show, *size) as axes:
        if values == "share":
            tiles(axes, table, "share", "share of cells", columns="call")
        else:
            tiles(axes, table, "cells", "cells", columns="call", limits=(0, None), numbers=".4g")
        axes.set(xlabel="call", ylabel=groups)
    return axes


def probability_heatmap(adata: Any, groups: str = "deepscore", *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw the mean probability of each label among the cells of each call or cluster.

    Parameters
    ----------
    adata
        A query annotated with ``probabilities=True``.
    groups
        Column of ``obs``: the rows. By default the calls.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found`` where the cells have no such column, or no probabilities.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    table = TABLES["probability_heatmap"](_probabilities(adata), column_of(adata, groups))
    size = tiles_size(table["group"].unique().tolist(), table["label"].unique().tolist())
    with axes_for(ax, show, *size) as axes:
        tiles(axes, table, "probability", "mean probability")
        axes.set(xlabel="label", ylabel="call" if groups == "deepscore" else groups)
    return axes


def reliability(adata: Any, labels: str, *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw, for cells whose label is known, which share of the calls with a score is right.

    On the diagonal scores mean what they say. The title has the calibration error: the mean distance from it.

    Parameters
    ----------
    adata
        An annotated query. Cells that are Unclassified have no call that could be right, and are left out: annotate
        with ``threshold=0`` to see low scores, too.
    labels
        Column of ``obs`` with the true labels. Cells without one are left out.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found`` where the cells are not annotated or have no such column.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    calls, scores = column_of(adata, "deepscore"), column_of(adata, "deepscore_score")
    table = TABLES["reliability"](calls, scores, column_of(adata, labels))
    with axes_for(ax, show, 4.6, 4.8) as axes:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="dashed", linewidth=1)
        axes.plot(table["score"], table["right"], color=palette(1)[0], linewidth=1)
        areas = 20 + 180 * table["cells"] / max(table["cells"].max(), 1)
        axes.scatter(table["score"], table["right"], s=areas, color=palette(1)[0], clip_on=False, zorder=3)
        error = np.average((table["score"] - table["right"]).abs(), weights=table["cells"]) if len(table) else np.nan
        axes.set(xlabel="score", ylabel="share of right calls", xlim=(0, 1), ylim=(0, 1))
        axes.set_title(f"calibration error {error:.3f} ({table['cells'].sum():,} cells)", fontsize=10)
    return axes


def roc(adata: Any, labels: str, *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw the ROC curve of each label against all others, for cells whose label is known.

    Parameters
    ----------
    adata
        A query annotated with ``probabilities=True``.
    labels
        Column of ``obs`` with the true labels. Cells without one are left out.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on; the legend has the area under each curve.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found`` where the cells have no such column, or no probabilities.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    table = TABLES["roc"](_probabilities(adata), column_of(adata, labels), own_colours(adata, "deepscore"))
    areas = table.drop_duplicates("label")
    names = labelled(areas["label"].tolist(), areas["auc"].tolist(), ".3f")
    with axes_for(ax, show, 4.6 + width_of_legend(names), 4.8) as axes:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="dashed", linewidth=1)
        for name, (_, curve) in zip(names, table.groupby("label", sort=False), strict=True):
            colour = curve["colour"].iloc[0]
            axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], color=colour, label=name)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        legend(axes)
    return axes


def auc(adata: Any, labels: str, *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw the area under the ROC curve of each label, with the number of its cells.

    Parameters
    ----------
    adata, labels
        As for :func:`roc`.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on.

    Raises
    ------
    deepscore.errors.InputError
        As :func:`roc`.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    table = TABLES["auc"](_probabilities(adata), column_of(adata, labels), own_colours(adata, "deepscore"))
    names = labelled(table["label"].tolist(), table["cells"].tolist())
    with axes_for(ax, show, 4 + width_of(names), max(LEAST_HEIGHT, height_of(len(names)) + 0.8)) as axes:
        bars(axes, names, table["auc"].tolist(), table["colour"].tolist(), "area under the ROC curve")
        axes.axvline(0.5, color=GREY, linestyle="dashed", linewidth=1)
    return axes


def recall(x: Any, *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw which share of each label's cells is called right, with the number of cells that were tested.

    Parameters
    ----------
    x
        A trained :class:`~deepscore.DeepScore` (its held-out cells), or what :func:`~deepscore.check_reference` or
        :func:`~deepscore.performance` returned.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on. The dashed line is at 0.7, below which a label is not trusted.

    Raises
    ------
    deepscore.errors.InputError
        ``not_trained``.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    if isinstance(x, Performance):
        figures = x.labels.rename(columns={"cells": "held_out", "sensitivity": "recall"})
    elif hasattr(x, "confusable"):
        figures = x.labels.rename(columns={"tested": "held_out"})
    else:
        figures = label_figures(x.manifest["training"])
    table = TABLES["recall"](figures["label"], figures["held_out"], figures["recall"])
    names = labelled(table["label"].tolist(), table["cells"].fillna(0).tolist())
    with axes_for(ax, show, 4 + width_of(names), max(LEAST_HEIGHT, height_of(len(names)) + 0.8)) as axes:
        bars(axes, names, table["recall"].tolist(), palette(1)[0], "recall")
        axes.axvline(LEAST_RATE, color=GREY, linestyle="dashed", linewidth=1)
    return axes


def training_curve(ds: Any, *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw loss and accuracy of each epoch, and the epoch whose weights were kept.

    Parameters
    ----------
    ds
        A trained :class:`~deepscore.DeepScore`. With early stopping, the cells that it watched are drawn, too.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on, of the loss; the accuracy has one of its own at the right.

    Raises
    ------
    deepscore.errors.InputError
        ``not_trained``.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    training = ds.manifest["training"]
    table = TABLES["training_curve"](training["history"])
    with axes_for(ax, show, 7.2, 4.2) as axes:
        beside = axes.twinx()
        for measure, where, colour in (("loss", axes, palette(2)[0]), ("accuracy", beside, palette(2)[1])):
            of_measure = table[table["measure"] == measure]
            for cells, line in of_measure.groupby("cells", sort=False):
                style = "solid" if cells == "training" else "dashed"
                marker = "o" if len(line) == 1 else None
                where.plot(
                    line["epoch"],
                    line["value"],
                    color=colour,
                    linestyle=style,
                    marker=marker,
                    label=f"{measure}, {cells}",
                )
            where.set_ylabel(measure)
        best = training.get("best_epoch")
        if best:
            axes.axvline(best, color=GREY, linestyle="dotted", linewidth=1.5, label=f"epoch {best}, which is kept")
        axes.set_xlabel("epoch")
        axes.locator_params("x", integer=True)
        parts = [part.get_legend_handles_labels() for part in (axes, beside)]
        handles, names = parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]
        axes.legend(handles, names, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=8)
    return axes


def importance(table: pd.DataFrame, *, n_features: int = 5, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw the most important features of each label.

    Parameters
    ----------
    table
        What :func:`~deepscore.feature_importance` returned: columns ``label``, ``feature`` and ``importance``.
    n_features
        How many of each label, at least 1.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on: a row per label, the most important feature first.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found`` where the table lacks one of the columns.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    drawn = TABLES["importance"](*_of_table(table, "label", "feature", "importance"), n_features)
    labels, n = drawn["label"].drop_duplicates().tolist(), int(drawn["rank"].max()) if len(drawn) else 0
    values, texts = np.full((len(labels), n), np.nan), np.full((len(labels), n), "", object)
    rows, columns = drawn["label"].map({label: i for i, label in enumerate(labels)}), drawn["rank"] - 1
    values[rows, columns], texts[rows, columns] = drawn["importance"], shorts_of(drawn["feature"])
    each = max(0.6, 0.8 * width_of([str(text) for text in texts.ravel()]))
    size = (each * n + width_of(labels) + 1.2, max(LEAST_HEIGHT, height_of(len(labels), 0.24) + 0.8))
    with axes_for(ax, show, *size) as axes:
        image = axes.imshow(values, aspect="auto", cmap=SHADES, interpolation="nearest")
        tile_texts(axes, image, texts.tolist())
        name_ticks(axes.yaxis, labels)
        axes.set_xticks(range(n), [str(i + 1) for i in range(n)])
        axes.set_xlabel("rank")
        scale_of_colours(axes, image, "importance")
    return axes


def marker_match(match: Any, *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw how far the markers of each label of a reference are those of each label or cluster of a query.

    Parameters
    ----------
    match
        What :func:`~deepscore.match_markers` returned.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on: a row per label of the reference, in which the best match is framed.

    Raises
    ------
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    pairs = match.jaccard.stack()
    best = dict(zip(match.best["label"], match.best["match"], strict=True))
    table = TABLES["marker_match"](
        pairs.index.get_level_values(0), pairs.index.get_level_values(1), pairs.to_numpy(), best
    )
    rows, columns = (table[name].drop_duplicates().tolist() for name in ("label", "group"))
    with axes_for(ax, show, *tiles_size(rows, columns)) as axes:
        tiles(axes, table, "jaccard", "Jaccard index", rows="label", columns="group")
        for label, group in table.loc[table["best"], ["label", "group"]].itertuples(index=False):
            frame(axes, columns.index(group), rows.index(label))
        axes.set(xlabel="label of the query", ylabel="label of the reference")
        axes.set_title(f"matchSCore {match.score:.2f}", fontsize=10)
    return axes


def peak_widths(peaks: Any, *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw how wide peaks are.

    Parameters
    ----------
    peaks
        Names of peaks, a data set whose ``var_names`` they are, or a dict of several of these.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on: the share of the peaks of each set, on a logarithmic scale of base pairs.

    Raises
    ------
    deepscore.errors.InputError
        ``invalid_peaks`` where a name is not that of a peak.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    sets = peaks if isinstance(peaks, Mapping) else {"peaks": peaks}
    table = TABLES["peak_widths"]({str(name): list(getattr(some, "var_names", some)) for name, some in sets.items()})
    totals = table.groupby("peaks_of", sort=False)["peaks"].sum()
    names = labelled([str(name) for name in totals.index], totals.tolist())
    with axes_for(ax, show, 5.2 + width_of_legend(names), 4.2) as axes:
        for name, (_, part) in zip(names, table.groupby("peaks_of", sort=False), strict=True):
            bounds = np.append(part["lower"], part["upper"].iloc[-1:])
            axes.stairs(part["share"], bounds, color=part["colour"].iloc[0], linewidth=1.5, label=name)
        axes.set(xlabel="width of peaks (base pairs)", ylabel="share of peaks", xscale="log")
        low, high = table["lower"].min(), table["upper"].max()
        round_numbers = [k * 10**i for i in range(8) for k in (1, 2, 5) if low <= k * 10**i <= high]
        ticks = round_numbers if len(round_numbers) > 1 else [low]
        axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_ylim(bottom=0)
        legend(axes)
    return axes


def column_of(adata: Any, name: str) -> npt.NDArray[Any]:
    """Return a column of the table of cells."""
    if name not in adata.obs:
        raise InputError(
            "column_not_found",
            f"The cells have no column {name!r}. Annotate them first; columns: {', '.join(adata.obs) or 'none'}.",
        )
    values: npt.NDArray[Any] = adata.obs[name].to_numpy()
    return values


def own_colours(adata: Any, column: str) -> dict[str, str]:
    """Return the colours that a data set keeps for a column, where scanpy looks for them, if there are some."""
    given, categories = adata.uns.get(f"{column}_colors"), getattr(adata.obs.get(column), "cat", None)
    if given is None or categories is None or len(given) < len(categories.categories):
        return {}
    return {str(name): str(colour) for name, colour in zip(categories.categories, given, strict=False)}


def shorts_of(names: pd.Series) -> list[str]:
    """Return the names of features, cut to what fits into a tile."""
    return [shorts([str(name)], 14)[0] for name in names]


def _probabilities(adata: Any) -> dict[str, npt.NDArray[np.float64]]:
    """Return the probabilities of each label under its own name."""
    if PROBABILITIES not in adata.obsm:
        raise InputError(
            "column_not_found",
            f"The cells have no probabilities (obsm[{PROBABILITIES!r}]). Annotate them with probabilities=True.",
        )
    table = adata.obsm[PROBABILITIES]
    labels = [str(x) for x in getattr(adata.obs.get("deepscore"), "cat", pd.Categorical([])).categories]
    labels = [label for label in labels if label != UNCLASSIFIED]
    names = dict(zip(names_of_columns(labels), labels, strict=True))
    return {names.get(column, column): table[column].to_numpy(np.float64) for column in table.columns}


def _of_table(table: pd.DataFrame, *names: str) -> list[Any]:
    """Return columns of a table that a function of deepscore made."""
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(
            "column_not_found", f"The table has no column {missing[0]!r}; columns: {', '.join(map(str, table))}."
        )
    return [table[name].tolist() for name in names]
