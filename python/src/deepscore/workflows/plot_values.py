"""What plots need of the values of a query: profiles of its groups of cells, and coordinates of its cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from ..data.blocks import CellBlocks, Names, watched
from ..data.labels import require_length
from ..data.linalg import Doubles
from ..data.modality import select_modality
from ..errors import InputError
from ..features.select import common_features
from ..model.model import Model
from ..output.plot_tables import TABLES
from ..output.plots import principal_components
from ..query.align import align
from ..support.threads import one_blas_thread
from ..training.reference import reference_positions

__all__ = ["GroupProfiles", "coordinates", "correlation_table", "expression_table", "group_profiles"]


@dataclass(frozen=True, eq=False)
class GroupProfiles:
    """Profiles of groups of cells in the features of a model.

    Parameters
    ----------
    names
        Names of the groups.
    means, shares
        Groups x features: mean normalised value, and share of the cells in which it is not zero.
    present
        Which features the query has.
    """

    names: list[str]
    means: Doubles
    shares: Doubles
    present: npt.NDArray[np.bool_]


def group_profiles(model: Model, query: CellBlocks, groups: Names, modality: str | None = None) -> GroupProfiles:
    """Average the cells of each group of a query, normalised as the model reads them.

    Parameters
    ----------
    groups
        Group of each cell; cells whose group is None are left out.
    modality
        What the caller said the query is.
    """
    require_length(query, groups, "groups")
    aligned = align(model, query, modality=modality)
    codes, names = pd.factorize(groups, sort=True)
    if not len(names):
        raise InputError("empty_data", "No cell has a group: there is nothing to draw.")
    total, seen = np.zeros((2, len(names), len(model.features)))
    for start, block in watched(aligned.normalised(), aligned.blocks.n_cells, "profiles"):
        of_block = codes[start : start + block.shape[0]]
        rows = np.flatnonzero(of_block >= 0)
        member = sp.csr_matrix((np.ones(len(rows)), (of_block[rows], rows)), shape=(len(names), block.shape[0]))
        total += (member @ block).toarray()
        seen += (member @ (block != 0)).toarray()
    cells = np.bincount(codes[codes >= 0], minlength=len(names))[:, None]
    return GroupProfiles([str(name) for name in names], total / cells, seen / cells, aligned.present)


def correlation_table(model: Model, query: CellBlocks, groups: Names, modality: str | None = None) -> pd.DataFrame:
    """Return the table of :func:`deepscore.plots.label_correlation`.

    Raises
    ------
    InputError
        ``no_profiles`` where the model has none, or what :func:`~deepscore.query.align.align` raises.
    """
    if model.profiles is None:
        raise InputError(
            "no_profiles", "The model has no profiles of its labels: it comes from a file of version 1. Train it anew."
        )
    found = group_profiles(model, query, groups, modality)
    here = found.present
    of_groups, of_labels = (
        (means[:, here] - model.mean[here]) / model.deviation[here]
        for means in (found.means, model.profiles.label_means())
    )
    return TABLES["label_correlation"](found.names, of_groups, model.labels, of_labels)


def expression_table(
    model: Model, query: CellBlocks, groups: Names, evidence: pd.DataFrame, modality: str | None = None
) -> pd.DataFrame:
    """Return the table of :func:`deepscore.plots.markers`.

    Parameters
    ----------
    evidence
        Columns ``label`` and ``feature``, features of the model; those that the query lacks are left out.
    """
    found = group_profiles(model, query, groups, modality)
    place = {name: i for i, name in enumerate(model.features)}
    unknown = [name for name in evidence["feature"] if name not in place]
    if unknown:
        raise InputError(
            "features_not_found",
            f"{len(unknown)} features of the table are none of the model (such as {unknown[0]!r}): make the table with "
            "the same model.",
        )
    columns = np.array([place[name] for name in evidence["feature"]], np.intp)
    here = found.present[columns]
    shown = evidence[here]
    return TABLES["markers"](
        found.names,
        found.means[:, columns[here]],
        found.shares[:, columns[here]],
        shown["feature"].tolist(),
        shown["label"].tolist(),
    )


@one_blas_thread()
def coordinates(query: CellBlocks, model: Model | None = None, modality: str | None = None) -> Doubles:
    """Return the first two principal components of the normalised values of a query, cells x 2.

    Parameters
    ----------
    model
        Whose features and recipe are taken; without it the query's own: its most variable features (of peaks, those
        that most cells have), normalised as a reference is.
    """
    if model is not None:
        blocks = align(model, query, modality=modality).normalised()
    else:
        data, kind = select_modality(query, modality)
        values = kind.detect(data)
        n = min(kind.n_features, max(int(data.single.sum()), 1))
        positions = reference_positions(np.array(common_features(data, [], n, "variable", kind), dtype=object), data)
        blocks = kind.recipe.learn(data, positions, values).blocks(data, positions, values)
    return principal_components(
        sp.vstack([block for _, block in watched(blocks, query.n_cells, "embedding")], format="csr")
    )
