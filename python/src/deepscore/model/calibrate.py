"""Calibration: probabilities that mean what they say, fitted on cells that training never saw."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from ..data.values import Floats

__all__ = ["cross_calibrated", "expected_calibration_error", "fit_temperature"]

# Of what is expected of the temperature, and the held-out cells that halve it.
PRIOR_WEIGHT, PRIOR_CELLS = 0.02, 50


def fit_temperature(logits: Floats, codes: npt.NDArray[np.intp], expected: float = 1.0) -> float:
    """Fit the temperature that makes held-out cells most likely (Guo et al., ICML 2017).

    Parameters
    ----------
    logits
        Held-out cells x labels.
    codes
        Column of each cell's true label.
    expected
        The temperature where no cell was held out. Elsewhere it pulls a little, the less the more cells there are: it
        keeps a few cells, all of them right, from asking for certainty.

    Returns
    -------
    Temperature between 1/20 and 20.
    """
    if not len(codes):
        return expected
    prior = PRIOR_WEIGHT / (1 + len(codes) / PRIOR_CELLS)
    rows, wide = np.arange(len(codes)), logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        away = prior * (log_temperature - np.log(expected)) ** 2
        return away - float(log_softmax(wide / np.exp(log_temperature), axis=1)[rows, codes].mean())

    fit = minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded")
    return float(np.exp(fit.x))


def cross_calibrated(logits: Floats, codes: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return probabilities of held-out cells, each half calibrated on the other: what new cells would get."""
    result = np.empty(logits.shape)
    halves = np.arange(len(codes)) % 2 == 0
    for half in (halves, ~halves):
        result[half] = softmax(logits[half] / fit_temperature(logits[~half], codes[~half]), axis=1)
    return result


def expected_calibration_error(
    probabilities: npt.NDArray[np.float64], codes: npt.NDArray[np.intp], bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy over equal bins of confidence (Naeini et al., AAAI 2015)."""
    if not len(codes):
        return float("nan")
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == codes
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(which, confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(codes))
