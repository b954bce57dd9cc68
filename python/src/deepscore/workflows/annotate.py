"""Annotation: align a query with a model, stream it, and call a label for every cell."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from tqdm import tqdm

from ..data.blocks import VALUES_PER_BLOCK, CellBlocks, Names, watched
from ..chromatin.lsi import signac_tfidf
from ..chromatin.peaks import carried_over
from ..support.config import flag, number
from ..errors import ConfigError, InputError
from ..features.select import no_shared_features
from ..data.labels import UNCLASSIFIED, batches_of, require_length
from ..model.model import Model
from ..data.names import Modality, check_modality, is_peak, match_names, select_modality
from ..data.normalize import Values, detect, feature_share
from ..query.view import SAMPLE, WHOLE, View, look
from ..data.standardise import GroupSums
from ..data.linalg import Doubles
from ..query.paired_peaks import Peaks
from ..support.threads import one_blas_thread, overlapped

__all__ = ["Annotation", "annotate_blocks", "embed_blocks", "vote"]

# Between this share of the model's features and `min_overlap`, annotation goes on with a warning.
GOOD_OVERLAP = 0.5
# So many times more of the reference's counts than of the query's are in the model's features, where they are foreign.
FOREIGN = 1.5
# Cells whose type is known with less than this chance are outliers.
UNKNOWN = 0.5
logger = logging.getLogger("deepscore")
# Of a batch that a sample of the query has hardly touched, these are added.
CELLS_PER_BATCH = 50
# The network is called with at least this many cells, so that its thread seldom waits for the interpreter.
CELLS_PER_CALL = 8192
# So many of these are read while the query as a whole is still being looked at.
BLOCKS_AHEAD = 4


@dataclass(frozen=True, eq=False)
class Annotation:
    """The calls for a query.

    Parameters
    ----------
    calls
        Label of each cell, or "Unclassified".
    scores
        Calibrated probability that the cell's best label is right; 0 for cells without any count in the model's
        features.
    raw
        The network's best label of each cell, before its neighbours were asked and whatever its score.
    reasons
        Why a cell is Unclassified: "low confidence", "outlier" (its type is hardly one of the reference's), "low
        overlap" (the query lacks most of the model's features) or "no counts"; "" for the others.
    probabilities
        Cells x labels, given that the cell's type is one of the reference's; where asked for.
    labels
        Names of the columns of `probabilities`.
    overlap
        Share of the model's features that the query has.
    group_calls, group_shares
        With `groups`: the most frequent call in each cell's group, and the share of the group's cells that have it.
    """

    calls: Names
    scores: Doubles
    raw: Names
    reasons: Names
    probabilities: Doubles | None
    labels: tuple[str, ...]
    overlap: float
    group_calls: Names | None = None
    group_shares: Doubles | None = None


def annotate_blocks(
    model: Model,
    query: CellBlocks,
    threshold: float = 0.5,
    batch: Names | None = None,
    *,
    modality: str | None = None,
    probabilities: bool = False,
    min_overlap: float = 0.1,
    refine: bool = True,
    groups: Names | None = None,
    peaks: CellBlocks | None = None,
    peaks_model: Model | None = None,
) -> Annotation:
    """Annotate a query; see :meth:`deepscore.DeepScore.annotate`."""
    least = number("threshold", threshold, 0, 1)
    floor = number("min_overlap", min_overlap, 0, 1)
    use_query, with_table = flag("refine", refine), flag("probabilities", probabilities)
    query, positions = align(model.feature_names, model.modality, query, modality, floor)
    samples = batches_of(query, batch)
    if groups is not None:
        require_length(query, groups, "groups")
    values = _values(model, query, positions)
    raw_peaks = None
    if peaks is None and peaks_model is not None:
        raise ConfigError("bad_argument", "A model of peaks calls the query's raw peaks: give peaks=, too.")
    if peaks is not None and model.modality == "peaks":
        raise ConfigError(
            "bad_argument", "peaks= is for gene activity; this is a model of peaks, and reads the query's."
        )
    if peaks is not None and use_query:
        peaks = select_modality(peaks, "peaks")[0].in_order_of(query.cell_names, "The query and its peaks")
        raw_peaks = Peaks.of(peaks, None if peaks_model is None else _told(peaks_model, peaks, batch, model.labels))
    learn = _learner(model, query, positions, values, samples, raw_peaks, own_scale=batch is not None, refine=use_query)
    found = _Answers(query.n_cells, len(model.labels), table=with_table)
    with (
        one_blas_thread(),
        ThreadPoolExecutor(1) as pool,
        tqdm(total=query.n_cells, desc="annotate", unit="cell", delay=2) as bar,
    ):
        view = pool.submit(learn)  # while the first cells are read

        def predict(item: tuple[int, sp.csr_matrix, sp.csr_matrix | None]) -> int:
            start, block, of_peaks = item
            rows = slice(start, start + block.shape[0])
            found.put(rows, block, *view.result().predict(block, samples[rows], start, of_peaks))
            return block.shape[0]

        to_read = raw_peaks if raw_peaks is not None and view.result().needs_peaks else None
        blocks = _with_peaks(gathered(model.normalization.blocks(query, positions, values)), to_read)
        for n_cells in overlapped(predict, blocks, ahead=BLOCKS_AHEAD):
            bar.update(n_cells)
    return found.annotation(model, least, float((positions >= 0).mean()), groups)


def _told(model: Model, peaks: CellBlocks, batch: Names | None, labels: tuple[str, ...]) -> Doubles:
    """Return what a model of peaks says of cells, in the order of the labels; 0 where it does not know one.

    Raises
    ------
    InputError
        ``no_shared_labels``, ``modality_mismatch``, and what :func:`annotate_blocks` raises.
    """
    if model.modality != "peaks":
        raise InputError(
            "modality_mismatch",
            f"peaks_model is a model of {model.modality}. It must be one of peaks: train_bridge(model, ...).",
        )
    shared = len(set(labels) & set(model.labels))
    if shared < 2:
        raise InputError(
            "no_shared_labels",
            f"The model of peaks knows {shared} of the model's labels; two are needed. Its first label is "
            f"{model.labels[0]!r}, the model's {labels[0]!r}. Train it with the model: train_bridge(model, ...).",
        )
    found = annotate_blocks(model, peaks, batch=batch, modality="peaks", probabilities=True).probabilities
    return pd.DataFrame(found, columns=list(model.labels)).reindex(columns=list(labels), fill_value=0.0).to_numpy()


def _values(model: Model, query: CellBlocks, positions: npt.NDArray[np.intp]) -> Values:
    """Recognise the values of a query, and whether its totals can be compared with the reference's.

    Where far less of the counts is in the model's features than in the reference, the query has many that the reference
    lacks. Totals are then taken over the model's features, as if these had the reference's share of them.
    """
    values, share = detect(query, model.modality), model.training.get("feature_share")
    if share is None:  # peaks, or a model of before there was one
        return values
    there = positions >= 0
    with np.errstate(over="ignore", invalid="ignore"):  # a file may hold means that no reference has
        weight = np.expm1(model.mean.astype(np.float64))
        expected = share * weight[there].sum() / weight.sum()
    found = feature_share(query, positions[there], values)
    if not found * FOREIGN < expected < np.inf:
        return values
    logger.info(
        "%.0f%% of the query's counts are in the model's features, not %.0f%%: totals are taken over these",
        100 * found,
        100 * expected,
    )
    return replace(values, share=float(expected))


class _Answers:
    """What the network and the neighbours say of each cell of a query, filled in block by block."""

    def __init__(self, n_cells: int, n_labels: int, *, table: bool) -> None:
        self.best, self.raw = np.empty(n_cells, np.intp), np.empty(n_cells, np.intp)
        self.scores, self.known = np.empty(n_cells), np.empty(n_cells)
        self.empty = np.empty(n_cells, np.bool_)
        self.table = np.empty((n_cells, n_labels)) if table else None

    def put(self, rows: slice, block: sp.csr_matrix, alone: Doubles, found: Doubles, known: Doubles) -> None:
        """Keep what :meth:`View.predict` says of a block."""
        self.raw[rows], self.best[rows] = alone.argmax(axis=1), found.argmax(axis=1)
        self.empty[rows] = np.asarray(block.sum(axis=1)).ravel() == 0  # nothing to go by: no label
        self.known[rows], self.scores[rows] = known, found.max(axis=1) * known * ~self.empty[rows]
        if self.table is not None:
            self.table[rows] = found

    def annotation(self, model: Model, least: float, overlap: float, groups: Names | None) -> Annotation:
        """Call a label for each cell whose score is at least `least`, and say why the others have none."""
        unclassified = (self.scores < least) | self.empty
        calls = model.label_names[self.best]
        calls[unclassified] = UNCLASSIFIED
        doubt = "low overlap" if overlap < GOOD_OVERLAP else "low confidence"
        reasons = np.where(self.known < UNKNOWN, "outlier", doubt)
        reasons = np.where(unclassified, np.where(self.empty, "no counts", reasons), "").astype(object)
        raw, voted = model.label_names[self.raw], (None, None) if groups is None else vote(calls, groups)
        return Annotation(calls, self.scores, raw, reasons, self.table, model.labels, overlap, *voted)


def _with_peaks(
    blocks: Iterable[tuple[int, sp.csr_matrix]], peaks: Peaks | None
) -> Iterator[tuple[int, sp.csr_matrix, sp.csr_matrix | None]]:
    """Read the raw peaks of each block of cells, where they are needed."""
    for start, block in blocks:
        yield start, block, None if peaks is None else peaks.rows(np.arange(start, start + block.shape[0]))


def embed_blocks(model: Model, query: CellBlocks, *, modality: str | None = None, min_overlap: float = 0.1) -> Doubles:
    """Project a query to the components of the reference; see :meth:`deepscore.DeepScore.embed`."""
    if model.lsi is None:
        raise InputError(
            "no_lsi", "The model has no LSI: only models of peaks have one, not those of genes or of older versions."
        )
    floor = number("min_overlap", min_overlap, 0, 1)
    query, positions = align(model.feature_names, model.modality, query, modality, floor)
    blocks = model.normalization.blocks(query, positions, detect(query, model.modality))
    parts = (signac_tfidf(block, model.normalization) for _, block in watched(blocks, query.n_cells, "embed"))
    return np.concatenate([model.lsi.embed(part) for part in parts])


def _learner(
    model: Model,
    query: CellBlocks,
    positions: npt.NDArray[np.intp],
    values: Values,
    samples: npt.NDArray[np.intp],
    peaks: Peaks | None,
    *,
    own_scale: bool,
    refine: bool,
) -> Callable[[], View]:
    """Read the query, or a sample of a large one, as far as it is to be used; return a function that learns from it."""
    present = positions >= 0
    refine = refine and model.profiles is not None  # a file of version 1 has none
    if not refine and not own_scale:
        return partial(View, model, present, model.scale())
    rows = _sampled(query, samples)
    sample = model.normalization.matrix(query.take(rows), positions, values)
    n_samples = int(samples.max()) + 1
    if not refine:
        sums = GroupSums(n_samples, sample.shape[1]).add(sample, samples[rows])
        return partial(View, model, present, sums.by_group(samples[rows], model.scale()))
    whole, beside = len(rows) == query.n_cells, {}
    if peaks is not None:
        beside = {"peaks": peaks.rows(rows), "told": None if peaks.told is None else (peaks.told, rows)}
    return partial(look, model, sample, samples[rows], n_samples, present, whole=whole, **beside)


def _sampled(query: CellBlocks, samples: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the positions of all cells, or of a sample of a large query in which no batch is left out."""
    rows = query.spread(SAMPLE if query.n_cells > WHOLE else WHOLE)
    few = np.flatnonzero(np.bincount(samples[rows], minlength=int(samples.max()) + 1) < CELLS_PER_BATCH)
    return np.unique(np.concatenate([rows, *(np.flatnonzero(samples == batch)[:CELLS_PER_BATCH] for batch in few)]))


def vote(calls: Names, groups: Names) -> tuple[Names, Doubles]:
    """Return for each cell the most frequent call in its group and its share; of equal ones the first by name.

    A cell whose group is missing votes by itself.
    """
    codes, _ = pd.factorize(groups)
    codes[codes < 0] = codes.max() + 1 + np.arange((codes < 0).sum())
    which, names = pd.factorize(calls, sort=True)
    votes = sp.csr_array((np.ones(len(codes)), (codes, which))).toarray()
    winner = votes.argmax(axis=1)
    share = votes[np.arange(len(votes)), winner] / votes.sum(axis=1)
    return np.asarray(names, dtype=object)[winner][codes], share[codes]


def align(
    features: Names, kind: Modality, query: CellBlocks, modality: str | None = None, floor: float = 0.0
) -> tuple[CellBlocks, npt.NDArray[np.intp]]:
    """Find the features of a model in a query by name.

    Parameters
    ----------
    features, kind
        The model's features and their modality. Where most peaks have other names, those that overlap are counted.
    modality
        What the caller said the query is.
    floor
        Least share of the features that the query must have.

    Returns
    -------
    The query (features of the model's modality) and, for each feature of the model, its column or -1.

    Raises
    ------
    InputError
        ``modality_mismatch``, ``no_shared_features``, ``wrong_orientation`` or ``low_overlap``; of peaks also
        ``no_common_chromosomes`` or ``genome_build``.
    """
    query, positions = found_in(query, features, kind, modality, floor)
    n_found, n = int((positions >= 0).sum()), len(positions)
    if n_found < floor * n:
        raise InputError(
            "low_overlap",
            f"The query has {n_found} of the model's {n} features ({n_found / n:.0%}); at least {floor:.0%} are "
            "needed. Train on features that both have (find_common_features), or lower min_overlap at your own risk.",
        )
    logger.info("%d of the model's %d features are in the query (%.0f%%)", n_found, n, 100 * n_found / n)
    if n_found < GOOD_OVERLAP * n:
        warnings.warn(
            f"The query has only {n_found} of the model's {n} features ({n_found / n:.0%}): scores are less reliable. "
            "A model trained on the shared features would do better.",
            UserWarning,
            stacklevel=5,  # where the user called annotate or embed
        )
    return query, positions


def found_in(
    query: CellBlocks, features: Names, kind: Modality, modality: str | None = None, floor: float = 0.0
) -> tuple[CellBlocks, npt.NDArray[np.intp]]:
    """Find features of a kind in a query, as :func:`align` does it; refuse a query that has none of them."""
    check_modality(modality)
    if modality is not None and modality != kind:
        raise InputError("modality_mismatch", f"modality={modality!r} was given, but the model was trained on {kind}.")
    query = _of_modality(query, kind, strict=modality is not None)
    positions = match_names(features, query.feature_names)
    another_set = kind == "peaks" and (positions >= 0).mean() < GOOD_OVERLAP
    if another_set and any(map(is_peak, query.feature_names)):
        query, positions = carried_over(query, features, floor)
    if not (positions >= 0).any():
        raise no_shared_features(features, query)
    return query, positions


def _of_modality(query: CellBlocks, modality: Modality, *, strict: bool) -> CellBlocks:
    """Keep the features of the model's modality where a query holds genes and peaks in one matrix."""
    try:
        return select_modality(query, modality)[0]
    except InputError:
        if strict:
            raise
        return query  # no feature of that kind: the search by name says so


def gathered(blocks: Iterable[tuple[int, sp.csr_matrix]]) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Join normalised blocks until a network call has enough to do, or they hold as many values as a block may."""
    parts: list[sp.csr_matrix] = []
    first = n = n_values = 0
    for start, block in blocks:
        if not parts:
            first = start
        parts.append(block)
        n, n_values = n + block.shape[0], n_values + block.nnz
        if n >= CELLS_PER_CALL or n_values >= VALUES_PER_BLOCK:
            yield first, sp.vstack(parts, format="csr")
            parts, n, n_values = [], 0, 0
    if parts:
        yield first, sp.vstack(parts, format="csr")
