"""A report for the tests of its page, and a reader of pages."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from deepscore.model import file as modelfile
from deepscore.output.page import report_page
from deepscore.output.report import Report
from deepscore.output.verdicts import Query, Standing
from synthetic import random_model

MANIFEST = modelfile.manifest_of(random_model())
VOID = {"meta", "link", "input"}
CALLS = ["T cell"] * 5 + ["B cell"] * 3 + ["Unclassified"] * 2
CELLS = pd.DataFrame(
    {
        "call": CALLS,
        "best": ["T cell"] * 5 + ["B cell"] * 4 + ["T cell"],
        "raw": ["T cell"] * 5 + ["B cell"] * 4 + ["T cell"],
        "score": [0.9, 0.8, 0.7, 0.6, 0.5, 0.95, 0.85, 0.75, 0.49999, 0.1],
        "reason": [""] * 8 + ["low confidence", "outlier"],
    },
    index=[f"cell{i}" for i in range(10)],
)
REPORT = Report(
    title="query.h5ad",
    threshold=0.5,
    cells=CELLS,
    batch=np.array(["s1"] * 5 + ["s2"] * 4 + [None], object),
    groups=None,
    points=np.array([[float(i), 2.0 * i] for i in range(9)] + [[np.nan, 0]]),
    points_name="two principal components",
    query=Query(
        cells=10, unclassified=2, reasons={"low confidence": 1, "outlier": 1}, features=30, found=28, noun="genes",
        native=0.9, checked=False, samples=True, clusters=False,
    ),
    standings=(
        Standing(label="B cell", cells=3, closest=4, score=0.85, reference_cells=10, held_out=1, recall=1.0),
        Standing(label="NK cell", reference_cells=10),
        Standing(label="T cell", cells=5, closest=6, score=0.7, reference_cells=10, markers=6, raised=2.0),
    ),
    confused_in="query",
    check=None,
    genes=pd.DataFrame(
        [("T cell", "CD3E", True, 2.0, 0.5, 1.5, 0.4, 1.0), ("T cell", "CD3D", True, 2.0, 0.5, 0.1, 0.4, 0.0),
         ("T cell", "CD2", False, 2.0, 0.5, np.nan, np.nan, np.nan)],
        columns=["label", "feature", "measured", "in_reference", "next_label", "in_query", "elsewhere", "raised"],
    ),
    importance=pd.DataFrame({"label": ["T cell"], "feature": ["IL7R"], "importance": [0.25]}),
    missing=("GENE001", "GENE002"),
    manifest=MANIFEST,
    record={"model": "abc", "threshold": 0.5, "date": "2026-01-02T03:04:05+00:00", "native": 0.9, "batch": "donor"},
)  # fmt: skip


class Page(HTMLParser):
    """Collects tables and texts, and checks that all tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.tables, self.scripts = [], [], [], {}, []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows = self.tables.setdefault(dict(attrs)["id"], [])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" in self.open or "style" in self.open:
            self.scripts.append(data)
            return
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))

    @property
    def data(self):
        return json.loads(self.scripts[-2])


def page_of(**changes):
    return Page(report_page(replace(REPORT, **changes)))


def numbers(text):
    return np.frombuffer(b64decode(text), "<u2")
