"""How plots are drawn: figures that grow with the names on them, ticks, legends, bars and tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ..data.linalg import Doubles
from ..errors import EngineError
from .colours import SHADES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = [
    "axes_for",
    "bars",
    "frame",
    "height_of",
    "labelled",
    "legend",
    "missing_packages",
    "name_ticks",
    "scale_of_colours",
    "short",
    "shorts",
    "stack",
    "tile_texts",
    "tiles",
    "tiles_size",
    "width_of",
    "width_of_legend",
]

LONGEST = 24  # characters of a name
FONT = 9  # points
ROW = 0.21  # inches between two names at FONT
CHARACTER = 0.085  # inches of an average character at FONT
NUMBERS = 20  # rows and columns of tiles at most that have numbers in them
WITH_NUMBER = 0.45  # inches of such a tile
LEAST_WIDTH, LEAST_HEIGHT = 4.0, 3.0  # inches of the part that is drawn in
ROWS_OF_LEGEND = 20


def missing_packages() -> EngineError:
    """Return the error for pictures without the packages that draw them."""
    return EngineError("missing_package", "Pictures need matplotlib and pillow: pip install matplotlib pillow.")


def short(name: str, longest: int = LONGEST) -> str:
    """Return a name with its middle cut out where it is long: names often differ at their ends."""
    if len(name) <= longest:
        return name
    tail = (longest - 3) // 2
    return f"{name[: longest - 3 - tail]}...{name[len(name) - tail :]}"


def shorts(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Return each of different names cut short, unless that would make it the same as another."""
    cut = [short(name, longest) for name in names]
    return [name if cut.count(one) > 1 else one for name, one in zip(names, cut, strict=True)]


def width_of(names: Sequence[str]) -> float:
    """Return the inches that the longest of some names takes."""
    return CHARACTER * max((len(name) for name in shorts(names)), default=0)


def height_of(n: int, each: float = ROW) -> float:
    """Return the inches of so many rows or columns."""
    return each * n


def width_of_legend(names: Sequence[str]) -> float:
    """Return the inches of a legend."""
    return ceil(len(names) / ROWS_OF_LEGEND) * (width_of(names) + 0.6) if len(names) else 0.0


