"""The columns that an annotation adds to a query, one value per cell, in every language."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..query.annotation import Annotation

__all__ = ["OPTIONAL", "columns_of"]

# Not every annotation writes these.
OPTIONAL = ("deepscore_group", "deepscore_group_share")


def columns_of(annotation: Annotation) -> dict[str, npt.NDArray[Any]]:
    """Return the columns by name: the label, its score, the network's own best label, and why there is no label.

    Of clusters also ``deepscore_group`` and ``deepscore_group_share``. All are documented at
    :meth:`deepscore.DeepScore.annotate`.
    """
    columns = {
        "deepscore": annotation.calls,
        "deepscore_score": annotation.scores,
        "deepscore_raw": annotation.raw,
        "deepscore_reason": annotation.reasons,
    }
    if annotation.group_calls is not None and annotation.group_shares is not None:
        columns |= dict(zip(OPTIONAL, (annotation.group_calls, annotation.group_shares), strict=True))
    return columns
