"""Plots that read the values of a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data.blocks import Names
from ..data.labels import UNCLASSIFIED, as_texts
from ..errors import InputError
from ..output.colours import SHADES
from ..output.drawing import (
    LEAST_HEIGHT,
    axes_for,
    height_of,
    labelled,
    legend,
    name_ticks,
    scale_of_colours,
    shorts,
    tiles,
    tiles_size,
    width_of,
    width_of_legend,
)
from ..output.plot_tables import TABLES
from ..output.plots import column_of, own_colours
from ..support.notices import telling_once
from ..workflows import plot_values
from .python import model_of
from .python_evidence import CALLS, feature_importance
from .readers import Source, open_source, values_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["basis_of", "embedding", "label_correlation", "markers"]

# Where the coordinates of cells are looked for, the first that is there.
BASES = ("X_umap", "X_tsne", "X_pca")
# Square points for all cells of a plot, in square points of print: as scanpy's.
INK = 120_000


@telling_once
def label_correlation(
    adata: Any,
    ds: Any,
    groups: str = "deepscore",
    *,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool = False,
) -> Axes:
    """Draw how well the mean profiles of calls or clusters correlate with those of the reference's labels.

    The profiles are means of normalised values, standardised as the model does it (less the mean of the reference's
    cells, divided by their deviation); the correlation is Pearson's over the model's features that the query has.

    Parameters
    ----------
    adata
        An annotated query, as for :meth:`~deepscore.DeepScore.annotate`.
    ds
        The trained model, or the path of its file.
    groups
        Column of ``obs``: the rows. By default the calls.
    layer, values, feature_names, modality
        How to read the query: see :meth:`~deepscore.DeepScore.annotate`.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found``; ``no_profiles`` where the model is from a file of version 1; what
        :meth:`~deepscore.DeepScore.annotate` raises of a query.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    source = open_source(adata, layer, modality, values=values, feature_names=feature_names)
    table = plot_values.correlation_table(model_of(ds), source.blocks, _groups(source, groups), source.modality)
    size = tiles_size(table["group"].unique().tolist(), table["label"].unique().tolist())
    with axes_for(ax, show, *size) as axes:
        tiles(axes, table, "correlation", "correlation", shades="RdBu_r", limits=(-1, 1))
        axes.set(xlabel="label of the reference", ylabel="call" if groups == "deepscore" else groups)
    return axes


