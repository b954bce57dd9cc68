"""Page: a report as one page of HTML, from which no request leaves, and its verdict."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from importlib.resources import files

from ..data.labels import UNCLASSIFIED
from .markup import badge, shown
from .page_cells import drawing, drawing_data
from .page_tables import MOST_NAMED, groups_table, labels_table, markers_table, missing_features, origin
from .report import Report
from .verdicts import BELIEVE, CHECK, DOUBT, UNSEEN, Level, of_query, steps

__all__ = ["report_page"]

# Labels whose reasons are given above the tables; more are named by reason.
MOST_DOUBTED = 12
NO_GROUPS = "<p>No samples (batch) and no clusters (groups) were named.</p>"


def report_page(report: Report) -> str:
    """Return the whole page; no request leaves it, and all names in it are escaped."""
    here = files(__package__)
    script, style, template = (
        here.joinpath(f"page.{kind}").read_text(encoding="utf-8") for kind in ("js", "css", "html")
    )
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "digest": digest,
        "style": style,
        "title": shown(report.title),
        "heading": shown(report.title),
        "summary": _summary(report),
        "labels": labels_table(report),
        "map": drawing(report),
        "groups": (groups_table(report, "batch") + groups_table(report, "groups")) or NO_GROUPS,
        "genes": markers_table(report),
        "features": missing_features(report),
        "origin": origin(report),
        "data": drawing_data(report),
        "script": script,
    }
    for name, part in parts.items():  # the script comes last: what names hold is never taken for a place
        before, after = template.split("{{" + name + "}}", 1)
        template = after
        parts[name] = before + part
    return "".join(parts.values()) + template


def _summary(report: Report) -> str:
    """Say what to believe, what not and what to do."""
    sentence, level = _headline(report)
    facts = "".join(f'<li class="{one}">{shown(reason)}</li>' for one, reason in of_query(report.query))
    todo = steps(report.query, report.standings, [v.level for v in report.verdicts], report.strange[:10])
    items = "".join(f"<li>{shown(one)}</li>" for one in todo)
    told = f'<p class="headline">{sentence}</p><ul class="facts">{facts}</ul>'
    beside = f"{_distrust(report)}<div><h3>What to do next</h3><ol>{items}</ol></div>"
    return f'<div class="verdict {level}">{told}</div>{_tiles(report)}<div class="pair">{beside}</div>'


def _distrust(report: Report) -> str:
    """Name the labels that are not to be believed or to be checked, with the reasons; of many, only those of doubt."""
    doubted = [both for level in (DOUBT, CHECK) for both in report.ranked if both[1].level == level]
    each, rest = doubted[:MOST_DOUBTED], doubted[MOST_DOUBTED:]
    parts = []
    for one, verdict in each:
        reasons = "".join(f"<dd>{shown(reason.text)}</dd>" for reason in verdict.reasons)
        parts.append(f"<dt>{badge(verdict.level)} {shown(one.label)}</dt>{reasons}")
    by_kind: dict[tuple[Level, str], list[str]] = {}
    for one, verdict in rest:
        for reason in verdict.reasons:
            by_kind.setdefault((verdict.level, reason.kind), []).append(one.label)
    for (level, kind), labels in by_kind.items():
        parts.append(f"<dt>{badge(level)} {shown(kind)}</dt><dd>{_listed(labels, MOST_NAMED)}</dd>")
    if not parts:
        return ""
    return f'<div><h3>What not to trust</h3><dl class="doubts">{"".join(parts)}</dl></div>'


def _headline(report: Report) -> tuple[str, Level]:
    """Say in one sentence which labels to believe."""
    seen = [(one.label, v.level) for one, v in report.ranked if v.level != UNSEEN]
    if report.query.foreign:
        return "Do not believe these labels: the query hardly looks like the reference's tissue.", DOUBT
    if not seen:
        return "No cell of the query has a label.", DOUBT
    believed, check, doubt = ([label for label, its in seen if its == level] for level in (BELIEVE, CHECK, DOUBT))
    n = len(seen)
    if len(believed) == n:
        return f"Believe all {n} labels.", BELIEVE
    parts = [f"Believe {len(believed)} of {n} labels." if believed else f"None of {n} labels is beyond doubt."]
    if doubt:
        parts.append(f"Do not believe {_listed(doubt)}.")
    if check:
        parts.append(f"Check {_listed(check)}.")
    return " ".join(parts), DOUBT if doubt else CHECK


def _listed(labels: list[str], most: int = 5) -> str:
    names = [f"<b>{shown(label)}</b>" for label in labels[:most]]
    return ", ".join(names) + (f" and {len(labels) - most} more" if len(labels) > most else "")


def _tiles(report: Report) -> str:
    query = report.query
    called = query.cells - query.unclassified
    share = called / query.cells if query.cells else 0.0
    why = ", ".join(f"{n:,} {reason}" for reason, n in query.reasons.items())
    tiles = [
        ("Cells", f"{query.cells:,}", f"{len([one for one in report.standings if one.cells])} labels in use"),
        ("With a label", f"{share:.1%}", f"{called:,} cells"),
        (UNCLASSIFIED, f"{query.unclassified:,}", why),
    ]
    if query.found is not None:
        tiles.append(
            (f"{query.noun.capitalize()} found", f"{query.overlap:.0%}", f"{query.found:,} of {query.features:,}")
        )
    each = "".join(f"<div><dt>{shown(a)}</dt><dd><b>{shown(b)}</b> {shown(c)}</dd></div>" for a, b, c in tiles)
    return f'<dl class="tiles">{each}</dl>'
