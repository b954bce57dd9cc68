"""Labels: one per cell, None where missing."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError
from ..support.notices import logger, said, warn
from .blocks import CellBlocks, Names, orientation, require_unique

__all__ = [
    "MISSING",
    "TERMS",
    "UNCLASSIFIED",
    "UNKNOWN_TERM",
    "as_texts",
    "batches_of",
    "check_labels",
    "evenly",
    "listed",
    "no_shared_labels",
    "positions_of",
    "read_labels",
    "require_length",
    "require_names",
    "tell_labels",
    "terms_of_labels",
]

# What a cell without a confident call is called: no label of a reference may be named so.
UNCLASSIFIED = "Unclassified"
# The column of the terms of cell types, and the term of a cell of which it is not known, in the schema of CELLxGENE.
TERMS, UNKNOWN_TERM = "cell_type_ontology_term_id", "unknown"
LONGEST = 1000  # characters of a name in a model file
# What numpy, pandas and R make of a missing value where all values become text.
WORDS = ("nan", "NaN", "NaT", "None", "<NA>", "NA")
# What people write where a cell has no label, in small letters; a label of any case is compared with them, and blanks,
# "_", "-" and "." are one to both.
MISSING = (
    *("na", "n/a", "n.a.", "#n/a", "<na>", "nan", "nat", "null", "none", "-", "--", "?", "missing", "unk"),
    *("unknown", "unknown cell", "unknown cells", "unknown type", "unknown cell type", "unidentified", "unspecified"),
    *("unassigned", "not assigned", "unclassified", "unlabelled", "unlabeled", "no label", "unannotated"),
    *("not annotated", "no annotation", "not available", "not applicable", "undefined", "undetermined"),
)
# What is no type of cell, but may be learnt as if it were one.
NO_TYPES = re.compile(
    r"(doublet|multiplet|other|artefact|artifact|empty droplet)s?|ambiguous|mixed|mixture|debris|empty|filtered|"
    r"removed|excluded?|(low|poor|bad) quality( cells?)?|contaminat(ed|ion)( cells?)?|unclear|uncertain|no call|tbd|"
    r"other cells?( types?)?|(unknown|unassigned|unclassified|unannotated) ?\d+"
)
# Characters without width, which look like nothing and are no blanks to Python.
WIDTHLESS = "\u200b\u2060\ufeff"
HYPHENS = r"\-\u2010-\u2015\u2212"
# How many labels or pairs of them a warning lists.
LISTED = 5


def as_texts(values: Iterable[Any], words: Sequence[str] = WORDS) -> Names:
    """Return labels, batches or groups as text, None where one is missing.

    Missing are None, NaN, NA and empty text. Where all values are text, so are the `words` that numpy, pandas and R
    make of a missing value: there is no other. Whole numbers lose their ".0": clusters 1, 2, 3 beside a missing one are
    floats.
    """
    values = list(values)
    known = set(words) if all(isinstance(value, (str, bytes)) for value in values) else ()
    texts = [_as_text(value) for value in values]
    return np.array([None if text in known else text for text in texts], dtype=object)


def _as_text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if pd.isna(value) or value == "":
        return None
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return str(int(value))
    return str(value)


def read_labels(texts: Names, missing: Sequence[str] | None = None) -> Names:
    """Return labels without blanks at their ends, None where one is missing.

    Parameters
    ----------
    texts
        One per cell, None where there is none.
    missing
        Words that count as missing, in these spellings. Without it those of :data:`MISSING`, in any spelling.
    """
    words = set(map(_plain, MISSING)) if missing is None else set(missing)

    def read(text: str) -> str | None:
        label = text.strip().strip(WIDTHLESS).strip()
        return None if not label or (_plain(label) if missing is None else label) in words else label

    return np.array([None if text is None else read(text) for text in texts], dtype=object)


def _plain(text: str) -> str:
    """Return a text in small letters, with one blank for each run of blanks, ``_``, ``-`` and ``.``."""
    return re.sub(r"[\s_.-]+", " ", text.casefold()).strip()


def terms_of_labels(labels: Names, terms: Names) -> dict[str, str]:
    """Return the term of each label that has one.

    Where the cells of a label have several terms, labels and terms are two divisions of the cells: there is no term of
    any label, and a log line says why.

    Parameters
    ----------
    labels, terms
        One per cell, None where one is missing; so are words for a missing label among the terms.
    """
    found: dict[str, str] = {}
    for label, term in zip(labels, read_labels(terms), strict=True):
        if label is None or term is None or len(term) > LONGEST:
            continue
        if found.setdefault(label, term) != term:
            logger.info("%s is not kept: cells of the label %r have %r as well as %r", TERMS, label, found[label], term)
            return {}
    return {label: found[label] for label in sorted(found)}


def tell_labels(texts: Names, labels: Names, missing: Sequence[str] | None = None) -> None:
    """Warn of cells that are left out, and of labels that may be no type, or one type in two spellings.

    Parameters
    ----------
    texts, missing, labels
        What :func:`read_labels` was given and what it returned.

    Warns
    -----
    UserWarning
        How many cells have no label, by the word that stands for it; the labels that differ only in their spelling;
        and, where the caller has not said which words are missing, those that are no types, such as doublets.
    """
    words = Counter(None if text is None else text.strip() or None for text in texts[pd.isna(labels)])
    if words:
        told = f"{words.total()} of {len(labels)} cells have no label and are left out"
        without = words.pop(None, 0)
        if words:
            each = [f"{word!r} ({n})" for word, n in words.most_common()]
            each += [f"no text ({without})"] if without else []
            none = said(python="an empty list", r="character()")
            told += f": {listed(each)}. missing= says which words are no labels ({none}: none of them)"
        warn(f"{told}.")
    counts = Counter(label for label in labels if label is not None)
    alike: dict[str, list[str]] = {}
    for label in sorted(counts):
        alike.setdefault(_spelling(label), []).append(label)
    pairs = [" and ".join(f"{label!r} ({counts[label]})" for label in same) for same in alike.values() if len(same) > 1]
    if pairs:
        warn(
            f"Some labels differ only in case, blanks, punctuation, accents or a plural: {listed(pairs, '; ')}. They "
            "are learnt as different types. If they are one type, give it one spelling."
        )
    doubtful = [f"{label!r} ({counts[label]})" for label in sorted(counts) if NO_TYPES.fullmatch(_plain(label))]
    if doubtful and missing is None:
        some = next(label for label in sorted(counts) if NO_TYPES.fullmatch(_plain(label)))
        how = said(python=f"missing=[{some!r}]", r=f"missing = {some!r}")
        warn(f"Some labels may be no type of cell: {listed(doubtful)}. {how} leaves such cells out (--missing).")


def _spelling(label: str) -> str:
    """Return one spelling for labels that differ only in case, blanks, punctuation, accents, Greek letters or a plural.

    A ``-`` at the end of a word stays, and so does every ``+``: CD4- is not CD4. What stands between two numbers keeps
    them apart.
    """
    text = "".join(map(_latin, unicodedata.normalize("NFKD", label))).casefold()
    text = re.sub(rf"(?<=\w)[{HYPHENS}](?!\w)", "~", text)
    text = re.sub(r"(?<=[a-z]{2})s(?![a-z])", "", text)
    between = rf"[\s_.,:;/|'\"`()\[\]{HYPHENS}{WIDTHLESS}]+"
    return re.sub(between, "", re.sub(rf"(?<=\d){between}(?=\d)", "~", text))


def _latin(sign: str) -> str:
    """Return a letter with the name of a Greek one spelt out, and nothing for an accent."""
    if unicodedata.combining(sign):
        return ""
    greek = re.fullmatch(r"GREEK (?:SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(sign, ""))
    return greek[1] if greek else sign


def listed(items: Sequence[str], separator: str = ", ") -> str:
    """Join the first items, and say how many more there are."""
    more = len(items) - LISTED
    return separator.join(items[:LISTED]) + (f"{separator}and {more} more" if more > 0 else "")


def positions_of(cells: Names, names: Names, what: str) -> npt.NDArray[np.intp]:
    """Find the value of each cell among values that are named after the cells.

    Parameters
    ----------
    cells
        Names of the cells.
    names
        Names of the values, as many as there are cells; of any other number, which :func:`require_length` refuses, and
        where they are the names of the cells one by one, the order is kept.
    what
        What the values are, for messages.

    Returns
    -------
    Position of the value of each cell.

    Raises
    ------
    InputError
        ``labels_cells`` where a name is there twice, or a cell is not named; ``duplicate_cells`` where several cells
        have one name.
    """
    if len(names) != len(cells) or np.array_equal(names, cells):
        return np.arange(len(names))
    require_unique(cells, "cell")
    index = pd.Index(names, dtype=object)
    if not index.is_unique:
        why = f"some cells are named twice, such as {index[index.duplicated()][0]}"
    else:
        found: npt.NDArray[np.intp] = index.get_indexer(pd.Index(cells))
        if (found >= 0).all():
            return found
        why = f"{(found < 0).sum()} of {len(cells)} cells are not named, such as {cells[found < 0][0]}"
    of_series = said(python=f"{what}.to_numpy() of a Series in Python, in R ", r="")
    raise InputError(
        "labels_cells",
        f"The names of {what} are not the names of the cells: {why}. Name the values after the cells. If they are in "
        f"their order, leave the names out: {of_series}unname({what}).",
    )


def check_labels(data: CellBlocks, labels: Names, n_labels: int | None = None) -> list[str]:
    """Return the sorted different labels, or refuse them."""
    require_length(data, labels, "labels")
    categories = sorted({str(label) for label in labels if label is not None})
    if not categories:
        raise InputError(
            "no_labels",
            f"All {data.n_cells} labels are missing, or are words for a missing one. Give one label per cell; missing= "
            "lists the words that are no labels.",
        )
    if len(categories) == 1:
        without = sum(label is None for label in labels)
        raise InputError(
            "one_label",
            f"The reference has one label only ({categories[0]!r}); {without} of {len(labels)} cells have none. "
            "Training needs at least two.",
        )
    try:
        "".join(categories).encode()
    except UnicodeEncodeError:
        raise InputError("invalid_text", "Some labels hold halves of characters that are no text.") from None
    require_names(categories, "label")
    if UNCLASSIFIED in categories:
        raise InputError(
            "reserved_label",
            f"A label of the reference is {UNCLASSIFIED!r}, which is what cells without a confident call are called. "
            f"Rename it, or let it count as missing: missing=[{UNCLASSIFIED!r}].",
        )
    if n_labels is not None and n_labels != len(categories):
        raise InputError(
            "n_labels_mismatch",
            f"n_labels is {n_labels}, but the labels hold {len(categories)} different ones: "
            f"{', '.join(categories[:20])}. Leave n_labels out, or check the labels.",
        )
    return categories


def require_names(names: Iterable[str], what: str) -> None:
    """Refuse a name that a model file or a table cannot hold.

    Raises
    ------
    InputError
        ``invalid_text``.
    """
    for name in names:
        if not 0 < len(name) <= LONGEST or "\0" in name:
            raise InputError(
                "invalid_text",
                f"A {what} has between 1 and {LONGEST:,} characters, none of them NUL; not so {name[:20]!r}.",
            )


def no_shared_labels(known: Sequence[str], labels: Names) -> InputError:
    """Return the error for labels of cells of which a model knows none."""
    others = sorted({label for label in labels if label is not None})
    return InputError(
        "no_shared_labels",
        f"The model knows none of the labels given: its labels are {listed([repr(label) for label in known])}; the "
        f"cells have {listed([repr(label) for label in others]) or 'none'}. Give the labels the model's names.",
    )


def require_length(data: CellBlocks, values: Names, what: str) -> None:
    """Refuse a vector that does not have one entry per cell."""
    if len(values) == data.n_cells:
        return
    if len(values) == data.n_features:
        raise InputError(
            "wrong_orientation",
            f"{what} has {len(values)} entries, as many as the data set has features: it is the wrong way round. "
            + orientation(),
        )
    raise InputError(
        f"{what}_length",
        f"{what} has {len(values)} entries, the data set {data.n_cells} cells. Give one per cell, in their order, "
        "or the name of a column.",
    )


def batches_of(data: CellBlocks, batch: Names | None) -> npt.NDArray[np.intp]:
    """Return the batch of each cell, numbered from 0 in the order of their names; without any, all cells are one."""
    if batch is None:
        return np.zeros(data.n_cells, np.intp)
    require_length(data, batch, "batch")
    n_missing = sum(one is None for one in batch)
    if n_missing:
        warn(f"The batch of {n_missing} of the {len(batch)} cells is missing: they are taken for one sample together.")
    return pd.factorize(batch, sort=True, use_na_sentinel=False)[0].astype(np.intp)


def evenly(codes: npt.NDArray[np.intp], most: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Choose up to `most` cells: all of the small labels, the same number of each large one; return them sorted."""
    if len(codes) <= most:
        return np.arange(len(codes))
    order = np.lexsort((rng.permutation(len(codes)), codes))
    counts = np.bincount(codes)
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen: npt.NDArray[np.intp] = np.sort(order[np.argsort(rank, kind="stable")[:most]])
    return chosen
