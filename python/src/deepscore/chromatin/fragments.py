"""Counts from a fragments file (10x Genomics): cells x intervals, read once from start to end.

The columns of the file are chromosome, start, end, barcode and the number of read pairs, separated by tabs; it is
sorted by chromosome, then by start. It may be plain text, gzip or bgzip; an index is not needed.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from tqdm import tqdm

from ..errors import InputError
from ..support.checks import choice, flag, path_like
from ..support.files import require_file
from ..support.notices import logger
from .intervals import overlaps, require_common_chromosomes

__all__ = ["COUNTING", "count_fragments"]

# About 700,000 lines of text, which are held at once.
BLOCK_BYTES = 2**25
COUNTING = ("fragments", "insertions")
COLUMNS = ("chrom", "start", "end", "barcode", "pairs")
# Every bgzip file ends with this empty block (SAM/BAM format specification, section 4.1.2).
BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_LINE = re.compile(rb"[^\t]+\t(\d{1,12})\t(\d{1,12})\t[^\t\x80-\xff]+(\t[^\t]+)?")


def count_fragments(
    path: str | os.PathLike[str],
    intervals: pd.DataFrame,
    cells: Sequence[str],
    *,
    counting: str = "fragments",
    progress: bool = True,
) -> sp.csr_matrix:
    """Count the fragments of each cell in each interval; see :func:`deepscore.count_fragments`.

    Parameters
    ----------
    intervals
        Columns chrom, start, end (BED coordinates). Intervals may overlap each other: each of them is counted.

    Returns
    -------
    Cells x intervals in the given orders, whole numbers as float32; sorted, without duplicates. The number of read
    pairs of a fragment is not used.
    """
    flag("progress", progress)
    choice("counting", counting, COUNTING)
    path, wanted = path_like("fragments", path), pd.Index(list(cells), dtype=object)
    _check_arguments(path, intervals, wanted)
    order, found, example = _Order(path), np.zeros(len(wanted), dtype=np.bool_), ""
    parts = []
    for block in _blocks(path, progress):
        fragments = _parse(block, path)
        order.check(fragments, block.line)
        barcodes = fragments["barcode"].cat
        cell_of = wanted.get_indexer(barcodes.categories)
        found[cell_of[cell_of >= 0]] = True
        example = example or ", ".join(barcodes.categories[:3])
        cell = cell_of[barcodes.codes]
        parts.append(_count_block(fragments[cell >= 0], cell[cell >= 0], intervals, len(wanted), counting))
    in_file = pd.DataFrame({"chrom": list(order.seen)}, dtype=object)
    if in_file.empty:
        raise InputError("fragments_format", f"{path} holds no fragments. Check how it was made.")
    require_common_chromosomes(in_file, intervals, f"The fragments of {path.name}", "the intervals")
    _report_cells(path, wanted, found, example)
    rows, columns, values = (np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "col", "data"))
    counts = sp.csr_matrix((values, (rows, columns)), shape=(len(wanted), len(intervals)), dtype=np.float32)
    counts.sum_duplicates()
    return counts


def _check_arguments(path: Path, intervals: pd.DataFrame, cells: pd.Index) -> None:
    require_file(path)
    if not len(cells) or not len(intervals):
        raise InputError(
            "empty_data", f"Nothing to count: {len(cells)} cells and {len(intervals)} intervals were given."
        )
    if not cells.is_unique:
        repeated = ", ".join(map(str, cells[cells.duplicated()].unique()[:5]))
        raise InputError(
            "duplicate_cells", f"Some cells are given more than once ({repeated}). Give each of them once."
        )


def _report_cells(path: Path, wanted: pd.Index, found: npt.NDArray[np.bool_], example: str) -> None:
    """Refuse a file without any of the cells; say how many there are where some are missing."""
    if not found.any():
        raise InputError(
            "no_barcodes_matched",
            f"None of the {len(wanted)} cells (such as {', '.join(map(str, wanted[:3]))}) occurs in {path.name}, whose "
            f"barcodes look like {example}. Often a suffix such as -1, or a prefix with the name of the sample, has to "
            "be added or removed.",
        )
    if not found.all():
        logger.info("%d of %d cells occur in %s", found.sum(), len(found), path.name)


@dataclass(frozen=True)
class _Block:
    """Whole lines of the file: their text, the number of the first, columns in the file, and whether it ends here."""

    text: bytes
    line: int
    n_columns: int
    last: bool


def _blocks(path: Path, progress: bool) -> Iterator[_Block]:
    """Yield the lines of the file, without comments at the top, in blocks of some 32 MB."""
    line, n_columns, rest = 1, 0, b""
    total = path.stat().st_size
    with (
        path.open("rb") as raw,
        tqdm(total=total, desc="fragments", unit="B", unit_scale=True, delay=2, disable=not progress) as bar,
    ):
        stream = _decompressed(path, raw)
        following = _read(stream, path)
        while text := following:
            following = _read(stream, path)
            bar.update(raw.tell() - bar.n)
            whole, newline, rest = (rest + text).rpartition(b"\n")
            if rest and not following:
                raise _truncated(path, f"its last line is cut short ({rest[:80]!r})")
            whole += newline
            if not following:  # empty lines at the end say nothing
                whole = whole.rstrip(b"\r\n")
                whole += newline if whole else b""
            while not n_columns and whole.startswith(b"#"):
                whole = whole.partition(b"\n")[2]
                line += 1
            if whole:
                n_columns = n_columns or whole.partition(b"\n")[0].count(b"\t") + 1
                yield _Block(whole, line, n_columns, not following)
                line += whole.count(b"\n")
            elif len(rest) >= BLOCK_BYTES:
                raise _no_fragment(path, line, rest)


def _decompressed(path: Path, raw: io.BufferedReader) -> io.BufferedIOBase:
    header = raw.read(18)
    if header[:4] == BGZIP_END[:4] and header[12:14] == b"BC":
        raw.seek(max(path.stat().st_size - len(BGZIP_END), 0))
        if raw.read() != BGZIP_END:
            raise _truncated(path, "the block that ends every bgzip file is missing")
    raw.seek(0)
    return gzip.GzipFile(fileobj=raw) if header[:2] == b"\x1f\x8b" else raw


def _read(stream: io.BufferedIOBase, path: Path) -> bytes:
    try:
        return stream.read(BLOCK_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _truncated(path, f"its compressed data end early or are damaged ({error})") from error


def _truncated(path: Path, why: str) -> InputError:
    return InputError("fragments_truncated", f"{path} is not complete: {why}. Copy or make the file again.")


def _parse(block: _Block, path: Path) -> pd.DataFrame:
    """Read a block; chrom and barcode become categories."""
    n_tabs, n_lines = block.text.count(b"\t"), block.text.count(b"\n")
    if block.n_columns not in (4, 5) or n_tabs != (block.n_columns - 1) * n_lines:
        raise _bad_line(block, path)
    kinds = {name: np.int64 if name in ("start", "end") else "category" for name in COLUMNS[: block.n_columns]}
    try:
        fragments = pd.read_csv(
            io.BytesIO(block.text),
            sep="\t",
            header=None,
            names=list(kinds),
            index_col=False,
            dtype=kinds,
            quoting=csv.QUOTE_NONE,
            na_filter=False,
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:
        raise _bad_line(block, path) from error
    empty = any("" in fragments[name].cat.categories for name, kind in kinds.items() if kind == "category")
    if empty or (fragments["start"] < 0).any() or (fragments["start"] >= fragments["end"]).any():
        raise _bad_line(block, path)
    return fragments


def _bad_line(block: _Block, path: Path) -> InputError:
    """Name the first line that is no fragment; a last line with too few columns was cut short."""
    lines = [text.removesuffix(b"\r") for text in block.text.removesuffix(b"\n").split(b"\n")]
    for number, text in enumerate(lines, block.line):
        n_columns, found = text.count(b"\t") + 1, _LINE.fullmatch(text)
        if found is None or n_columns != block.n_columns or int(found[1]) >= int(found[2]):
            at_end = block.last and number == block.line + len(lines) - 1
            if at_end and n_columns < block.n_columns:
                return _truncated(path, f"its last line, number {number}, is cut short ({text[:80]!r})")
            return _no_fragment(path, number, text)
    return _no_fragment(path, block.line, lines[0])


def _no_fragment(path: Path, line: int, text: bytes) -> InputError:
    return InputError(
        "fragments_format",
        f"Line {line} of {path} is no fragment: {text[:80]!r}. Expected chromosome, start, a larger end, barcode and, "
        "in all lines or in none, the number of read pairs, separated by tabs.",
    )


@dataclass
class _Order:
    """Checks, block by block, that a file is sorted by chromosome, then by start."""

    path: Path
    seen: dict[str, None] = field(default_factory=dict)
    last: int = -1

    def check(self, fragments: pd.DataFrame, line: int) -> None:
        """Refuse a chromosome that comes back, or a start below the one before it (``fragments_unsorted``)."""
        codes, starts = fragments["chrom"].cat.codes.to_numpy(), fragments["start"].to_numpy()
        names = fragments["chrom"].cat.categories
        new_run = np.diff(codes, prepend=-1) != 0
        for row in np.flatnonzero(new_run):
            name = names[codes[row]]
            if row == 0 and name == next(reversed(self.seen), None):
                new_run[0] = False
            elif name in self.seen:
                raise self._unsorted(line + int(row), f"{name} comes a second time")
            self.seen[name] = None
        falls = np.flatnonzero((np.diff(starts, prepend=self.last) < 0) & ~new_run)
        if falls.size:
            fall = int(falls[0])
            raise self._unsorted(line + fall, f"start {starts[fall]} comes after a larger one")
        self.last = int(starts[-1])

    def _unsorted(self, line: int, why: str) -> InputError:
        return InputError(
            "fragments_unsorted",
            f"{self.path} is not sorted by chromosome, then by start: in line {line}, {why}. Sort it with "
            "sort -k1,1 -k2,2n | bgzip",
        )


def _count_block(
    fragments: pd.DataFrame, cell: npt.NDArray[np.intp], intervals: pd.DataFrame, n_cells: int, counting: str
) -> sp.coo_array:
    """Count the fragments of one block; `cell` is the row of each fragment in the result."""
    places = fragments[["chrom", "start", "end"]]
    if counting == "insertions":
        first, last = places.assign(end=places["start"] + 1), places.assign(start=places["end"] - 1)
        places, cell = pd.concat([first, last]), np.concatenate([cell, cell])
    of_cell = sp.csr_array((np.ones(len(cell), np.float32), (cell, np.arange(len(cell)))), shape=(n_cells, len(cell)))
    return (of_cell @ overlaps(places, intervals)).tocoo()
