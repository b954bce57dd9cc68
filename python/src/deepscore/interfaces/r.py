"""The Python half of the R bridge: plain values in, plain values out, no exception and no live object across.

Every function returns ``{"value": ..., "notes": [...]}`` or ``{"error": {...}, "notes": [...]}``; notes are the log
lines and warnings of the call, which R prints as messages and warnings.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from ..data.blocks import CellBlocks, Names, Parts, rows_per_block, tell_repeated_cells
from ..data.labels import as_texts, positions_of
from ..data.modality import MODALITIES, Modality, feature_types_of, kind_of_names, named_part, part_of, select_modality
from ..data.names import is_peak
from ..data.spellings import choose_names
from ..data.values import check_form
from ..errors import DeepScoreError, InputError
from ..model import file as modelfile
from ..model.config import NetworkConfig
from ..output.columns import OPTIONAL, OWN_TERMS, are_terms_of_calls, columns_of
from ..output.provenance import provenance
from ..query.annotation import Annotation
from ..support.checks import made, optional_name
from ..support.devices import device_there
from ..support.notices import logger, speaking, telling_once, warn
from ..support.progress import progress_shown
from ..training.config import TrainConfig
from ..version import __version__
from ..workflows import annotate as annotating
from ..workflows import check_reference as checking
from ..workflows import embed as embedding
from ..workflows import find_common_features as choosing
from ..workflows import set_reference as referencing
from ..workflows import train as training
from .r_stored import modality_of_prepared, prepared_bytes, reference_of

if TYPE_CHECKING:
    from .readers import Source

__all__ = ["Answer", "Kwargs", "Values", "answering", "given_labels", "load_torch", "optional_values", "strings"]

BRIDGE = 9
# While R reads, it holds the lock of Python: between short reads the other threads get on with their work.
VALUES_PER_READ = 250_000
Answer = dict[str, Any]
Kwargs = Mapping[str, Any]
# One value per cell in their order, or "values" beside the "names" of their cells.
Values = Sequence[str | None] | Mapping[str, Sequence[str | None]]


class _Notes(logging.Handler):
    """Collects log lines and warnings."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.notes: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.notes.append({"level": "info", "text": in_r(record.getMessage())})


# An argument as Python spells it, with its value or without, in the text of a message.
_ARGUMENT = re.compile(r"(?<![\w.])([a-z]\w*)=('[^']*'|True|False|None|-?\d[\d.]*)?(?![\w=])")
# An option of the command line beside it.
_OPTION = re.compile(r" ?\((?:on the command line )?--[a-z][a-z-]*\)|,(?: or)? --[a-z][a-z-]*(?: [A-Z]+\b)?")
_CONSTANTS = {"True": "TRUE", "False": "FALSE", "None": "NULL"}


def in_r(text: str) -> str:
    """Return a message with arguments and constants as R spells them: ``refine = FALSE`` for ``refine=False``.

    What to type on the command line is left out.
    """

    def spelt(found: re.Match[str]) -> str:
        name, value = found.groups()
        if value is None:
            return f"`{name}`"
        return f"{name} = " + (f'"{value[1:-1]}"' if value[0] == "'" else _CONSTANTS.get(value, value))

    return re.sub(
        r"\b(True|False)\b|(?<=\bnot )None\b",
        lambda one: _CONSTANTS[one[0]],
        _ARGUMENT.sub(spelt, _OPTION.sub("", text)),
    )


