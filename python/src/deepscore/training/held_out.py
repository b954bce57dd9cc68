"""Cells that training does not see: which they are, and what the model is worth by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.labels import listed
from ..data.linalg import Codes
from ..data.values import Floats
from ..model.calibrate import cross_calibrated, expected_calibration_error
from ..support.notices import warn
from .metrics import accuracy, macro_f1
from .settings import SETTINGS, TrainingSettings

__all__ = ["LEAST_CELLS", "LEAST_RATE", "held_out_facts", "stratified_split", "tell_few", "tell_held_out"]

# Cells of a label: of fewer, a recall is known to no better than 0.3 more or less (95 % of samples of 10).
LEAST_CELLS = 10
# Share of right calls (recall, precision, accuracy): below it almost every third cell is called wrongly.
LEAST_RATE = 0.7


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


def tell_few(labels: Sequence[str], codes: Codes, proportion: float, settings: TrainingSettings = SETTINGS) -> None:
    """Warn of labels with few cells, and of those that are too small for :func:`stratified_split`.

    Parameters
    ----------
    labels, codes
        The labels, and that of each cell as a position among them.
    proportion
        Share of the cells that is to be held out.
    """
    counts = np.bincount(codes, minlength=len(labels))
    few = [(label, int(n)) for label, n in zip(labels, counts, strict=True) if n < LEAST_CELLS]
    if not few:
        return
    told = (
        f"These labels have fewer than {LEAST_CELLS} cells and cannot be trusted: "
        f"{listed([f'{label!r} ({n})' for label, n in few])}."
    )
    whole = [repr(label) for label, n in few if n < settings.fewest_to_split]
    if whole and proportion:
        told += f" None of the cells of {listed(whole)} is held out: how well they are recognised is not known."
    warn(told)


def tell_held_out(facts: Mapping[str, Any]) -> None:
    """Warn where too few held-out cells are called right, of all or of a label with enough of them.

    Parameters
    ----------
    facts
        What :func:`held_out_facts` returned.
    """
    found = []
    if facts["n_cells"] >= LEAST_CELLS and facts.get("accuracy", 1.0) < LEAST_RATE:
        found.append(f"Of {facts['n_cells']} held-out cells {facts['accuracy']:.0%} are called right, which is poor.")
    poor = {
        label: told
        for label, told in facts.get("labels", {}).items()
        if told["n_cells"] >= LEAST_CELLS and told["recall"] < LEAST_RATE
    }
    if poor:
        worst = sorted(poor, key=lambda label: poor[label]["recall"])
        each = [f"{label!r} ({poor[label]['recall']:.0%} of {poor[label]['n_cells']})" for label in worst]
        found.append(f"Poorly recognised among the held-out cells: {listed(each)}.")
    if found:
        warn(" ".join([*found, "check_reference() tells what they are taken for."]))


def held_out_facts(logits: Floats, codes: Codes, labels: Sequence[str]) -> dict[str, Any]:
    """Return figures of cells that neither training nor, for loss and calibration error, the calibration has seen.

    Accuracy, F1, loss (cross-entropy, in natural logarithms) and calibration error take cells of at least two labels:
    with one there is nothing to tell apart.

    Parameters
    ----------
    logits
        Held-out cells x labels.
    codes
        Column of each cell's true label.
    labels
        Their names.
    """
    if not len(codes):
        return {"n_cells": 0}
    calls = logits.argmax(axis=1)
    counts, right = (np.bincount(some, minlength=len(labels)).tolist() for some in (codes, codes[calls == codes]))
    each = {
        label: {"n_cells": n, "recall": hits / n} if n else {"n_cells": 0}
        for label, n, hits in zip(labels, counts, right, strict=True)
    }
    facts = {"n_cells": len(codes), "labels": each}
    if np.count_nonzero(counts) < 2:
        return facts
    probabilities = cross_calibrated(logits, codes)
    likelihood = np.maximum(probabilities[np.arange(len(codes)), codes], np.finfo(np.float64).tiny)
    return facts | {
        "accuracy": accuracy(codes, calls),
        "macro_f1": macro_f1(codes, calls),
        "loss": float(-np.log(likelihood).mean()),
        "calibration_error": expected_calibration_error(probabilities, codes),
    }
