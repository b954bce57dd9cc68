"""A reference that R has set: the bytes of its values, or of a large one on disk where these are.

An object of R holds all that it needs, and is copied as a whole. The values of a large reference would be held there,
and again in Python when it is trained. So where they lie in a temporary file, R's object gets what the reference was
made of, and it is made again from its files when it is trained.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ..data.blocks import Names
from ..errors import InputError
from ..model.config import NetworkConfig
from ..support.notices import logger
from ..training.reference import Reference
from ..workflows.set_reference import ReferenceRequest, set_reference

__all__ = ["modality_of_prepared", "prepared_bytes", "reference_of"]

# How the bytes of what is made again start; those of values start with the length of a header.
START = b'{"stored": '


def prepared_bytes(
    reference: Reference, stored: Mapping[str, Any] | None, request: ReferenceRequest, *of_cells: Names | None
) -> bytes:
    """Return what R's object holds of a prepared reference.

    Parameters
    ----------
    stored
        ``paths`` of the files and how they were read (``layer``, ``modality``, ``values``, ``feature_names``); None
        where the reference has no files.
    of_cells
        Labels, batches and terms, as :func:`~deepscore.workflows.set_reference.set_reference` takes them.
    """
    if stored is None or not reference.cells.on_disk:
        return reference.to_bytes()
    paths = [os.path.realpath(path) for path in stored["paths"]]
    facts = {
        "stored": dict(stored) | {"paths": paths},
        "states": _states(paths),
        "modality": reference.modality,
        "request": asdict(request),
        "of_cells": [None if values is None else _coded(values) for values in of_cells],
    }
    return json.dumps(facts).encode()


def reference_of(prepared: bytes, network: NetworkConfig) -> Reference:
    """Return the reference of an object of R, made again where only its files are known.

    Raises
    ------
    InputError
        ``no_reference`` where the bytes are damaged, or the files have changed since; what opening them raises.
    """
    content = bytes(prepared)
    if not content.startswith(START):
        return Reference.from_bytes(content)
    from .readers import open_data

    facts = _facts(content)
    stored = facts["stored"]
    paths = stored.pop("paths")
    if _states(paths) != facts["states"]:
        raise InputError(
            "no_reference",
            f"{paths[0]}{' or another of the files' * (len(paths) > 1)} is not what it was when the reference was set: "
            "call set_reference() again.",
        )
    labels, batch, terms = (None if values is None else _decoded(values) for values in facts["of_cells"])
    assert labels is not None
    with warnings.catch_warnings():  # all was told when the reference was set
        warnings.simplefilter("ignore")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            blocks = open_data(paths[0] if len(paths) == 1 else paths, **stored).blocks
            return set_reference(blocks, labels, network, ReferenceRequest(**facts["request"]), batch, terms)
        finally:
            logger.setLevel(level)


def modality_of_prepared(prepared: bytes) -> str:
    """Tell the modality of the reference of an object of R."""
    content = bytes(prepared)
    return str(_facts(content)["modality"]) if content.startswith(START) else Reference.from_bytes(content).modality


def _facts(content: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise InputError(
            "no_reference", "The reference in this object is damaged: call set_reference() again."
        ) from error
    return found


def _states(paths: Sequence[str]) -> list[list[int] | None]:
    """Return size and time of change of each file; None of one that is not there."""
    found = [os.stat(path) if os.path.exists(path) else None for path in paths]
    return [None if one is None else [one.st_size, one.st_mtime_ns] for one in found]


def _coded(values: Names) -> list[list[Any]]:
    codes, words = pd.factorize(values)
    return [codes.tolist(), list(words)]


def _decoded(coded: list[list[Any]]) -> Names:
    codes, words = coded
    found: Names = np.array([*words, None], dtype=object)[np.array(codes, dtype=np.intp)]
    return found
