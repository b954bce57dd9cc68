"""Genes: counts of RNA, or gene activity."""

import re

from ..normalize import LogNorm
from .base import Modality

__all__ = ["RNA"]

# "gene" and the like, and the biotypes of Ensembl and GENCODE; guide RNA is none of them.
_GENES = re.compile(
    r"(?:gene )?expression|transcriptome|(?:.* )?(?:\w*gene|transcript)s?|protein coding.*|tec|antisense|ribozyme"
    r"|artifact|sense (?:intronic|overlapping)|non coding|retained intron|non(?:sense mediated| stop) decay"
    r"|[cdjv] (?:region|segment)|(?!guide |.*crispr)(?:.* )?(?:lnc|linc|mi|m|nc|pi|r|s|sc|sca|sn|sno|t|y)?rna"
)

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
    other_types=_GENES,
)
