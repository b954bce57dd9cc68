"""Markup: the few shapes of HTML that a report is made of. All names in them are escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..errors import printable
from .verdicts import BELIEVE, CHECK, DOUBT, UNSEEN, Level

__all__ = ["NONE", "Cell", "badge", "chips", "shown", "swatch", "table"]

# What stands for no value.
NONE = '<span class="quiet">&ndash;</span>'
WORDS: Mapping[Level, str] = {BELIEVE: "Believe", CHECK: "Check", DOUBT: "Do not believe", UNSEEN: "Not seen"}


@dataclass(frozen=True)
class Cell:
    """A field of a table: its markup, and the text or number that it is sorted by."""

    markup: str
    key: str | float
    number: bool = False

    @classmethod
    def text(cls, text: str) -> Cell:
        """Return a field of plain text."""
        return cls(shown(text), text)

    @classmethod
    def figure(cls, value: float, form: str, beside: str = "") -> Cell:
        """Return a number in a format; of NaN, a dash, which is sorted behind all numbers."""
        if value != value:
            return cls(NONE, "", True)
        after = f' <span class="quiet">{shown(beside)}</span>' if beside else ""
        return cls(f"{value:{form}}{after}", value, True)


def shown(text: str) -> str:
    """Return text of others as text of a page: escaped, control characters by their escapes."""
    return escape(printable(text))


def badge(level: Level) -> str:
    """Return the word for a level, in its colour."""
    return f'<span class="badge {level}">{WORDS[level]}</span>'


def swatch(colour: str) -> str:
    """Return a small square of a colour."""
    return f'<i class="swatch" style="background:{escape(colour)}"></i>'


def chips(items: Sequence[tuple[str, str, str]]) -> str:
    """Return short texts in frames, each with a class and what is said of it in full."""
    each = (f'<li class="{escape(kind)}" title="{shown(title)}">{shown(text)}</li>' for text, kind, title in items)
    return f'<ul class="chips">{"".join(each)}</ul>'


def table(name: str, what: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table that the page's script lets people sort and search.

    Parameters
    ----------
    name
        Identifies the table in the page.
    what
        What its rows are, for the field to search in.
    columns
        Title and explanation of each.
    rows
        As many fields as columns each; the first names the row.
    """
    numbers = [bool(rows) and rows[0][i].number for i in range(len(columns))]
    head = "".join(
        f'<th scope="col"{_class(number)} aria-sort="none" title="{shown(why)}"><button type="button">'
        f"{shown(title)}</button></th>"
        for (title, why), number in zip(columns, numbers, strict=True)
    )
    body = "".join(f"<tr>{_fields(row, columns)}</tr>" for row in rows)
    return (
        f'<div class="tools"><label>Search {shown(what)} <input type="search" data-table="{name}"></label>'
        f'<span class="quiet" role="status" data-found="{name}"></span></div>'
        f'<div class="wide" tabindex="0" role="region" aria-label="Table of {shown(what)}"><table id="{name}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _fields(row: Sequence[Cell], columns: Sequence[tuple[str, str]]) -> str:
    fields = []
    for i, (cell, (title, _)) in enumerate(zip(row, columns, strict=True)):
        tag, scope = ("th", ' scope="row"') if i == 0 else ("td", "")
        inside = f'data-title="{shown(title)}" data-key="{shown(str(cell.key))}"'
        fields.append(f"<{tag}{scope}{_class(cell.number)} {inside}>{cell.markup}</{tag}>")
    return "".join(fields)


def _class(number: bool) -> str:
    return ' class="number"' if number else ""
