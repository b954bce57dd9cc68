"""The Python half of the R bridge: plain values in, plain values out, no exception and no live object across.

Every function returns ``{"value": ..., "notes": [...]}`` or ``{"error": {...}, "notes": [...]}``; notes are the log
lines and warnings of the call, which R prints as messages and warnings.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

from ..model import file as modelfile
from ..workflows.annotate import annotate_blocks, embed_blocks
from ..data.blocks import CellBlocks, Names, rows_per_block
from ..data.labels import as_texts, positions_of
from ..data.names import is_peak, select_modality
from ..workflows.check_reference import check_blocks
from ..support.config import NetworkConfig, TrainConfig
from ..errors import ConfigError, DeepScoreError, InputError
from ..features.select import find_features
from ..training.reference import Reference, prepare
from ..version import __version__

BRIDGE = 4
# While R reads, it holds the lock of Python: between short reads the other threads get on with their work.
VALUES_PER_READ = 250_000
Answer = dict[str, Any]
Kwargs = Mapping[str, Any]
# One value per cell in their order, or "values" beside the "names" of their cells.
Values = Sequence[str | None] | Mapping[str, Sequence[str | None]]
Config = TypeVar("Config", NetworkConfig, TrainConfig)


class _Notes(logging.Handler):
    """Collects log lines and warnings."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.notes: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.notes.append({"level": "info", "text": record.getMessage()})


def _answers(function: Callable[..., Any]) -> Callable[..., Answer]:
    """Return errors and notes as plain values."""

    @functools.wraps(function)
    def answer(*args: Any, **kwargs: Any) -> Answer:
        logger, handler = logging.getLogger("deepscore"), _Notes()
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        result: Answer = {}
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                try:
                    result["value"] = function(*args, **kwargs)
                except DeepScoreError as error:
                    kind = type(error).__name__
                    result["error"] = {"class": kind, "code": error.code, "message": str(error)}
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        told = [{"level": "warning", "text": str(w.message)} for w in caught if w.category is UserWarning]
        return result | {"notes": handler.notes + told}

    return answer


def handshake() -> dict[str, Any]:
    """Return the versions that the R package compares and the doctor prints."""

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {
        "version": __version__,
        "bridge": BRIDGE,
        "python": sys.version.split()[0],
        "numpy": installed("numpy"),
        "torch": installed("torch"),
    }


_torch_came_first: bool | None = None  # not known before torch is needed


def torch_came_first() -> bool:
    """Tell whether something else has loaded torch, which then uses R's BLAS."""
    return "torch" in sys.modules if _torch_came_first is None else _torch_came_first


