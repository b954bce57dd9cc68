"""Parts: the table of a large query's calls, written range by range, so that a run that was ended goes on.

Beside the output stands a folder while a run lasts. It holds the frozen look at the query and a Parquet file for each
range of rows that is done; each of them says of what look and which rows it is. When all are there they are joined.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..data.blocks import CellBlocks, Names, row_ranges
from ..data.labels import UNCLASSIFIED, require_length
from ..errors import EngineError
from ..output.columns import CALLS, CELL, OPTIONAL, table_of
from ..query.annotation import Annotation, vote
from ..query.cells import HeldCells
from ..support.files import replacing
from ..support.notices import logger, warn
from ..support.progress import progress_bar
from ..workflows.annotate_ranges import Caller, LargeQuery

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["folder_of", "write_by_ranges"]

KEY = b"deepscore_part"
LOOK = "look"


def folder_of(output: str | os.PathLike[str]) -> Path:
    """Return the folder of the parts of an output."""
    return Path(f"{os.path.realpath(output)}.parts")


def write_by_ranges(
    large: LargeQuery, output: str | os.PathLike[str], *, groups: Names | None = None, files: Names | None = None
) -> tuple[int, int] | None:
    """Annotate a large query range by range and write the table of its calls; go on where an earlier run has ended.

    Parameters
    ----------
    groups
        Cluster of each cell, None where it is missing.
    files
        Of several data sets, the name of that of each cell.

    Returns
    -------
    How many cells there are, and how many are Unclassified; None, and nothing is written, where the query has so few
    different cells that all are looked at.

    Raises
    ------
    EngineError
        ``write_failed``.
    """
    if groups is not None:
        require_length(large.aligned.blocks, groups, "groups")
    folder, ranges = folder_of(output), row_ranges(large.aligned.blocks.n_cells)
    with _writing(folder):
        folder.mkdir(exist_ok=True)
        look, caller, held = _looked_at(large, folder)
        if caller is None:
            _clear(folder)
            return None
        done = [one for one in ranges if _part(folder, look, one) is not None]
        if done:
            logger.info("%d of %d parts are there already: the run goes on", len(done), len(ranges))
        left = [one for one in ranges if one not in set(done)]
        n_done = sum(stop - start for start, stop in done)
        with progress_bar(ranges[-1][1], "annotate", "cell", initial=n_done) as bar:
            for n_cells in _write(large, caller, held, left, folder, look):
                bar.update(n_cells)
        found = _join(folder, look, ranges, output, large.aligned.blocks.cell_names, groups, files)
        _clear(folder)
    return found


def _looked_at(large: LargeQuery, folder: Path) -> tuple[str, Caller | None, HeldCells | None]:
    """Read the frozen look, or look at the query and freeze it; return its digest and what it calls cells with."""
    path, held = folder / LOOK, None
    content = path.read_bytes() if path.is_file() else None
    view = None if content is None else large.thawed(content)
    if view is None or content is None:
        if any(folder.iterdir()):
            warn(
                f"{folder} holds parts of another query, another model or other options, or is damaged: "
                "the run starts anew."
            )
            _empty(folder)
        seen = large.look()
        if seen is None:
            return "", None, None
        view, held = seen
        content = large.frozen(view)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest(), large.caller(view), held


def _write(
    large: LargeQuery, caller: Caller, held: HeldCells | None, left: list[tuple[int, int]], folder: Path, look: str
) -> Iterator[int]:
    """Write the parts that are left; yield the number of cells of each."""
    blocks, batches = large.aligned.blocks, large.aligned.batches
    if held is None or blocks.elsewhere is not None:
        yield from blocks.over_ranges(_write_part, (caller, str(folder), look), large.batches_of(), left)
        return
    for start, stop in left:
        cells = ((first - start, block) for first, block in held.blocks(start, stop))
        _write_table(folder, look, start, caller.call_normalised(cells, batches[start:stop]))
        yield stop - start


def _write_part(cells: CellBlocks, start: int, each: tuple[Any, ...], shared: tuple[Any, ...]) -> int:
    """Call the cells of a range and write its part, on any machine that sees the folder."""
    caller, folder, look = shared
    found = caller.call(cells, each[0])
    with _writing(Path(folder)):
        _write_table(Path(folder), look, start, found)
    return cells.n_cells


def _write_table(folder: Path, look: str, start: int, found: Annotation) -> None:
    """Write the part of the cells from that row on; they are called by their rows, as workers know no names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stop = start + len(found.calls)
    stored = pa.Table.from_pandas(table_of(found, np.arange(start, stop)))
    facts = json.dumps({"look": look, "start": start, "stop": stop})
    with replacing(folder / _name(start)) as temporary:
        marked = stored.replace_schema_metadata({**stored.schema.metadata, KEY: facts.encode()})
        pq.write_table(marked, temporary, write_page_checksum=True)


