"""Annotate a query: align it with a model, look at it as a whole, then call its cells as they stream by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import CellBlocks, Names
from ..data.labels import listed, require_length
from ..data.linalg import Codes, Doubles
from ..data.mismatch import MIN_OVERLAP
from ..data.modality import PEAKS, select_modality
from ..errors import ConfigError, InputError
from ..model.model import Model
from ..query.align import AlignedQuery, align
from ..query.annotation import Annotation, Answers
from ..query.cells import HeldCells, QueryCells, gathered, look_through
from ..query.paired_peaks import PairedPeaks
from ..query.sample import Sample
from ..query.settings import SETTINGS, Settings
from ..query.view import View, learn_view, view_by_scale
from ..support.checks import flag, keep, number
from ..support.devices import device_there
from ..support.progress import progress_bar
from ..support.threads import cores, one_blas_thread, overlapped

__all__ = ["DEFAULT_THRESHOLD", "AnnotateRequest", "annotate", "limits_of", "view_of"]


# Of a label for which none is given.
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True)
class AnnotateRequest:
    """The options of :meth:`deepscore.DeepScore.annotate`, checked; they are documented there."""

    threshold: float | Mapping[str, float] = DEFAULT_THRESHOLD
    modality: str | None = None
    probabilities: bool = False
    min_overlap: float = MIN_OVERLAP
    refine: bool = True
    device: str = "cpu"

    def __post_init__(self) -> None:
        keep(
            self,
            threshold=_threshold(self.threshold),
            min_overlap=number("min_overlap", self.min_overlap, 0, 1),
            refine=flag("refine", self.refine),
            probabilities=flag("probabilities", self.probabilities),
            device=device_there(self.device),
        )


def _threshold(value: Any) -> float | dict[str, float]:
    """Return a threshold for all labels, or one for each that a mapping, a Series or a table names."""
    if isinstance(value, pd.DataFrame) and {"label", "threshold"} <= {*value}:
        value = dict(zip(value["label"], value["threshold"], strict=True))
    if isinstance(value, (Mapping, pd.Series)):
        return {str(label): number(f"threshold of {label!r}", limit, 0, 1) for label, limit in value.items()}
    return number("threshold", value, 0, 1)


def limits_of(model: Model, threshold: float | Mapping[str, float]) -> Doubles:
    """Return the threshold of each label; of one that is not named that of all by default."""
    if not isinstance(threshold, Mapping):
        return np.full(len(model.labels), threshold)
    unknown = sorted(set(threshold) - set(model.labels))
    if unknown:
        raise ConfigError(
            "bad_argument",
            f"threshold names {unknown[0]!r}, which is none of the model's labels: "
            f"{listed([repr(label) for label in model.labels])}.",
        )
    return np.array([threshold.get(label, DEFAULT_THRESHOLD) for label in model.labels])


def annotate(
    model: Model,
    query: CellBlocks,
    request: AnnotateRequest,
    *,
    batch: Names | None = None,
    groups: Names | None = None,
    peaks: CellBlocks | None = None,
    peaks_model: Model | None = None,
    settings: Settings = SETTINGS,
) -> Annotation:
    """Call the cells of a query; see :meth:`deepscore.DeepScore.annotate`.

    Parameters
    ----------
    batch, groups
        One value per cell, None where it is missing.
    peaks, peaks_model
        For a query of gene activity: the raw peaks of the same cells, and a model of peaks that calls them.
    settings
        The numbers by which the query is looked at.
    """
    model, limits = replace(model, device=request.device), limits_of(model, request.threshold)
    aligned = align(model, query, batch, modality=request.modality, min_overlap=request.min_overlap, settings=settings)
    if groups is not None:
        require_length(aligned.blocks, groups, "groups")
    paired = _paired(aligned, request, batch, peaks, peaks_model, settings)
    answers = Answers(len(aligned.batches), len(model.labels), table=request.probabilities)
    with one_blas_thread():
        view, blocks = view_of(aligned, paired, settings, refine=request.refine, own_scale=batch is not None)
        _stream(view, blocks, aligned.batches, paired, answers)
    found = answers.annotation(model, aligned.overlap, limits, groups, settings)
    return replace(found, verdict=view.verdict, terms=model.training.get("ontology_terms"))


def _paired(
    aligned: AlignedQuery,
    request: AnnotateRequest,
    batch: Names | None,
    peaks: CellBlocks | None,
    peaks_model: Model | None,
    settings: Settings,
) -> PairedPeaks | None:
    """Return the raw peaks beside a query of gene activity, with what a model of peaks says of them."""
    if peaks is None and peaks_model is not None:
        raise ConfigError("bad_argument", "A model of peaks calls the query's raw peaks: give peaks=, too.")
    if peaks is not None and aligned.model.kind is PEAKS:
        raise ConfigError(
            "bad_argument", "peaks= is for gene activity; this is a model of peaks, and reads the query's."
        )
    if peaks is None or not request.refine:
        return None
    peaks = select_modality(peaks, PEAKS.name)[0].in_order_of(aligned.blocks.cell_names, "The query and its peaks")
    calls = None
    if peaks_model is not None:
        of_peaks = replace(peaks_model, device=request.device)
        calls = _calls_of(of_peaks, peaks, batch, aligned.model.labels, settings)
    return PairedPeaks.of(peaks, calls)


def _calls_of(
    peaks_model: Model, peaks: CellBlocks, batch: Names | None, labels: tuple[str, ...], settings: Settings
) -> Doubles:
    """Return what a model of peaks says of cells, in the order of the labels; 0 where it does not know one.

    Raises
    ------
    InputError
        ``no_shared_labels``, ``modality_mismatch``, and what :func:`annotate` raises.
    """
    if peaks_model.kind is not PEAKS:
        raise InputError(
            "modality_mismatch",
            f"peaks_model is a model of {peaks_model.modality}. It must be one of peaks: train_bridge(model, ...).",
        )
    shared = len(set(labels) & set(peaks_model.labels))
    if shared < 2:
        raise InputError(
            "no_shared_labels",
            f"The model of peaks knows {shared} of the model's labels; two are needed. Its first label is "
            f"{peaks_model.labels[0]!r}, the model's {labels[0]!r}. Train it with the model: train_bridge(model, ...).",
        )
    request = AnnotateRequest(modality=PEAKS.name, probabilities=True, device=peaks_model.device)
    table = annotate(peaks_model, peaks, request, batch=batch, settings=settings).probabilities
    return (
        pd.DataFrame(table, columns=list(peaks_model.labels)).reindex(columns=list(labels), fill_value=0.0).to_numpy()
    )


def view_of(
    aligned: AlignedQuery, paired: PairedPeaks | None, settings: Settings, *, refine: bool, own_scale: bool
) -> tuple[View, Iterable[tuple[int, sp.csr_matrix]]]:
    """Look at the query, as far as it is to be used as a whole; return its view and its normalised blocks."""
    model = aligned.model
    refine = refine and model.profiles is not None  # a file of version 1 has none
    if not refine and not own_scale:
        return View(model, aligned.measured, model.scale()), gathered(aligned.normalised())
    sample, cells = _looked_at(aligned, settings, copies=paired is not None)  # of equal activity, not of equal peaks
    if not refine:
        return view_by_scale(sample), cells.blocks()
    return learn_view(sample, None if paired is None else paired.reading(sample), settings), cells.blocks()


def _looked_at(aligned: AlignedQuery, settings: Settings, *, copies: bool) -> tuple[Sample, HeldCells]:
    """Read a query; return the cells of it that are looked at together, and all."""
    if aligned.blocks.n_cells > settings.whole and not copies:
        candidates, held = look_through(aligned, settings)
        found = candidates.looked_at(settings)
        if found is not None:
            return Sample.of_large(aligned, found, settings), held
    cells = QueryCells.read(aligned)
    return Sample.of(cells, settings, copies=copies), cells


def _stream(
    view: View,
    blocks: Iterable[tuple[int, sp.csr_matrix]],
    batches: Codes,
    paired: PairedPeaks | None,
    answers: Answers,
) -> None:
    """Call the cells block by block."""
    read_again = paired if paired is not None and view.needs_peaks else None

    def call(item: tuple[int, sp.csr_matrix, sp.csr_matrix | None]) -> int:
        first, block, peaks = item
        answers.put(first, block, *view.predict(block, batches[first : first + block.shape[0]], first, peaks))
        return block.shape[0]

    with progress_bar(len(batches), "annotate", "cell") as bar:
        for n_cells in overlapped(call, _with_peaks(blocks, read_again), cores()):
            bar.update(n_cells)


def _with_peaks(
    blocks: Iterable[tuple[int, sp.csr_matrix]], paired: PairedPeaks | None
) -> Iterator[tuple[int, sp.csr_matrix, sp.csr_matrix | None]]:
    """Read the raw peaks of each block of cells, where they are needed."""
    for first, block in blocks:
        yield first, block, None if paired is None else paired.cells(np.arange(first, first + block.shape[0]))
