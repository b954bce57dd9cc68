"""The score of one run: arrays in, numbers out."""

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score
from tasks import UNCLASSIFIED


def score(result: dict, open_set: bool) -> dict[str, float]:
    """Return what is said of the cells whose label the reference has; of an open set also the rest."""
    calls, confidence, truth = (np.asarray(result[name]) for name in ("calls", "confidence", "truth"))
    known = np.isin(truth, result["labels"])
    y, called = truth[known], calls[known]
    best = np.asarray(result.get("best", calls))[known]  # what the confidence is about, also of a call withheld
    withheld = called == UNCLASSIFIED
    found = {
        "accuracy": (y == called).mean(),
        "macro_f1": f1_score(y, called, labels=sorted(set(y)), average="macro", zero_division=0),
        "ece": calibration_error(confidence[known], y == best),
        "ece_floor": calibration_floor(confidence[known]),
        "withheld_right": ((y == best) & withheld).mean(),
        "unclassified_known": withheld.mean(),
    }
    if "permuted" in result:
        found["equal_permuted"] = (calls == np.asarray(result["permuted"])).mean()
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


def calibration_floor(confidence: np.ndarray, n_draws: int = 20, seed: int = 0) -> float:
    """Return the mean calibration error of draws in which each confidence is the chance to be right."""
    rng, chance = np.random.default_rng(seed), np.clip(confidence, 0, 1)
    return float(np.mean([calibration_error(chance, rng.random(len(chance)) < chance) for _ in range(n_draws)]))
