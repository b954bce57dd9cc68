"""Verdicts: which labels of an annotated query to believe, and whether to believe any, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ..query.settings import SETTINGS
from ..training.held_out import LEAST_CELLS, LEAST_RATE

__all__ = [
    "BELIEVE",
    "CHECK",
    "DOUBT",
    "UNSEEN",
    "Level",
    "Query",
    "Reason",
    "Standing",
    "Verdict",
    "of_label",
    "of_query",
    "steps",
]

Level = Literal["believe", "check", "doubt", "unseen"]
BELIEVE: Level = "believe"
CHECK: Level = "check"
DOUBT: Level = "doubt"
UNSEEN: Level = "unseen"

# Share of the cells: from so many on, types that the reference lacks are likelier than single cells of doubt.
MANY_UNCLASSIFIED = 0.2
# Share of the cells that a label comes closest to and that are withheld from it.
MANY_WITHHELD = 0.5
# Share of a label's marker features that are raised in its cells: by chance alone a half would be.
CHANCE_RAISED = 0.5
# Marker features: of fewer, their share says little.
LEAST_MARKERS = 5


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What is known of one label of the model and of its cells in the query; NaN where nothing is.

    Parameters
    ----------
    label
        Its name.
    cells, closest
        Cells of the query that have the label; cells whose best label it is, withheld ones too.
    score
        Mean score of those that have it: the share of them that is expected to be right.
    reference_cells, held_out, recall
        Cells of the reference; how many of them were held out, and the share of these that was called right.
    markers, raised
        The label's marker features that the query has, and how many of them are raised in its cells.
    checked_recall, checked_precision, check
        What the check of the reference found, and why it does not trust the label; "" where it does.
    confusable
        Pairs of another label and the share of cells taken for it, the largest first.
    """

    label: str
    cells: int = 0
    closest: int = 0
    score: float = np.nan
    reference_cells: float = np.nan
    held_out: float = np.nan
    recall: float = np.nan
    markers: int = 0
    raised: float = np.nan
    checked_recall: float = np.nan
    checked_precision: float = np.nan
    check: str = ""
    confusable: tuple[tuple[str, float], ...] = ()

    @property
    def withheld(self) -> float:
        """Share of the cells that the label comes closest to and that do not have it."""
        return 1 - self.cells / self.closest if self.closest else np.nan

    @property
    def agreement(self) -> float:
        """Share of the marker features that are raised; NaN where fewer than 5 are measured."""
        return self.raised / self.markers if self.markers >= LEAST_MARKERS else np.nan


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is known of a query as a whole.

    Parameters
    ----------
    cells, unclassified
        Numbers of cells.
    reasons
        Number of Unclassified cells by the reason why.
    features, found
        Features of the model, and how many of them the query has; None where the query was not read.
    noun
        What the features are: "genes".
    native
        Chance that the query is of the reference's tissue; None where it was not looked at.
    told
        More sentences on the query as a whole.
    checked, samples, clusters
        Whether the reference was checked, and samples and clusters were named.
    """

    cells: int
    unclassified: int
    reasons: dict[str, int]
    features: int
    found: int | None
    noun: str
    native: float | None
    told: tuple[str, ...] = ()
    checked: bool = False
    samples: bool = False
    clusters: bool = False

    @property
    def foreign(self) -> bool:
        """Whether the query is hardly of the reference's tissue."""
        return self.native is not None and self.native < SETTINGS.outlier

    @property
    def overlap(self) -> float:
        """Share of the model's features that the query has; NaN where it was not read."""
        return np.nan if self.found is None else self.found / self.features

    @property
    def poor_overlap(self) -> bool:
        """Whether so few features were found that scores mean less."""
        return self.overlap < SETTINGS.good_overlap


class Reason(NamedTuple):
    """Why a label is not to be believed as it stands: in a few words that many labels share, and in a sentence."""

    kind: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """A level, and the reasons for it."""

    level: Level
    reasons: tuple[Reason, ...] = ()


def of_label(standing: Standing, query: Query) -> Verdict:
    """Say whether to believe a label, and why not."""
    if not standing.cells:
        n = standing.closest
        near = f" It comes closest to {_cells(n)}, from which it is withheld." if n else ""
        return Verdict(UNSEEN, (Reason("no cells", f"No cell of the query has it.{near}"),))
    doubts, cautions = _doubts(standing, query), _cautions(standing, query)
    return Verdict(DOUBT if doubts else CHECK if cautions else BELIEVE, (*doubts, *cautions))


def _doubts(one: Standing, query: Query) -> list[Reason]:
    said = []
    if query.foreign:
        said.append(Reason("foreign query", "The query as a whole hardly looks like the reference's tissue."))
    if one.check:
        said.append(Reason("reference check", f"The check of the reference does not trust it: {one.check}."))
    elif one.reference_cells < LEAST_CELLS:
        few = f"The reference has only {_cells(int(one.reference_cells))} of it."
        said.append(Reason("few reference cells", few))
    if one.held_out >= LEAST_CELLS and one.recall < LEAST_RATE and not one.check:
        poor = f"Only {one.recall:.0%} of {one.held_out:.0f} held-out cells of the reference were recognised."
        said.append(Reason("low recall", poor))
    if one.agreement < CHANCE_RAISED:
        said.append(Reason("markers not raised", f"{_raised(one, query)}, fewer than by chance."))
    return said


