"""Plots of annotated cells.

What a plot draws is a table, and one function makes it for both languages: :data:`TABLES` has it by the plot's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from colorsys import hls_to_rgb
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from ..data.labels import UNCLASSIFIED, as_texts
from ..data.linalg import SEED
from ..errors import EngineError, InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "GREY",
    "TABLES",
    "composition",
    "embedding_figure",
    "missing_packages",
    "palette",
    "principal_components",
    "score_distribution",
]

N_BINS = 20  # of scores
GREY = "#999999"
# Told apart by the colour-blind, too (Okabe and Ito 2008); grey is what nothing is known of.
OUTCOMES = {
    "called": "#0072B2",
    "low confidence": "#E69F00",
    "outlier": "#D55E00",
    "low overlap": "#CC79A7",
    "no counts": GREY,
}


def missing_packages() -> EngineError:
    """Return the error for pictures without the packages that draw them."""
    return EngineError("missing_package", "Pictures need matplotlib and pillow: pip install matplotlib pillow.")


def principal_components(matrix: sp.csr_matrix) -> npt.NDArray[np.float64]:
    """Return the first two principal components, cells x 2; zeros where all cells are the same."""
    dense = matrix.toarray().astype(np.float64)
    if (dense == dense[0]).all():
        return np.zeros((len(dense), 2))
    dense -= dense.mean(axis=0)
    if min(dense.shape) < 3:
        return np.pad(dense[:, :2], ((0, 0), (0, 2 - min(2, dense.shape[1]))))
    start = np.random.default_rng(SEED).normal(size=min(dense.shape))  # equal numbers have no part in centred columns
    left, values, _ = svds(dense, k=2, v0=start)
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
    figure = NewFigure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    colours = dict(zip(labels, palette(len(labels)), strict=True))
    for label in [*labels, UNCLASSIFIED]:
        cells = calls == label
        colour = colours.get(label, GREY)
        axes.scatter(
            points[cells, 0], points[cells, 1], s=8, color=colour, label=f"{label} ({int(cells.sum())})", linewidths=0
        )
    axes.set(title=title, xticks=[], yticks=[])
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8, markerscale=2)
    return figure


def palette(n: int) -> list[str]:
    """Return `n` colours, none of them grey: those of Okabe and Ito (2008), or more than these as hues all around."""
    if n <= 7:
        return ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"][:n]
    rounds = (hls_to_rgb(i / n, (0.35, 0.55, 0.7)[i % 3], 0.75) for i in range(n))  # neighbours differ in lightness
    return ["#" + "".join(f"{round(255 * part):02X}" for part in colour) for colour in rounds]


def score_counts(scores: Sequence[float], reasons: Sequence[str]) -> pd.DataFrame:
    """Count the cells of each outcome in bins of the score.

    Parameters
    ----------
    scores, reasons
        Columns ``deepscore_score`` (0 to 1) and ``deepscore_reason`` (``""``: the cell has a label).

    Returns
    -------
    One row per outcome that occurs and bin: ``outcome``, ``colour``, ``lower`` bound and ``width`` of the bin,
    ``cells``. A score on a bound is in the upper bin, 1 in the last. Cells without a score are left out.
    """
    given = np.asarray(scores, np.float64)
    outcomes = np.array([reason or "called" for reason in reasons], dtype=object)[~np.isnan(given)]
    bins = np.minimum((given[~np.isnan(given)] * N_BINS + 1e-9).astype(int), N_BINS - 1)
    counts = {outcome: np.bincount(bins[outcomes == outcome], minlength=N_BINS) for outcome in OUTCOMES}
    rows = [
        (outcome, OUTCOMES[outcome], i / N_BINS, 1 / N_BINS, n)
        for outcome, cells in counts.items()
        if cells.any()
        for i, n in enumerate(cells.tolist())
    ]
    return pd.DataFrame(rows, columns=["outcome", "colour", "lower", "width", "cells"])


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
        Where to draw; a new figure by default.
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
    table = score_counts(*_columns(adata, "deepscore_score", "deepscore_reason"))
    with _axes(ax, show) as axes:
        _stack(axes, table.rename(columns={"outcome": "series", "lower": "x"}), 1 / N_BINS, align="edge")
        if threshold is not None:
            axes.axvline(threshold, color="black", linestyle="dashed", linewidth=1)
        axes.set(xlabel="score", ylabel="cells", xlim=(0, 1))
    return axes


def call_shares(calls: Sequence[str], groups: Sequence[Any]) -> pd.DataFrame:
    """Share out the cells of each group to the calls.

    Parameters
    ----------
    calls, groups
        One call and one group for each cell; cells without a group are left out.

    Returns
    -------
    One row per group and call, both in the order of their names, "Unclassified" last: ``group``, ``call``, ``colour``,
    number of ``cells`` and their ``share`` of the group, 0 to 1.
    """
    cells = pd.DataFrame({"group": as_texts(groups), "call": list(calls)}).dropna(subset="group")
    counts = pd.crosstab(cells["group"], cells["call"])
    labels = [label for label in counts.columns if label != UNCLASSIFIED]
    colours = dict(zip(labels, palette(len(labels)), strict=True)) | {UNCLASSIFIED: GREY}
    counts = counts.reindex(columns=[label for label in colours if label in counts.columns])
    return pd.DataFrame(
        {
            "group": np.repeat(counts.index.to_numpy(), counts.shape[1]),
            "call": np.tile(counts.columns.to_numpy(), counts.shape[0]),
            "colour": np.tile([colours[label] for label in counts.columns], counts.shape[0]),
            "cells": counts.to_numpy().ravel(),
            "share": (counts.to_numpy() / counts.to_numpy().sum(axis=1, keepdims=True)).ravel(),
        }
    )


def composition(adata: Any, groups: str, *, ax: Axes | None = None, show: bool = False) -> Axes:
    """Draw which share of each cluster or batch has which call.

    Parameters
    ----------
    adata
        An annotated query: its ``obs`` has the columns that ``annotate`` adds.
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
    table = call_shares(*_columns(adata, "deepscore", groups))
    with _axes(ax, show) as axes:
        drawn = table.assign(x=table["group"], series=table["call"], cells=table["share"])
        _stack(axes, drawn, 0.8, align="center")
        axes.set(xlabel=groups, ylabel="share of cells", ylim=(0, 1))
    return axes


