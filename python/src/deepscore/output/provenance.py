"""Where an annotation comes from: written beside the calls in every language, and never read by this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ..model.file import manifest_of
from ..model.model import Model
from ..query.annotation import Annotation
from ..version import CREATED_WITH

__all__ = ["provenance"]


def provenance(model: Model, found: Annotation, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return which model called the cells of a query, with which options and when.

    Parameters
    ----------
    options
        The options of the annotation by name. What is neither text, number nor truth value is said to have been given.

    Returns
    -------
    Only texts, numbers, truth values and lists of texts, which every format of files holds: ``model`` (the digest in
    its file), ``model_created_with``, ``labels`` (as the columns of the probabilities), ``annotated_with``, ``date``
    (UTC), the options that have a value, and what is said of the query as a whole (:class:`~..query.verdict.Verdict`).
    """
    manifest = manifest_of(model)
    told = {} if found.verdict is None else asdict(found.verdict)
    verdict = {name: list(x) if isinstance(x, tuple) else x for name, x in told.items() if x is not None and x != ()}
    plain = {name: x if isinstance(x, (str, int, float)) else "given" for name, x in options.items() if x is not None}
    return {
        "model": manifest["content_sha256"],
        "model_created_with": model.created_with,
        "labels": list(model.labels),
        "annotated_with": CREATED_WITH,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **plain,
        **verdict,
    }
