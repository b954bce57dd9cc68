from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deepscore.output.page import report_page
from deepscore.output.verdicts import Standing
from reported import CELLS, REPORT, Page, page_of

ODD = '</script><img src=x onerror="alert(1)">'


def test_the_verdict_stands_first_and_names_what_not_to_believe():
    text = page_of().text
    assert "None of 2 labels is beyond doubt. Do not believe T cell . Check B cell ." in text
    for wanted in (
        "chance 90%",
        "28 of the model's 30 genes",
        "20.0% of its cells are Unclassified",
        "check_reference()",
    ):
        assert wanted in text


def test_good_labels_are_all_believed_and_foreign_ones_are_not():
    good = [
        Standing(label=name, cells=50, closest=50, score=0.9, reference_cells=90, held_out=20, recall=1)
        for name in ("a", "b")
    ]
    assert "Believe all 2 labels." in page_of(standings=tuple(good), batch=None).text
    foreign = replace(REPORT.query, native=0.01)
    assert "Do not believe these labels" in page_of(standings=tuple(good), query=foreign, batch=None).text
    nobody = tuple(Standing(label=name) for name in ("a", "b"))
    assert "No cell of the query has a label." in page_of(standings=nobody, batch=None).text


def test_no_name_becomes_markup_and_only_the_pages_own_script_may_run():
    odd = replace(
        REPORT,
        title=ODD,
        cells=CELLS.replace("T cell", ODD).rename(index=lambda name: ODD + name),
        standings=(*REPORT.standings[:2], replace(REPORT.standings[2], label=ODD, confusable=((ODD, 0.5),))),
        genes=REPORT.genes.replace({"T cell": ODD, "CD3E": ODD}),
        batch=np.array([ODD] * 10, object),
        groups=np.array([ODD] * 10, object),
        missing=(ODD,),
        record={"model": ODD, ODD: ODD},
        points_name=ODD,
    )
    text = report_page(odd)
    page, plain = Page(text), page_of()
    assert page.tags.count("script") == plain.tags.count("script") == 2
    assert "img" not in page.tags
    assert page.data["labels"][2] == ODD
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    script = re.search(r"<script>(.*)</script>\s*</body>", text, re.DOTALL)[1]
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}';")
    assert not re.search(r"https?:|url\(|@import|\bon\w+=\"", text.replace(ODD, ""))


def test_control_characters_are_escaped():
    text = report_page(replace(REPORT, title="query\x1b.h5ad", cells=CELLS.rename(index={"cell0": "a\x9b"})))
    assert r"query\x1b.h5ad" in text
    assert not {"\x1b", "\x9b"} & set(text)


@pytest.mark.parametrize(("n", "most"), [(10_000, 5e6), (100_000, 15e6)])
def test_the_page_is_small(n, most):
    rng = np.random.default_rng(0)
    labels = [f"type {i}" for i in range(60)]
    calls = rng.choice(labels, n).astype(object)
    names = ["".join(row) + "-1" for row in rng.choice(list("ACGT"), (n, 16))]
    cells = pd.DataFrame(
        {"call": calls, "best": calls, "raw": calls, "score": rng.random(n), "reason": ""}, index=names
    )
    standings = tuple(Standing(label=label, cells=10, closest=10, score=0.9) for label in labels)
    page = report_page(
        replace(REPORT, cells=cells, batch=calls, groups=calls, points=rng.normal(size=(n, 2)), standings=standings)
    )
    assert len(page.encode()) < most
