"""Counts from a fragments file (10x Genomics): cells x intervals, read once from start to end.

The columns of the file are chromosome, start, end and barcode, separated by tabs. Others may follow, such as the number
of read pairs and the strand, and are not read. It is sorted by chromosome, then by start; lines that are empty or begin
with ``#`` are passed over wherever they are. It may be plain text, gzip or bgzip; an index is not needed.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ..errors import InputError, excerpt
from ..support.checks import choice, flag, path_like
from ..support.files import require_file
from ..support.notices import warn
from ..support.progress import progress_bar, progress_shown
from .barcodes import likely_reason
from .intervals import overlaps, require_common_chromosomes

__all__ = ["COUNTING", "count_fragments"]

# About 700,000 lines of text, which are held at once.
BLOCK_BYTES = 2**25
COUNTING = ("fragments", "insertions")
KINDS: dict[str, Any] = {"chrom": "category", "start": np.int64, "end": np.int64, "barcode": "category"}
# Every bgzip file ends with this empty block (SAM/BAM format specification, section 4.1.2).
BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_LINE = re.compile(rb"[^\t\0]+\t(\d{1,12})\t(\d{1,12})\t[^\t\0\x80-\xff]+(\t[^\0]*)?")
# Lines that hold no fragment: comments, and empty ones.
_PASSED_OVER = re.compile(rb"(?:^(?:#.*|[ \r]*)\n)+", re.MULTILINE)
_ALL_BUT_MARKS = bytes(set(range(256)) - set(b"\t\n"))


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
    order, found = _Order(path), np.zeros(len(wanted), dtype=np.bool_)
    parts: list[sp.coo_array] = []
    some: pd.Index = pd.Index([], dtype=object)
    empty, n_empty = 0, 0
    for block in _blocks(path, progress):
        fragments = _parse(block, path)
        order.check(fragments, block)
        has_length = (fragments["start"] < fragments["end"]).to_numpy()
        if not has_length.all():
            n_empty += int((~has_length).sum())
            empty = empty or block.number_of(int(np.argmin(has_length)))
        barcodes = fragments["barcode"].cat
        cell_of = wanted.get_indexer(barcodes.categories)
        found[cell_of[cell_of >= 0]] = True
        some = some if len(some) else barcodes.categories
        cell = cell_of[barcodes.codes]
        counted = (cell >= 0) & has_length
        parts.append(_count_block(fragments[counted], cell[counted], intervals, len(wanted), counting))
    in_file = pd.DataFrame({"chrom": list(order.seen)}, dtype=object)
    if in_file.empty:
        raise InputError("fragments_format", f"{path} holds no fragments. Check how it was made.")
    require_common_chromosomes(in_file, intervals, f"The fragments of {path.name}", "the intervals")
    _report_cells(path, wanted, found, some)
    if n_empty:
        warn(
            f"{n_empty} fragments of {path.name} have no length, as their end is their start (the first in line "
            f"{empty}): they were not counted."
        )
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


def _report_cells(path: Path, wanted: pd.Index, found: npt.NDArray[np.bool_], some: pd.Index) -> None:
    """Refuse a file without any of the cells; warn where some are missing. `some` are barcodes of the file."""
    if found.all():
        return
    missing = wanted[~found]
    why = likely_reason(missing.tolist(), some.tolist())
    if not found.any():
        raise InputError(
            "no_barcodes_matched",
            f"None of the {len(wanted)} cells (such as {', '.join(map(excerpt, missing[:3]))}) occurs in {path.name}, "
            f"whose barcodes look like {', '.join(map(excerpt, some[:3]))}. "
            + (
                why
                or "Give them as the file spells them: often a suffix such as -1, or a prefix, is too much or missing."
            ),
        )
    warn(
        f"{len(missing)} of {len(found)} cells do not occur in {path.name} and have no counts, such as "
        f"{excerpt(missing[0])}. " + (why or "Leave them out if they are not of this file.")
    )


@dataclass(frozen=True)
class _Block:
    """Whole lines of the file: all, those that hold fragments, the number of the first, and whether the file ends."""

    text: bytes
    rows: bytes
    line: int
    n_columns: int
    last: bool

    def number_of(self, row: int) -> int:
        """Return the number of the line in the file that holds a fragment of this block."""
        if len(self.rows) == len(self.text):
            return self.line + row
        return next(itertools.islice(self.numbered(), row, None))[0]

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the text of each line that holds a fragment."""
        for number, text in enumerate(self.text.split(b"\n")[:-1], self.line):
            if not _PASSED_OVER.match(text + b"\n"):
                yield number, text.removesuffix(b"\r")


