"""Report: what was called, how sure the calls are, and what the model knows, as one HTML page without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ..data.labels import UNCLASSIFIED
from ..errors import printable
from ..query.annotation import Annotation
from ..query.settings import SETTINGS
from ..support.checks import is_number
from .figures import label_figures

__all__ = ["annotation_report"]

# Share of the cells: from so many on, types that the reference lacks are likelier than single cells of doubt.
MANY_UNCLASSIFIED = 0.2
FIGURES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "calibration_error": "calibration error"}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #ddd; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
meter { width: 10rem; }
.warning { background: #fff3cd; padding: .5rem 1rem; }
"""


def annotation_report(annotation: Annotation, manifest: dict[str, Any], title: str) -> str:
    """Describe an annotation in HTML.

    Parameters
    ----------
    annotation
        The calls.
    manifest
        Manifest of the model that made them.
    title
        What was annotated.

    Returns
    -------
    A whole page; all names in it are escaped.
    """
    unclassified = float(np.mean(annotation.calls == UNCLASSIFIED)) if len(annotation.calls) else 0.0
    counts = pd.Series(annotation.reasons[annotation.reasons != ""]).value_counts()
    reasons = f" ({', '.join(f'{n:,} {reason}' for reason, n in counts.items())})" if len(counts) else ""
    doubts = []
    if annotation.overlap < SETTINGS.good_overlap:
        doubts.append(
            f"Only {annotation.overlap:.0%} of the model's features are in the query: scores are less reliable."
        )
    if unclassified > MANY_UNCLASSIFIED:
        doubts.append(f"{unclassified:.0%} of the cells are Unclassified: does the reference hold their types?")
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{_shown(title)}</title><style>{STYLE}</style></head>',
        f"<body><h1>{_shown(title)}</h1>",
        *(f'<p class="warning">{escape(doubt)}</p>' for doubt in doubts),
        f"<p>{len(annotation.calls):,} cells, {unclassified:.1%} Unclassified{reasons}. {annotation.overlap:.0%} of "
        f"the model's {len(manifest['features']):,} features were found.</p>",
        "<h2>Calls</h2>",
        _calls_table(annotation),
        "<h2>Model</h2>",
        f"<p>{_shown(manifest['created_with'])}, {escape(manifest['modality'])}, "
        f"{manifest['training']['n_cells']:,} reference cells, {len(manifest['labels'])} labels; "
        f"{_quality(manifest['training']['held_out'])}.</p>",
        _labels_table(manifest["training"]),
        "</body></html>",
    ]
    return "\n".join(parts)


def _shown(name: str) -> str:
    """Return a name of others as text of a page."""
    return escape(printable(name))


def _quality(held_out: Mapping[str, Any]) -> str:
    """Describe the held-out cells of the reference, as far as a model file says anything of them."""
    if not held_out["n_cells"]:
        return "no cell was held out"
    figures = [f"{name} {held_out[key]:.3f}" for key, name in FIGURES.items() if is_number(held_out.get(key))]
    if not figures and "labels" not in held_out:
        figures = ["no figures"]
    return f"{held_out['n_cells']:,} held-out reference cells{': ' if figures else ''}{', '.join(figures)}"


def _labels_table(training: Mapping[str, Any]) -> str:
    def number(value: float, text: str) -> str:
        return f'<td class="number">{"" if np.isnan(value) else format(value, text)}</td>'

    figures = label_figures(training)
    columns = zip(figures["label"], figures["cells"], figures["held_out"], figures["recall"], strict=True)
    rows = [
        f"<tr><td>{_shown(label)}</td>{number(cells, ',')}{number(held_out, ',.0f')}{number(recall, '.2f')}</tr>"
        for label, cells, held_out, recall in columns
    ]
    head = (
        '<tr><th>Label</th><th class="number">Reference cells</th><th class="number">Held out</th>'
        '<th class="number">Recall</th></tr>'
    )
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _calls_table(annotation: Annotation) -> str:
    frame = pd.DataFrame({"call": annotation.calls, "score": annotation.scores})
    rows = []
    for call, scores in sorted(frame.groupby("call")["score"], key=lambda pair: -len(pair[1])):
        share = len(scores) / len(frame)
        rows.append(
            f'<tr><td>{_shown(str(call))}</td><td class="number">{len(scores):,}</td>'
            f'<td><meter value="{share:.4f}">{share:.1%}</meter> {share:.1%}</td>'
            f'<td class="number">{_score(scores, 0.5)}</td><td class="number">{_score(scores, 0.1)}</td></tr>'
        )
    head = (
        '<tr><th>Label</th><th class="number">Cells</th><th>Share</th><th class="number">Median score</th>'
        '<th class="number">Tenth percentile</th></tr>'
    )
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _score(scores: pd.Series, quantile: float) -> str:
    return f"{scores.quantile(quantile):.2f}" if scores.notna().any() else "none"
