"""Report: what is said of an annotated query, before it becomes a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from ..data.blocks import Names
from ..data.labels import UNCLASSIFIED
from ..data.linalg import Doubles
from .colours import colours_of
from .verdicts import Query, Standing, Verdict, of_label

__all__ = ["Report"]

# Share of a cluster's cells that are outliers.
MOSTLY = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """What a report shows.

    Parameters
    ----------
    title
        What was annotated.
    threshold
        Of the annotation; None where it is not known, or each label has its own.
    cells
        Indexed by their names: ``call``, ``best`` label whatever its score, ``raw``, ``score``, ``reason``.
    batch, groups
        Sample and cluster of each cell, None where it is missing; None where none were named.
    points, points_name
        Cells x 2 coordinates and what they are, NaN for a cell without; None where there are none.
    query, standings
        What is known of the query and of each label of the model, in its order.
    confused_in
        Whether `confusable` of the standings is of the "reference" (checked) or of the "query".
    check
        What the check of the reference says, in sentences; None where there was none.
    genes
        Marker features of each label, as :func:`~deepscore.workflows.report.marker_table` has them.
    importance
        The features that speak most for each call: ``label``, ``feature``, ``importance``.
    missing
        Features of the model that the query lacks.
    manifest
        Of the model.
    record
        Which model, options and date the calls come from, as it stands beside them.
    own_colours
        Of labels, as the data set keeps them: #RRGGBB.
    """

    title: str
    threshold: float | None
    cells: pd.DataFrame
    batch: Names | None
    groups: Names | None
    points: Doubles | None
    points_name: str
    query: Query
    standings: tuple[Standing, ...]
    confused_in: str
    check: tuple[str, ...] | None
    genes: pd.DataFrame | None
    importance: pd.DataFrame | None
    missing: tuple[str, ...]
    manifest: Mapping[str, Any]
    record: Mapping[str, Any]
    own_colours: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Of each label."""
        return tuple(of_label(one, self.query) for one in self.standings)

    @cached_property
    def colours(self) -> dict[str, str]:
        """Of each label, and of what has none."""
        return colours_of([*(one.label for one in self.standings), UNCLASSIFIED], self.own_colours)

    @cached_property
    def ranked(self) -> list[tuple[Standing, Verdict]]:
        """The labels and their verdicts, the most frequent first, those without cells last."""
        return sorted(zip(self.standings, self.verdicts, strict=True), key=lambda both: -both[0].cells)

    @cached_property
    def strange(self) -> list[str]:
        """Clusters in which most cells are outliers, in the order of their names."""
        if self.groups is None:
            return []
        outlier = pd.Series(self.cells["reason"].to_numpy() == "outlier").groupby(self.groups).mean()
        return [str(name) for name, share in outlier.items() if share > MOSTLY]
