"""Cells that training does not see: which they are, and what the model is worth by them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.linalg import Codes
from ..data.values import Floats
from ..model.calibrate import cross_calibrated, expected_calibration_error
from .metrics import accuracy, macro_f1
from .settings import SETTINGS, TrainingSettings

__all__ = ["held_out_facts", "stratified_split"]


def stratified_split(
    codes: Codes, proportion: float, rng: np.random.Generator, settings: TrainingSettings = SETTINGS
) -> tuple[Codes, Codes]:
    """Split cells within each label; a label with fewer than four cells stays whole on the first side.

    Returns
    -------
    Sorted positions of the cells to learn from and of those held out.
    """
    out = []
    for label in np.unique(codes):
        cells = np.flatnonzero(codes == label)
        enough = proportion and len(cells) >= settings.fewest_to_split
        n = max(int(len(cells) * proportion), 1) if enough else 0
        out.append(rng.permutation(cells)[:n])
    held_out = np.sort(np.concatenate(out))
    return np.setdiff1d(np.arange(len(codes)), held_out), held_out


def held_out_facts(logits: Floats, codes: Codes) -> dict[str, Any]:
    """Return figures of cells that neither training nor, for the calibration error, the calibration has seen.

    Parameters
    ----------
    logits
        Held-out cells x labels.
    codes
        Column of each cell's true label.
    """
    if not len(codes):
        return {"n_cells": 0}
    calls = logits.argmax(axis=1)
    return {
        "n_cells": len(codes),
        "accuracy": accuracy(codes, calls),
        "macro_f1": macro_f1(codes, calls),
        "calibration_error": expected_calibration_error(cross_calibrated(logits, codes), codes),
    }
