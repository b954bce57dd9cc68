"""The score of one run: arrays in, numbers out."""

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score
from tasks import UNCLASSIFIED


def score(result: dict, open_set: bool) -> dict[str, float]:
    """Return accuracy, macro-F1 and ECE over the cells whose label the reference has; of an open set also the rest."""
    calls, confidence, truth = (np.asarray(result[name]) for name in ("calls", "confidence", "truth"))
    known = np.isin(truth, result["labels"])
    y, called = truth[known], calls[known]
    right = y == called
    best = np.asarray(result.get("best", calls))[
        known
    ]  # what the confidence is about, also where it is too low to call
    found = {
        "accuracy": right.mean(),
        "macro_f1": f1_score(y, called, labels=sorted(set(y)), average="macro", zero_division=0),
        "ece": calibration_error(confidence[known], y == best),
        "unclassified_known": (called == UNCLASSIFIED).mean(),
    }
    if open_set:
        least = np.quantile(confidence[known], 0.05, method="lower")  # 95 % of the known cells are kept
        found |= {
            "auroc": roc_auc_score(known, confidence),
            "unknown_below": (confidence[~known] < least).mean(),
            "unclassified_unknown": (calls[~known] == UNCLASSIFIED).mean(),
        }
    return {name: float(value) for name, value in found.items()}


def calibration_error(confidence: np.ndarray, right: np.ndarray, n_bins: int = 15) -> float:
    """Return the expected difference of confidence and accuracy, over bins of equal width."""
    confidence = np.clip(confidence, 0, 1)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(np.sum(gaps) / len(right))
