"""The bridge of R for data sets that stay on disk: they are given by their paths, and may be read by a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ..model import file as modelfile
from ..support.checks import made
from ..workflows.annotate import AnnotateRequest
from .r import Kwargs, answer_of, answering, load_torch

__all__ = ["annotate_paths", "annotate_to_parquet", "find_common_features_of_paths"]

# What one text or number for each cell may be given for.
OF_CELLS = ("labels", "batch", "groups")


@answering
def annotate_to_parquet(
    model: bytes, query: str | Sequence[str], output: str, kwargs: Kwargs, peaks_model: bytes | None = None
) -> None:
    """Twin of :meth:`deepscore.DeepScore.annotate_to_parquet`."""
    from .python import deepscore_of

    load_torch()
    if peaks_model is not None:
        kwargs = dict(kwargs) | {"peaks_model": deepscore_of(modelfile.from_bytes(bytes(peaks_model)))}
    ds = deepscore_of(modelfile.from_bytes(bytes(model)))
    ds.annotate_to_parquet(_paths(query), output, **_plain(kwargs))


@answering
def annotate_paths(model: bytes, query: str | Sequence[str], kwargs: Kwargs) -> dict[str, Any]:
    """Twin of :meth:`deepscore.DeepScore.annotate` for what a cluster reads; returns what is known of each cell."""
    from .python import called

    load_torch()
    names, given = {one.name for one in fields(AnnotateRequest)}, _plain(kwargs)
    request = made(AnnotateRequest, {name: value for name, value in given.items() if name in names})
    how = {name: value for name, value in given.items() if name not in names}
    source, found, origin = called(modelfile.from_bytes(bytes(model)), _paths(query), request, **how)
    return dict(answer_of(found, origin)) | {"cells": source.blocks.cell_names.tolist()}


@answering
def find_common_features_of_paths(reference: str | Sequence[str], query: Sequence[str], kwargs: Kwargs) -> list[str]:
    """Twin of :func:`deepscore.find_common_features` for what a cluster reads."""
    from .python import find_common_features

    return find_common_features(_paths(reference), list(query), **_plain(kwargs))


def _paths(data: str | Sequence[str]) -> str | list[str]:
    return data if isinstance(data, str) else list(data)


def _plain(kwargs: Kwargs) -> dict[str, Any]:
    """Return arguments in which the values of cells are lists: what comes from R may be any sequence."""
    return {
        name: list(value) if name in OF_CELLS and not isinstance(value, (str, type(None))) else value
        for name, value in dict(kwargs).items()
    }
