"""The columns that an annotation adds to a query, one value per cell, in every language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..data.labels import TERMS, UNCLASSIFIED, UNKNOWN_TERM
from ..query.annotation import Annotation

__all__ = [
    "CALLS",
    "CELL",
    "OPTIONAL",
    "OWN_TERMS",
    "are_terms_of_calls",
    "columns_of",
    "names_of_columns",
    "table_of",
]

# Every annotation writes these: the label, its score, the network's own best label, and why there is no label.
CALLS = ("deepscore", "deepscore_score", "deepscore_raw", "deepscore_reason")
# The index of a table of calls.
CELL = "cell"
# Not every annotation writes these.
OPTIONAL = ("deepscore_group", "deepscore_group_share")
# What is said where a column of terms is not of an earlier annotation.
OWN_TERMS = (
    f"The query has a column {TERMS!r} of its own, which stays: to have the terms of the calls, give it another name."
)
# No column of a table in an .h5ad or .zarr can have these names.
RESERVED = {"", ".", "..", "_index", ".zarray", ".zattrs", ".zgroup", "zarr.json"}


def columns_of(annotation: Annotation) -> dict[str, npt.NDArray[Any]]:
    """Return the columns by name: the label, its score, the network's own best label, and why there is no label.

    Of clusters also ``deepscore_group`` and ``deepscore_group_share``; of a model that knows terms of its labels also
    ``cell_type_ontology_term_id``. All are documented at
    :meth:`deepscore.DeepScore.annotate`.
    """
    columns = dict(zip(CALLS, (annotation.calls, annotation.scores, annotation.raw, annotation.reasons), strict=True))
    if annotation.group_calls is not None and annotation.group_shares is not None:
        columns |= dict(zip(OPTIONAL, (annotation.group_calls, annotation.group_shares), strict=True))
    if annotation.terms:
        terms = [annotation.terms.get(call, UNKNOWN_TERM) for call in annotation.calls]
        columns[TERMS] = np.array(terms, dtype=object)
    return columns


def are_terms_of_calls(calls: Sequence[Any] | None, terms: Sequence[Any]) -> bool:
    """Tell whether a column of terms is one that :func:`columns_of` made of the calls: then another may replace it.

    Parameters
    ----------
    calls
        The calls of an earlier annotation; None where there is none.
    """
    if calls is None or len(calls) != len(terms):
        return False
    of: dict[Any, Any] = {UNCLASSIFIED: UNKNOWN_TERM}
    return all(of.setdefault(call, term) == term for call, term in zip(calls, terms, strict=True))


def table_of(found: Annotation, cells: npt.NDArray[Any]) -> pd.DataFrame:
    """Return the columns as a table of their own, one row per cell, with ``deepscore_probability_<label>``."""
    table = pd.DataFrame(columns_of(found), index=pd.Index(cells, name=CELL))
    if found.probabilities is None:
        return table
    names = [f"deepscore_probability_{label}" for label in found.labels]
    return pd.concat([table, pd.DataFrame(found.probabilities, index=table.index, columns=names)], axis=1)


def names_of_columns(labels: Sequence[str]) -> list[str]:
    """Name a column for each label, so that the table can be written to .h5ad and .zarr, where a name is a path.

    A slash becomes ``|``, and what is reserved or the same as another name gets a ``_`` at its end.
    """
    names: list[str] = []
    for label in labels:
        name = label.replace("/", "|")
        while name in RESERVED or name in names or (name != label and name in labels):
            name += "_"
        names.append(name)
    return names
