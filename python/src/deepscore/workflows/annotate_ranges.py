"""Annotate a large query range by range: a look that is frozen, then calls of which each range's need no other.

The look reads all cells once and keeps a few thousand of them; what is learnt of these calls every cell by itself. So
ranges of rows can be called in any order, on any machine, and again after a failure, and the calls are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..data.blocks import CellBlocks, Names, row_ranges
from ..data.content import content_keys
from ..data.labels import require_length
from ..data.linalg import Codes, Doubles
from ..data.values import Values
from ..model.file import manifest_of
from ..model.model import Model
from ..query.align import AlignedQuery, align
from ..query.annotation import Annotation, Answers, vote
from ..query.candidates import Candidates, candidates_of
from ..query.cells import HeldCells, gathered, look_through
from ..query.frozen import view_from_bytes, view_to_bytes
from ..query.sample import Sample
from ..query.settings import SETTINGS, Settings
from ..query.view import View, learn_view, view_by_scale
from ..support.threads import cores, one_blas_thread, overlapped
from ..version import CREATED_WITH
from .annotate import AnnotateRequest, limits_of

__all__ = ["Caller", "LargeQuery", "annotate_by_ranges"]

# Rows of candidates that are merged at once.
MOST_WAITING = 16


@dataclass(frozen=True, eq=False)
class Caller:
    """What calls any cells of a large query, and is small enough to be sent to other machines.

    Parameters
    ----------
    view
        The frozen look at the query, with the model.
    positions, values
        Of the model's features their columns in the query, and what its values are.
    overlap, limits, probabilities, settings
        As :meth:`~deepscore.query.annotation.Answers.annotation` takes them; limits are those of each label.
    """

    view: View
    positions: Codes
    values: Values
    overlap: float
    limits: Doubles
    probabilities: bool
    settings: Settings

    def call(self, cells: CellBlocks, batches: Codes) -> Annotation:
        """Call cells of the query, given the batch of each."""
        recipe = self.view.model.normalization
        return self.call_normalised(gathered(recipe.blocks(cells, self.positions, self.values)), batches)

    def call_normalised(self, blocks: Iterable[tuple[int, sp.csr_matrix]], batches: Codes) -> Annotation:
        """Call normalised cells; the first rows of the blocks count from the first of these cells."""
        model, answers = self.view.model, Answers(len(batches), len(self.view.model.labels), table=self.probabilities)

        def put(item: tuple[int, sp.csr_matrix]) -> None:
            first, block = item
            answers.put(first, block, *self.view.predict(block, batches[first : first + block.shape[0]]))

        with one_blas_thread():
            for _ in overlapped(put, blocks, cores()):
                pass
        found = answers.annotation(model, self.overlap, self.limits, None, self.settings)
        return replace(found, verdict=self.view.verdict, terms=model.training.get("ontology_terms"))


@dataclass(frozen=True, eq=False)
class LargeQuery:
    """A query of more cells than are looked at together, aligned with a model, and how it is to be annotated.

    Parameters
    ----------
    aligned
        The query as the model reads it.
    request, limits
        The options, and the threshold of each label.
    own_scale
        Whether batches were given.
    """

    aligned: AlignedQuery
    request: AnnotateRequest
    limits: Doubles
    own_scale: bool
    settings: Settings = SETTINGS

    @classmethod
    def of(
        cls,
        model: Model,
        query: CellBlocks,
        request: AnnotateRequest,
        *,
        batch: Names | None = None,
        settings: Settings = SETTINGS,
    ) -> LargeQuery | None:
        """Align a query; None of a small one, which is looked at in full. Arguments as for :func:`annotate`."""
        if query.n_cells <= settings.whole:
            return None
        model, limits = replace(model, device=request.device), limits_of(model, request.threshold)
        min_overlap, modality = request.min_overlap, request.modality
        aligned = align(model, query, batch, modality=modality, min_overlap=min_overlap, settings=settings)
        return cls(aligned, request, limits, batch is not None, settings)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What calls depend on, as plain values: model, query (as far as an excerpt tells) and options."""
        query = self.aligned
        excerpt = content_keys(query.blocks.between(0, 1).to_csr()), content_keys(query.blocks.excerpt())
        arrays = (query.positions, query.batches, *excerpt)
        return {
            "created_with": CREATED_WITH,
            "model": manifest_of(query.model)["content_sha256"],
            "cells": query.blocks.n_cells,
            "features": query.blocks.n_features,
            "content": [hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() for array in arrays],
            "values": asdict(query.values),
            "options": json.loads(json.dumps(asdict(self.request), default=str)),
            "limits": self.limits.tolist(),
            "batch": self.own_scale,
            "settings": json.loads(json.dumps(asdict(self.settings))),
        }

    def look(self) -> tuple[View, HeldCells] | None:
        """Look at the query, here or on a cluster; return its view, and the cells as far as they are held.

        None where it has so few different cells that all of them are looked at.
        """
        query, settings = self.aligned, self.settings
        refine = self.request.refine and query.model.profiles is not None
        if not refine and not self.own_scale:
            return View(query.model, query.measured, query.model.scale()), HeldCells(query, ())
        with one_blas_thread():
            if query.blocks.elsewhere is None:
                candidates, held = look_through(query, settings)
            else:
                candidates, held = _candidates_elsewhere(query, settings), HeldCells(query, ())
            found = candidates.looked_at(settings)
            if found is None:
                return None
            if found.x is None:
                found = _with_values(query, found)
            sample = Sample.of_large(query, found, settings)
            return (learn_view(sample, None, settings) if refine else view_by_scale(sample)), held

    def frozen(self, view: View) -> bytes:
        """Return the content of the file of a view."""
        return view_to_bytes(view, self.identity)

    def thawed(self, content: bytes) -> View | None:
        """Return the view of a file; None where it is damaged or of something else."""
        return view_from_bytes(content, self.aligned.model, self.identity, self.settings)

    def caller(self, view: View) -> Caller:
        """Return what calls the cells."""
        query = self.aligned
        table = self.request.probabilities
        return Caller(view, query.positions, query.values, query.overlap, self.limits, table, self.settings)

    def batches_of(self) -> Callable[[int, int], tuple[Codes]]:
        """Return a function that returns the batch of each cell of a range."""
        batches: Codes = self.aligned.batches
        return lambda start, stop: (batches[start:stop],)