@telling_once
def markers(
    adata: Any,
    ds: Any,
    groups: str = "deepscore",
    *,
    importance: pd.DataFrame | None = None,
    n_features: int = 3,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool = False,
) -> Axes:
    """Draw the features that are evidence for each label as dots: who has them, and how much.

    Parameters
    ----------
    adata
        An annotated query, as for :meth:`~deepscore.DeepScore.annotate`.
    ds
        The trained model, or the path of its file.
    groups
        Column of ``obs``: the rows. By default the calls.
    importance
        What :func:`~deepscore.feature_importance` returned; without it, it is computed for the query's own calls.
    n_features
        How many features of each label, the most important first.
    layer, values, feature_names, modality
        How to read the query: see :meth:`~deepscore.DeepScore.annotate`.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on. A dot's area is the share of the cells that have the feature, its colour the mean
    normalised value, between the lowest and the highest of all rows.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found``; ``features_not_found`` where the table is of another model; what
        :meth:`~deepscore.DeepScore.annotate` raises of a query.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    source = open_source(adata, layer, modality, values=values, feature_names=feature_names)
    if importance is None:
        importance = feature_importance(
            ds, adata, CALLS, layer=layer, values=values, feature_names=feature_names, modality=modality
        )
    chosen = TABLES["importance"](importance["label"], importance["feature"], importance["importance"], n_features)
    table = plot_values.expression_table(model_of(ds), source.blocks, _groups(source, groups), chosen, source.modality)
    rows = table["group"].drop_duplicates().tolist()
    columns = table[table["group"] == rows[0]]
    return _dots(table, rows, columns, "call" if groups == "deepscore" else groups, ax, show)


def _dots(table: pd.DataFrame, rows: list[str], columns: pd.DataFrame, what: str, ax: Axes | None, show: bool) -> Axes:
    """Draw a row per group and a column per feature, with lines between the features of two labels."""
    n, labels = len(columns), columns["label"].drop_duplicates().tolist()
    width = max(4.5, height_of(n)) + width_of(rows) + 1.4
    height = max(LEAST_HEIGHT, height_of(len(rows))) + width_of(columns["feature"].tolist()) + width_of(labels) + 1.2
    with axes_for(ax, show, width, height) as axes:
        x, y = np.tile(np.arange(n), len(rows)), np.repeat(np.arange(len(rows)), n)
        dots = axes.scatter(x, y, s=90 * table["share"], c=table["relative"], cmap=SHADES, vmin=0, vmax=1)
        for share in (0.25, 0.5, 1.0):
            axes.scatter([], [], s=90 * share, color="grey", label=f"{share:.0%}")
        axes.legend(
            title="cells", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8, title_fontsize=8
        )
        axes.set(xlim=(-0.5, n - 0.5), ylim=(len(rows) - 0.5, -0.5), ylabel=what)
        name_ticks(axes.yaxis, rows)
        name_ticks(axes.xaxis, columns["feature"].tolist(), turned=True)
        above = axes.secondary_xaxis("top")
        of_label = [np.flatnonzero(columns["label"] == label) for label in labels]
        above.set_xticks([cells.mean() for cells in of_label], shorts(labels), rotation=90, fontsize=9)
        above.tick_params(length=0)
        for cells in of_label[1:]:
            axes.axvline(cells[0] - 0.5, color="lightgrey", linewidth=0.8, zorder=0)
        scale_of_colours(axes, dots, "mean, of its range", below=True)
    return axes


@telling_once
def embedding(
    adata: Any,
    color: str = "deepscore",
    *,
    basis: str | None = None,
    ds: Any = None,
    layer: str | None = None,
    values: str | None = None,
    feature_names: str | None = None,
    modality: str | None = None,
    ax: Axes | None = None,
    show: bool = False,
) -> Axes:
    """Draw cells on two coordinates, coloured by their calls, scores or any other column.

    Parameters
    ----------
    adata
        An annotated query.
    color
        Column of ``obs``: ``"deepscore"`` (calls), ``"deepscore_score"``, or any other. Texts have the colours of
        ``uns["<column>_colors"]`` where there are some; numbers a scale.
    basis
        Key of ``obsm``, with or without ``X_``: its first two columns are drawn. By default the first that is there of
        ``X_umap``, ``X_tsne`` and ``X_pca``; where none is, the first two principal components are computed, of the
        normalised values of the features of `ds` or, without it, of the most variable features. The data set is not
        changed.
    ds
        The trained model, or the path of its file; it is looked at only where components are computed.
    layer, values, feature_names, modality
        How to read the query where components are computed: see :meth:`~deepscore.DeepScore.annotate`.
    ax, show
        As for :func:`score_distribution`.

    Returns
    -------
    The Axes that were drawn on.

    Raises
    ------
    deepscore.errors.InputError
        ``column_not_found`` where there is no such column or basis; what :meth:`~deepscore.DeepScore.annotate` raises
        of a query.
    deepscore.errors.EngineError
        ``missing_package`` without matplotlib.
    """
    column, key = column_of(adata, color), basis_of(adata, basis)
    if key is not None:
        points = np.asarray(adata.obsm[key], np.float64)[:, :2]
        names = [f"{key.removeprefix('X_')} {i}" for i in (1, 2)]
    else:
        source = open_source(adata, layer, modality, values=values, feature_names=feature_names)
        points = plot_values.coordinates(source.blocks, None if ds is None else model_of(ds), source.modality)
        names = ["principal component 1", "principal component 2"]
    area = float(np.clip(INK / max(len(points), 1), 1, 40))
    if pd.api.types.is_numeric_dtype(column.dtype):
        with axes_for(ax, show, 5.6, 4.6) as axes:
            order = np.argsort(np.nan_to_num(column.astype(np.float64), nan=-np.inf), kind="stable")
            limits = (0, 1) if color == "deepscore_score" else (None, None)
            drawn = axes.scatter(
                points[order, 0],
                points[order, 1],
                s=area,
                c=column[order],
                cmap=SHADES,
                linewidths=0,
                vmin=limits[0],
                vmax=limits[1],
            )
            scale_of_colours(axes, drawn, color)
            axes.set(xlabel=names[0], ylabel=names[1], xticks=[], yticks=[])
        return axes
    return _labelled_points(points, column, own_colours(adata, color), names, area, ax, show)


def _labelled_points(
    points: npt.NDArray[np.float64],
    column: npt.NDArray[Any],
    own: dict[str, str],
    names: list[str],
    area: float,
    ax: Axes | None,
    show: bool,
) -> Axes:
    """Draw cells in the colours of their labels, those without one beneath all others."""
    table, texts = TABLES["embedding"](column, own), as_texts(column, ())
    counted = labelled(table["label"].tolist(), table["cells"].tolist())
    with axes_for(ax, show, 4.6 + width_of_legend(counted), 4.6) as axes:
        for label, colour, text in zip(table["label"], table["colour"], counted, strict=True):
            cells = texts == label
            beneath = 0.5 if label == UNCLASSIFIED else 1
            axes.scatter(
                points[cells, 0], points[cells, 1], s=area, color=colour, label=text, linewidths=0, zorder=beneath
            )
        axes.set(xlabel=names[0], ylabel=names[1], xticks=[], yticks=[])
        legend(axes, markerscale=(30 / area) ** 0.5)
    return axes


def basis_of(adata: Any, basis: str | None) -> str | None:
    """Return the key of the coordinates to draw; None where there are none and none were asked for."""
    if basis is None:
        return next((key for key in BASES if key in adata.obsm), None)
    found = next((key for key in (basis, f"X_{basis}") if key in adata.obsm), None)
    if found is None:
        raise InputError(
            "column_not_found", f"obsm has no {basis!r}; there are: {', '.join(map(repr, adata.obsm)) or 'none'}."
        )
    return found


def _groups(source: Source, groups: str) -> Names:
    """Return the group of each cell, None where it is missing."""
    found = values_of(source, groups, "groups")
    assert found is not None
    return found