def answering(function: Callable[..., Any]) -> Callable[..., Answer]:
    """Return errors and notes as plain values; `progress` says whether bars are shown."""

    @functools.wraps(function)
    def answer(*args: Any, progress: bool = True, **kwargs: Any) -> Answer:
        handler = _Notes()
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        result: Answer = {}
        try:
            with speaking("r"), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                try:
                    with progress_shown(progress):
                        result["value"] = telling_once(function)(*args, **kwargs)
                except DeepScoreError as error:
                    kind = type(error).__name__
                    result["error"] = {"class": kind, "code": error.code, "message": in_r(str(error))}
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        warned = [{"level": "warning", "text": in_r(str(w.message))} for w in caught if w.category is UserWarning]
        return result | {"notes": handler.notes + warned}

    del answer.__wrapped__  # newer versions of reticulate refuse arguments that its signature lacks
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
            warn(
                "torch was loaded before deepscore: with R's own BLAS, training is slow. Start a new R session, and "
                "use deepscore before anything else that loads torch."
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


@answering
def blocks(
    features: Sequence[str],
    cells: Sequence[str],
    nnz: float,
    read: Callable[[int, int], Mapping[str, Any]],
    source: str,
    modality: str | None = None,
    assay: str | None = None,
    part_of_cell: Sequence[str] | None = None,
    lacking: Mapping[str, Sequence[str]] | None = None,
    columns: Mapping[str, Sequence[str | None]] | None = None,
    feature_names: str | None = None,
    values: str | None = None,
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
    assay
        Name of the Seurat assay. It tells what the features are where their names cannot: antibodies of an assay ADT.
    part_of_cell, lacking
        Of an assay that is split in layers: the layer of each cell, and the features that each layer lacks.
    columns
        What the table of features has of text.
    feature_names
        Which of these columns names the features, or "index".
    values
        What the values are, "counts" or "lognorm", where the user says so.
    """
    optional_name("feature_names", feature_names)
    known = check_form("values", values)

    def read_rows(start: int, stop: int) -> sp.csr_matrix:
        part = read(start, stop)
        indptr, indices = (np.frombuffer(part[name], np.int32) for name in ("p", "i"))
        x = np.frombuffer(part["x"], np.float32)
        return sp.csr_matrix((x, indices, indptr), shape=(stop - start, len(features)))

    rows = rows_per_block(len(cells), nnz, VALUES_PER_READ)
    kind = named_part(assay) if assay else None
    names, others, named = choose_names(strings(features), columns or {}, feature_names)
    types = np.full(len(features), kind.feature_types[0], dtype=object) if kind else feature_types_of(columns or {})
    given = feature_names is not None
    parts = None if not lacking else Parts.of(strings(features), part_of_cell or (), lacking)
    data = CellBlocks(names, strings(cells), read_rows, rows, source, types, parts, others, given, known)
    tell_repeated_cells(data)
    data = data if named is None else data.select(np.flatnonzero(named))
    return data if modality is None else select_modality(data, modality)[0]


@answering
def holds_data(path: str) -> bool:
    """Tell the path of what can only be a data set: text may be fragments, or a BED file."""
    from .stores import MATRICES, suffix_of

    return os.path.isdir(path) or suffix_of(path) in MATRICES


@answering
def open_data(
    paths: Sequence[str], layer: str | None, modality: str | None, feature_names: str | None
) -> dict[str, Any]:
    """Open a data set of one or several paths: its blocks, its names, and the columns of its table of cells."""
    from .readers import open_data as open_  # most calls of R need no anndata

    opened = open_(paths[0] if len(paths) == 1 else list(paths), layer, modality, feature_names=feature_names)
    tables = [one.obs for one in opened.members or (opened,)]
    blocks = opened.blocks if modality is None else select_modality(opened.blocks, opened.modality)[0]
    return {
        "blocks": blocks,
        "features": blocks.feature_names.tolist(),
        "cells": blocks.cell_names.tolist(),
        "columns": [str(name) for name in tables[0] if all(name in table for table in tables)],
        "sizes": [len(table) for table in tables],
        "source": blocks.source,
        "table": opened,
    }


@answering
def known_values(data: CellBlocks, values: str) -> CellBlocks:
    """Return an opened data set whose values are what the user says."""
    return replace(data, values=check_form("values", values))


@answering
def column_of(table: Source, name: str) -> list[str | None]:
    """Return a column of the table of cells of an opened data set, as texts."""
    from .readers import labels_of

    return labels_of(table, name).tolist()


@answering
def modality_of(reference: CellBlocks | bytes) -> str:
    """Tell the modality of a reference, which its queries share."""
    if isinstance(reference, CellBlocks):
        return select_modality(reference, None)[1].name
    return modality_of_prepared(reference)


@answering
def choose_part(names: Sequence[str], features: Sequence[Sequence[str]], modality: Any) -> str:
    """Tell which part of a data set to read for a modality: an assay, or a matrix of a list.

    It is the default one, the first of `names`, unless that is of another modality (by its name, or by the names of
    some of its `features`) and there is one of the wanted: by its name, else the first by its features.
    """
    if not isinstance(modality, str) or modality not in MODALITIES:
        return names[0]
    kinds = [_kind_of(name, some) for name, some in zip(names, features, strict=True)]
    such = [name for name, kind in zip(names, kinds, strict=True) if kind.name == modality]
    if kinds[0].name == modality or not such:
        return names[0]
    chosen = part_of(such, modality) or such[0]
    logger.info("'%s' is read, not '%s', which holds %s", chosen, names[0], kinds[0].features)
    return chosen


def _kind_of(name: str, features: Sequence[str]) -> Modality:
    """Tell the modality of a part by its name, else by the names of its features."""
    named = (kind for kind in MODALITIES.values() if part_of([name], kind.name))
    return next(named, None) or kind_of_names(strings(features))


@answering
def modality_of_names(names: Sequence[str]) -> str:
    """Tell the modality of most of some features by their names."""
    return kind_of_names(strings(names)).name


@answering
def first_part(names: Sequence[str], modality: str) -> str | None:
    """Tell which part of a data set is of a modality by its name."""
    return part_of(names, modality)


@answering
def are_peaks(names: Sequence[str | None]) -> list[bool]:
    """Tell which names are those of peaks."""
    return [name is not None and is_peak(name) for name in names]


def strings(values: Sequence[str | None]) -> Names:
    """Return text from R as an array, None where it is missing."""
    return np.array(list(values), dtype=object)


def optional_values(values: Values | None, data: CellBlocks, what: str) -> Names | None:
    """Return the batches or groups that R sends: one text per cell, in the order of the cells."""
    return None if values is None else as_texts(_in_order(values, data, what))


def given_labels(values: Values | None, data: CellBlocks) -> Names:
    """Return the labels that R sends, as text, words for a missing one too; ``no_labels`` where none were given."""
    if values is None:
        raise InputError("no_labels", "There are no labels: name a column, or give one label per cell.")
    return as_texts(_in_order(values, data, "labels"), words=())


def _in_order(values: Values, data: CellBlocks, what: str) -> Sequence[str | None] | Names:
    if not isinstance(values, Mapping):
        return values
    return strings(values["values"])[positions_of(data.cell_names, strings(values["names"]), what)]


@answering
def check_config(config: Kwargs) -> None:
    """Refuse arguments of DeepScore() that make no sense, and a device that is not there."""
    device = made(NetworkConfig, config).device
    if device != "cpu":
        load_torch()
    device_there(device)


@answering
def find_common_features(
    reference: CellBlocks, query: Sequence[CellBlocks], labels: Values | None, kwargs: Kwargs
) -> list[str]:
    """Twin of :func:`deepscore.find_common_features`."""
    choosing.require_queries(query)
    request = made(choosing.FeaturesRequest, kwargs)
    known = None if labels is None else given_labels(labels, reference)
    return choosing.find_common_features(reference, query, request, known)


@answering
def check_reference(
    reference: CellBlocks,
    labels: Values | None,
    query: CellBlocks | None,
    batch: Values | None,
    kwargs: Kwargs,
) -> Answer:
    """Twin of :func:`deepscore.check_reference`; returns the tables as lists, one per column."""
    load_torch()
    request = made(checking.CheckRequest, kwargs)
    found = checking.check_reference(
        reference,
        given_labels(labels, reference),
        request,
        query=query,
        batch=optional_values(batch, reference, "batch"),
    )
    return {
        "words": list(found.words),
        "labels": found.labels.to_dict("list"),
        "confusable": found.confusable.to_dict("list"),
        "overlap": found.overlap,
        "design": found.design,
        "query": found.query,
    }


@answering
def set_reference(
    config: Kwargs,
    reference: CellBlocks,
    labels: Values | None,
    batch: Values | None,
    kwargs: Kwargs,
    terms: Values | None = None,
    stored: Mapping[str, Any] | None = None,
) -> bytes:
    """Twin of :meth:`deepscore.DeepScore.set_reference`; returns the prepared reference.

    `terms` are those of the cells in an ontology of cell types; `stored` says where the reference was read from.
    """
    network, request = made(NetworkConfig, config), made(referencing.ReferenceRequest, kwargs)
    known = given_labels(labels, reference)
    of_batch, of_terms = optional_values(batch, reference, "batch"), optional_values(terms, reference, "labels")
    found = referencing.set_reference(reference, known, network, request, of_batch, of_terms)
    return prepared_bytes(found, stored, request, known, of_batch, of_terms)


@answering
def keep_terms(calls: Sequence[str | None] | None, terms: Sequence[str | None]) -> bool:
    """Tell whether the terms that a query has are its own, which a warning says, and not of an earlier annotation."""
    own = not are_terms_of_calls(calls, terms)
    if own:
        warn(OWN_TERMS)
    return own


@answering
def train(config: Kwargs, prepared: bytes, kwargs: Kwargs, query: CellBlocks | None = None) -> bytes:
    """Twin of :meth:`deepscore.DeepScore.train`; returns the model file."""
    load_torch()
    network = made(NetworkConfig, config)
    reference = reference_of(prepared, network)
    return modelfile.to_bytes(training.train(reference, network, made(TrainConfig, kwargs), query))


@answering
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
    request = made(annotating.AnnotateRequest, kwargs)
    trained = modelfile.from_bytes(bytes(model))
    found = annotating.annotate(
        trained,
        query,
        request,
        batch=optional_values(batch, query, "batch"),
        groups=optional_values(groups, query, "groups"),
        peaks=peaks,
        peaks_model=None if peaks_model is None else modelfile.from_bytes(bytes(peaks_model)),
    )
    given = {"batch": batch, "groups": groups, "peaks": peaks, "peaks_model": peaks_model}
    return answer_of(found, provenance(trained, found, {"read_from": query.source, **asdict(request), **given}))


def answer_of(found: Annotation, origin: Kwargs) -> dict[str, Any]:
    """Return what is known of each cell, and where it comes from, as R takes it."""
    table = found.probabilities
    columns = {
        name: values.tobytes() if values.dtype == np.float64 else values.tolist()
        for name, values in columns_of(found).items()
    }
    return {
        "columns": columns,
        "optional": list(OPTIONAL),
        "origin": origin,
        "labels": list(found.labels),
        "probabilities": None if table is None else table.tobytes(),
    }


@answering
def embed(model: bytes, query: CellBlocks, kwargs: Kwargs) -> Answer:
    """Twin of :meth:`deepscore.DeepScore.embed`; returns the bytes of cells x components (float64)."""
    load_torch()
    request = made(embedding.EmbedRequest, kwargs)
    found = embedding.embed(modelfile.from_bytes(bytes(model)), query, request)
    return {"components": found.shape[1], "values": found.tobytes()}


@answering
def check_model(model: bytes) -> None:
    """Check the content of a model file in every way."""
    load_torch()
    modelfile.from_bytes(bytes(model))


@answering
def save_model(model: bytes, path: str) -> None:
    """Twin of :meth:`deepscore.DeepScore.save`: what was cut or edited does not take the place of a whole model."""
    load_torch()
    modelfile.from_bytes(bytes(model))
    modelfile.save(bytes(model), path)
