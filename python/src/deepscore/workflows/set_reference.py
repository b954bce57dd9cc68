"""Set the reference: check it, and keep its labelled cells and chosen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..data.blocks import CellBlocks, Names
from ..data.labels import read_labels, tell_labels, terms_of_labels
from ..model.config import NetworkConfig
from ..support.checks import keep, number, texts
from ..support.threads import one_blas_thread
from ..training.held_out import tell_few
from ..training.reference import Reference, prepare
from ..training.team import ALONE, started

__all__ = ["ReferenceRequest", "set_reference"]


@dataclass(frozen=True, kw_only=True)
class ReferenceRequest:
    """The options of :meth:`deepscore.DeepScore.set_reference`, checked; they are documented there."""

    modality: str | None = None
    test_prop: float = 0.1
    missing: Sequence[str] | None = None

    def __post_init__(self) -> None:
        keep(self, test_prop=number("test_prop", self.test_prop, 0, 0.9), missing=texts("missing", self.missing))


def set_reference(
    data: CellBlocks,
    labels: Names,
    network: NetworkConfig,
    request: ReferenceRequest,
    batch: Names | None = None,
    terms: Names | None = None,
    *,
    on_disk: bool = False,
) -> Reference:
    """Return the prepared reference; see :meth:`deepscore.DeepScore.set_reference`.

    Parameters
    ----------
    terms
        The term of each cell in an ontology of cell types, None where one is missing.
    on_disk
        Whether reading takes long enough for the processes of torchrun to share it.
    """
    known = read_labels(labels, request.missing)
    with one_blas_thread():
        reference = prepare(
            data,
            known,
            network,
            batch=batch,
            modality=request.modality,
            test_prop=request.test_prop,
            together=started() if on_disk else ALONE,
        )
    tell_labels(labels, known, request.missing)
    tell_few(reference.labels, reference.codes, reference.test_prop)
    return reference if terms is None else replace(reference, ontology_terms=terms_of_labels(known, terms))
