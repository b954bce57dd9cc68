"""The tables that plots draw: pure functions of plain values, the same for both languages.

:data:`TABLES` has them by the name of the plot. Texts that are missing are None, numbers NaN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from ..chromatin.intervals import parse_peaks
from ..data.labels import UNCLASSIFIED, as_texts
from ..data.linalg import Doubles
from .colours import OUTCOMES, colours_of

__all__ = ["TABLES", "in_order"]

N_BINS = 20  # of scores
N_RELIABILITY_BINS = 10
MOST_POINTS = 200  # of a curve: more are not seen
N_WIDTH_BINS = 40  # of the logarithms of widths

Colours = Mapping[str, str] | None


def in_order(names: Iterable[str]) -> list[str]:
    """Return different names in order, numbers in them by their size, "Unclassified" last."""

    def rank(name: str) -> tuple[bool, list[tuple[bool, int, str]]]:
        parts = re.split(r"(\d+)", name)
        return name == UNCLASSIFIED, [(i % 2 == 0, int(part) if i % 2 else 0, part) for i, part in enumerate(parts)]

    return sorted(dict.fromkeys(names), key=rank)


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
    bins = _bins(given[~np.isnan(given)], N_BINS)
    counts = {outcome: np.bincount(bins[outcomes == outcome], minlength=N_BINS) for outcome in OUTCOMES}
    rows = [
        (outcome, OUTCOMES[outcome], i / N_BINS, 1 / N_BINS, n)
        for outcome, cells in counts.items()
        if cells.any()
        for i, n in enumerate(cells.tolist())
    ]
    return pd.DataFrame(rows, columns=["outcome", "colour", "lower", "width", "cells"])


def call_shares(calls: Sequence[str | None], groups: Sequence[Any], colours: Colours = None) -> pd.DataFrame:
    """Share out the cells of each group to the calls.

    Parameters
    ----------
    calls, groups
        One call and one group for each cell; cells without either are left out.
    colours
        The labels' own colours.

    Returns
    -------
    One row per group and call, both in the order of their names, "Unclassified" last: ``group``, ``call``, ``colour``,
    number of ``cells`` and their ``share`` of the group, 0 to 1.
    """
    cells = pd.DataFrame({"group": as_texts(groups), "call": as_texts(calls, ())}).dropna()
    found = colours_of(in_order(cells["call"]), colours)
    counts = pd.crosstab(cells["group"], cells["call"]).reindex(index=in_order(cells["group"]), columns=list(found))
    numbers = counts.to_numpy(np.int64) if len(cells) else np.zeros((0, 0), np.int64)
    return pd.DataFrame(
        {
            "group": np.repeat(counts.index.to_numpy(object), numbers.shape[1]),
            "call": np.tile(counts.columns.to_numpy(object), numbers.shape[0]),
            "colour": np.tile(np.array(list(found.values()), object), numbers.shape[0]),
            "cells": numbers.ravel(),
            "share": (numbers / numbers.sum(axis=1, keepdims=True)).ravel(),
        }
    )


def label_counts(labels: Sequence[Any], colours: Colours = None) -> pd.DataFrame:
    """Count the cells of each label.

    Returns
    -------
    One row per ``label`` in their order, "Unclassified" last: its ``colour`` and number of ``cells``.
    """
    counts = pd.Series(as_texts(labels, ()), dtype=object).dropna().value_counts()
    found = colours_of(in_order(counts.index), colours)
    cells = [int(counts[label]) for label in found]
    return pd.DataFrame({"label": list(found), "colour": list(found.values()), "cells": cells})


def probability_means(probabilities: Mapping[str, Sequence[float]], groups: Sequence[Any]) -> pd.DataFrame:
    """Average the probabilities of the cells of each group.

    Parameters
    ----------
    probabilities
        For each label the probability of every cell, 0 to 1.
    groups
        Call or cluster of each cell; cells without one, and cells without probabilities, are left out.

    Returns
    -------
    One row per group and label, groups in the order of their names: ``group``, ``label``, number of ``cells`` of the
    group, mean ``probability``.
    """
    labels = in_order(probabilities)
    values = np.column_stack([np.asarray(probabilities[label], np.float64) for label in labels])
    names = as_texts(groups, ())
    kept = np.array([name is not None for name in names], np.bool_) & ~np.isnan(values).any(axis=1)
    frame = pd.DataFrame(values[kept], columns=labels).groupby(names[kept])
    means, sizes = frame.mean(), frame.size()
    order = in_order(sizes.index)
    return pd.DataFrame(
        {
            "group": np.repeat(np.array(order, object), len(labels)),
            "label": np.tile(np.array(labels, object), len(order)),
            "cells": np.repeat(sizes.reindex(order).to_numpy(np.int64), len(labels)),
            "probability": means.reindex(order).to_numpy(np.float64).ravel(),
        }
    )


def reliability_bins(calls: Sequence[str | None], scores: Sequence[float], labels: Sequence[Any]) -> pd.DataFrame:
    """Compare scores with the share of right calls.

    Parameters
    ----------
    calls, scores, labels
        Call, score (0 to 1) and true label of each cell. Cells without a true label or a call are left out.

    Returns
    -------
    One row per bin of scores that has cells: ``lower`` bound and ``width``, number of ``cells``, their mean ``score``
    and the share of them whose call is ``right``.
    """
    names, truth, values = as_texts(calls, ()), as_texts(labels), np.asarray(scores, np.float64)
    known = np.array([a not in (None, UNCLASSIFIED) and b is not None for a, b in zip(names, truth, strict=True)])
    kept = known.astype(np.bool_) & ~np.isnan(values)
    right, values = (names == truth)[kept], values[kept]
    bins = _bins(values, N_RELIABILITY_BINS)
    cells = np.bincount(bins, minlength=N_RELIABILITY_BINS)
    some = np.flatnonzero(cells)
    return pd.DataFrame(
        {
            "lower": some / N_RELIABILITY_BINS,
            "width": np.full(len(some), 1 / N_RELIABILITY_BINS),
            "cells": cells[some],
            "score": np.bincount(bins, values, N_RELIABILITY_BINS)[some] / cells[some],
            "right": np.bincount(bins, right, N_RELIABILITY_BINS)[some] / cells[some],
        }
    )


def roc_curves(
    probabilities: Mapping[str, Sequence[float]], labels: Sequence[Any], colours: Colours = None
) -> pd.DataFrame:
    """Return the ROC curve of each label against all others.

    Parameters
    ----------
    probabilities
        For each label the probability of every cell, 0 to 1.
    labels
        True label of each cell. Cells without one, and cells without probabilities, are left out.
    colours
        The labels' own colours.

    Returns
    -------
    The points of each curve, at most 200, labels in the order of their names: ``label``, ``colour``, number of true
    ``cells``, ``auc``, ``false_positive_rate`` and ``true_positive_rate``. Labels that none or all of the cells have
    are left out: they have no curve.
    """
    truth, found = as_texts(labels), colours_of(in_order(probabilities), colours)
    curves = []
    for label, colour in found.items():
        values = np.asarray(probabilities[label], np.float64)
        kept = np.array([name is not None for name in truth], np.bool_) & ~np.isnan(values)
        is_label, values = (truth == label)[kept], values[kept]
        if not 0 < is_label.sum() < len(is_label):
            continue
        false, true = _roc(values, is_label)
        curve = pd.DataFrame({"false_positive_rate": false, "true_positive_rate": true})
        curves.append(curve.assign(label=label, colour=colour, cells=int(is_label.sum()), auc=_auc(values, is_label)))
    columns = ["label", "colour", "cells", "auc", "false_positive_rate", "true_positive_rate"]
    return pd.concat(curves, ignore_index=True)[columns] if curves else pd.DataFrame(columns=columns)


def aucs(probabilities: Mapping[str, Sequence[float]], labels: Sequence[Any], colours: Colours = None) -> pd.DataFrame:
    """Return the area under each curve of :func:`roc_curves`: ``label``, ``colour``, ``cells``, ``auc``."""
    table = roc_curves(probabilities, labels, colours)
    return table[["label", "colour", "cells", "auc"]].drop_duplicates(ignore_index=True)


def correlations(
    groups: Sequence[str], group_means: Sequence[Doubles], labels: Sequence[str], label_means: Sequence[Doubles]
) -> pd.DataFrame:
    """Correlate the mean profiles of groups of the query with those of the reference's labels (Pearson).

    Parameters
    ----------
    groups, labels
        Their names.
    group_means, label_means
        The means of the same features, standardised in the same way, one row per group or label.

    Returns
    -------
    One row per group and label, both in order: ``group``, ``label``, ``correlation`` (NaN of a profile in which all
    features are the same).
    """
    rows, columns = in_order(groups), in_order(labels)
    a, b = (
        np.asarray(means, np.float64)[[list(names).index(name) for name in ordered]]
        for names, ordered, means in ((groups, rows, group_means), (labels, columns, label_means))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
        a, b = (x / np.sqrt((x**2).sum(axis=1, keepdims=True)) for x in (a, b))
    return pd.DataFrame(
        {
            "group": np.repeat(np.array(rows, object), len(columns)),
            "label": np.tile(np.array(columns, object), len(rows)),
            "correlation": np.clip(a @ b.T, -1, 1).ravel(),
        }
    )


def expression(
    groups: Sequence[str],
    means: Sequence[Doubles],
    shares: Sequence[Doubles],
    features: Sequence[str],
    labels: Sequence[str],
) -> pd.DataFrame:
    """Lay out how strongly each group expresses features.

    Parameters
    ----------
    groups
        Names of the groups.
    means, shares
        Groups x features: mean normalised value, and share of the cells in which it is not zero.
    features, labels
        Name of each feature, and the label that it is evidence for.

    Returns
    -------
    One row per group and feature, the features in the order of their labels: ``group``, ``feature``, ``label``,
    ``mean``, ``relative`` (the mean between the lowest, 0, and the highest, 1, of all groups; 0 where all are the same)
    and ``share``.
    """
    rows = in_order(groups)
    order = [list(groups).index(name) for name in rows]
    ranked = in_order(labels)
    columns = sorted(range(len(features)), key=lambda i: ranked.index(labels[i]))
    mean, share = (np.asarray(x, np.float64)[np.ix_(order, columns)] for x in (means, shares))
    low, high = mean.min(axis=0), mean.max(axis=0)
    relative = np.divide(mean - low, high - low, out=np.zeros_like(mean), where=high > low)
    return pd.DataFrame(
        {
            "group": np.repeat(np.array(rows, object), len(columns)),
            "feature": np.tile(np.array(features, object)[columns], len(rows)),
            "label": np.tile(np.array(labels, object)[columns], len(rows)),
            "mean": mean.ravel(),
            "relative": relative.ravel(),
            "share": share.ravel(),
        }
    )


def top_features(
    labels: Sequence[str], features: Sequence[str], importances: Sequence[float], n_features: int = 5
) -> pd.DataFrame:
    """Rank the features of each label by their importance and keep the first.

    Returns
    -------
    One row per label, in order, and feature: ``label``, ``rank`` (from 1), ``feature``, ``importance``. Of features
    that are as important the first in the table come first.
    """
    table = pd.DataFrame({"label": list(labels), "feature": list(features), "importance": importances})
    table = table.sort_values("importance", ascending=False, kind="stable")
    table["rank"] = table.groupby("label").cumcount() + 1
    order = {label: i for i, label in enumerate(in_order(labels))}
    table = table[table["rank"] <= n_features].sort_values(
        ["label", "rank"], key=lambda x: x.map(order) if x.name == "label" else x, ignore_index=True
    )
    return table[["label", "rank", "feature", "importance"]]


def marker_tiles(
    labels: Sequence[str], groups: Sequence[str], values: Sequence[float], best: Mapping[str, str | None]
) -> pd.DataFrame:
    """Lay out how far the markers of each label of a reference are those of each label of a query.

    Parameters
    ----------
    labels, groups, values
        Label of the reference, label of the query and Jaccard index (0 to 1) of each pair.
    best
        For each label of the reference, the label of the query that matches it best; None where none does.

    Returns
    -------
    One row per pair, both in order: ``label``, ``group`` (of the query), ``jaccard``, and whether it is the ``best``.
    """
    table = pd.DataFrame({"label": list(labels), "group": list(groups), "jaccard": np.asarray(values, np.float64)})
    table["best"] = [best.get(label) == group for label, group in zip(labels, groups, strict=True)]
    rows, columns = ({name: i for i, name in enumerate(in_order(table[by]))} for by in ("label", "group"))
    order = np.lexsort((table["group"].map(columns), table["label"].map(rows)))
    return table.iloc[order].reset_index(drop=True)


def training_course(history: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Lay out loss and accuracy of each epoch.

    Parameters
    ----------
    history
        The record of each epoch, as the training facts of a model have it.

    Returns
    -------
    One row per measure, cells and epoch: ``measure`` ("loss" or "accuracy"), ``cells`` ("training", or "set apart" for
    those that early stopping watches), ``epoch`` (from 1) and ``value``.
    """
    columns = [
        (measure, cells, f"{prefix}{measure}")
        for measure in ("loss", "accuracy")
        for cells, prefix in (("training", ""), ("set apart", "val_"))
    ]
    rows = [
        (measure, cells, int(record["epoch"]), float(record[key]))
        for measure, cells, key in columns
        for record in history
        if key in record
    ]
    return pd.DataFrame(rows, columns=["measure", "cells", "epoch", "value"])


