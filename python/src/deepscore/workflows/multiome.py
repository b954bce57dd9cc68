"""The two halves of a multiome: the same cells, in the same order, by their RNA and by their chromatin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ..chromatin.activity import activity_blocks
from ..data.blocks import CellBlocks
from ..data.modality import PEAKS, select_modality
from ..data.names import is_numbered
from ..errors import InputError
from ..support.notices import warn

__all__ = ["HALVES", "Half", "Multiome"]

# What the chromatin half is read as.
Half = Literal["peaks", "activity"]
HALVES: tuple[Half, ...] = ("peaks", "activity")


@dataclass(frozen=True, eq=False)
class Multiome:
    """A multiome.

    Parameters
    ----------
    rna, atac
        Cells x genes, and cells x peaks or x genes (activity).
    """

    rna: CellBlocks
    atac: CellBlocks

    @classmethod
    def of(
        cls, rna: CellBlocks, atac: CellBlocks, half: Half, genes: pd.DataFrame | None = None, upstream: int = 2000
    ) -> Multiome:
        """Bring the two halves to one order of cells, and the ATAC half to what is learnt from.

        Parameters
        ----------
        half
            ``"peaks"`` or ``"activity"``.
        genes, upstream
            For activity, where the ATAC half holds peaks: as for :func:`~deepscore.chromatin.activity.activity_blocks`.

        Raises
        ------
        InputError
            ``different_cells``, ``no_annotation``, ``modality_mismatch``, and what
            :func:`~deepscore.chromatin.activity.activity_blocks` raises.

        Warns
        -----
        UserWarning
            Where the cells of both halves are numbered.
        """
        if is_numbered(rna.cell_names) and is_numbered(atac.cell_names):
            warn(
                f"The cells of both halves are numbered ({', '.join(rna.cell_names[:3])}, ...): equal numbers are "
                "taken for the same cell. If the halves are not in one order, give their cells names."
            )
        atac = atac.in_order_of(rna.cell_names, "The RNA and the ATAC of a multiome")
        if half == "peaks":
            return cls(rna, select_modality(atac, PEAKS.name)[0])
        if select_modality(atac, None)[1] is PEAKS:
            if genes is None:
                raise InputError(
                    "no_annotation",
                    "The ATAC half holds peaks: gene activity needs annotation=, a GTF, GFF3 or BED file of genes.",
                )
            atac = activity_blocks(atac, genes, upstream)
        return cls(rna, atac)
