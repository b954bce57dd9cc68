from __future__ import annotations

import numpy as np

from deepscore.output import page_cells
from deepscore.output.colours import GREY
from reported import CALLS, CELLS, numbers, page_of


def test_the_drawing_has_what_it_needs_of_each_cell_and_no_more():
    data = page_of().data
    labels = ["B cell", "NK cell", "T cell"]
    assert data["labels"] == labels
    none = 65535
    assert numbers(data["call"]).tolist() == [labels.index(call) if call in labels else none for call in CALLS]
    assert numbers(data["best"]).tolist() == [labels.index(best) for best in CELLS["best"]]
    assert numbers(data["score"]).tolist() == [9000, 8000, 7000, 6000, 5000, 9500, 8500, 7500, 4999, 1000]
    assert [data["reasons"][i] for i in numbers(data["reason"])] == CELLS["reason"].tolist()
    points = numbers(data["points"]).reshape(-1, 2)
    assert points[9].tolist() == [none, none]
    assert np.abs(points[:9] / 65534 - np.arange(9)[:, None] * [1, 2] / 16).max() < 1e-4  # one scale for both axes
    assert data["samples"]["names"] == ["s1", "s2"]
    assert numbers(data["samples"]["codes"]).tolist() == [0] * 5 + [1] * 4 + [none]
    assert data["names"] == CELLS.index.tolist()
    assert data["grey"] == GREY
    assert set(data) == {
        *("labels", "colours", "grey", "levels", "reasons", "threshold", "start", "parts"),
        *("names", "points", "best", "call", "score", "reason", "samples"),
    }


def test_without_coordinates_no_cell_is_in_the_page():
    page = page_of(points=None)
    assert "names" not in page.data
    assert "no coordinates" in page.text


def test_of_very_many_cells_some_are_drawn_by_lot_and_said_to_be(monkeypatch):
    monkeypatch.setattr(page_cells, "MOST_DRAWN", 4)
    page = page_of()
    assert len(page.data["names"]) == 4
    assert "4 of the 10 cells, drawn by lot, are shown and counted here" in page.text
    assert page.tables["labels"][1][2] == "5 50.0%"  # the tables are of all


def test_a_page_of_scores_that_are_missing():
    cells = CELLS.assign(score=np.nan)
    assert set(numbers(page_of(cells=cells).data["score"])) == {0}


def test_the_threshold_starts_where_the_annotation_had_it():
    page = page_of(threshold=0.7)
    assert (page.data["threshold"], page.data["start"]) == (0.7, 0.7)
    page = page_of(threshold=None)
    assert (page.data["threshold"], page.data["start"]) == (None, 0.5)