def label_recall(labels: Sequence[str], cells: Sequence[float], recalls: Sequence[float]) -> pd.DataFrame:
    """Lay out the share of each label's cells that are called right.

    Parameters
    ----------
    labels, cells, recalls
        Label, number of cells that were tested, and share of them that were called right; NaN where nothing is known.

    Returns
    -------
    One row per label, in order: ``label``, ``cells``, ``recall``.
    """
    table = pd.DataFrame(
        {"label": list(labels), "cells": np.asarray(cells, np.float64), "recall": np.asarray(recalls, np.float64)}
    )
    return table.set_index("label").loc[in_order(labels)].reset_index()


def width_counts(peaks: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Count the peaks of each set in bins of their width.

    Parameters
    ----------
    peaks
        The names of the peaks of each set.

    Returns
    -------
    One row per set, in the order given, and bin: ``peaks_of`` (name of the set), ``colour``, ``lower`` and ``upper``
    bound of the bin in base pairs (the bins are as wide on a logarithmic scale; one bin where all widths are equal),
    number of ``peaks`` and their ``share`` of the set.

    Raises
    ------
    InputError
        ``invalid_peaks`` where a name is not that of a peak.
    """
    widths = {name: _widths(some) for name, some in peaks.items()}
    every = np.concatenate([*widths.values(), np.zeros(0)])
    if not len(every):
        return pd.DataFrame(columns=["peaks_of", "colour", "lower", "upper", "peaks", "share"])
    low, high = every.min(), every.max()
    bounds = np.geomspace(low, high + 1, N_WIDTH_BINS + 1) if high > low else np.array([low, low + 1])
    bounds[0], bounds[-1] = low, high + 1
    colours = colours_of(list(peaks))
    tables = []
    for name, of_set in widths.items():
        counts = np.bincount(np.searchsorted(bounds, of_set, side="right") - 1, minlength=len(bounds) - 1)
        share = counts / max(len(of_set), 1)
        columns = {"lower": bounds[:-1], "upper": bounds[1:], "peaks": counts, "share": share}
        tables.append(pd.DataFrame({"peaks_of": name, "colour": colours[name], **columns}))
    return pd.concat(tables, ignore_index=True)


TABLES: Mapping[str, Callable[..., pd.DataFrame]] = {
    "auc": aucs,
    "composition": call_shares,
    "confusion": call_shares,
    "embedding": label_counts,
    "importance": top_features,
    "label_correlation": correlations,
    "marker_match": marker_tiles,
    "markers": expression,
    "peak_widths": width_counts,
    "probability_heatmap": probability_means,
    "recall": label_recall,
    "reliability": reliability_bins,
    "roc": roc_curves,
    "score_distribution": score_counts,
    "training_curve": training_course,
}


def _bins(values: Doubles, n: int) -> npt.NDArray[np.intp]:
    """Return the bin of each score; one on a bound is in the upper bin, 1 in the last."""
    return np.minimum((values * n + 1e-9).astype(np.intp), n - 1)


def _auc(values: Doubles, is_label: npt.NDArray[np.bool_]) -> float:
    """Return how often a cell of the label has a higher value than another cell; a tie counts half."""
    n = int(is_label.sum())
    return float((rankdata(values)[is_label].sum() - n * (n + 1) / 2) / (n * (len(values) - n)))


def _roc(values: Doubles, is_label: npt.NDArray[np.bool_]) -> tuple[Doubles, Doubles]:
    """Return false and true positive rate at each threshold, from 0 to 1, without points on straight lines."""
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)  # cells with one value come together
    true, false = np.cumsum(is_label[order])[last], np.cumsum(~is_label[order])[last]
    true, false = np.append(0, true), np.append(0, false)
    bends = np.append(True, np.append((np.diff(true, 2) != 0) | (np.diff(false, 2) != 0), True))
    true, false = true[bends] / true[-1], false[bends] / false[-1]
    if len(true) > MOST_POINTS:
        length = np.cumsum(np.append(0, np.abs(np.diff(true)) + np.abs(np.diff(false))))
        shown = np.unique(np.searchsorted(length, np.linspace(0, length[-1], MOST_POINTS)).clip(0, len(true) - 1))
        true, false = true[shown], false[shown]
    return false, true


def _widths(names: Sequence[str]) -> Doubles:
    """Return the widths of peaks in base pairs."""
    places = parse_peaks(names)
    return (places["end"] - places["start"]).to_numpy(np.float64)
