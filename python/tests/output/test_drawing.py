from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from deepscore.output import drawing

LABELS = [f"Kidney proximal tubule epithelial cell {i}" for i in range(60)]


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def test_the_middle_of_long_names_is_cut():
    assert drawing.short("B cell") == "B cell"
    assert drawing.short("T cell, CD4-positive, alpha-beta 12", 24) == "T cell, CD4...ha-beta 12"
    assert len(drawing.short("x" * 300, 24)) == 24


def test_names_that_would_look_alike_when_cut_stay_whole():
    names = ["a" * 15 + "1" + "b" * 15, "a" * 15 + "2" + "b" * 15, "c"]
    assert drawing.shorts(names) == names
    cut = drawing.shorts(LABELS)
    assert len(set(cut)) == len(LABELS)
    assert max(map(len, cut)) <= drawing.LONGEST


def boxes(texts):
    """Return the places of texts on the picture."""
    return [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]


def overlapping(texts):
    found = boxes(texts)
    return [(i, j) for i, a in enumerate(found) for j, b in enumerate(found[:i]) if a.padded(-1).overlaps(b.padded(-1))]


@pytest.mark.parametrize("n", [3, 20, 21, 60])
def test_no_name_on_tiles_overlaps_another(n):
    labels = LABELS[:n]
    table = pd.DataFrame(
        {"group": np.repeat(labels, n), "label": np.tile(labels, n), "value": np.linspace(0, 1, n * n)}
    )
    with drawing.axes_for(None, False, *drawing.tiles_size(labels, labels)) as axes:
        matrix = drawing.tiles(axes, table, "value", "value")
    axes.figure.draw_without_rendering()
    assert matrix.tolist() == table["value"].to_numpy().reshape(n, n).tolist()
    assert len(axes.texts) == (n * n if n <= drawing.NUMBERS else 0)
    assert not overlapping(axes.get_xticklabels())
    assert not overlapping(axes.get_yticklabels())
    assert not overlapping(axes.texts[: 3 * n])
    whole = axes.figure.bbox
    assert all(whole.contains(*corner) for box in boxes(axes.get_xticklabels()) for corner in box.get_points())


def test_names_are_written_smaller_where_the_axes_are_given_and_small():
    _, ax = pyplot.subplots(figsize=(3, 3))
    drawing.name_ticks(ax.yaxis, LABELS)
    ax.set_ylim(-0.5, 59.5)
    ax.figure.draw_without_rendering()
    assert not overlapping(ax.get_yticklabels())


@pytest.mark.parametrize("n", [1, 20, 60])
def test_a_legend_has_a_column_for_each_twenty_names(n):
    names = LABELS[:n]
    with drawing.axes_for(None, False, 5 + drawing.width_of_legend(names), 4.8) as axes:
        for name in names:
            axes.plot([0], [0], label=name)
        drawing.legend(axes)
    axes.figure.draw_without_rendering()
    texts = axes.get_legend().get_texts()
    assert len({round(box.x0) for box in boxes(texts)}) == -(-n // drawing.ROWS_OF_LEGEND)
    assert not overlapping(texts)
    assert axes.get_window_extent().width / axes.figure.dpi > 3  # the legend has not squeezed the picture


def test_dark_tiles_have_white_texts():
    _, ax = pyplot.subplots()
    image = ax.imshow([[0.0, 1.0]], cmap="viridis")
    drawing.tile_texts(ax, image, [["a", "b"]])
    assert [text.get_color() for text in ax.texts] == ["white", "black"]
