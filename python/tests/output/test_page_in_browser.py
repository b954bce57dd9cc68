"""The page in a real browser: Debian's chromium, or another one of its kind on the PATH.

Without one the tests are skipped, unless DEEPSCORE_REQUIRE_ENGINE is set: then they fail.
"""

from __future__ import annotations

import os
import shutil

import numpy as np
import pandas as pd
import pytest

from deepscore.model import file as modelfile
from deepscore.output.page import report_page
from deepscore.output.report import Report
from deepscore.output.verdicts import Query, Standing
from synthetic import random_model

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ODD = "CD4 <img src=x onerror=alert(1)>"
N = 300


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        why = f"needs a browser: one of {', '.join(BROWSERS)}"
        (pytest.fail if os.environ.get("DEEPSCORE_REQUIRE_ENGINE") else pytest.skip)(why)
    api = pytest.importorskip("playwright.sync_api")
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=as_root)
        yield browser
        browser.close()


def report_of(n_labels):
    rng = np.random.default_rng(4)
    labels = [ODD, *(f"type {i:02d}" for i in range(1, n_labels))]
    best = np.array(labels, object)[np.arange(N) % n_labels]
    score = np.round(rng.random(N), 3)
    call = np.where(score >= 0.5, best, "Unclassified")
    reason = np.where(score >= 0.5, "", "low confidence")
    cells = pd.DataFrame({"call": call, "best": best, "raw": best, "score": score, "reason": reason}).astype(
        {"call": object, "reason": object}
    )
    cells.index = [f"cell{i:03d}" for i in range(N)]
    standings = tuple(
        Standing(label=label, cells=int((call == label).sum()), closest=int((best == label).sum()), score=0.8,
                 reference_cells=50 - i, held_out=12, recall=0.9 if i else 0.3, confusable=((ODD, 0.2),))
        for i, label in enumerate(labels)
    )  # fmt: skip
    genes = pd.DataFrame(
        [(label, f"GENE{i}", True, 2.0, 1.0, 2.0, 1.0, 1.0) for label in labels for i in range(12)],
        columns=["label", "feature", "measured", "in_reference", "next_label", "in_query", "elsewhere", "raised"],
    )
    unclassified = int((call == "Unclassified").sum())
    return Report(
        title=ODD,
        threshold=0.5,
        cells=cells,
        batch=np.where(np.arange(N) < 100, "s1", "s2").astype(object),
        groups=np.array([f"cluster {i % 7}" for i in range(N)], object),
        points=np.stack([np.arange(N) % 20, np.arange(N) // 20], axis=1).astype(float),
        points_name="a grid",
        query=Query(
            cells=N, unclassified=unclassified, reasons={"low confidence": unclassified}, features=30, found=30,
            noun="genes", native=0.99, checked=False, samples=True, clusters=True,
        ),
        standings=standings,
        confused_in="query",
        check=None,
        genes=genes,
        importance=None,
        missing=(),
        manifest=modelfile.manifest_of(random_model()),
        record={},
    )  # fmt: skip


class Opened:
    """A page that has been opened, with all that went wrong in it."""

    def __init__(self, browser, path, width):
        self.page = browser.new_page(viewport={"width": width, "height": 800})
        self.faults, self.requests = [], []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_function("document.getElementById('count').textContent !== ''")

    def text(self, selector):
        return self.page.inner_text(selector)

    def count(self):
        return self.text("#count")

    def wait_for(self, text):
        self.page.wait_for_function("text => document.getElementById('count').textContent.includes(text)", arg=text)

    def colours(self):
        """Count the pixels of each colour that is drawn."""
        found = self.page.evaluate(
            """() => { const c = document.getElementById('plot'), counts = {};
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            for (let i = 0; i < d.length; i += 4) {
              const k = d.slice(i, i + 3).join();
              counts[k] = (counts[k] || 0) + 1;
            }
            return counts; }"""
        )
        return {colour: n for colour, n in found.items() if n > 50}


@pytest.fixture(params=[(3, 390), (60, 1280)], ids=lambda x: f"{x[0]} labels, {x[1]} pixels")
def opened(request, browser, tmp_path):
    n_labels, width = request.param
    report = report_of(n_labels)
    path = tmp_path / "report.html"
    path.write_text(report_page(report), encoding="utf-8")
    opened = Opened(browser, path, width)
    opened.report, opened.width = report, width
    yield opened
    assert not opened.faults
    assert opened.requests in ([path.as_uri()], [path.as_uri(), "data:,"])
    opened.page.close()


@pytest.mark.parametrize(
    "opened", [(3, 390), (3, 1280), (60, 390), (60, 1280)], indirect=True, ids=lambda x: f"{x[0]} labels, {x[1]} pixels"
)
def test_nothing_goes_wrong_and_all_fits_the_width(opened):
    assert opened.page.evaluate("document.documentElement.scrollWidth") == opened.width
    sizes = """[...document.querySelectorAll('p, li, td, th, dd, button, label')]
        .map(e => parseFloat(getComputedStyle(e).fontSize))"""
    assert min(opened.page.evaluate(sizes)) >= 12
    assert opened.text("h1") == ODD
    assert opened.page.query_selector("img") is None
    assert ODD in opened.text("#legend")


def test_the_threshold_recounts_and_recolours(opened):
    score, best = opened.report.cells["score"].to_numpy(), opened.report.cells["best"]
    before = opened.colours()
    assert f"{(score >= 0.5).sum()} of {N} cells" in opened.count()
    slider = opened.page.locator("#threshold")
    slider.fill("0.8")
    opened.wait_for("threshold of 0.80")
    n = int((score >= 0.8).sum())
    assert f"{n} of {N} cells have a label ({n / N:.1%}); {N - n} are Unclassified" in opened.count()
    legend = opened.page.locator("#legend li")
    assert legend.nth(0).inner_text().split("\n")[-1] == str(((score >= 0.8) & (best == ODD)).sum())
    assert legend.last.inner_text().split("\n")[-1] == str(N - n)
    assert opened.colours() != before
    slider.press("ArrowLeft")  # by the keyboard
    opened.wait_for("threshold of 0.79")
    slider.fill("0")
    opened.wait_for(f"{N} of {N} cells")
    opened.page.click("#reset")
    opened.wait_for("As annotated, at a threshold of 0.50, ")
    assert opened.colours() == before


def test_filters_change_what_is_drawn(opened):
    score = opened.report.cells["score"].to_numpy()
    before = opened.colours()
    opened.page.select_option("#sample", label="s1")
    opened.wait_for("of sample s1")
    assert f"{(score[:100] >= 0.5).sum()} of 100 cells" in opened.count()
    opened.page.select_option("#cluster", label="cluster 3")
    opened.wait_for("cluster 3")
    both = (np.arange(N) < 100) & (np.arange(N) % 7 == 3)
    assert f"{(both & (score >= 0.5)).sum()} of {both.sum()} cells" in opened.count()
    opened.page.select_option("#sample", "")
    opened.page.select_option("#cluster", "")
    opened.wait_for(f"of {N} cells have")
    opened.page.click("#none")
    opened.page.wait_for_timeout(100)
    assert min(int(part) for colour in opened.colours() for part in colour.split(",")) >= 238  # all is faint
    box = opened.page.locator("#legend input").last
    box.focus()
    opened.page.keyboard.press("Space")
    opened.page.wait_for_timeout(100)
    assert "153,153,153" in opened.colours()
    opened.page.click("#all")
    opened.page.wait_for_timeout(100)
    assert opened.colours() == before
    for other in ("score", "verdict"):
        opened.page.select_option("#colour", other)
        opened.page.wait_for_timeout(100)
        assert opened.colours() != before


def test_a_cell_is_told_under_the_pointer_and_by_the_arrow_keys(opened):
    canvas = opened.page.locator("#plot")
    canvas.scroll_into_view_if_needed()
    canvas.focus()
    opened.page.keyboard.press("ArrowRight")
    first = opened.text("#tip")
    assert "cell" in first
    opened.page.keyboard.press("ArrowRight")
    second = opened.text("#tip")
    name = second.split("\n")[0]
    assert int(name[4:]) - int(first.split("\n")[0][4:]) == 1  # the next one of the grid
    cell = opened.report.cells.loc[name]
    assert cell["call"] in second
    assert f"score {cell['score']:.3f}" in second
    ring = opened.page.locator("#ring").bounding_box()
    opened.page.keyboard.press("Escape")
    assert not opened.page.locator("#tip").is_visible()
    opened.page.mouse.move(ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
    assert opened.text("#tip") == second
    opened.page.mouse.move(1, 1)


def test_tables_sort_and_search(opened):
    rows = opened.page.locator("#labels tbody tr")
    heads = opened.page.locator("#labels thead button")
    titles = heads.all_inner_texts()
    reference = titles.index("Reference")
    heads.nth(reference).focus()
    opened.page.keyboard.press("Enter")
    shown = [
        int(text) for text in opened.page.locator(f"#labels tbody tr > *:nth-child({reference + 1})").all_inner_texts()
    ]
    assert shown == sorted(shown, reverse=True)
    heads.nth(0).click()
    assert opened.page.locator("#labels thead th").first.get_attribute("aria-sort") == "ascending"
    assert ODD in rows.first.inner_text()
    heads.nth(titles.index("Verdict")).click()
    assert "Do not believe" in rows.first.inner_text()
    opened.page.fill("input[data-table=labels]", "TYPE 02")
    visible = [row for row in rows.all() if row.is_visible()]
    assert ["type 02" in row.inner_text() for row in visible] == [True]
    assert opened.text("[data-found=labels]") == f"1 of {len(opened.report.standings)}"


def test_everything_can_be_reached_by_the_keyboard_and_reasons_open(opened):
    names = {"threshold", "reset", "colour", "sample", "cluster", "plot", "all", "none"}
    reached = set()
    for _ in range(900):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        if names <= reached:
            break
    assert names <= reached
    assert {"A", "BUTTON", "INPUT", "SUMMARY"} <= reached
    reason = opened.page.get_by_text("Only 30% of 12 held-out cells of the reference were recognised.").last
    assert not reason.is_visible()
    opened.page.locator("#labels tr", has_text=ODD).locator("summary", has_text="low recall").focus()
    opened.page.keyboard.press("Enter")
    assert reason.is_visible()


def test_it_prints(opened):
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("#threshold").is_visible()
    assert not opened.page.locator("nav").is_visible()
    assert opened.page.locator("#plot").is_visible()
    last = opened.page.locator("#labels tbody tr").last.bounding_box()
    table = opened.page.locator("#labels").bounding_box()
    assert last["y"] + last["height"] <= table["y"] + table["height"] + 1  # nothing is left in a box that scrolls
    assert opened.page.pdf(format="A4").startswith(b"%PDF")
