"""Find the features that a reference and its queries share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from ..data.blocks import CellBlocks, Names
from ..data.labels import read_labels, tell_labels
from ..data.modality import select_modality
from ..errors import ConfigError
from ..features.markers import MarkerTest
from ..features.select import Strategy, common_features
from ..support.checks import choice, keep, texts, whole
from ..support.threads import one_blas_thread

__all__ = ["FeaturesRequest", "find_common_features", "require_queries"]


@dataclass(frozen=True, kw_only=True)
class FeaturesRequest:
    """The options of :func:`deepscore.find_common_features`, checked; they are documented there."""

    n_features: int = 2000
    strategy: Strategy = "variable"
    modality: str | None = None
    test: MarkerTest = "t-test"
    missing: Sequence[str] | None = None

    def __post_init__(self) -> None:
        choice("strategy", self.strategy, get_args(Strategy))
        choice("test", self.test, get_args(MarkerTest))
        keep(self, n_features=whole("n_features", self.n_features, 1), missing=texts("missing", self.missing))


def require_queries(queries: Sequence[object]) -> None:
    """Refuse an empty list of queries with ``bad_argument``: what they share with the reference would be all it has."""
    if not len(queries):
        raise ConfigError(
            "bad_argument",
            "query must be a data set, or a list of at least one, not an empty list. For the features of the "
            "reference alone, leave common_features of DeepScore() out.",
        )


def find_common_features(
    reference: CellBlocks, queries: Sequence[CellBlocks], request: FeaturesRequest, labels: Names | None = None
) -> list[str]:
    """Choose features of one modality, the best first; see :func:`deepscore.find_common_features`."""
    reference, kind = select_modality(reference, request.modality)
    reference = reference.measured_by_all()
    queries = [select_modality(query, kind.name)[0].measured_by_all() for query in queries]
    known = None if labels is None else read_labels(labels, request.missing)
    with one_blas_thread():
        found = common_features(reference, queries, request.n_features, request.strategy, kind, known, request.test)
    if labels is not None and known is not None and request.strategy != "variable":  # which needs no labels
        tell_labels(labels, known, request.missing)
    return found