def _blocks(path: Path, progress: bool) -> Iterator[_Block]:
    """Yield the lines of the file in blocks of some 32 MB, each of which holds fragments."""
    line, n_columns, rest = 1, 0, b""
    total = path.stat().st_size
    with (
        path.open("rb") as raw,
        progress_shown(progress),
        progress_bar(total, "fragments", "B", unit_scale=True) as bar,
    ):
        stream = _decompressed(path, raw)
        following = _read(stream, path).removeprefix(codecs.BOM_UTF8)
        while text := following:
            following = _read(stream, path)
            bar.update(raw.tell() - bar.n)
            whole, newline, rest = (rest + text).rpartition(b"\n")
            whole += newline
            unended = rest if rest.strip(b" \r") and not following else b""
            whole += unended and unended + b"\n"
            rows = _fragments_in(whole)
            if rows:
                n_columns = n_columns or rows.partition(b"\n")[0].count(b"\t") + 1
                if unended and not unended.startswith(b"#"):
                    _require_fragment(unended, n_columns, path)
                yield _Block(whole, rows, line, n_columns, not following)
            elif not whole and len(rest) >= BLOCK_BYTES:
                raise _no_fragment(path, line, rest)
            line += whole.count(b"\n")


def _require_fragment(text: bytes, n_columns: int, path: Path) -> None:
    """Refuse a last line without its end that lacks more than that; warn of one that is whole."""
    if text.count(b"\t") + 1 < n_columns or not _LINE.fullmatch(text):
        raise _truncated(path, f"its last line is cut short ('{excerpt(text)}')")
    warn(
        f"The last line of {path.name} lacks its end, and is counted as it is ('{excerpt(text)}'). Where the file was "
        "copied, check that it is complete."
    )


def _fragments_in(text: bytes) -> bytes:
    """Leave out the lines that hold no fragment. Most blocks have none, but at the top: to tell so is fast."""
    header = _PASSED_OVER.match(text)
    text = text[header.end() :] if header is not None else text
    inside = (b"#" in text and b"\n#" in text) or b"\n\n" in _marks(text)
    return _PASSED_OVER.sub(b"", text) if inside else text


def _marks(text: bytes) -> bytes:
    """Leave only the tabs and the ends of the lines."""
    return text.translate(None, _ALL_BUT_MARKS)


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
    """Read the first four columns of a block; chrom and barcode become categories."""
    marks, of_a_line = _marks(block.rows), b"\t" * (block.n_columns - 1) + b"\n"
    if block.n_columns < len(KINDS) or b"\0" in block.rows or marks != of_a_line * (len(marks) // block.n_columns):
        raise _bad_line(block, path)
    try:
        fragments = pd.read_csv(
            io.BytesIO(block.rows),
            sep="\t",
            header=None,
            names=list(KINDS),
            usecols=range(len(KINDS)),
            index_col=False,
            dtype=KINDS,
            quoting=csv.QUOTE_NONE,
            na_filter=False,
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:
        raise _bad_line(block, path) from error
    empty = any("" in fragments[name].cat.categories for name in ("chrom", "barcode"))
    if empty or (fragments["start"] < 0).any() or (fragments["start"] > fragments["end"]).any():
        raise _bad_line(block, path)
    return fragments


def _bad_line(block: _Block, path: Path) -> InputError:
    """Name the first line that is no fragment; a last line with too few columns was cut short."""
    lines = list(block.numbered())
    for number, text in lines:
        n_columns, found = text.count(b"\t") + 1, _LINE.fullmatch(text)
        if found is None or n_columns != block.n_columns or int(found[1]) > int(found[2]):
            if block.last and number == lines[-1][0] and n_columns < block.n_columns:
                return _truncated(path, f"its last line, number {number}, is cut short ('{excerpt(text)}')")
            return _no_fragment(path, number, text)
    return _no_fragment(path, *lines[0])


def _no_fragment(path: Path, line: int, text: bytes) -> InputError:
    if re.match(rb"[^\t]*\t[A-Za-z_. ]+\t[A-Za-z_. ]+\t", text):
        return InputError(
            "fragments_format",
            f"Line {line} of {path} holds the names of columns, not a fragment: '{excerpt(text)}'. Leave it out, or "
            "put # in front of it.",
        )
    return InputError(
        "fragments_format",
        f"Line {line} of {path} is no fragment: '{excerpt(text)}'. Expected chromosome, start, an end not below it "
        "and barcode, separated by tabs. More columns may follow, as many in each line (cut -f1-4 leaves them out).",
    )


@dataclass
class _Order:
    """Checks, block by block, that a file is sorted by chromosome, then by start."""

    path: Path
    seen: dict[str, None] = field(default_factory=dict)
    last: int = -1

    def check(self, fragments: pd.DataFrame, block: _Block) -> None:
        """Refuse a chromosome that comes back, or a start below the one before it (``fragments_unsorted``)."""
        codes, starts = fragments["chrom"].cat.codes.to_numpy(), fragments["start"].to_numpy()
        names = fragments["chrom"].cat.categories
        new_run = np.diff(codes, prepend=-1) != 0
        for row in np.flatnonzero(new_run):
            name = names[codes[row]]
            if row == 0 and name == next(reversed(self.seen), None):
                new_run[0] = False
            elif name in self.seen:
                raise self._unsorted(block.number_of(int(row)), f"{name} comes a second time")
            self.seen[name] = None
        falls = np.flatnonzero((np.diff(starts, prepend=self.last) < 0) & ~new_run)
        if falls.size:
            fall = int(falls[0])
            raise self._unsorted(block.number_of(fall), f"start {starts[fall]} comes after a larger one")
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
