"""The cells of a page: what its script draws, and what steers it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import numpy as np
import pandas as pd

from ..data.labels import UNCLASSIFIED
from ..data.linalg import SEED, Doubles
from ..errors import printable
from .markup import shown
from .report import Report

__all__ = ["drawing", "drawing_data"]

# Cells that the page draws: of more, so many drawn by lot.
MOST_DRAWN = 100_000
# What stands for no value among codes and coordinates of 16 bits.
NOTHING = 2**16 - 1
# Scores are whole numbers of this part in the page, rounded down: a threshold then counts as it did in the annotation.
PARTS = 10_000
# Where the threshold of the page stands at first if that of the annotation is not known.
START = 0.5
REASONS = ("", "low confidence", "outlier", "low overlap", "no counts")
MAP = """<p>Cells are drawn on {about}.{some} Point at a cell to see what it is called, or reach it with the arrow
keys. With another threshold cells get, or lose, the label that comes closest.</p>
<noscript><p>The drawing needs scripts; all else on this page does not.</p></noscript>
<div class="controls">
<label class="slide">Threshold <input type="range" id="threshold" min="0" max="1" step="0.01" value="{start}">
<output id="shown-threshold" for="threshold">{start}</output></label>
<button type="button" id="reset">As annotated</button>
<label>Colour by <select id="colour"><option value="label">label</option><option value="verdict">verdict</option>
<option value="score">score</option></select></label>{chosen}
</div>
<p id="count" role="status"></p>
<div class="mapped">
<div class="plot"><canvas id="plot" tabindex="0" role="application" aria-label="Cells; the arrow keys go from one to the
next" aria-describedby="tip"></canvas><div id="ring" hidden></div><div id="tip" role="status" hidden></div></div>
<div class="legend"><div class="tools"><button type="button" id="all">All labels</button>
<button type="button" id="none">None</button></div><ul id="legend"></ul></div>
</div>"""


def drawing(report: Report) -> str:
    """Return the place where the page's script draws the cells, and what steers it."""
    n = len(report.cells)
    if report.points is None:
        return "<p>There are no coordinates to draw.</p>"
    some = f" {MOST_DRAWN:,} of the {n:,} cells, drawn by lot, are shown and counted here." if n > MOST_DRAWN else ""
    filters = [("sample", "Sample", report.batch), ("cluster", "Cluster", report.groups)]
    chosen = "".join(
        f'<label>{title} <select id="{name}"><option value="">all</option></select></label>'
        for name, title, values in filters
        if values is not None
    )
    return MAP.format(about=shown(report.points_name), some=some, start=f"{_start(report):.2f}", chosen=chosen)


def _start(report: Report) -> float:
    """Return where the threshold of the page stands at first."""
    return START if report.threshold is None else report.threshold


def drawing_data(report: Report) -> str:
    """Return what the page's script draws, as JSON that no markup ends."""
    labels = [one.label for one in report.standings]
    data: dict[str, Any] = {
        "labels": [printable(label) for label in labels],
        "colours": [report.colours[label] for label in labels],
        "grey": report.colours[UNCLASSIFIED],
        "levels": [verdict.level for verdict in report.verdicts],
        "reasons": list(REASONS),
        "threshold": report.threshold,
        "start": _start(report),
        "parts": PARTS,
    }
    if report.points is not None:
        n = len(report.cells)
        rng = np.random.default_rng(SEED)
        drawn = np.arange(n) if n <= MOST_DRAWN else np.sort(rng.permutation(n)[:MOST_DRAWN])
        cells = report.cells.iloc[drawn]
        scores = np.nan_to_num(cells["score"].to_numpy(), nan=0.0)
        data |= {
            "names": [printable(name) for name in cells.index],
            "points": _packed(_whole_coordinates(report.points[drawn]).ravel()),
            "best": _packed(_codes(cells["best"], labels)),
            "call": _packed(_codes(cells["call"], labels)),
            "score": _packed(np.floor(scores * PARTS + 1e-6)),
            "reason": _packed(_codes(cells["reason"], REASONS)),
        }
        for name, values in (("samples", report.batch), ("clusters", report.groups)):
            if values is not None:
                known = sorted({str(value) for value in values if value is not None})[:NOTHING]
                data[name] = {
                    "names": [printable(one) for one in known],
                    "codes": _packed(_codes(values[drawn], known)),
                }
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _codes(values: Any, names: Any) -> Any:
    return pd.Categorical(values, categories=list(names)).codes.astype(np.int64) % (NOTHING + 1)


def _whole_coordinates(points: Doubles) -> Any:
    """Spread points over whole numbers, one scale for both axes; NOTHING where a cell has no place."""
    told = np.isfinite(points[:, 0]) & np.isfinite(points[:, 1])
    if not told.any():
        return np.full(points.shape, NOTHING)
    low, high = points[told].min(axis=0), points[told].max(axis=0)
    whole = np.round((points - low) / max(float((high - low).max()), 1e-300) * (NOTHING - 1))
    return np.where(told[:, None], whole, NOTHING)


def _packed(values: Any) -> str:
    """Return whole numbers of 16 bits, the lower byte first, in base 64."""
    return b64encode(np.asarray(values).astype("<u2").tobytes()).decode()
