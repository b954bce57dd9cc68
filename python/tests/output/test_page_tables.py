from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepscore.output.page import report_page
from reported import MANIFEST, REPORT, page_of


def test_each_label_has_a_row_with_its_verdict_the_most_frequent_first():
    rows = page_of().tables["labels"]
    assert [row[0].strip() for row in rows[1:]] == ["T cell", "B cell", "NK cell"]
    by_title = dict(zip(rows[0], rows[1], strict=True))
    assert by_title["Verdict"].startswith("Do not believe")
    assert "Only 2 of its 6 marker genes are raised" in by_title["Verdict"]
    assert by_title["Cells"] == "5 50.0%"
    assert by_title["Mean score"] == "0.70"
    assert by_title["Withheld"] == "17%"
    assert by_title["Markers"] == "33% 2 of 6"
    assert rows[2][1].startswith("Check")
    assert rows[3][1] == "Not seen"


def test_a_check_of_the_reference_adds_a_column():
    checked = replace(
        REPORT.standings[0],
        checked_recall=0.5,
        checked_precision=0.9,
        check="its recall is 0.50",
        confusable=(("T cell", 0.4),),
    )
    page = page_of(
        standings=(checked, *REPORT.standings[1:]),
        check=("5 folds", "'B cell' cannot be trusted."),
        confused_in="reference",
    )
    head, _, row, _ = page.tables["labels"]
    by_title = dict(zip(head, row, strict=True))
    assert by_title["Checked"] == "0.50 precision 0.90"
    assert by_title["Confused with"] == "T cell 40%"
    assert "Reference check (5 folds): 'B cell' cannot be trusted." in page.text
    assert "Checked" not in page_of().tables["labels"][0]


def test_samples_and_clusters_have_a_row_each():
    rows = page_of(groups=np.array([1] * 9 + [2], object)).tables
    assert [row[:4] for row in rows["batch"][1:]] == [
        ["s1", "5", " T cell 100%", "0.0%"],
        ["s2", "4", " B cell 75%", "25.0%"],
    ]
    assert rows["batch"][2][4] == "1 low confidence"
    assert rows["groups"][2][:4] == ["2", "1", " Unclassified 100%", "100.0%"]
    numbered = page_of(groups=np.array([10] * 4 + [2] * 5 + [1], object)).tables["groups"]
    assert [row[0] for row in numbered[1:]] == ["1", "2", "10"]
    assert "No samples (batch)" in page_of(batch=None).text


def test_genes_tell_whether_they_are_raised():
    text = report_page(REPORT)
    assert '<li class="up" title="reference: 2.00, next label 0.50; query: 1.50, other cells 0.40">CD3E</li>' in text
    assert '<li class="down"' in text
    assert '<li class="absent" title="reference: 2.00, next label 0.50">CD2</li>' in text
    assert '<li class="plain" title="adds 0.25 to the logit">IL7R</li>' in text
    assert "No genes were looked at" in page_of(genes=None, importance=None).text


def test_coverage_and_origin_are_told():
    text = page_of().text
    for wanted in (
        "2 that are missing",
        "GENE001, GENE002",
        "abc",
        "2026-01-02",
        "batch = donor, threshold = 0.5",
        "seed 3",
    ):
        assert wanted in text
    cells_alone = replace(REPORT.query, found=None)
    assert "which features they have is not known" in page_of(query=cells_alone, missing=()).text


@pytest.mark.parametrize(
    ("held_out", "words"),
    [
        ({"n_cells": 0}, "no cell was held out"),
        ({"n_cells": 5}, "5 held-out reference cells: no figures"),
        (
            {"n_cells": 5, "accuracy": 1, "macro_f1": None, "calibration_error": "?"},
            "5 held-out reference cells: accuracy 1.000",
        ),
        (
            {"n_cells": 1500, "accuracy": 0.5, "macro_f1": 0.25},
            "1,500 held-out reference cells: accuracy 0.500, macro-F1 0.250",
        ),
    ],
)
def test_what_a_model_does_not_say_of_itself_is_left_out(held_out, words):
    manifest = MANIFEST | {"training": MANIFEST["training"] | {"held_out": held_out}}
    assert words in page_of(manifest=manifest).text
