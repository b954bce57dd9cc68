"""The reference check: cross-validation tells which labels a reference can teach, and which cannot be trusted."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import CellBlocks, Names
from ..data.content import cell_keys
from ..data.labels import UNCLASSIFIED, read_labels, tell_labels
from ..data.linalg import Codes
from ..data.standardise import SumsByCode
from ..errors import printable
from ..model.config import NetworkConfig
from ..query.align import find_features
from ..query.annotation import Annotation
from ..query.settings import SETTINGS
from ..support.checks import keep, texts, whole
from ..support.progress import progress_bar
from ..support.threads import one_blas_thread
from ..training.config import TrainConfig
from ..training.held_out import LEAST_CELLS, LEAST_RATE
from ..training.reference import Reference, prepare
from ..training.settings import SETTINGS as TRAINING
from .annotate import AnnotateRequest, annotate

__all__ = ["CheckRequest", "ReferenceCheck", "check_reference"]

# There is a network for each fold: it sees fewer cells in training than it would by default (100,000), but takes about
# as many steps as usual, or more.
BRIEF = replace(TRAINING, cells_seen=30_000)
STEPS = 200
# A pair of labels is confusable where at least this share of the cells of the one are taken for the other.
CONFUSABLE = 0.1


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """The options of :func:`deepscore.check_reference`, checked; they are documented there."""

    common_features: Sequence[str] | None = None
    modality: str | None = None
    folds: int = 5
    seed: int = 0
    missing: Sequence[str] | None = None

    def __post_init__(self) -> None:
        keep(self, folds=whole("folds", self.folds, 2), missing=texts("missing", self.missing))

    def network(self) -> NetworkConfig:
        """Return the settings of the networks; refuses features and a seed that make no sense."""
        return NetworkConfig(common_features=self.common_features, seed=self.seed)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False, repr=False)
class ReferenceCheck:
    """What :func:`deepscore.check_reference` found; printing it shows all of it.

    Parameters
    ----------
    words
        Sentences: which labels cannot be trusted and why, or that all can.
    labels
        A row per label: ``label``, ``cells``, ``tested`` (cells that a network called which had learned the label but
        not the cell), ``recall``, ``precision``, ``f1`` (of the tested cells; NaN where there are none) and
        ``trusted``.
    confusable
        A row per pair: ``label``, ``taken_for``, ``share`` (of the label's tested cells, at least 0.1), the largest
        first. Cells without any count in the features are taken for "Unclassified".
    overlap
        Of the ``features`` used, how many the query has (``found``), and their ``share``. None without a query.
    design
        How the cells were divided for the test.
    query
        What a network that has learnt the whole reference makes of the query: the share of its cells that are
        ``unclassified``, and where unknown types are looked for the chance that it is of the reference's tissue
        (``native``) and the share of what tells its cells apart that the reference explains (``explained``). None
        without a query.
    """

    words: tuple[str, ...]
    labels: pd.DataFrame
    confusable: pd.DataFrame
    overlap: dict[str, float] | None
    design: str
    query: dict[str, float] | None = None

    def __repr__(self) -> str:
        """Show the words and the tables."""
        tables = [table.round(3).to_string(index=False) for table in (self.labels, self.confusable) if len(table)]
        return printable("\n\n".join([f"<ReferenceCheck: {self.design}>", "\n".join(self.words), *tables]))


def check_reference(
    data: CellBlocks,
    labels: Names,
    request: CheckRequest,
    *,
    query: CellBlocks | None = None,
    batch: Names | None = None,
) -> ReferenceCheck:
    """Check a reference; see :func:`deepscore.check_reference`."""
    n_folds, config = request.folds, request.network()
    given, labels = labels, read_labels(labels, request.missing)
    with one_blas_thread():
        reference = prepare(data, labels, config, batch=batch, modality=request.modality, test_prop=0.0)
    tell_labels(given, labels, request.missing)
    present = None if query is None else _features_of(query, reference)
    batches, names = np.zeros(len(reference.codes), np.intp), np.array([None])
    if batch is not None:  # of the labelled cells only
        batches, names = pd.factorize(batch[pd.notna(labels)], use_na_sentinel=False)
    if len(names) > 1:
        fold = whole_batches(batches, n_folds)
        design = f"whole batches left out: {len(np.unique(fold))} folds of {len(names)} batches"
    else:
        fold = within_labels(reference.codes, n_folds, np.random.default_rng(config.seed))
        design = f"{len(np.unique(fold))} folds, each with cells of every label"
    counts = _count_calls(reference, fold, config, present, own_scale=len(names) > 1)
    table, pairs = _figures(reference, counts)
    only = [names[np.unique(batches[reference.codes == i])] for i in range(len(table))]
    reasons = [
        _reasons(row, pairs, str(seen[0]) if len(seen) < 2 <= len(names) else None)
        for row, seen in zip(table.to_dict("records"), only, strict=True)
    ]
    table["trusted"] = [not why for why in reasons]
    words, overlap, of_query = _words(table, reasons), None, None
    if query is not None and present is not None:
        overlap = {"features": len(present), "found": int(present.sum()), "share": float(present.mean())}
        found = _annotated(query, reference, config)
        of_query = _figures_of(found)
        words += _words_on(overlap, found)
    return ReferenceCheck(words, table, pairs, overlap, design, of_query)


def _annotated(query: CellBlocks, reference: Reference, config: NetworkConfig) -> Annotation:
    """Call the query with a network that has learnt the whole reference, as briefly as those of the folds.

    What an annotation would warn of, the words of the check say.
    """
    from ..training.fit import fit

    model = fit(reference, _brief(len(reference.codes), config), TrainConfig(progress=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return annotate(model, query, AnnotateRequest(min_overlap=0.0))


def _figures_of(found: Annotation) -> dict[str, float]:
    """Return what is known of a query as a whole."""
    figures = {"unclassified": float((found.calls == UNCLASSIFIED).mean())}
    if found.verdict is not None and found.verdict.native is not None and found.verdict.explained is not None:
        figures |= {"native": found.verdict.native, "explained": found.verdict.explained}
    return figures


def _features_of(query: CellBlocks, reference: Reference) -> npt.NDArray[np.bool_]:
    """Tell which features of the reference a query has; refuse a query that annotation would refuse."""
    query, positions = find_features(query, reference.spellings, reference.kind)
    reference.kind.detect(query)
    return positions >= 0


def within_labels(codes: Codes, n_folds: int, rng: np.random.Generator) -> Codes:
    """Deal the cells of each label out to the folds in turn; a label with fewer cells misses some folds."""
    fold = np.empty(len(codes), np.intp)
    fold[np.lexsort((rng.permutation(len(codes)), codes))] = np.arange(len(codes)) % n_folds
    return fold


def whole_batches(batches: Codes, n_folds: int) -> Codes:
    """Give whole batches to folds: the largest first, each to the fold that has the fewest cells."""
    sizes, cells = np.bincount(batches), np.zeros(n_folds)
    fold = np.empty(len(sizes), np.intp)
    for batch in np.argsort(-sizes, kind="stable"):
        fold[batch] = cells.argmin()
        cells[fold[batch]] += sizes[batch]
    return fold[batches]


def _brief(n_cells: int, config: NetworkConfig) -> NetworkConfig:
    """Shorten the training: no more cells than needed, in as many steps as usual or more."""
    from ..training.schedule import default_batch_size, default_epochs

    epochs = default_epochs(n_cells, BRIEF)
    in_steps = max(epochs * n_cells // STEPS, BRIEF.smallest_batch)
    return replace(config, epochs=epochs, batch_size=min(default_batch_size(n_cells, BRIEF), in_steps))


def _count_calls(
    reference: Reference,
    fold: Codes,
    config: NetworkConfig,
    present: npt.NDArray[np.bool_] | None,
    *,
    own_scale: bool,
) -> Codes:
    """Train without each fold and call its cells; count them, labels x labels called and, last, Unclassified."""
    from ..training.fit import fit

    n = len(reference.labels)
    counts = np.zeros((n, n + 1), np.intp)
    folds = np.unique(fold)
    for left_out in progress_bar(len(folds), "check", "fold", iterable=folds):
        test = np.flatnonzero(fold == left_out)
        learn = reference.subset(np.flatnonzero(fold != left_out))
        if len(np.unique(learn.codes)) < 2:
            continue  # nothing to tell apart
        model = fit(learn, _brief(len(learn.codes), config), TrainConfig(progress=False), cell_by_cell=True)
        block, scale = reference.matrix[test], model.scale()
        if present is not None:
            block = block @ sp.diags(present.astype(np.float32), format="csr")
            block.eliminate_zeros()
        if own_scale:
            batches = np.unique(reference.batches[test], return_inverse=True)[1]
            one_of_equal = np.unique(cell_keys(block, batches), return_index=True)[1]
            sums = SumsByCode(batches.max() + 1, block.shape[1]).add(block[one_of_equal], batches[one_of_equal])
            scale = sums.by_batch(batches, scale)
        calls = model.logits(block, scale, present).argmax(axis=1)
        calls[np.asarray(block.sum(axis=1)).ravel() == 0] = n  # nothing to go by
        known = np.isin(reference.codes[test], learn.codes)
        np.add.at(counts, (reference.codes[test][known], calls[known]), 1)
    return counts


def _figures(reference: Reference, counts: Codes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of labels and that of confusable pairs."""
    n, names = len(counts), np.array([*reference.labels, UNCLASSIFIED], dtype=object)
    tested, called, right = counts.sum(axis=1), counts[:, :n].sum(axis=0), counts.diagonal()
    some = np.where(tested > 0, 1.0, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = counts / tested[:, None]
        figures = {"recall": right / tested, "precision": some * right / called, "f1": some * 2 * right}
    figures["f1"] /= np.maximum(tested + called, 1)
    cells = np.bincount(reference.codes, minlength=n)
    table = pd.DataFrame({"label": names[:n], "cells": cells, "tested": tested, **figures})
    np.fill_diagonal(shares, 0)
    label, other = np.nonzero(shares >= CONFUSABLE)
    pairs = pd.DataFrame({"label": names[label], "taken_for": names[other], "share": shares[label, other]})
    return table, pairs.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _reasons(row: Mapping[Hashable, Any], pairs: pd.DataFrame, only_batch: str | None) -> list[str]:
    """Say why a label cannot be trusted; nothing where it can."""
    reasons = []
    if row["cells"] < LEAST_CELLS:
        reasons.append(f"it has too few cells ({row['cells']}, fewer than {LEAST_CELLS})")
    if only_batch is not None:
        reasons.append(f"it occurs in batch {only_batch!r} only: label and batch are confounded")
    elif not row["tested"]:
        reasons.append("it could not be tested, as no fold left out some of its cells and not all")
    if row["recall"] < LEAST_RATE:
        taken = pairs[pairs["label"] == row["label"]]
        mostly = [f", {share:.0%} of its cells are taken for {other!r}" for _, other, share in taken.to_numpy()[:1]]
        reasons.append("".join([f"its recall is {row['recall']:.2f}", *mostly]))
    if row["precision"] < LEAST_RATE:
        reasons.append(f"{1 - row['precision']:.0%} of the cells that get it are others")
    return reasons


def _words(table: pd.DataFrame, reasons: list[list[str]]) -> tuple[str, ...]:
    """Return the sentences on the labels."""
    each = zip(table["label"], reasons, strict=True)
    words = [f"{label!r} cannot be trusted: {'; '.join(why)}." for label, why in each if why]
    good = table[table["trusted"]]
    if len(good):
        who = f"{len(good)} of {len(table)}" if words else f"All {len(table)}"
        least = f"lowest recall {good['recall'].min():.2f}, lowest precision {good['precision'].min():.2f}"
        words.append(f"{who} labels can be trusted ({least}).")
    return tuple(words)


def _words_on(overlap: Mapping[str, float], found: Annotation) -> tuple[str, ...]:
    """Return the sentences on the query."""
    few = ": give common_features=, from find_common_features(reference, query)"
    return (
        f"The query has {overlap['found']} of the {overlap['features']} features used ({overlap['share']:.0%})"
        f"{few if overlap['share'] < SETTINGS.good_overlap else ''}.",
        f"{(found.calls == UNCLASSIFIED).mean():.0%} of the query's cells are Unclassified.",
        *(found.verdict.words() if found.verdict is not None else ()),
    )
