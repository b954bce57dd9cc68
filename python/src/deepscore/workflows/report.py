"""Report on an annotated query: gather what the annotation, the model and the query itself say of each label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..data.blocks import CellBlocks, Names, watched
from ..data.labels import UNCLASSIFIED, evenly, require_length
from ..data.linalg import SEED, Codes, Doubles, components
from ..data.spellings import shown_names
from ..data.standardise import SumsByCode
from ..errors import InputError
from ..model.file import manifest_of
from ..model.model import Model
from ..model.profiles import Profiles
from ..output.figures import label_figures
from ..output.report import Report
from ..output.verdicts import Query, Standing
from ..query.align import AlignedQuery, align
from ..query.settings import SETTINGS
from ..query.verdict import Verdict
from ..support.checks import is_number, optional_name
from ..support.threads import one_blas_thread
from .check_reference import CONFUSABLE, ReferenceCheck
from .feature_importance import ImportanceRequest, feature_importance

__all__ = ["Embedding", "ReportRequest", "marker_table", "report"]

# Cells from which principal components are learnt; the others are projected.
MOST_CELLS = 10_000
# Cells, from all labels, of which it is asked what the network looks at; and features of each label.
EXPLAINED, MOST_FEATURES = 1_000, 8
# A marker's mean is above that of the next label by this part of the deviation within its label at least: a medium
# effect (Cohen 1988). Less may be chance.
LEAST_EFFECT = 0.5
# A colour as matplotlib and R write it, with or without how much shows through.
HEX = re.compile(r"#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?")
# What was annotated, where nobody says.
TITLE = "Annotated cells"


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """The options of :func:`deepscore.report`, checked; they are documented there."""

    title: str | None = None
    modality: str | None = None

    def __post_init__(self) -> None:
        optional_name("title", self.title)


@dataclass(frozen=True, eq=False)
class Embedding:
    """Two coordinates of each cell, NaN for a cell that has none, and what they are called."""

    name: str
    points: Doubles


def report(
    model: Model,
    calls: pd.DataFrame,
    request: ReportRequest,
    *,
    query: CellBlocks | None = None,
    probabilities: Doubles | None = None,
    batch: Names | None = None,
    groups: Names | None = None,
    embedding: Embedding | None = None,
    check: ReferenceCheck | None = None,
    record: Mapping[str, Any] | None = None,
    colours: Mapping[str, str] | None = None,
) -> Report:
    """Gather what is to be reported; see :func:`deepscore.report`.

    Parameters
    ----------
    calls
        What :func:`~deepscore.output.columns.columns_of` says of each cell, indexed by the names of the cells.
    query
        The cells in the same order; without them no feature is looked at.
    probabilities
        Cells x labels of the model, where there are any: they tell the best label of a withheld cell.
    batch, groups
        Sample and cluster of each cell, None where it is missing.
    embedding
        Where cells are drawn; without it, on two principal components of the model's features.
    check
        Of the reference.
    record
        What :func:`~deepscore.output.provenance.provenance` wrote when the cells were annotated. It is shown.
    colours
        Of the labels, where the data set keeps some.

    Raises
    ------
    InputError
        ``no_shared_labels`` where a call is none of the model's labels, and what
        :func:`~deepscore.query.align.align` raises.
    """
    record = record or {}
    threshold = record.get("threshold")
    for what, values in (("batch", batch), ("groups", groups)):
        if values is not None and query is not None:
            require_length(query, values, what)
        elif values is not None and len(values) != len(calls):
            raise InputError(f"{what}_length", f"{what} has {len(values)} entries, the table {len(calls)} cells.")
    told = np.flatnonzero(calls["deepscore"].notna())
    if len(told) < len(calls):  # of another data set, in which nothing was annotated
        calls, query = calls.iloc[told], None if query is None else query.take(told)
        probabilities = None if probabilities is None else probabilities[told]
        batch, groups = (None if names is None else names[told] for names in (batch, groups))
        embedding = None if embedding is None else replace(embedding, points=embedding.points[told])
    cells = _best_labels(model, calls, probabilities)
    codes = pd.Categorical(cells["call"], categories=[*model.labels, UNCLASSIFIED]).codes.astype(np.intp)
    genes, features, importance = None, None, None
    if query is not None:
        with one_blas_thread():
            aligned = align(model, query, modality=request.modality, min_overlap=0.0)
            sums, points = _read(aligned, codes, embedding is None)
        importance = _importance(aligned, cells["call"].to_numpy(object), codes)
        features = aligned.present
        if points is not None:
            embedding = Embedding(f"two principal components of the model's {model.kind.features}", points)
        if model.profiles is not None:
            genes = marker_table(model, model.profiles, features, sums)
    return Report(
        title=request.title or TITLE,
        threshold=threshold if is_number(threshold) else None,
        cells=cells,
        batch=batch,
        groups=groups,
        points=None if embedding is None else embedding.points,
        points_name="" if embedding is None else embedding.name,
        query=replace(
            _query(model, cells, features, record),
            checked=check is not None,
            samples=batch is not None,
            clusters=groups is not None,
        ),
        standings=_standings(model, cells, genes, check),
        confused_in="query" if check is None else "reference",
        check=None if check is None else (check.design, *check.words),
        genes=genes,
        importance=importance,
        missing=() if features is None else tuple(model.feature_names[~features]),
        manifest=manifest_of(model),
        record=record,
        own_colours={label: colour[:7] for label, colour in (colours or {}).items() if HEX.fullmatch(colour)},
    )


def _best_labels(model: Model, calls: pd.DataFrame, probabilities: Doubles | None) -> pd.DataFrame:
    """Return ``call``, ``best`` label whatever its score, ``raw``, ``score`` and ``reason`` of each cell."""
    call, raw = (calls[name].astype(str).to_numpy(object) for name in ("deepscore", "deepscore_raw"))
    for names in (call, raw):
        other = sorted(set(names) - {*model.labels, UNCLASSIFIED})
        if other:
            raise InputError(
                "no_shared_labels",
                f"The model does not know {other[0]!r}, which cells are called. Give the model that annotated them.",
            )
    best = raw if probabilities is None else model.label_names[probabilities.argmax(axis=1)]
    return pd.DataFrame(
        {
            "call": call,
            "best": np.where(call == UNCLASSIFIED, best, call),
            "raw": raw,
            "score": calls["deepscore_score"].to_numpy(np.float64),
            "reason": calls["deepscore_reason"].astype(str).to_numpy(object),
        },
        index=pd.Index(calls.index.astype(str), name="cell"),
    )


def _read(aligned: AlignedQuery, codes: Codes, project: bool) -> tuple[SumsByCode, Doubles | None]:
    """Read the cells once: sums of each call, and two principal components, cells x 2, where they are wanted."""
    n_cells, n_features = len(codes), len(aligned.positions)
    basis, points = np.zeros((n_features, 2)), np.zeros((n_cells, 2))
    if project:
        some = aligned.cells(aligned.blocks.spread(MOST_CELLS))
        found = components(some, np.zeros(some.shape[0], np.intp))[1][:, :2]
        basis[:, : found.shape[1]] = found
    sums = SumsByCode(codes.max() + 1, n_features)
    for start, block in watched(aligned.normalised(), n_cells, "report"):
        rows = slice(start, start + block.shape[0])
        sums.add(block, codes[rows])
        points[rows] = block @ basis
    return sums, points if project else None


def _importance(aligned: AlignedQuery, calls: Names, codes: Codes) -> pd.DataFrame | None:
    """Return the features that speak most for each call, in some cells of each; None where no cell has a label."""
    called = np.flatnonzero(codes < len(aligned.model.labels))
    if not len(called):
        return None
    some = called[evenly(codes[called], EXPLAINED, np.random.default_rng(SEED))]
    blocks = replace(aligned.blocks.take(some), values=aligned.values.form)
    request = ImportanceRequest(n_features=MOST_FEATURES, min_overlap=0.0, refine=False, missing=())
    return feature_importance(aligned.model, blocks, request, labels=calls[some])


def marker_table(model: Model, profiles: Profiles, present: Any, sums: SumsByCode) -> pd.DataFrame:
    """Tell for the marker features of each label whether its cells in the query have more of them than the others.

    Markers are the features, up to 20, whose mean in the reference is most above that of the next-highest label.

    Parameters
    ----------
    present
        Which of the model's features the query has.
    sums
        Of the query's cells of each call; the last may be Unclassified.

    Returns
    -------
    A row per label and marker, the best first: ``label``, ``feature``, whether it is ``measured`` in the query; means
    ``in_reference`` and of the ``next_label`` there; ``in_query`` and ``elsewhere``, the means of the label's cells
    and of the other calls, each of which counts the same; ``raised``: 1 or 0. NaN where the query lacks the feature or
    such cells.
    """
    means, n = profiles.label_means(), sums.n[:, 0]
    names = shown_names(model.features, model.training.get("other_names", {}))
    with np.errstate(invalid="ignore", divide="ignore"):
        in_query = sums.total / sums.n
    highest = np.sort(means, axis=0)[-2:]
    rows = []
    for label, name in enumerate(model.labels):
        following = np.where(means[label] == highest[1], highest[0], highest[1])
        above = means[label] - following
        above[above < LEAST_EFFECT * np.sqrt(profiles.variance[label])] = 0
        chosen = np.argsort(-above, kind="stable")[: SETTINGS.novelty.markers]
        others = [code for code in np.flatnonzero(n) if code != label]
        for feature in chosen[above[chosen] > 0]:
            mine = in_query[label, feature] if label < len(n) and n[label] and present[feature] else np.nan
            rest = in_query[others, feature].mean() if others and present[feature] else np.nan
            told = np.nan if np.isnan(mine + rest) else float(mine > rest)
            there = (means[label, feature], following[feature])
            rows.append((name, names[feature], bool(present[feature]), *there, mine, rest, told))
    columns = ["label", "feature", "measured", "in_reference", "next_label", "in_query", "elsewhere", "raised"]
    return pd.DataFrame(rows, columns=columns)


def _query(model: Model, cells: pd.DataFrame, present: Any, record: Mapping[str, Any]) -> Query:
    """Count cells and features, and take what is known of the query as a whole from the record."""
    reasons = cells["reason"][cells["call"] == UNCLASSIFIED].value_counts()
    verdict = _verdict(record)
    return Query(
        cells=len(cells),
        unclassified=int((cells["call"] == UNCLASSIFIED).sum()),
        reasons={str(reason): int(n) for reason, n in reasons.items()},
        features=len(model.features),
        found=None if present is None else int(present.sum()),
        noun=model.kind.features,
        native=verdict.native,
        told=verdict.details(),
    )


def _verdict(record: Mapping[str, Any]) -> Verdict:
    """Return what a record, which a file may have changed, says of a query as a whole."""

    def number(name: str) -> float | None:
        value: Any = record.get(name)
        return float(value) if is_number(value) else None

    def names(name: str) -> tuple[str, ...]:
        value: Any = record.get(name)
        return tuple(str(one) for one in value) if isinstance(value, (list, np.ndarray)) else ()

    return Verdict(
        number("native"), number("explained"), number("agreement"), higher=names("higher"), lower=names("lower")
    )


def _standings(
    model: Model, cells: pd.DataFrame, genes: pd.DataFrame | None, check: ReferenceCheck | None
) -> tuple[Standing, ...]:
    """Put together what is known of each label."""
    figures = label_figures(model.training).set_index("label")
    called, closest = cells["call"].value_counts(), cells["best"].value_counts()
    scores = cells.groupby("call")["score"].mean()
    of_genes = None if genes is None else genes.groupby("label")
    standings = []
    for label in model.labels:
        known: dict[str, Any] = {}
        if label in figures.index:
            of_label = figures.loc[label]
            known = {
                "reference_cells": of_label["cells"],
                "held_out": of_label["held_out"],
                "recall": of_label["recall"],
            }
        if of_genes is not None and label in of_genes.groups:
            mine = of_genes.get_group(label)
            known |= {"markers": int(mine["measured"].sum()), "raised": float(mine["raised"].sum(min_count=1))}
        if check is not None:
            known |= _checked(check, label)
        standings.append(
            Standing(
                label=label,
                cells=int(called.get(label, 0)),
                closest=int(closest.get(label, 0)),
                score=float(scores.get(label, np.nan)),
                confusable=_confusable(cells, label) if check is None else _taken_for(check, label),
                **known,
            )
        )
    return tuple(standings)


def _checked(check: ReferenceCheck, label: str) -> dict[str, Any]:
    """Return what a check of the reference says of a label."""
    row = check.labels[check.labels["label"] == label]
    if not len(row):
        return {"check": "it was not checked"}
    prefix = f"{label!r} cannot be trusted: "
    why = [words.removeprefix(prefix).removesuffix(".") for words in check.words if words.startswith(prefix)]
    doubt = "" if row["trusted"].iloc[0] else (why or ["its figures are too low"])[0]
    return {
        "checked_recall": float(row["recall"].iloc[0]),
        "checked_precision": float(row["precision"].iloc[0]),
        "check": doubt,
    }


def _taken_for(check: ReferenceCheck, label: str) -> tuple[tuple[str, float], ...]:
    """Return what cells of the reference are taken for when they are called by what has not seen them."""
    rows = check.confusable[(check.confusable["label"] == label) & (check.confusable["taken_for"] != UNCLASSIFIED)]
    return tuple(zip(rows["taken_for"], rows["share"], strict=True))


def _confusable(cells: pd.DataFrame, label: str) -> tuple[tuple[str, float], ...]:
    """Return what the network alone calls the query's cells that have a label."""
    shares = cells["raw"][cells["call"] == label].value_counts(normalize=True).drop(label, errors="ignore")
    return tuple((str(other), float(share)) for other, share in shares.items() if share >= CONFUSABLE)
