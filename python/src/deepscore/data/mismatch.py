"""Why a data set has none of the features that were looked for, or has one of them twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..support.notices import said, warn
from .blocks import CellBlocks, Names, make_unique, orientation, repeated_names
from .names import canonical, is_numbered, is_peak, match_names
from .values import IN_SEURAT

__all__ = ["MIN_OVERLAP", "advice_on_raw", "no_shared_features", "require_single", "tell_repeated_features"]

# Share of the wanted features: a data set that has fewer is refused where nothing else is asked for. Those of another
# organism or genome build meet by chance, and calls on so few features are guesses.
MIN_OVERLAP = 0.1
# The two ways out of names that several features have.
WAYS_OUT = "add up or drop the copies, or let the first of them have the name"


def no_shared_features(wanted: Names, data: CellBlocks, cells: Names | None = None) -> InputError:
    """Explain why a data set has none of the wanted features: other names, or cells and features exchanged.

    Where the wanted features are those of a reference, `cells` are the names of its cells.
    """
    turned = None
    if _among(wanted, data.cell_names):
        turned = f"{data.n_features} feature names"
    elif cells is not None and _among(data.feature_names, cells):
        turned = f"{len(wanted)} feature names of the reference"
    if turned is not None:
        return InputError(
            "wrong_orientation",
            f"The features were not found among the {turned}, but they are among the cell names: the matrix is the "
            f"wrong way round. {orientation()}",
        )
    if is_numbered(wanted) and is_numbered(data.feature_names) and not data.names_given:
        return InputError(
            "numbered_features",
            f"The features of both data sets are numbered ({wanted[0]!r}, {data.feature_names[0]!r}): positions, which "
            "need not mean the same features. Name the features, or the column that names them (feature_names=, "
            "--feature-names); feature_names='index' says that equal numbers are the same feature.",
        )
    keys = [canonical(name) for name in data.feature_names]
    meant, times = set(map(canonical, wanted)), Counter(keys)
    alike = [name for name, key in zip(data.feature_names, keys, strict=True) if times[key] > 1 and key in meant]
    if alike:
        return InputError(
            "duplicate_features",
            f"Several names of the data set mean one of the features that are looked for (such as {alike[0]!r}, "
            f"{next(name for name in alike[1:] if canonical(name) == canonical(alike[0]))!r}: versions of one id, or "
            f"upper and lower case): which of them is meant is ambiguous. Keep one of them, or {WAYS_OUT}.",
        )
    of_raw = advice_on_raw([wanted], data, 0)
    tried = f" The columns {', '.join(map(repr, data.other_names))} were tried, too." if data.other_names else ""
    advice = (
        f"{tried} Check species, the kind of names and which column has them (feature_names=), and the modality; in "
        f"Seurat also the assay: {IN_SEURAT}."
    )
    wants_peaks, has_peaks = is_peak(wanted[0]), is_peak(data.feature_names[0])
    if has_peaks and not wants_peaks:
        advice = (
            " Compute gene activity first (gene_activity), train on peaks through a multiome (train_bridge), or choose "
            f"genes (in Seurat: {IN_SEURAT})."
        )
    elif has_peaks and wants_peaks:
        advice = " Peaks are called anew in every study: merge them (find_common_peaks) and count anew (match_peaks)."
    return InputError(
        "no_shared_features",
        f"None of the {len(wanted)} features (such as {wanted[0]!r}) was found among the {data.n_features} of the "
        f"other data set (such as {data.feature_names[0]!r}).{of_raw or advice}",
    )


def advice_on_raw(wanted: Iterable[Names], data: CellBlocks, n_found: int) -> str:
    """Return a sentence that names ``.raw`` where it has more of some features than what is read; else nothing.

    Parameters
    ----------
    wanted
        What the features are called, in one or several ways.
    n_found
        How many of them were found in `data`.
    """
    raw = None if data.raw is None else data.raw()
    if raw is None:
        return ""
    names = (raw.feature_names, *raw.other_names.values())
    n_raw, n_wanted = max((int((match_names(some, there) >= 0).sum()), len(some)) for some in wanted for there in names)
    if n_raw <= n_found or n_raw < MIN_OVERLAP * n_wanted:
        return ""
    option = said(python="layer='raw' (--layer raw)", r="layer='raw'")
    return f" The data set's .raw has {n_raw} of them: to read it, give {option}."


def require_single(wanted: Names, positions: npt.NDArray[np.intp], data: CellBlocks) -> None:
    """Refuse a data set that has a wanted feature more than once.

    Parameters
    ----------
    wanted, positions
        What was looked for, and where :func:`~deepscore.data.names.match_names` has found it.

    Raises
    ------
    InputError
        ``duplicate_features``.
    """
    if data.single.all():
        return
    copies = {canonical(name) for name in data.feature_names[~data.single]}
    twice = [name for name in wanted[positions < 0] if canonical(name) in copies]
    if twice:
        raise InputError(
            "duplicate_features",
            f"{len(twice)} of the {len(wanted)} features that are needed occur more than once in the data set "
            f"({', '.join(twice[:5])}): {WAYS_OUT}: {make_unique('feature')}. Or choose features "
            "without them (find_common_features).",
        )


def tell_repeated_features(data: CellBlocks, what: str, among: Names | None = None) -> None:
    """Warn of features that are left out of a choice because several of a data set have the name.

    Parameters
    ----------
    what
        What the data set is.
    among
        Names of the features that there are to choose from; without it, those of the data set.
    """
    repeated = repeated_names(data.feature_names)
    if repeated and among is not None:
        repeated = sorted(set(repeated) & set(among))
    if repeated:
        warn(
            f"{len(repeated)} feature names occur more than once in the {what} ({', '.join(repeated[:5])}): they are "
            f"left out of the choice. To use them, {WAYS_OUT}: {make_unique('feature')}."
        )


def _among(features: Names, cells: Names) -> bool:
    return bool((match_names(features, cells) >= 0).sum() > 0.1 * min(len(features), len(cells)))
