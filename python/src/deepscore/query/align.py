"""Alignment: the features of a model are found in a query by name, and its values are recognised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..chromatin.peaks import carried_over
from ..data.blocks import CellBlocks, Names
from ..data.labels import batches_of
from ..data.linalg import Codes
from ..data.mismatch import MIN_OVERLAP, advice_on_raw, no_shared_features, require_single
from ..data.modality import Modality, check_modality, select_modality
from ..data.names import is_peak
from ..data.spellings import OWN, Spellings, find_names, spellings_of
from ..data.values import Values, feature_share
from ..errors import InputError
from ..model.model import Model
from ..support.notices import logger, warn
from .settings import SETTINGS, Settings

__all__ = ["AlignedQuery", "align", "find_features", "locate"]


@dataclass(frozen=True, eq=False)
class AlignedQuery:
    """A query as a model reads it.

    Parameters
    ----------
    model
        The model that is to call its cells.
    blocks
        The query, with the features of the model's kind of data only.
    positions
        For each feature of the model its column in `blocks`, or -1 where the query lacks it.
    values
        What the values of `blocks` are.
    batches
        Batch of each cell, numbered from 0; cells of one batch are of one of the parts of `blocks`.
    """

    model: Model
    blocks: CellBlocks
    positions: npt.NDArray[np.intp]
    values: Values
    batches: Codes

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which of the model's features the query has."""
        return self.positions >= 0

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        """Which of the model's features each batch has, batches x features; one row where all have the same."""
        parts = self.blocks.parts
        if parts is None:
            return self.present[None]
        first_cells = np.unique(self.batches, return_index=True)[1]
        return self.present & parts.measured[parts.of_cell[first_cells]][:, self.positions]

    @property
    def overlap(self) -> float:
        """Share of the model's features that the query has."""
        return float(self.present.mean())

    def normalised(self, first: int = 0, stop: int | None = None) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Stream the normalised cells of some rows as :meth:`~deepscore.data.normalize.Normalization.blocks` does.

        The first row of a block is that in the query.
        """
        cells = self.blocks.between(first, self.blocks.n_cells if stop is None else stop)
        for start, block in self.model.normalization.blocks(cells, self.positions, self.values):
            yield first + start, block

    def cells(self, rows: npt.NDArray[np.intp]) -> sp.csr_matrix:
        """Return the normalised cells at these positions."""
        return self.model.normalization.matrix(self.blocks.take(rows), self.positions, self.values)


def align(
    model: Model,
    query: CellBlocks,
    batch: Names | None = None,
    *,
    modality: str | None = None,
    min_overlap: float = MIN_OVERLAP,
    settings: Settings = SETTINGS,
) -> AlignedQuery:
    """Find the features of a model in a query, and tell what its values are.

    Parameters
    ----------
    batch
        Batch of each cell; without it the query is one batch.
    modality
        What the caller said the query is.
    min_overlap
        Least share of the features that the query must have.

    Raises
    ------
    InputError
        What :func:`locate` raises, ``batch_length``, and what is wrong with the values.
    """
    blocks, positions = locate(
        query, model.spellings, model.kind, modality=modality, min_overlap=min_overlap, settings=settings
    )
    batches = batches_of(blocks, batch)
    parts = blocks.parts
    if parts is not None and parts.measured[:, positions[positions >= 0]].all():
        blocks = replace(blocks, parts=None)
    elif parts is not None:  # what was measured in another way is another batch
        batches = np.unique(batches * len(parts.names) + parts.of_cell, return_inverse=True)[1]
    return AlignedQuery(model, blocks, positions, _values(model, blocks, positions, settings), batches)


def locate(
    query: CellBlocks,
    features: Names | Spellings,
    kind: Modality,
    *,
    modality: str | None = None,
    min_overlap: float = 0.0,
    settings: Settings = SETTINGS,
) -> tuple[CellBlocks, npt.NDArray[np.intp]]:
    """Find features in a query, and refuse or warn where few of them are there.

    Parameters
    ----------
    features, kind
        Names of the features, or all that they are called, and what they are. Where most peaks have other names, those
        that overlap are counted.
    modality, min_overlap
        As for :func:`align`.

    Returns
    -------
    The query (features of that kind) and, for each feature, its column or -1.

    Raises
    ------
    InputError
        ``modality_mismatch``, ``no_shared_features``, ``wrong_orientation`` or ``low_overlap``; of peaks also
        ``no_common_chromosomes`` or ``genome_build``.
    """
    query, positions = find_features(query, features, kind, modality, min_overlap, settings)
    n, found = len(positions), positions[positions >= 0]
    there = {"the query": len(found)}
    if query.parts is not None:
        of_parts = query.parts.measured[:, found].sum(axis=1)
        there |= {f"{name!r} of the query": int(k) for name, k in zip(query.parts.names, of_parts, strict=True)}
    wanted = features if isinstance(features, Mapping) else {OWN: features}
    for what, k in there.items():
        if k < min_overlap * n:
            advice = " Train on features that both have (find_common_features), or lower min_overlap at your own risk."
            raise InputError(
                "low_overlap",
                f"{_sentence(what)} has {k} of the model's {n} features ({k / n:.0%}); at least {min_overlap:.0%} are "
                f"needed.{advice_on_raw(wanted.values(), query, k) or advice}",
            )
        logger.info("%d of the model's %d features are in %s (%.0f%%)", k, n, what, 100 * k / n)
        if k < settings.good_overlap * n:
            better = advice_on_raw(wanted.values(), query, k)
            warn(
                f"{_sentence(what)} has only {k} of the model's {n} features ({k / n:.0%}): scores are less reliable."
                f"{better or ' A model trained on the shared features would do better.'}"
            )
    return query, positions


def _sentence(what: str) -> str:
    return what[0].upper() + what[1:]


def find_features(
    query: CellBlocks,
    features: Names | Spellings,
    kind: Modality,
    modality: str | None = None,
    min_overlap: float = 0.0,
    settings: Settings = SETTINGS,
) -> tuple[CellBlocks, npt.NDArray[np.intp]]:
    """Find features as :func:`locate` does, without its judgement; refuse a query that has none of them."""
    wanted = features if isinstance(features, Mapping) else spellings_of(features, {})
    check_modality(modality)
    if modality is not None and modality != kind.name:
        raise InputError(
            "modality_mismatch", f"modality={modality!r} was given, but the model was trained on {kind.name}."
        )
    try:
        query = select_modality(query, kind.name)[0]
    except InputError as error:
        if modality is not None or error.code == "invalid_peaks":
            raise  # else the search by name says that there are none
    positions = find_names(wanted, query)
    require_single(wanted[OWN], positions, query)
    another_set = kind.overlapping and (positions >= 0).mean() < settings.good_overlap
    if another_set and any(map(is_peak, query.feature_names)):
        query, positions = carried_over(query, wanted[OWN], min_overlap)
    if not (positions >= 0).any():
        raise no_shared_features(wanted[OWN], query)
    return query, positions


def _values(model: Model, query: CellBlocks, positions: npt.NDArray[np.intp], settings: Settings) -> Values:
    """Recognise the values of a query, and whether its totals can be compared with the reference's.

    Where far less of the counts is in the model's features than in the reference, the query has many that the reference
    lacks. Totals are then taken over the model's features, as if these had the reference's share of them.
    """
    values, in_reference = model.kind.detect(query), model.training.get("feature_share")
    if in_reference is None:  # no totals to compare, or a model of before they were
        return values
    there = positions >= 0
    with np.errstate(over="ignore", invalid="ignore"):  # a file may hold means that no reference has
        weight = np.expm1(model.mean.astype(np.float64))
        expected = in_reference * weight[there].sum() / weight.sum()
    in_query = feature_share(query, positions[there], values)
    if not in_query * settings.foreign < expected < np.inf:
        return values
    logger.info(
        "%.0f%% of the query's counts are in the model's features, not %.0f%%: totals are taken over these",
        100 * in_query,
        100 * expected,
    )
    return replace(values, in_features=float(expected))