def _part(folder: Path, look: str, rows: tuple[int, int]) -> pa.Table | None:
    """Return a part that is there, is whole, and is of this look and of these rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    start, stop = rows
    try:
        stored = pq.ParquetFile(folder / _name(start), page_checksum_verification=True).read()
        facts = json.loads((stored.schema.metadata or {}).get(KEY, b"null"))
    except (OSError, ValueError, pa.ArrowException):  # damaged; no checksum covers names and marks
        return None
    if facts != {"look": look, "start": start, "stop": stop} or stored.num_rows != stop - start:
        return None
    return stored.replace_schema_metadata(None)


def _join(
    folder: Path,
    look: str,
    ranges: list[tuple[int, int]],
    output: str | os.PathLike[str],
    cells: Names,
    groups: Names | None,
    files: Names | None,
) -> tuple[int, int]:
    """Write the parts as one file, with the names of the cells; it appears once it is complete."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    voted = None if groups is None else vote(_calls(folder, look, ranges), groups)
    n_cells = n_unclassified = 0
    writer = None
    with replacing(output) as temporary:
        try:
            for rows in ranges:
                table = _needed(folder, look, rows)
                n_cells += len(table)
                n_unclassified += pc.sum(pc.equal(table[CALLS[0]], UNCLASSIFIED)).as_py()
                table = table.set_column(len(table.column_names) - 1, CELL, pa.array(cells[slice(*rows)]))
                if voted is not None:
                    for i, (name, values) in enumerate(zip(OPTIONAL, voted, strict=True)):
                        table = table.add_column(len(CALLS) + i, name, pa.array(values[slice(*rows)], from_pandas=True))
                if files is not None:
                    table = table.add_column(0, "file", pa.array(files[slice(*rows)]))
                if writer is None:  # with what pandas writes of its columns and its index
                    schema = pa.Table.from_pandas(table.to_pandas().set_index(CELL)).schema
                    writer = pq.ParquetWriter(temporary, schema)
                writer.write_table(table.cast(schema))
        finally:
            if writer is not None:
                writer.close()
    return n_cells, n_unclassified


def _calls(folder: Path, look: str, ranges: Sequence[tuple[int, int]]) -> Names:
    """Return the call of each cell; equal ones are one string."""
    parts = [pd.Categorical(_needed(folder, look, rows)[CALLS[0]].to_pandas()) for rows in ranges]
    calls: Names = np.concatenate([np.asarray(one.categories, dtype=object)[one.codes] for one in parts])
    return calls


def _needed(folder: Path, look: str, rows: tuple[int, int]) -> pa.Table:
    found = _part(folder, look, rows)
    if found is None:
        raise EngineError(
            "write_failed",
            f"The part {folder / _name(rows[0])} is not there, or is damaged, though it was written. The folder must "
            "be one that all workers see, and no other run may write to it. Run the same again: whole parts are kept.",
        )
    return found


def _name(start: int) -> str:
    return f"part-{start:012d}.parquet"


def _empty(folder: Path) -> None:
    """Remove what runs have left in the folder, and nothing else."""
    for pattern in (LOOK, f"{LOOK}.*.part", "part-*.parquet", "part-*.parquet.*.part"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    _empty(folder)
    if not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise EngineError(
            "write_failed",
            f"{folder} could not be written: {why}. Parts that are whole stay; run the same again to go on.",
        ) from error
