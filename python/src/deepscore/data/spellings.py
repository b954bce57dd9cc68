"""Spellings: a data set may call its features by several names, such as symbols and ids; here one of them is chosen.

A data set has the names of its rows or index, and may have others in its table of features (AnnData's ``var``). Where
those of two data sets do not match, the pair of spellings is used in which most features are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..support.notices import logger, warn
from .blocks import CellBlocks, Names
from .names import are_ids, canonical, is_numbered, match_names, may_be_positions, parts_of

__all__ = [
    "ENOUGH",
    "INDEX",
    "MISSING",
    "OWN",
    "Spellings",
    "choose_names",
    "find_names",
    "kept_names",
    "shown_names",
    "spellings_of",
]

# How a caller asks for the names of the rows; where the names that are shown stand among all of them.
INDEX, OWN = "index", ""
# Texts that stand for no name.
MISSING = ("", "nan", "NaN", "NA", "N/A", "None", "none", "<NA>", "null", "-")
# A column in which fewer of the features have a name of their own holds no names.
LEAST_NAMED = 0.5
# The longest name that fits a model file.
LONGEST = 1000
# The first spelling is kept where it finds this share of what another one would find: a few features are not worth it.
ENOUGH = 0.9

# Names of the same features, by where they stand; the first are those that are shown.
Spellings = Mapping[str, Names]


def choose_names(
    rows: Names, columns: Mapping[str, Sequence[Any]], by: str | None = None
) -> tuple[Names, dict[str, Names], npt.NDArray[np.bool_] | None]:
    """Choose the names of the features of a data set, and keep those of other columns beside them.

    Parameters
    ----------
    rows
        Names of the rows (the index).
    columns
        Columns of the table of features that hold text, and the one that `by` names.
    by
        Column that names the features, or "index". Without it the rows do, but where they are numbered the first
        column of names.

    Returns
    -------
    The names, in which the row's stands for one that is missing; the other names; and, of numbered features, which
    have a name, where not all have one.

    Raises
    ------
    InputError
        ``column_not_found``.

    Warns
    -----
    UserWarning
        Where the rows are numbered and a column names the features.
    """
    others = {column: _own(values) for column, values in columns.items() if column != by}
    others = {column: names for column, names in others.items() if _are_names(names, rows)}
    numbered = is_numbered(rows)
    chosen = None
    if by is not None and by != INDEX:
        if by not in columns:
            raise InputError(
                "column_not_found",
                f"No column {by!r} holds names of the features; there are: {', '.join(map(repr, columns)) or 'none'}, "
                f"and {INDEX!r} for the names of the rows.",
            )
        chosen = _own([None if value is None else str(value) for value in columns[by]])
    elif by is None and numbered and others:
        by = next(iter(others))
        chosen = others.pop(by)
        warn(
            f"The features are numbered ({', '.join(rows[:3])}, ...): the column {by!r} names them, as {chosen[0]!r}. "
            f"To choose another one, give feature_names= (--feature-names)."
        )
    if chosen is None:
        return rows, others, None
    named = np.array([name is not None for name in chosen])
    if not named.all():
        what = "left out" if numbered else "called as their rows are"
        logger.info("%d features have no name of their own in %r: they are %s", (~named).sum(), by, what)
    if not numbered:
        others = {INDEX: rows, **others}
    return np.where(named, chosen, rows), others, named if numbered and not named.all() else None


def _own(values: Sequence[Any] | Names) -> Names:
    """Return the text of each value that no earlier one has; None for the rest."""
    seen: set[str] = set()
    names = np.full(len(values), None)
    for i, value in enumerate(values):
        if isinstance(value, str) and value not in seen and value not in MISSING and len(value) <= LONGEST:
            seen.add(value)
            names[i] = value
    return names


def _are_names(names: Names, rows: Names) -> bool:
    """Tell whether a column names enough of the features, and not as the rows do or by numbers."""
    some = names[np.array([name is not None for name in names], dtype=bool)]
    return len(some) >= LEAST_NAMED * len(names) and not np.array_equal(names, rows) and not is_numbered(some)


def kept_names(data: CellBlocks, columns: npt.NDArray[np.intp], names: Names) -> dict[str, list[str]]:
    """Return what else than `names` the features at these columns are called, for a model file; "" where nothing."""
    every = {OWN: data.feature_names, **data.other_names}
    found = {column or INDEX: spelt[columns] for column, spelt in every.items()}
    return {
        column: ["" if name is None else name for name in spelt]
        for column, spelt in found.items()
        if any(name is not None and canonical(name) != canonical(own) for name, own in zip(spelt, names, strict=True))
    }


def spellings_of(names: Sequence[str] | Names, other_names: Mapping[str, Sequence[str] | Names]) -> dict[str, Names]:
    """Return all that the same features are called, the names that are shown first; of ids with symbols also the parts.

    Parameters
    ----------
    names, other_names
        As in :class:`~deepscore.data.blocks.CellBlocks`, or as :func:`kept_names` returns them.
    """
    given = {
        column: np.array([name or None for name in spelt], dtype=object)
        for column, spelt in {OWN: names, **other_names}.items()
    }
    parts = {
        f"{what} in {column or INDEX}": _own(part)
        for column, spelt in given.items()
        for what, part in parts_of(spelt).items()
    }
    return {**given, **parts}


def shown_names(names: Sequence[str] | Names, other_names: Mapping[str, Sequence[str] | Names]) -> Names:
    """Return what people read best: symbols where most names are Ensembl ids and the features have symbols, too.

    Parameters
    ----------
    names, other_names
        As for :func:`spellings_of`. A feature without a symbol keeps its name, and so do all where few have one.
    """
    every = spellings_of(names, other_names)
    own = every.pop(OWN)
    symbols = [spelt for where, spelt in every.items() if not where.startswith("ids in ") and not are_ids(spelt)]
    known = [spelt for spelt in symbols if np.mean([name is not None for name in spelt]) >= LEAST_NAMED]
    if not known or not are_ids(own):
        return own
    return np.array([own[i] if name is None else name for i, name in enumerate(known[0])], dtype=object)


def find_names(wanted: Spellings, data: CellBlocks) -> npt.NDArray[np.intp]:
    """Find features in a data set, in the spelling in which most are found.

    Numbers are no names: where both sides have nothing else, nothing is found, unless the caller has said that the
    features are called so.

    Parameters
    ----------
    wanted
        What the features are called.

    Returns
    -------
    Column of each feature, or -1, as :func:`~deepscore.data.names.match_names` returns it.

    Raises
    ------
    InputError
        ``ambiguous_names`` where two spellings find as many features, but not the same ones.

    Warns
    -----
    UserWarning
        Where a column of the data set is used that nobody has named, or the names may be positions.
    """
    available = spellings_of(data.feature_names, {} if data.names_given else data.other_names)
    if is_numbered(data.feature_names) and not data.names_given:
        available[OWN] = np.full(data.n_features, None)
    own = match_names(wanted[OWN], available[OWN])
    n_own, most = int((own >= 0).sum()), min(len(own), data.n_features)
    if n_own >= ENOUGH * most or len(wanted) == len(available) == 1:
        return _own_found(own, wanted[OWN], data)
    keys = [{where: _keys(names) for where, names in spelt.items()} for spelt in (wanted, available)]
    shared = {(a, b): len(keys[0][a] & keys[1][b]) for a in keys[0] for b in keys[1]}
    a, b = max(shared, key=lambda pair: shared[pair])
    if n_own >= ENOUGH * shared[a, b]:
        return _own_found(own, wanted[OWN], data)
    found = match_names(wanted[a], available[b])
    for c, d in shared:
        if (c, d) != (a, b) and shared[c, d] >= ENOUGH * shared[a, b]:
            _require_agreement((a, b, found), (c, d, match_names(wanted[c], available[d])), wanted[a])
    text = f"{(found >= 0).sum()} of {len(own)} features are found by {_called(b)} of the data set"
    text += "" if a == OWN else f", where {_called(a)} of the others has them"
    if b in data.other_names:
        warn(f"{text}; by the names themselves {n_own} are. To say which to use: feature_names= (--feature-names).")
    else:
        logger.info("%s; by the names themselves %d are", text, n_own)
    return found


def _own_found(found: npt.NDArray[np.intp], wanted: Names, data: CellBlocks) -> npt.NDArray[np.intp]:
    """Return what the names themselves have found; warn where they may be positions."""
    if not data.names_given and (found >= 0).any() and may_be_positions(wanted, data.feature_names):
        warn(
            f"The names of the features ({', '.join(data.feature_names[:3])}, ...) may be positions, which need not "
            "mean the same features in two data sets: calls are then wrong. Name the features, or the column that "
            "names them (feature_names=, --feature-names); feature_names='index' says that equal names are the same "
            "feature."
        )
    return found


def _require_agreement(
    one: tuple[str, str, npt.NDArray[np.intp]], other: tuple[str, str, npt.NDArray[np.intp]], names: Names
) -> None:
    """Refuse two pairs of spellings that find as many features, but others; a few may be called otherwise."""
    (a, b, found), (c, d, again) = one, other
    both = (found >= 0) & (again >= 0)
    differ = both & (found != again)
    if differ.sum() <= (1 - ENOUGH) * both.sum():
        return
    side, first, second = ("of the data set", b, d) if b != d else ("of the features that are looked for", a, c)
    i = int(np.flatnonzero(differ)[0])
    raise InputError(
        "ambiguous_names",
        f"Two names of the features fit equally well, but contradict each other for {differ.sum()} of {len(found)}: "
        f"by {_called(first)} {side} {names[i]!r} is feature {found[i] + 1} of the data set, by {_called(second)} "
        f"feature {again[i] + 1}. Say which names them, in the data set or in the reference: feature_names= "
        "(--feature-names).",
    )


def _keys(names: Names) -> set[str]:
    return {canonical(name) for name in names if name is not None}


def _called(where: str) -> str:
    return f"the column {where!r}" if where else "the names"