@contextmanager
def axes_for(ax: Axes | None, show: bool, width: float = 6.4, height: float = 4.8) -> Iterator[Axes]:
    """Give the Axes to draw on, of a new figure (of that many inches) where none is given; show them when done."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise missing_packages() from None
    axes = pyplot.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax
    yield axes
    if show:
        pyplot.show()


def name_ticks(axis: Axis, names: Sequence[str], *, turned: bool = False, longest: int = LONGEST) -> None:
    """Write names at 0, 1, ... of an axis, as small as the space asks for."""
    axes = axis.axes
    vertical = axis is axes.yaxis
    box = axes.get_position()
    width, height = axes.get_figure().get_size_inches()  # type: ignore[union-attr]
    room = box.height * height if vertical else box.width * width
    cut = shorts([str(name) for name in names], longest)
    needed = 1.0 if vertical or turned else max(width_of(cut) / ROW, 1.0)
    size = min(FONT, max(2.0, FONT * room / (ROW * needed * max(len(cut), 1))))
    axis.set_ticks(range(len(cut)), cut, fontsize=size, rotation=90 if turned and not vertical else 0)


def legend(axes: Axes, **options: Any) -> None:
    """Put the legend at the right, in as many columns as it takes."""
    handles, names = axes.get_legend_handles_labels()
    axes.legend(
        handles,
        shorts(names, LONGEST + 8),
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        borderaxespad=0,
        frameon=False,
        fontsize=FONT,
        ncols=ceil(len(names) / ROWS_OF_LEGEND) or 1,
        **options,
    )


def stack(axes: Axes, table: pd.DataFrame, width: float, align: Literal["center", "edge"]) -> None:
    """Draw the ``height`` of each ``series`` at ``x`` as bars on top of each other, with a legend."""
    bottom = np.zeros(table["x"].nunique())
    for series, part in table.groupby("series", sort=False):
        colour = part["colour"].iloc[0]
        axes.bar(part["x"], part["height"], width, bottom, align=align, color=colour, label=str(series))
        bottom += part["height"].to_numpy()
    legend(axes)


def bars(axes: Axes, names: Sequence[str], values: Sequence[float], colours: str | Sequence[str], what: str) -> None:
    """Draw a horizontal bar for each name, the first at the top; values are shares."""
    axes.barh(range(len(names)), values, 0.8, color=colours)
    name_ticks(axes.yaxis, names, longest=LONGEST + 8)
    axes.set(xlabel=what, xlim=(0, 1), ylim=(len(names) - 0.4, -0.6))


def tiles_size(rows: Sequence[str], columns: Sequence[str], each: float | None = None) -> tuple[float, float]:
    """Return width and height of a figure of tiles in inches; `each` is that of a column."""
    one = WITH_NUMBER if max(len(rows), len(columns)) <= NUMBERS else ROW
    return (
        max(LEAST_WIDTH, height_of(len(columns), each or one)) + width_of(rows) + 1.2,
        max(LEAST_HEIGHT, height_of(len(rows), one)) + width_of(columns) + 0.6,
    )


def tiles(
    axes: Axes,
    table: pd.DataFrame,
    value: str,
    what: str,
    *,
    rows: str = "group",
    columns: str = "label",
    shades: str = SHADES,
    limits: tuple[float | None, float | None] = (0, 1),
    numbers: str = ".2f",
) -> Doubles:
    """Draw a column of a table as tiles: with a scale of colours, and with numbers where there are few.

    Returns
    -------
    The matrix that is drawn, rows x columns, in the order of the table.
    """
    names = table[rows].drop_duplicates().tolist(), table[columns].drop_duplicates().tolist()
    matrix = table[value].to_numpy(np.float64).reshape(len(names[0]), len(names[1]))
    image = axes.imshow(matrix, aspect="auto", cmap=shades, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    name_ticks(axes.yaxis, names[0])
    name_ticks(axes.xaxis, names[1], turned=True)
    scale_of_colours(axes, image, what)
    if max(matrix.shape) <= NUMBERS:
        tile_texts(axes, image, [[format(x, numbers) if np.isfinite(x) else "" for x in row] for row in matrix])
    return matrix


def frame(axes: Axes, column: int, row: int) -> None:
    """Draw a frame around a tile."""
    x, y = (np.array([-0.5, 0.5, 0.5, -0.5, -0.5]) + column, np.array([-0.5, -0.5, 0.5, 0.5, -0.5]) + row)
    axes.plot(x, y, color="#D55E00", linewidth=1.5, clip_on=False, zorder=3)


def scale_of_colours(axes: Axes, drawn: Any, what: str, *, below: bool = False) -> None:
    """Put the scale of colours beside, or below, what is drawn; in a large figure it stays small."""
    figure = axes.get_figure()
    assert figure is not None
    width, height = figure.get_size_inches()  # type: ignore[union-attr]
    shrink = min(0.8, 3 / (width if below else height))
    where: Any = {"location": "bottom", "anchor": (0.0, 1.0)} if below else {"anchor": (0.0, 1.0)}
    figure.colorbar(drawn, ax=axes, label=what, shrink=shrink, aspect=15, **where)


def tile_texts(axes: Axes, image: Any, texts: Sequence[Sequence[str]], size: float = 7) -> None:
    """Write into tiles, white on dark and black on light."""
    shown = image.get_array().filled(np.nan) if np.ma.isMaskedArray(image.get_array()) else image.get_array()
    light = np.dot(image.to_rgba(shown)[..., :3], (0.299, 0.587, 0.114)) > 0.5
    for (i, j), is_light in np.ndenumerate(light):
        axes.text(j, i, texts[i][j], ha="center", va="center", fontsize=size, color="black" if is_light else "white")


def labelled(names: Sequence[str], numbers: Sequence[Any] | Mapping[str, Any], form: str = ",.0f") -> list[str]:
    """Return names, cut short, with a number in brackets behind each."""
    values = [numbers[name] for name in names] if isinstance(numbers, Mapping) else numbers
    return [f"{name} ({format(x, form)})" for name, x in zip(shorts(list(names)), values, strict=True)]
