"""The columns that an annotation adds to a query, one value per cell, in every language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import pandas as pd

from ..data.blocks import Names
from ..query.annotation import Annotation

__all__ = ["CALLS", "OPTIONAL", "columns_of", "names_of_columns", "table_of"]

# Every annotation writes these: the label, its score, the network's own best label, and why there is no label.
CALLS = ("deepscore", "deepscore_score", "deepscore_raw", "deepscore_reason")
# Not every annotation writes these.
OPTIONAL = ("deepscore_group", "deepscore_group_share")
# No column of a table in an .h5ad or .zarr can have these names.
RESERVED = {"", ".", "..", "_index", ".zarray", ".zattrs", ".zgroup", "zarr.json"}


def columns_of(annotation: Annotation) -> dict[str, npt.NDArray[Any]]:
    """Return the columns by name: the label, its score, the network's own best label, and why there is no label.

    Of clusters also ``deepscore_group`` and ``deepscore_group_share``. All are documented at
    :meth:`deepscore.DeepScore.annotate`.
    """
    columns = dict(zip(CALLS, (annotation.calls, annotation.scores, annotation.raw, annotation.reasons), strict=True))
    if annotation.group_calls is not None and annotation.group_shares is not None:
        columns |= dict(zip(OPTIONAL, (annotation.group_calls, annotation.group_shares), strict=True))
    return columns


def table_of(found: Annotation, cells: Names) -> pd.DataFrame:
    """Return the columns as a table of their own, one row per cell, with ``deepscore_probability_<label>``."""
    table = pd.DataFrame(columns_of(found), index=pd.Index(cells, name="cell"))
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
