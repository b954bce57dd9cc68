"""Kinds of data: their registration, and which of them a data set holds.

A new kind is a file beside this one and its name in MODALITIES.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import InputError
from ...support.checks import choice
from ...support.notices import logger, warn
from ..blocks import CellBlocks, Names
from ..names import is_peak, is_place
from ..normalize import Normalization
from ..spellings import MISSING
from .base import Modality
from .peaks import PEAKS, TfIdf
from .protein import PROTEIN
from .rna import RNA

__all__ = [
    "MODALITIES",
    "PEAKS",
    "PROTEIN",
    "RECIPES",
    "RNA",
    "Modality",
    "TfIdf",
    "check_modality",
    "feature_types_of",
    "kind_of_names",
    "named_part",
    "part_of",
    "select_modality",
]

# What names cannot tell is of the first kind.
MODALITIES: dict[str, Modality] = {kind.name: kind for kind in (RNA, PEAKS, PROTEIN)}
# Share of the features whose names look like those of another kind by chance: there are genes like TRNA-1-2.
CHANCE = 0.05
# What 10x Genomics calls what is none of these kinds.
OTHER_TYPES = re.compile(
    r"crispr .*|multiplexing capture|antigen capture|custom|hashtags?|hto|sample tags?|(?:s?g|guide )rnas?|guides?"
)
# Columns that by custom say of what kind each feature is.
TYPE_COLUMNS = ("feature_types", "feature_type", "modality", "Type")
# No other column has so many different words for kinds of features.
MOST_WORDS = 100
# Names of antibodies as 10x Genomics, BioLegend and Seurat have them; no gene is called so.
ANTIBODY = re.compile(r"(adt|hto|totalseq[abcd]?)[_:.-].+|anti-.+|.+[_.-](adt|total-?(seq-?)?[abcd])", re.IGNORECASE)
# By their names in a model file.
RECIPES: dict[str, type[Normalization]] = {
    recipe.method: recipe for kind in MODALITIES.values() for recipe in (kind.recipe, *kind.former_recipes)
}


def check_modality(name: str | None) -> None:
    """Refuse what is neither None nor the name of a modality, with ``bad_argument``."""
    if name is not None:
        choice("modality", name, list(MODALITIES))


def part_of(names: Iterable[str], modality: str) -> str | None:
    """Tell which part of a data set is of a modality, by the names of its parts; case does not matter.

    The parts are those of a MuData, the assays of a Seurat object, or what 10x Genomics calls kinds of features. One
    that is named as the modality comes before those with one of its `keys` or `feature_types`.
    """
    known = {name.lower(): name for name in reversed(list(names))}
    kind = MODALITIES[modality]
    words = (modality, *kind.keys, *map(str.lower, kind.feature_types))
    return next((known[word] for word in words if word in known), None)


def named_part(name: str) -> Modality | None:
    """Return the modality that only the name of a part tells, such as antibodies in an assay ADT.

    None for a part whose features tell it by their own names, or that has another name.
    """
    hidden = [kind for kind in MODALITIES.values() if kind is not RNA and kind.is_name is None]
    return next((kind for kind in hidden if part_of([name], kind.name)), None)


def kind_of_names(names: Names) -> Modality:
    """Return the kind of most of some features by their names; of two kinds that are as many, the first."""
    kinds = _by_name(names, None)
    return max(MODALITIES.values(), key=lambda kind: int((kinds == kind.name).sum()))


def feature_types_of(columns: Mapping[str, Sequence[Any]]) -> Names | None:
    """Return the column of a table of features that says of what kind each is, None where there is none.

    It is one that is named so by custom, or else the first that holds nothing but words for kinds, and several of them.
    """
    types = {name: [str(value) for value in columns[name]] for name in TYPE_COLUMNS if name in columns}
    for values in types.values():
        if any(map(_of_type, set(values))):
            return np.array(values, dtype=object)
    for column in columns.values():
        values = [str(value) for value in column]
        words = set(values) - set(MISSING)
        if (
            len(words) <= MOST_WORDS
            and len({_of_type(word) for word in words}) > 1
            and None not in map(_of_type, words)
        ):
            return np.array(values, dtype=object)
    return next((np.array(values, dtype=object) for values in types.values()), None)


def select_modality(blocks: CellBlocks, name: str | None) -> tuple[CellBlocks, Modality]:
    """Tell which kinds of features a data set holds, and keep those of the wanted one.

    The data set's own ``feature_types`` decide where it has them, else the names of its features, by which antibodies
    are known where they are called as BioLegend and Seurat do (CD3_TotalSeqB, adt_CD3, anti-CD3). Antibodies beside
    genes are left out where none is asked for, and so are less than a twentieth of peaks beside genes, or of genes
    beside peaks.

    Returns
    -------
    The data set (only the features of the modality) and the modality.

    Raises
    ------
    ConfigError
        ``bad_argument`` for an unknown modality.
    InputError
        ``modality_required`` where genes and peaks are there and none is named; ``modality_mismatch`` where the named
        kind is not there; ``invalid_peaks`` where names are places in the genome, but no peaks that can be read.

    Warns
    -----
    UserWarning
        Where a few peaks or genes are left out, or features of an unknown type, or antibodies by their names, and where
        some have no type.
    """
    check_modality(name)
    kinds = _by_type(blocks)
    by_name = kinds is None
    if kinds is None:
        kinds = _by_name(blocks.feature_names, name)
        _require_read(blocks.feature_names[kinds != PEAKS.name], blocks.n_features)
    counts = {kind: int((kinds == kind.name).sum()) for kind in MODALITIES.values()}
    present = [kind for kind, count in counts.items() if count]
    if name is None:
        chosen = _majority(blocks, counts) if PEAKS in present else present[0]
        if len(present) > 1:
            tell = warn if PEAKS in present or by_name else logger.info
            tell(f"{counts[chosen]} {chosen.features} are used; the other features are left out")
    else:
        chosen = MODALITIES[name]
        if chosen not in present:
            raise InputError(
                "modality_mismatch",
                f"modality={name!r} was asked for, but all {blocks.n_features} features are "
                f"{' or '.join(kind.features for kind in present)} (such as {blocks.feature_names[0]!r}).",
            )
    keep = kinds == chosen.name
    blocks = blocks if keep.all() else blocks.select(np.flatnonzero(keep))
    if blocks.feature_types is not None:  # of which it is not told again
        blocks = replace(blocks, feature_types=np.full(blocks.n_features, chosen.feature_types[0], dtype=object))
    return _without_other_kinds(blocks, chosen), chosen


def _majority(blocks: CellBlocks, counts: dict[Modality, int]) -> Modality:
    """Return the kind of nearly all features, of which some are peaks."""
    chosen = max(counts, key=lambda kind: counts[kind])
    if counts[chosen] >= (1 - CHANCE) * sum(counts.values()):
        return chosen
    present = [kind for kind, count in counts.items() if count]
    raise InputError(
        "modality_required",
        f"The data hold {' and '.join(f'{counts[kind]} {kind.features}' for kind in present)}: name the one to "
        f"use with {' or '.join(f'modality={kind.name!r}' for kind in present)}.",
    )


def _require_read(others: Names, n_features: int) -> None:
    """Refuse names of places that are no peaks: genes are not called so."""
    unread = [name for name in others if is_place(name)]
    if len(unread) > CHANCE * n_features:
        raise InputError(
            "invalid_peaks",
            f"{len(unread)} features are named by a place in the genome, but not as peaks (such as {unread[0]!r}): "
            "expected a chromosome, a start and a larger end, as in chr1:10-20, chr1-10-20 or chr1_10_20.",
        )


def _without_other_kinds(blocks: CellBlocks, kind: Modality) -> CellBlocks:
    """Leave out other names that are those of another kind: the genes next to peaks, or where genes lie."""

    def fits(names: Names) -> bool:
        places = sum(name is not None and is_peak(name) for name in names)
        return (2 * places > len(names)) == (kind is PEAKS)

    others = {column: names for column, names in blocks.other_names.items() if fits(names)}
    return blocks if len(others) == len(blocks.other_names) else replace(blocks, other_names=others)


def _by_type(blocks: CellBlocks) -> Names | None:
    """Return the modality of each feature by its feature type, "" for others; None where no type is known.

    Features without a type are told by their names; what these cannot tell is what the others are, at first genes.
    """
    if blocks.feature_types is None:
        return None
    known = {word: _of_type(word) for word in set(blocks.feature_types)}
    kinds = np.array([known[word] or "" for word in blocks.feature_types], dtype=object)
    if not kinds.any():
        return None
    unknown = [word for word, kind in known.items() if kind is None and word not in MISSING]
    if unknown:
        left_out = sum(word in unknown for word in blocks.feature_types)
        warn(
            f"{left_out} features are left out: what they are is not known, by their type "
            f"({', '.join(map(repr, sorted(unknown)[:5]))})."
        )
    untyped = np.array([word in MISSING for word in blocks.feature_types], dtype=np.bool_)
    if untyped.any():
        untold = [kind.name for kind in MODALITIES.values() if kind.is_name is None and kind.name in kinds]
        found = _by_name(blocks.feature_names[untyped], untold[0] if untold else None)
        kinds[untyped] = found
        told = [f"{(found == kind.name).sum()} {kind.features}" for kind in MODALITIES.values() if kind.name in found]
        warn(f"{len(found)} features have no type: by their names they are taken for {' and '.join(told)}.")
    return kinds


def _of_type(word: str) -> str | None:
    """Return the modality that a word for a type of features means, "" for a type that is none, None if unknown."""
    word = re.sub(r"[\s_.-]+", " ", re.sub(r"b(['\"])(.*)\1", r"\2", word)).strip().lower()
    for kind in MODALITIES.values():
        if word in (kind.name, *kind.keys, *map(str.lower, kind.feature_types)):
            return kind.name
    for kind in MODALITIES.values():
        if kind.other_types and kind.other_types.fullmatch(word):
            return kind.name
    return "" if OTHER_TYPES.fullmatch(word) else None


def _by_name(names: Names, wanted: str | None) -> Names:
    """Return the modality of each feature by its name; what names cannot tell is what was asked for, or genes.

    Where few names look like peaks, by chance, only those are that also name a place in the genome.
    """
    default = RNA.name if wanted is None or MODALITIES[wanted].is_name else wanted
    kinds = np.full(len(names), default, dtype=object)
    if default == RNA.name:
        kinds[[ANTIBODY.fullmatch(name) is not None for name in names]] = PROTEIN.name
    such = np.fromiter(map(is_peak, names), np.bool_, len(names))
    if such.sum() <= CHANCE * len(names):
        such &= np.fromiter(map(is_place, names), np.bool_, len(names))
    kinds[such] = PEAKS.name
    return kinds