TABLES: Mapping[str, Callable[..., pd.DataFrame]] = {
    "composition": call_shares,
    "score_distribution": score_counts,
}


def _columns(adata: Any, *names: str) -> list[Any]:
    """Return columns of the table of cells."""
    missing = [name for name in names if name not in adata.obs]
    if missing:
        raise InputError(
            "column_not_found",
            f"The cells have no column {missing[0]!r}. Annotate them first; columns: {', '.join(adata.obs) or 'none'}.",
        )
    return [adata.obs[name].to_numpy() for name in names]


@contextmanager
def _axes(ax: Axes | None, show: bool) -> Iterator[Axes]:
    """Give the Axes to draw on, and show them when they are done."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise missing_packages() from None
    axes = pyplot.subplots(layout="constrained")[1] if ax is None else ax
    yield axes
    if show:
        pyplot.show()


def _stack(axes: Axes, table: pd.DataFrame, width: float, align: Literal["center", "edge"]) -> None:
    """Draw the ``cells`` of each ``series`` at ``x`` as bars on top of each other, with a legend."""
    bottom = np.zeros(table["x"].nunique())
    for series, part in table.groupby("series", sort=False):
        colour = part["colour"].iloc[0]
        axes.bar(part["x"], part["cells"], width, bottom, align=align, color=colour, label=str(series))
        bottom += part["cells"].to_numpy()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
