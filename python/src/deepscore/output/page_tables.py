"""The tables of a page: labels, samples and clusters, markers, and where all of it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..data.labels import UNCLASSIFIED
from ..query.verdict import Verdict as QueryVerdict
from ..support.checks import is_number
from ..version import CREATED_WITH
from .markup import NONE, Cell, badge, chips, shown, swatch, table
from .plot_tables import in_order
from .report import Report
from .verdicts import BELIEVE, CHECK, DOUBT, UNSEEN, Verdict

__all__ = ["MOST_NAMED", "groups_table", "labels_table", "markers_table", "missing_features", "origin"]

# Samples or clusters in a list; features or labels that are named; markers of each label.
MOST_GROUPS, MOST_NAMED, MOST_MARKERS = 1_000, 200, 12
FIGURES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "calibration_error": "calibration error"}
VERSIONS = ("numpy", "scipy", "torch", "anndata")


def labels_table(report: Report) -> str:
    """Return a row per label, with its verdict."""
    where = "cells of the reference" if report.confused_in == "reference" else "its cells, by the network alone"
    columns = [
        ("Label", "as the reference names it"),
        ("Verdict", "whether to believe it, and why not"),
        ("Cells", "cells of the query that have it"),
        ("Mean score", "the share of its cells that is expected to be right"),
        ("Withheld", "share of the cells that it comes closest to and that are Unclassified"),
        ("Reference", "cells of the reference that have it"),
        ("Recall", "share of the reference's held-out cells that were called right"),
        ("Markers", f"its marker {report.query.noun} that are raised in its cells"),
        ("Confused with", f"what else {where} are taken for"),
    ]
    if report.check is not None:
        columns.insert(7, ("Checked", "recall and precision in the check of the reference"))
    order = [DOUBT, CHECK, BELIEVE, UNSEEN]
    rows = []
    for one, verdict in report.ranked:
        why = _why(verdict) if verdict.level != UNSEEN else ""
        confused = ", ".join(f"{shown(other)} {share:.0%}" for other, share in one.confusable)
        row = [
            Cell(f"{swatch(report.colours[one.label])} {shown(one.label)}", one.label),
            Cell(badge(verdict.level) + why, order.index(verdict.level)),
            Cell.figure(one.cells, ",", f"{one.cells / max(report.query.cells, 1):.1%}"),
            Cell.figure(one.score if one.cells else np.nan, ".2f"),
            Cell.figure(one.withheld, ".0%"),
            Cell.figure(one.reference_cells, ",.0f"),
            Cell.figure(one.recall, ".2f", f"of {one.held_out:.0f}"),
            Cell.figure(one.agreement, ".0%", f"{one.raised:.0f} of {one.markers}"),
            Cell(confused or NONE, one.confusable[0][1] if one.confusable else 0.0),
        ]
        if report.check is not None:
            row.insert(7, Cell.figure(one.checked_recall, ".2f", f"precision {one.checked_precision:.2f}"))
        rows.append(row)
    notes = (
        [f"Reference check ({report.check[0]}): {' '.join(report.check[1:])}"]
        if report.check is not None
        else ["The reference was not checked: the verdicts rest on its held-out cells, the scores and the markers."]
    )
    return table("labels", "labels", columns, rows) + "".join(f'<p class="note">{shown(note)}</p>' for note in notes)


def _why(verdict: Verdict) -> str:
    """Return the reasons in a few words, and in full where one asks."""
    if not verdict.reasons:
        return ""
    full = "".join(f"<li>{shown(reason.text)}</li>" for reason in verdict.reasons)
    brief = shown(", ".join(reason.kind for reason in verdict.reasons))
    return f'<details class="why"><summary>{brief}</summary><ul>{full}</ul></details>'


def groups_table(report: Report, which: Literal["batch", "groups"]) -> str:
    """Return a row per sample or cluster: what it is called, and why not."""
    values = report.batch if which == "batch" else report.groups
    if values is None:
        return ""
    title, one = ("Samples", "sample") if which == "batch" else ("Clusters", "cluster")
    frame = pd.DataFrame(
        {"group": values, "call": report.cells["call"].to_numpy(), "reason": report.cells["reason"].to_numpy()}
    )
    frame = frame.dropna(subset="group").astype({"group": str})
    columns = [
        (title[:-1], ""),
        ("Cells", ""),
        ("Most frequent call", f"and its share of the {one}"),
        ("Unclassified", "share"),
        ("Why", "reasons of the Unclassified cells"),
        ("Calls", "each label's share"),
    ]
    rows = []
    parts = {str(name): part for name, part in frame.groupby("group")}
    for name in in_order(parts)[:MOST_GROUPS]:
        part = parts[name]
        shares = part["call"].value_counts(normalize=True)
        reasons = part["reason"][part["call"] == UNCLASSIFIED].value_counts()
        bars = "".join(_bar(str(call), share, report) for call, share in shares.items())
        why = ", ".join(f"{n:,} {shown(str(reason))}" for reason, n in reasons.items())
        top, most = str(shares.index[0]), float(shares.iloc[0])
        rows.append(
            [
                Cell.text(str(name)),
                Cell.figure(len(part), ","),
                Cell(f'{swatch(report.colours[top])} {shown(top)} <span class="quiet">{most:.0%}</span>', top),
                Cell.figure(float(shares.get(UNCLASSIFIED, 0.0)), ".1%"),
                Cell(why or NONE, float(reasons.sum())),
                Cell(f'<span class="stack" role="img" aria-label="{_spoken(shares)}">{bars}</span>', most),
            ]
        )
    return f"<h3>{title}</h3>" + table(which, title.lower(), columns, rows)


def _bar(call: str, share: float, report: Report) -> str:
    return f'<i style="width:{share:.2%};background:{report.colours[call]}" title="{shown(call)} {share:.1%}"></i>'


def _spoken(shares: Any) -> str:
    return shown(", ".join(f"{call} {share:.0%}" for call, share in shares.head(5).items()))


def markers_table(report: Report) -> str:
    """Return the marker features of each label, whether they are raised, and what the network went by."""
    noun, genes, weighed = report.query.noun, report.genes, report.importance
    if genes is None and weighed is None:
        return f"<p>No {noun} were looked at: the model keeps no profiles of its labels, or the cells came alone.</p>"
    rows = []
    for one, _ in report.ranked:
        label = Cell(f"{swatch(report.colours[one.label])} {shown(one.label)}", one.label)
        mine = [] if genes is None else list(genes[genes["label"] == one.label].head(MOST_MARKERS).itertuples())
        items = [(str(gene.feature), _state(gene), _of_gene(gene)) for gene in mine]
        speaking = [] if weighed is None else list(weighed[weighed["label"] == one.label].itertuples())
        told = [(str(gene.feature), "plain", f"adds {gene.importance:.2f} to the logit") for gene in speaking]
        share = Cell.figure(one.agreement, ".0%", f"{one.raised:.0f} of {one.markers}")
        rows.append([label, share, Cell(chips(items), len(items)), Cell(chips(told), len(told))])
    columns = [
        ("Label", ""),
        ("Raised", "share of its markers that are raised in its cells"),
        (f"Marker {noun}", "of the reference, the best first"),
        ("What the network went by", f"{noun} that speak most for the label in its cells, by being high or low there"),
    ]
    key = [("raised", "up", ""), ("not raised", "down", ""), ("not measured", "absent", ""), ("not told", "plain", "")]
    return (
        f"<p>Markers are the {noun} that tell a label best from the label next to it in the reference. They are raised "
        "where the query's cells with the label have more of them than cells with other calls. The calls were made by "
        f"such {noun}: that they agree is the least to expect; that they do not is a reason for doubt. None is shown "
        "where the next label has nearly as much.</p>"
        f'<div class="key">{chips(key)}</div>' + table("genes", f"labels and {noun}", columns, rows)
    )


def _state(gene: Any) -> str:
    if not gene.measured:
        return "absent"
    return "plain" if np.isnan(gene.raised) else "up" if gene.raised else "down"


def _of_gene(gene: Any) -> str:
    there = f"reference: {gene.in_reference:.2f}, next label {gene.next_label:.2f}"
    return (
        there if np.isnan(gene.in_query) else f"{there}; query: {gene.in_query:.2f}, other cells {gene.elsewhere:.2f}"
    )


def missing_features(report: Report) -> str:
    """Say which features of the model the query has."""
    query, missing = report.query, report.missing
    if query.found is None:
        return "<p>The cells came alone: which features they have is not known.</p>"
    of_all = f"{query.found:,} of the model's {query.features:,} {query.noun} ({query.overlap:.1%})"
    text = f"<p>The query has {of_all}. A missing one counts as its mean in the reference.</p>"
    if not missing:
        return text
    names = ", ".join(shown(name) for name in missing[:MOST_NAMED])
    more = f" and {len(missing) - MOST_NAMED:,} more" if len(missing) > MOST_NAMED else ""
    head = f"<summary>{len(missing):,} that are missing</summary>"
    return f'{text}<details>{head}<p class="names">{names}{more}</p></details>'


def origin(report: Report) -> str:
    """Say how to make the annotation again."""
    manifest, training, record = report.manifest, report.manifest["training"], dict(report.record)
    network = manifest["network"]
    facts = {
        "Model": record.pop("model", manifest["content_sha256"]),
        "Made by": record.pop("model_created_with", manifest["created_with"]),
        "Trained on": f"{training['n_cells']:,} cells, {len(manifest['labels'])} labels, "
        f"{len(manifest['features']):,} features ({manifest['modality']}); {_quality(training['held_out'])}",
        "Network": f"{' x '.join(str(n) for n in network['hidden_nodes'])} hidden nodes; seed {training['seed']}",
        "Annotated by": record.pop("annotated_with", "not recorded"),
        "Annotated at": record.pop("date", "not recorded"),
        "Report by": ", ".join([CREATED_WITH, *_versions()]),
    }
    for said_elsewhere in ("labels", *(one.name for one in fields(QueryVerdict))):
        record.pop(said_elsewhere, None)
    if record:
        facts["Options"] = ", ".join(f"{name} = {_plain(value)}" for name, value in sorted(record.items()))
    rows = "".join(f"<div><dt>{shown(name)}</dt><dd>{shown(str(value))}</dd></div>" for name, value in facts.items())
    return f'<dl class="origin">{rows}</dl>'


def _plain(value: Any) -> str:
    return f"{value:g}" if is_number(value) else str(value)


def _versions() -> list[str]:
    found = []
    for name in VERSIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _quality(held_out: Mapping[str, Any]) -> str:
    """Describe the held-out cells of the reference, as far as a model file says anything of them."""
    if not held_out["n_cells"]:
        return "no cell was held out"
    figures = [f"{name} {held_out[key]:.3f}" for key, name in FIGURES.items() if is_number(held_out.get(key))]
    if not figures and "labels" not in held_out:
        figures = ["no figures"]
    return f"{held_out['n_cells']:,} held-out reference cells{': ' if figures else ''}{', '.join(figures)}"
