from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from deepscore.model import file as modelfile
from deepscore.output.report import annotation_report
from deepscore.query.annotation import Annotation
from synthetic import random_model

MANIFEST = modelfile.manifest_of(random_model())
CALLS = np.array(["T cell"] * 5 + ["B cell"] * 3 + ["Unclassified"], object)
REASONS = np.array([""] * 8 + ["low confidence"], object)
FOUND = Annotation(CALLS, np.linspace(0.1, 0.9, 9), CALLS, REASONS, None, ("B cell", "T cell"), 0.9)
VOID = {"meta"}


class Page(HTMLParser):
    """Collects cells of tables and checks that all tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.rows = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def page_of(**changes):
    return Page(annotation_report(replace(FOUND, **changes), MANIFEST, "query.h5ad"))


def test_each_call_has_a_row_the_most_frequent_first():
    rows = page_of().rows[1:4]
    assert [row[:2] for row in rows] == [["T cell", "5"], ["B cell", "3"], ["Unclassified", "1"]]
    assert "55.6%" in rows[0][2]
    assert rows[0][3:] == [f"{np.median(FOUND.scores[:5]):.2f}", f"{np.quantile(FOUND.scores[:5], 0.1):.2f}"]


def test_the_page_tells_why_cells_are_unclassified():
    reasons = np.array([""] * 4 + ["outlier"] * 2 + ["low confidence", "no counts", "outlier"], object)
    assert "(3 outlier, 1 low confidence, 1 no counts)" in " ".join(page_of(reasons=reasons).texts)


def test_the_page_tells_of_cells_features_and_model():
    text = " ".join(page_of().texts)
    for wanted in ("query.h5ad", "9 cells", "11.1% Unclassified", "90%", "30 features", "deepscore 0.1.0", "3 labels"):
        assert wanted in text


def test_names_are_escaped_and_nothing_runs():
    calls = CALLS.copy()
    calls[0] = "<script>alert(1)</script> & more"
    page = page_of(calls=calls)
    assert "script" not in page.tags
    assert "<script>alert(1)</script> & more" in [row[0] for row in page.rows]


@pytest.mark.parametrize(
    ("changes", "doubts"),
    [
        ({}, 0),
        ({"overlap": 0.3}, 1),
        ({"calls": np.full(9, "Unclassified", object)}, 1),
        ({"overlap": 0.3, "calls": np.full(9, "Unclassified", object)}, 2),
    ],
)
def test_doubts_are_told(changes, doubts):
    assert annotation_report(replace(FOUND, **changes), MANIFEST, "q").count('class="warning"') == doubts


def test_held_out_figures_are_told(trained):
    text = annotation_report(FOUND, trained.manifest, "q")
    held_out = trained.manifest["training"]["held_out"]
    assert f"24 held-out reference cells: accuracy {held_out['accuracy']:.3f}" in text
    for label, told in held_out["labels"].items():
        row = f'<tr><td>{label}</td><td class="number">80</td><td class="number">8</td><td class="number">'
        assert f"{row}{told['recall']:.2f}</td></tr>" in text


@pytest.mark.parametrize(
    ("held_out", "words"),
    [
        ({"n_cells": 0}, "no cell was held out"),
        ({"n_cells": 5}, "5 held-out reference cells: no figures"),
        (
            {"n_cells": 5, "accuracy": 1, "macro_f1": None, "calibration_error": "?"},
            "5 held-out reference cells: accuracy 1.000.",
        ),
        (
            {"n_cells": 1500, "accuracy": 0.5, "macro_f1": 0.25},
            "1,500 held-out reference cells: accuracy 0.500, macro-F1 0.250",
        ),
    ],
)
def test_what_a_model_does_not_say_of_itself_is_left_out(held_out, words):
    manifest = MANIFEST | {"training": MANIFEST["training"] | {"held_out": held_out}}
    assert words in " ".join(Page(annotation_report(FOUND, manifest, "q")).texts)


def test_a_page_without_cells_and_one_without_scores():
    nobody = {name: getattr(FOUND, name)[:0] for name in ("calls", "scores", "raw", "reasons")}
    assert "0 cells, 0.0% Unclassified" in " ".join(page_of(**nobody).texts)
    rows = page_of(scores=np.full(9, np.nan)).rows[1:4]
    assert [row[3:] for row in rows] == [["none", "none"]] * 3


def test_control_characters_of_labels_are_escaped():
    odd = np.where(CALLS == "T cell", "T\x1b[2J\x9b", CALLS)
    page = annotation_report(replace(FOUND, calls=odd), MANIFEST, "query\x1b.h5ad")
    assert r"T\x1b[2J\x9b" in page
    assert not {"\x1b", "\x9b"} & set(page)


def test_held_out_cells_of_one_label_have_no_accuracy():
    told = {"n_cells": 9, "labels": {"nan": {"n_cells": 9, "recall": 1.0}, "T": {"n_cells": 0}}}
    training = {"n_cells": 93, "cells_per_label": {"nan": 90, "T": 3}, "held_out": told}
    text = annotation_report(FOUND, MANIFEST | {"training": training}, "q")
    assert "9 held-out reference cells.</p>" in text
    number = '<td class="number">'
    assert f"<td>nan</td>{number}90</td>{number}9</td>{number}1.00</td>" in text
    assert f"<td>T</td>{number}3</td>{number}0</td>{number}</td>" in text
