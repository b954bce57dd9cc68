"""CellBlocks: the one form in which data enter DeepScore.

Everything downstream reads blocks of cells (rows) as CSR matrices and never asks where they come from: an AnnData in
memory, a store on disk, or an R object behind the bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ..errors import InputError
from ..support.notices import logger, said, warn
from ..support.progress import progress_bar
from .content import Keys, content_keys, value_keys

__all__ = [
    "MOST_IN_EXCERPT",
    "VALUES_HELD",
    "VALUES_PER_BLOCK",
    "CellBlocks",
    "Elsewhere",
    "Form",
    "Names",
    "Parts",
    "Range",
    "RangeFunction",
    "make_unique",
    "orientation",
    "repeated_names",
    "require_unique",
    "row_ranges",
    "rows_per_block",
    "tell_repeated_cells",
    "watched",
]

Names = npt.NDArray[np.object_]  # one Python string per row or column
Form = Literal["counts", "lognorm"]
# What is done for a range of rows: with its cells, its first row, what is of this range, and what is shared by all.
RangeFunction = Callable[["CellBlocks", int, tuple[Any, ...], tuple[Any, ...]], Any]
Range = tuple[int, int, tuple[Any, ...]]
Elsewhere = Callable[[RangeFunction, tuple[Any, ...], Iterable[Range]], Iterator[Any]]

# A block holds about this many stored values (float32 and int32: 16 MB), so that one is always cheap to hold.
VALUES_PER_BLOCK = 2_000_000
# Normalised values of a data set (8 bytes each) that are held in memory, so that they need not be read again.
VALUES_HELD = 40_000_000
# Rows that are read together where some of them are wanted: a call of a store costs as much as some fifty of its rows.
READ_AT_ONCE = 64
# Cells that are all read to choose some of them.
MOST_READ = 10_000
# Cells of the largest excerpt: enough to tell what values are.
MOST_IN_EXCERPT = 2_000
# Cells of a range of rows: enough that what is said of a range counts little beside its cells.
CELLS_PER_RANGE = 50_000


def row_ranges(n_cells: int) -> list[tuple[int, int]]:
    """Return the first row of each range of a data set, and the row behind it."""
    return [(start, min(start + CELLS_PER_RANGE, n_cells)) for start in range(0, n_cells, CELLS_PER_RANGE)]


def rows_per_block(n_cells: int, n_values: float, per_block: int = VALUES_PER_BLOCK) -> int:
    """Return how many cells make a block of about so many stored values."""
    return int(np.clip(per_block * n_cells // max(int(n_values), 1), 64, 16_384))


@dataclass(frozen=True, eq=False)
class Parts:
    """Which of the merged data sets that a data set was made of measured what.

    Parameters
    ----------
    names
        Of the parts.
    of_cell
        Part of each cell.
    measured
        Parts x features. What a part did not measure is stored as zero, but is missing.
    """

    names: tuple[str, ...]
    of_cell: npt.NDArray[np.intp]
    measured: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, features: Names, part_of_cell: Sequence[str], lacking: Mapping[str, Sequence[str]]) -> Self | None:
        """Return the parts by the names of the features that each lacks; None where none lacks any."""
        if not any(map(len, lacking.values())):
            return None
        names = tuple(lacking)
        number = {name: i for i, name in enumerate(names)}
        measured = np.array([~np.isin(features, list(some)) for some in lacking.values()])
        return cls(names, np.array([number[name] for name in part_of_cell], dtype=np.intp), measured)

    def select(self, columns: npt.NDArray[np.intp]) -> Self:
        """Return the parts of the data set with only these features."""
        return replace(self, measured=self.measured[:, columns])

    def take(self, rows: npt.NDArray[np.intp]) -> Self:
        """Return the parts of the data set with only these cells."""
        return replace(self, of_cell=self.of_cell[rows])


@dataclass(frozen=True, eq=False)
class CellBlocks:
    """A cells x features data set that is read block by block.

    Parameters
    ----------
    feature_names, cell_names
        One for each column and row; those that occur more than once are found by position, never by name.
    read
        ``read(start, stop)`` returns the rows ``start:stop`` as a CSR matrix of any real type.
    rows
        Cells in a block.
    source
        Where the values come from, for messages: ``"X"``, ``"layer 'counts'"``.
    feature_types
        What kind of feature each is, in the words of 10x Genomics, where the data set tells.
    parts
        The data sets that it was merged from, where they did not measure the same features.
    other_names
        What the features are called in other columns of the data set's table of features, such as ids beside symbols;
        None where a feature has no name of its own. See :mod:`~deepscore.data.spellings`.
    names_given
        Whether the caller said which names to use, so that no others are tried.
    values
        What the values are, counts or log-normalised, where the caller has said so or it was recognised before.
    raw
        Opens the data set's ``.raw``, where it has one that is not what is read: it may have more features.
    elsewhere
        Lets the workers of a cluster, which open the data set themselves, do what is done for each range of its rows.

    Raises
    ------
    InputError
        ``empty_data`` or ``invalid_text``.
    """

    feature_names: Names
    cell_names: Names
    read: Callable[[int, int], sp.csr_matrix]
    rows: int
    source: str
    feature_types: Names | None = None
    parts: Parts | None = None
    other_names: Mapping[str, Names] = field(default_factory=dict)
    names_given: bool = False
    values: Form | None = None
    raw: Callable[[], CellBlocks | None] | None = None
    elsewhere: Elsewhere | None = None

    def __post_init__(self) -> None:
        if not self.n_cells or not self.n_features:
            raise InputError(
                "empty_data",
                f"The data set is empty: {self.n_cells} cells x {self.n_features} features. "
                "Check the filter that made it.",
            )
        _require_text(self.feature_names, "feature")
        _require_text(self.cell_names, "cell")

    @property
    def n_cells(self) -> int:
        """Number of cells (rows)."""
        return len(self.cell_names)

    @property
    def n_features(self) -> int:
        """Number of features (columns)."""
        return len(self.feature_names)

    @cached_property
    def single(self) -> npt.NDArray[np.bool_]:
        """Which features have a name that no other has."""
        return ~pd.Index(self.feature_names).duplicated(keep=False)

    def __iter__(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Yield ``(first row, CSR block of float32)`` over all cells, in order."""
        for start in range(0, self.n_cells, self.rows):
            block = self.read(start, min(start + self.rows, self.n_cells))
            yield start, block.astype(np.float32, copy=False)

    def select(self, columns: npt.NDArray[np.intp]) -> CellBlocks:
        """Return the data set with only the features at `columns`."""
        read, types, elsewhere = self.read, self.feature_types, self.elsewhere
        return replace(
            self,
            elsewhere=None if elsewhere is None else partial(_of_selected, elsewhere, columns),
            feature_names=self.feature_names[columns],
            feature_types=None if types is None else types[columns],
            parts=None if self.parts is None else self.parts.select(columns),
            other_names={column: names[columns] for column, names in self.other_names.items()},
            read=lambda start, stop: read(start, stop)[:, columns],
        )

    def counted_in(self, feature_names: Names, read: Callable[[int, int], sp.csr_matrix]) -> CellBlocks:
        """Return other features of the same cells, which `read` makes of them."""
        return replace(
            self,
            feature_names=feature_names,
            read=read,
            feature_types=None,
            other_names={},
            parts=None,
            raw=None,
            elsewhere=None,
        )

    def take(self, rows: npt.NDArray[np.intp]) -> CellBlocks:
        """Return the data set with only the cells at `rows`; runs of rows, and rows that are near, are read at once."""
        read = self.read

        def read_some(start: int, stop: int) -> sp.csr_matrix:
            some = rows[start:stop]
            step, place = np.diff(some), some // READ_AT_ONCE
            runs = np.split(some, np.flatnonzero((step < 1) | ((step > 1) & (np.diff(place) != 0))) + 1)
            return sp.vstack([_read_run(read, run) for run in runs], format="csr")

        parts = None if self.parts is None else self.parts.take(rows)
        return replace(self, cell_names=self.cell_names[rows], read=read_some, parts=parts, elsewhere=None)

    def between(self, start: int, stop: int) -> CellBlocks:
        """Return the data set with only the cells ``start:stop``."""
        if (start, stop) == (0, self.n_cells):
            return self
        read, parts = self.read, self.parts
        return replace(
            self,
            cell_names=self.cell_names[start:stop],
            read=lambda first, last: read(start + first, start + last),
            parts=None if parts is None else replace(parts, of_cell=parts.of_cell[start:stop]),
            elsewhere=None,
        )

    def over_ranges(
        self,
        function: RangeFunction,
        shared: tuple[Any, ...] = (),
        each: Callable[[int, int], tuple[Any, ...]] = lambda start, stop: (),
        ranges: Iterable[tuple[int, int]] | None = None,
    ) -> Iterator[Any]:
        """Do something for each range of rows, here or on a cluster, and yield what comes of it, in their order.

        What is summed over ranges in their order is the same to the last bit on any machine.

        Parameters
        ----------
        function
            A function of a module, called with the cells of the range, its first row, and what the next two say.
        shared, each
            What the function needs besides: for all ranges, and of each, given its first row and the one behind it.
        ranges
            First row of each range and the row behind it; without them, all rows.
        """
        ranges = row_ranges(self.n_cells) if ranges is None else ranges
        if self.elsewhere is not None:
            yield from self.elsewhere(function, shared, ((start, stop, each(start, stop)) for start, stop in ranges))
            return
        for start, stop in ranges:
            yield function(self.between(start, stop), start, each(start, stop), shared)

    def measured_by_all(self) -> CellBlocks:
        """Return the data set with only the features that all of its parts have.

        Raises
        ------
        InputError
            ``no_shared_features`` where there are none.
        """
        if self.parts is None or self.parts.measured.all():
            return self
        by_all, parts = np.flatnonzero(self.parts.measured.all(axis=0)), self.parts.names
        names = ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")
        if not len(by_all):
            raise InputError("no_shared_features", f"No feature is in all of {names}: merge data sets of one genome.")
        logger.info("%d of %d features are in all of %s: these are used", len(by_all), self.n_features, names)
        return replace(self.select(by_all), parts=None)

    def spread(self, n_cells: int, run: int = 100) -> npt.NDArray[np.intp]:
        """Return the positions of about `n_cells` cells: runs of neighbours at even distances, or all there are."""
        if self.n_cells <= n_cells:
            return np.arange(self.n_cells)
        starts = np.linspace(0, self.n_cells - run, max(n_cells // run, 1)).astype(np.intp)
        return np.unique(starts[:, None] + np.arange(run))

    def to_csr(self) -> sp.csr_matrix:
        """Return all cells as one CSR matrix of float32; its arrays have room for it from the start, and no copies."""
        data, indices, used = np.empty(0, np.float32), np.empty(0, np.int32), 0
        indptr = np.zeros(self.n_cells + 1, np.int64)
        for start, block in watched(self, self.n_cells, "read"):
            after = used + block.nnz
            if after > len(data):  # memory that is not written to yet costs nothing
                size = max(after, int(1.5 * after * self.n_cells / (start + block.shape[0])))
                data, indices = (_with_room(array[:used], size) for array in (data, indices))
            data[used:after], indices[used:after] = block.data[: block.nnz], block.indices[: block.nnz]
            indptr[start + 1 : start + block.shape[0] + 1] = used + block.indptr[1:]
            used = after
        # Views: numpy 2.5 copies to shrink an array. SciPy itself copies where more than half would be left over.
        return sp.csr_matrix((data[:used], indices[:used], indptr), shape=(self.n_cells, self.n_features))

    def in_order_of(self, cell_names: Names, what: str) -> CellBlocks:
        """Return the data set with its cells in the order of another one of the same cells.

        Raises
        ------
        InputError
            ``different_cells``, where `what` names the two data sets; ``duplicate_cells`` where a name that occurs more
            than once would decide the order.
        """
        if np.array_equal(self.cell_names, cell_names):
            return self
        require_unique(self.cell_names, "cell")
        require_unique(cell_names, "cell")
        position = {name: i for i, name in enumerate(self.cell_names)}
        rows = np.array([position.get(name, -1) for name in cell_names], dtype=np.intp)
        if len(rows) != self.n_cells or (rows < 0).any():
            alone = [*cell_names[rows < 0][:1], *np.setdiff1d(self.cell_names, cell_names)[:1]]
            raise InputError(
                "different_cells",
                f"{what} must hold the same cells: there are {len(rows)} and {self.n_cells}, of which "
                f"{(rows >= 0).sum()} have a name in common (not so {' and '.join(map(repr, alone))}). "
                "Keep the cells that both have, and give them one name in both.",
            )
        return self.take(rows)

    def excerpt(self, n_cells: int = 600) -> sp.csr_matrix:
        """Return about `n_cells` rows, 2,000 at most: in the order of their values, and chosen by them.

        Of more than 10,000 cells, which would take long to read, they are runs of neighbours at even distances.
        """
        if self.n_cells > MOST_READ:
            return self.take(self.spread(n_cells)).to_csr()
        rows, keys = self._chosen_by_value
        chosen = np.flatnonzero(keys <= self._highest_key(n_cells))
        wanted = min(n_cells, self.n_cells)
        if not wanted / 2 <= len(chosen) <= 2 * wanted:  # of equal cells none are chosen, or all
            return self.take(self.spread(n_cells)).to_csr()
        rows = rows[chosen]
        return rows[np.lexsort((content_keys(rows), keys[chosen]))]

    @cached_property
    def _chosen_by_value(self) -> tuple[sp.csr_matrix, Keys]:
        """The cells of which excerpts are made, so that they are read once, and their keys."""
        blocks, keys = [], []
        for _, block in self:
            of_block = value_keys(block)
            chosen = np.flatnonzero(of_block <= self._highest_key(MOST_IN_EXCERPT))
            blocks.append(block[chosen])
            keys.append(of_block[chosen])
        return sp.vstack(blocks, format="csr"), np.concatenate(keys)

    def _highest_key(self, n_cells: int) -> np.uint64:
        return np.uint64(min(n_cells / self.n_cells, 1) * (2**64 - 2**11))


def _of_selected(
    elsewhere: Elsewhere,
    columns: npt.NDArray[np.intp],
    function: RangeFunction,
    shared: tuple[Any, ...],
    ranges: Iterable[Range],
) -> Iterator[Any]:
    return elsewhere(_selecting, (function, columns, shared), ranges)


def _selecting(cells: CellBlocks, start: int, each: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
    function, columns, of_function = shared
    return function(cells.select(columns), start, each, of_function)


def _read_run(read: Callable[[int, int], sp.csr_matrix], rows: npt.NDArray[np.intp]) -> sp.csr_matrix:
    """Read ascending rows at once, and keep no others."""
    block = read(int(rows[0]), int(rows[-1]) + 1)
    return block if block.shape[0] == len(rows) else block[rows - rows[0]]


def orientation() -> str:
    """Return what to do with a matrix that is the wrong way round."""
    return said(python="AnnData is cells x features: use adata.T.", r="A matrix is features x cells: use t(x).")


def watched(
    blocks: Iterable[tuple[int, sp.csr_matrix]], n_cells: int, what: str
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield blocks of cells, with a bar where they take more than two seconds."""
    with progress_bar(n_cells, what, "cell") as bar:
        for start, block in blocks:
            yield start, block
            bar.update(block.shape[0])


def _with_room(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    larger = np.empty(size, array.dtype)
    larger[: len(array)] = array
    return larger


def _require_text(names: Names, what: str) -> None:
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        raise InputError("invalid_text", f"Some {what} names hold halves of characters that are no text.") from None


def repeated_names(names: Names) -> list[str]:
    """Return the names that occur more than once, each of them once."""
    index = pd.Index(names)
    return index[index.duplicated()].unique().tolist()


def make_unique(what: str) -> str:
    """Return how names of features or cells are made unique."""
    axis, names_of = ("var", "rownames") if what == "feature" else ("obs", "colnames")
    return said(python=f"adata.{axis}_names_make_unique()", r=f"{names_of}(x) <- make.unique({names_of}(x))")


def require_unique(names: Names, what: str) -> None:
    """Refuse names by which something is to be found where some occur more than once.

    Parameters
    ----------
    what
        ``"feature"`` or ``"cell"``.

    Raises
    ------
    InputError
        ``duplicate_features`` or ``duplicate_cells``.
    """
    repeated = repeated_names(names)
    if repeated:
        fix = make_unique(what)
        raise InputError(
            f"duplicate_{what}s",
            f"{len(repeated)} {what} names occur more than once ({', '.join(repeated[:5])}), and are needed to find "
            f"{what}s by name. Make them unique ({fix}), or drop the copies.",
        )


def tell_repeated_cells(data: CellBlocks) -> None:
    """Warn of names that several cells have: these are told apart by their order only."""
    repeated = repeated_names(data.cell_names)
    if repeated:
        warn(
            f"{len(repeated)} cell names occur more than once ({', '.join(repeated[:5])}): results are in the order of "
            f"the cells. Make the names unique ({make_unique('cell')})."
        )
