"""Several data sets that are read as one: their cells one below the other, their features matched by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ..errors import DeepScoreError, InputError
from .blocks import CellBlocks, Names, Parts
from .spellings import ENOUGH, find_names, spellings_of
from .values import Values, recognise

__all__ = ["join", "naming", "require_one_form"]

# Cells of each data set by which it is told whether the values of all are of one form.
CELLS_COMPARED = 200
# Fewer cells tell too little of their values.
LEAST_CELLS = 20
# Normalisations to totals that differ by less than this factor are one.
ONE_TOTAL = 1.1


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Say which of several data sets an error is about."""
    try:
        yield
    except DeepScoreError as error:
        if what in str(error):
            raise
        raise type(error)(error.code, f"{what}: {error}") from error


def join(members: Sequence[CellBlocks], names: Sequence[str]) -> CellBlocks:
    """Return data sets as one: the features are those that any of them has, the cells those of all, in their order.

    Where they have not the same features, those with the same ones are a part: what another part has is missing there.
    Only the name is asked whether two features are the same. A data set that shares few names with the first one is
    matched to it by what else its features are called, as :func:`~deepscore.data.spellings.find_names` does.

    Parameters
    ----------
    members
        The data sets, of which the same may be given several times.
    names
        What each is called in messages.

    Raises
    ------
    InputError
        ``ambiguous_names``; what a member raises as it is read, with its name.
    """
    kinds: list[CellBlocks] = []  # one for each set of features
    kind_of: dict[str, int] = {}
    of_member = [kind_of.setdefault("\0".join(one.feature_names), len(kind_of)) for one in members]
    for number, one in zip(of_member, members, strict=True):
        if number == len(kinds):
            kinds.append(one)
    union: dict[str | tuple[str, int], int] = {}
    columns = []
    for number, one in enumerate(kinds):
        with naming(names[of_member.index(number)]):
            keys = _keys(one.feature_names if number == 0 else _matched(kinds[0], one, union))
        columns.append(np.array([union.setdefault(key, len(union)) for key in keys], dtype=np.int32))
    n_cells = np.array([one.n_cells for one in members])
    parts = None
    if any(len(some) < len(union) for some in columns):
        measured = np.zeros((len(kinds), len(union)), np.bool_)
        for row, some in zip(measured, columns, strict=True):
            row[some] = True
        called = tuple(names[of_member.index(number)] for number in range(len(kinds)))
        parts = Parts(called, np.repeat(np.array(of_member, dtype=np.intp), n_cells), measured)
    others = dict.fromkeys(column for one in kinds for column in one.other_names)
    types = [one.feature_types for one in kinds]
    place = [None if np.array_equal(some, np.arange(len(union))) else some for some in columns]
    return CellBlocks(
        feature_names=np.array([key if isinstance(key, str) else key[0] for key in union], dtype=object),
        cell_names=np.concatenate([one.cell_names for one in members]),
        read=_reader(members, names, [place[number] for number in of_member], len(union)),
        rows=min(one.rows for one in members),
        source=", ".join(dict.fromkeys(one.source for one in members)),
        feature_types=None
        if all(some is None for some in types)
        else _as_text(_first_known(types, columns, len(union))),
        parts=parts,
        other_names={
            column: _first_known([one.other_names.get(column) for one in kinds], columns, len(union))
            for column in others
        },
        names_given=all(one.names_given for one in members),
        values=members[0].values,
    )


def _keys(features: Iterable[str]) -> list[str | tuple[str, int]]:
    """Tell features of one name apart by how many have come before."""
    seen: dict[str, int] = {}
    keys: list[str | tuple[str, int]] = []
    for name in features:
        n = seen[name] = seen.get(name, -1) + 1
        keys.append((name, n) if n else name)
    return keys


def _matched(first: CellBlocks, other: CellBlocks, union: dict[str | tuple[str, int], int]) -> Names:
    """Return what the features of a data set are called in the first one; those that it lacks keep their names."""
    own = other.feature_names
    if sum(name in union for name in own) >= ENOUGH * min(len(own), first.n_features):
        return own
    found = find_names(spellings_of(first.feature_names, first.other_names), other)
    there = np.flatnonzero(found >= 0)
    names = own.copy()
    names[found[there]] = first.feature_names[there]
    return names if len(there) else own


def _first_known(values: Sequence[Names | None], columns: Sequence[npt.NDArray[np.int32]], n: int) -> Names:
    """Return for each feature what the first data set says that says anything of it."""
    known = np.full(n, None, dtype=object)
    for some, where in reversed(list(zip(values, columns, strict=True))):
        if some is not None:
            told = ~pd.isna(some)
            known[where[told]] = some[told]
    return known


def _as_text(values: Names) -> Names:
    return np.array([str(value) for value in values], dtype=object)


def _reader(
    members: Sequence[CellBlocks], names: Sequence[str], place: Sequence[npt.NDArray[np.int32] | None], n_features: int
) -> Callable[[int, int], sp.csr_matrix]:
    reads = [one.read for one in members]
    firsts = np.cumsum([0, *(one.n_cells for one in members)])

    def read(start: int, stop: int) -> sp.csr_matrix:
        touched = range(np.searchsorted(firsts, start, "right") - 1, np.searchsorted(firsts, stop, "left"))
        blocks = []
        for i in touched:
            with naming(names[i]):
                block = reads[i](max(start - firsts[i], 0), min(stop, firsts[i + 1]) - firsts[i])
            blocks.append(_placed(block, place[i], n_features))
        return blocks[0] if len(blocks) == 1 else sp.vstack(blocks, format="csr")

    return read


def _placed(block: sp.csr_matrix, columns: npt.NDArray[np.int32] | None, n_features: int) -> sp.csr_matrix:
    """Put the columns of a data set where they are among those of all."""
    if columns is None:
        return block
    moved = sp.csr_matrix((block.data, columns[block.indices], block.indptr), shape=(block.shape[0], n_features))
    return moved.sorted_indices()


def require_one_form(members: Sequence[CellBlocks], names: Sequence[str]) -> None:
    """Refuse data sets of which some hold counts and some logarithms, or logarithms of several kinds.

    Raises
    ------
    InputError
        ``mixed_values``.
    """
    first: tuple[str, Values, str] | None = None
    for name, one in zip(names, members, strict=True):
        if one.n_cells < LEAST_CELLS:
            continue
        with naming(name):
            found, words = recognise(one.take(one.spread(CELLS_COMPARED, run=20)).to_csr(), one.source)
        first = first or (name, found, words)
        ratio = found.factor / first[1].factor
        if (found.form, found.base) != (first[1].form, first[1].base) or not 1 / ONE_TOTAL < ratio < ONE_TOTAL:
            raise InputError(
                "mixed_values",
                f"The data sets of a list must hold one kind of values: {first[0]} holds {first[2]}, {name} holds "
                f"{words}. Give the counts of all (layer=, --layer); or say what they are (values=, --values), where "
                "they are not as they look.",
            )