def one_thread() -> None:
    """Keep torch to one thread: a forked process has lost the others, and would wait for them for ever."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def load_torch() -> None:
    """Import torch so that it finds its own BLAS inside R.

    libtorch exports ``sgemm_``; inside R the symbol would be taken from R's reference BLAS, which is 16 times as slow.
    RTLD_DEEPBIND makes the library prefer its own.
    """
    global _torch_came_first
    if _torch_came_first is None:
        _torch_came_first = "torch" in sys.modules
        if _torch_came_first:
            warnings.warn(
                "torch was loaded before deepscore: with R's own BLAS, training is slow. Start a new R session, and "
                "use deepscore before anything else that loads torch.",
                UserWarning,
                stacklevel=2,
            )
    if "torch" in sys.modules or not hasattr(os, "RTLD_DEEPBIND"):
        import torch

        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        import torch  # noqa: F401
    finally:
        sys.setdlopenflags(flags)


@_answers
def blocks(
    features: Sequence[str],
    cells: Sequence[str],
    nnz: float,
    read: Callable[[int, int], Mapping[str, Any]],
    source: str,
    modality: str | None = None,
) -> CellBlocks:
    """Make a data set of an R matrix that is read block by block.

    Parameters
    ----------
    features, cells
        Names of the rows and columns of the R matrix (features x cells).
    nnz
        Number of its stored values.
    read
        R function of a first and a last-plus-one cell, from 0. It returns the bytes of ``p`` (int32, from 0), ``i``
        (int32) and ``x`` (float32) of those columns: a features x cells dgCMatrix has the arrays of a cells x
        features CSR matrix.
    source
        Where the values come from, for messages.
    modality
        Keep only the features of this modality.
    """

    def read_rows(start: int, stop: int) -> sp.csr_matrix:
        part = read(start, stop)
        indptr, indices = (np.frombuffer(part[name], np.int32) for name in ("p", "i"))
        values = np.frombuffer(part["x"], np.float32)
        return sp.csr_matrix((values, indices, indptr), shape=(stop - start, len(features)))

    rows = rows_per_block(len(cells), nnz, VALUES_PER_READ)
    data = CellBlocks(_strings(features), _strings(cells), read_rows, rows, source)
    return data if modality is None else select_modality(data, modality)[0]


@_answers
def are_peaks(names: Sequence[str | None]) -> list[bool]:
    """Tell which names are those of peaks."""
    return [name is not None and is_peak(name) for name in names]


def _strings(values: Sequence[str | None]) -> Names:
    return np.array(list(values), dtype=object)


def optional_values(values: Values | None, data: CellBlocks, what: str) -> Names | None:
    """Return the labels, batches or groups that R sends: one text per cell, in the order of the cells."""
    if values is None:
        return None
    if not isinstance(values, Mapping):
        return as_texts(values)
    return as_texts(values["values"])[positions_of(data.cell_names, _strings(values["names"]), what)]


def labels_of(values: Values | None, data: CellBlocks) -> Names:
    """Return the labels that R sends; refuse it where there are none."""
    labels = optional_values(values, data, "labels")
    if labels is None:
        raise InputError("no_labels", "There are no labels: name a column, or give one label per cell.")
    return labels


@_answers
def check_config(config: Kwargs) -> None:
    """Refuse arguments of DeepScore() that make no sense."""
    _made(NetworkConfig, config)


def _made(kind: type[Config], values: Kwargs) -> Config:
    return kind(**_only(values, *(field.name for field in fields(kind))))


def _only(kwargs: Kwargs, *known: str) -> dict[str, Any]:
    for name in kwargs:
        if name not in known:
            raise ConfigError("bad_argument", f"There is no argument {name!r}.")
    return dict(kwargs)


@_answers
def find_common_features(
    reference: CellBlocks, query: Sequence[CellBlocks], labels: Values | None, kwargs: Kwargs
) -> list[str]:
    """Twin of :func:`deepscore.find_common_features`."""
    options = _only(kwargs, "n_features", "strategy", "modality", "test")
    return find_features(reference, query, labels=optional_values(labels, reference, "labels"), **options)


@_answers
def check_reference(
    reference: CellBlocks,
    labels: Values | None,
    query: CellBlocks | None,
    batch: Values | None,
    kwargs: Kwargs,
) -> Answer:
    """Twin of :func:`deepscore.check_reference`; returns the tables as lists, one per column."""
    load_torch()
    options = _only(kwargs, "common_features", "modality", "folds", "seed")
    options["batch"] = optional_values(batch, reference, "batch")
    found = check_blocks(reference, labels_of(labels, reference), query, **options)
    return {
        "words": list(found.words),
        "labels": found.labels.to_dict("list"),
        "confusable": found.confusable.to_dict("list"),
        "overlap": found.overlap,
        "design": found.design,
    }


@_answers
def set_reference(
    config: Kwargs,
    reference: CellBlocks,
    labels: Values | None,
    batch: Values | None,
    kwargs: Kwargs,
) -> bytes:
    """Twin of :meth:`deepscore.DeepScore.set_reference`; returns the prepared reference and configuration."""
    network = _made(NetworkConfig, config)
    options = _only(kwargs, "modality", "test_prop") | {"batch": optional_values(batch, reference, "batch")}
    return prepare(reference, labels_of(labels, reference), network, **options).to_bytes()


@_answers
def train(config: Kwargs, prepared: bytes, kwargs: Kwargs, query: CellBlocks | None = None) -> bytes:
    """Twin of :meth:`deepscore.DeepScore.train`; returns the model file."""
    load_torch()
    from ..output.plots import watching
    from ..training.fit import fit

    network, reference = _made(NetworkConfig, config), Reference.from_bytes(bytes(prepared))
    options = _made(TrainConfig, kwargs)
    with watching(options.gif, reference, query, network.seed) as on_epoch:
        return modelfile.to_bytes(fit(reference, network, options, on_epoch))


@_answers
def annotate(
    model: bytes,
    query: CellBlocks,
    batch: Values | None,
    groups: Values | None,
    kwargs: Kwargs,
    peaks: CellBlocks | None = None,
    peaks_model: bytes | None = None,
) -> Answer:
    """Twin of :meth:`deepscore.DeepScore.annotate`; returns what is known of each cell."""
    load_torch()
    options = _only(kwargs, "threshold", "modality", "probabilities", "min_overlap", "refine")
    given = {"batch": batch, "groups": groups}
    options |= {what: optional_values(values, query, what) for what, values in given.items()} | {"peaks": peaks}
    if peaks_model is not None:
        options["peaks_model"] = modelfile.from_bytes(bytes(peaks_model))
    found = annotate_blocks(modelfile.from_bytes(bytes(model)), query, **options)
    table = found.probabilities
    return {
        "label": found.calls.tolist(),
        "score": found.scores.tobytes(),
        "raw": found.raw.tolist(),
        "reason": found.reasons.tolist(),
        "group": None if found.group_calls is None else found.group_calls.tolist(),
        "group_share": None if found.group_shares is None else found.group_shares.tobytes(),
        "labels": list(found.labels),
        "probabilities": None if table is None else table.tobytes(),
        "overlap": found.overlap,
    }


@_answers
def embed(model: bytes, query: CellBlocks, kwargs: Kwargs) -> Answer:
    """Twin of :meth:`deepscore.DeepScore.embed`; returns the bytes of cells x components (float64)."""
    load_torch()
    found = embed_blocks(modelfile.from_bytes(bytes(model)), query, **_only(kwargs, "modality", "min_overlap"))
    return {"components": found.shape[1], "values": found.tobytes()}


@_answers
def check_model(model: bytes) -> None:
    """Check the content of a model file in every way."""
    load_torch()
    modelfile.from_bytes(bytes(model))


@_answers
def save_model(model: bytes, path: str) -> None:
    """Twin of :meth:`deepscore.DeepScore.save`: what was cut or edited does not take the place of a whole model."""
    load_torch()
    modelfile.from_bytes(bytes(model))
    modelfile.save(bytes(model), path)
