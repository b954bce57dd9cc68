"""Genes: counts of RNA, or gene activity."""

from ..normalize import LogNorm
from .base import Modality

__all__ = ["RNA"]

RNA = Modality(
    name="rna",
    features="genes",
    is_name=None,
    feature_types=("Gene Expression",),
    keys=("gex", "sct", "activity"),
    n_features=2000,
    recipe=LogNorm,
    ranking="variance",
    neighbours="components",
    shows_unknown_types=True,
    only_counts=False,
    ranks_hold=True,
    overlapping=False,
)