def _cautions(one: Standing, query: Query) -> list[Reason]:
    said = []
    if query.poor_overlap:
        said.append(
            Reason(f"few {query.noun} found", f"The query has only {query.overlap:.0%} of the model's {query.noun}.")
        )
    if not one.held_out >= LEAST_CELLS and not one.checked_recall >= 0:
        n = 0 if np.isnan(one.held_out) else int(one.held_out)
        told = f", of which {one.recall:.0%} were recognised" if n else ""
        said.append(
            Reason("recall hardly known", f"Only {_cells(n)} of the reference {_were(n)} held out to test it{told}.")
        )
    if CHANCE_RAISED <= one.agreement < LEAST_RATE:
        said.append(Reason("few markers raised", f"{_raised(one, query)}."))
    if one.score < LEAST_RATE:
        said.append(Reason("low scores", f"By their scores, {one.score:.0%} of its cells are expected to be right."))
    if one.withheld > MANY_WITHHELD:
        most = f"Of the {one.closest:,} cells it comes closest to, {one.withheld:.0%} are Unclassified."
        said.append(Reason("mostly withheld", most))
    if one.cells < LEAST_CELLS:
        said.append(Reason("few cells", f"Only {_cells(one.cells)} of the query {_were(one.cells, 'has', 'have')} it."))
    return said


def _raised(one: Standing, query: Query) -> str:
    return f"Only {one.raised:.0f} of its {one.markers} marker {query.noun} are raised in its cells"


def _were(n: int, one: str = "was", many: str = "were") -> str:
    return one if n == 1 else many


def of_query(query: Query) -> list[tuple[Level, str]]:
    """Say what to believe of a query as a whole: of what tissue it is, what was measured, what has no label."""
    said: list[tuple[Level, str]] = []
    if query.native is None:
        said.append((CHECK, "Whether the query is of the reference's tissue was not looked at."))
    elif query.foreign:
        others = "its types are others, or its features are named wrongly"
        said.append(
            (DOUBT, f"It hardly looks like the reference's tissue (chance {_percent(query.native)}): {others}.")
        )
    else:
        said.append((BELIEVE, f"It looks like the reference's tissue (chance {_percent(query.native)})."))
    said += [(said[0][0], sentence) for sentence in query.told]
    if query.found is not None:
        poor = query.poor_overlap
        of_all = f"It has {query.found:,} of the model's {query.features:,} {query.noun} ({query.overlap:.0%})"
        said.append((CHECK if poor else BELIEVE, f"{of_all}{': scores are less reliable' if poor else ''}."))
    share = query.unclassified / query.cells if query.cells else 0.0
    many = share > MANY_UNCLASSIFIED
    doubt = ": does the reference hold their types?" if many else "."
    said.append((CHECK if many else BELIEVE, f"{share:.1%} of its cells are Unclassified{doubt}"))
    return said


def steps(query: Query, standings: Sequence[Standing], levels: Sequence[Level], strange: Sequence[str]) -> list[str]:
    """Say what to do next.

    Parameters
    ----------
    standings, levels
        The labels and the levels of their verdicts.
    strange
        Names of clusters in which most cells are outliers.
    """
    said = []
    if query.foreign:
        said.append(
            f"Check species, tissue and the names of the {query.noun}; then take a reference of the query's tissue. "
            "Until then, use none of these labels."
        )
    if query.poor_overlap:
        said.append("Train on features that both have: find_common_features(reference, query).")
    if query.reasons.get("outlier", 0) and not query.foreign:
        where = f" (clusters {', '.join(strange)})" if strange else ""
        said.append(
            f"Look at the {_cells(query.reasons['outlier'])} called outliers{where}: they may be of a type that the "
            "reference lacks. Find their markers, and give the reference such cells."
        )
    doubtful = [one.label for one, level in zip(standings, levels, strict=True) if level == DOUBT]
    if doubtful and not query.foreign:
        said.append(
            f"Before you use a label that is not to be believed, confirm it by {query.noun} you know; or give the "
            "reference more cells of it, or merge it with what it is confused with, and train again."
        )
    pairs = {frozenset((one.label, other)): (one.label, other) for one in standings for other, _ in one.confusable}
    for label, other in list(pairs.values())[:3]:
        said.append(f"Do not build on the difference between {label!r} and {other!r} without their markers.")
    if not query.checked:
        said.append("Check the reference by cross-validation, check_reference(), and give the report what it finds.")
    if not query.samples:
        said.append("If the query has several samples, name them when you annotate it: batch.")
    if not query.clusters:
        said.append(
            "Name your own clusters (groups): a call that most of a cluster shares is safer than that of a cell."
        )
    return said


def _cells(n: int) -> str:
    return f"{n:,} cell{'' if n == 1 else 's'}"


def _percent(chance: float) -> str:
    """Never say that something is certain."""
    return "below 1%" if chance < 0.01 else "above 99%" if chance > 0.99 else f"{chance:.0%}"