def _candidates_elsewhere(query: AlignedQuery, settings: Settings) -> Candidates:
    """Let a cluster find the candidates of each range, without their values."""
    batches = query.batches
    shared = (query.model.normalization, query.positions, query.values, settings)
    waiting: list[Candidates] = []
    for one in query.blocks.over_ranges(_candidates_in, shared, lambda start, stop: (batches[start:stop],)):
        waiting.append(one)
        if len(waiting) == MOST_WAITING:
            waiting = [Candidates.merged(waiting, settings)]
    return Candidates.merged(waiting, settings)


def _candidates_in(cells: CellBlocks, start: int, each: tuple[Any, ...], shared: tuple[Any, ...]) -> Candidates:
    (batches,), (recipe, positions, values, settings) = each, shared
    blocks = gathered(recipe.blocks(cells, positions, values))
    found = candidates_of(blocks, batches, settings, values=False)
    return replace(found, rows=found.rows + start)


def _with_values(query: AlignedQuery, found: Candidates) -> Candidates:
    """Let a cluster read the values of the cells that are looked at."""
    order = np.argsort(found.rows)
    rows = found.rows[order]
    ranges = [
        (a, b) for a, b in row_ranges(query.blocks.n_cells) if np.searchsorted(rows, a) < np.searchsorted(rows, b)
    ]
    each = query.blocks.over_ranges(
        _cells_at,
        (query.model.normalization, query.positions, query.values),
        lambda start, stop: (rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start,),
        ranges,
    )
    x = sp.vstack(list(each), format="csr")
    return replace(found, x=x[np.argsort(order)])


def _cells_at(cells: CellBlocks, start: int, each: tuple[Any, ...], shared: tuple[Any, ...]) -> sp.csr_matrix:
    recipe, positions, values = shared
    return recipe.matrix(cells.take(each[0]), positions, values)


def annotate_by_ranges(large: LargeQuery, groups: Names | None = None) -> Annotation | None:
    """Call the cells of a large query range by range, where the query's ranges are worked on.

    Returns
    -------
    What :func:`~deepscore.workflows.annotate.annotate` returns; None where all of the query's cells are looked at.
    """
    if groups is not None:
        require_length(large.aligned.blocks, groups, "groups")
    seen = large.look()
    if seen is None:
        return None
    parts = list(large.aligned.blocks.over_ranges(_called, (large.caller(seen[0]),), large.batches_of()))
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in parts])
        for name in ("calls", "scores", "raw", "reasons", "probabilities")
        if getattr(parts[0], name) is not None
    }
    calls, shares = (None, None) if groups is None else vote(joined["calls"], groups)
    return replace(parts[0], **joined, group_calls=calls, group_shares=shares)


def _called(cells: CellBlocks, start: int, each: tuple[Any, ...], shared: tuple[Any, ...]) -> Annotation:
    found: Annotation = shared[0].call(cells, each[0])
    return found
