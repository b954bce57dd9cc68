"""Every plot of simulated cells with 3 and with 60 labels, to be looked at: ``make pictures`` runs this.

The names are as long, and as many, as those of real atlases. What ``pictures.R`` draws is written beside the pictures.
"""

import sys
from pathlib import Path

import anndata as ad
import matplotlib
import numpy as np
import pandas as pd
import scipy.sparse as sp
from matplotlib import pyplot

import deepscore
from deepscore import plots

OUT = Path("pictures-output")
FEATURES = 400
OWN_FEATURES = 5  # of each label


def names_of(n: int) -> list[str]:
    """Return different names of labels, some of them long."""
    kinds = ["B cell", "T cell, CD4-positive, alpha-beta", "Kidney proximal tubule epithelial cell", "NK", "Podocyte"]
    return [f"{kinds[i % len(kinds)]} {i // len(kinds) + 1}" for i in range(n)]


def cells_of(seed: int, labels: list[str], n_cells: int) -> ad.AnnData:
    """Draw counts: each label has much of a few features of its own."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(labels), n_cells)
    means = np.tile(np.random.default_rng(0).gamma(0.4, 1.0, FEATURES), (len(labels), 1))
    for i, row in enumerate(means):
        row[i * OWN_FEATURES : (i + 1) * OWN_FEATURES] += 2.5
    counts = rng.poisson(means[codes] * rng.lognormal(0, 0.4, (n_cells, 1)))
    obs = pd.DataFrame(
        {
            "cell_type": np.array(labels)[codes],
            "cluster": np.where(rng.random(n_cells) < 0.9, codes, rng.permutation(codes)).astype(str),
            "sample": np.array([f"sample {i}" for i in range(12)])[rng.integers(0, 12, n_cells)],
        },
        index=[f"cell{seed}_{i}" for i in range(n_cells)],
    )
    features = [f"LOC{i}" if i % 40 else f"LONG-NAME-OF-LOC{i}.1" for i in range(FEATURES)]
    return ad.AnnData(sp.csr_matrix(counts, dtype=np.float32), obs=obs, var=pd.DataFrame(index=features))


def peaks_of(rng: np.random.Generator, n: int, width: float) -> list[str]:
    """Return names of peaks of about that width."""
    widths = np.maximum(rng.lognormal(np.log(width), 0.5, n), 50).astype(int)
    return [f"chr1:{5000 * i}-{5000 * i + w}" for i, w in enumerate(widths)]


def draw(n_labels: int) -> None:
    """Draw all plots with so many labels."""
    folder = OUT / f"{n_labels}"
    folder.mkdir(parents=True, exist_ok=True)
    labels = names_of(n_labels)
    reference, query = cells_of(1, labels, 40 * n_labels + 200), cells_of(2, labels, 25 * n_labels + 200)
    ds = deepscore.DeepScore(hidden_nodes=(64, 32), epochs=12).set_reference(reference, "cell_type")
    ds = ds.train(early_stopping=True, progress=False)
    query = ds.annotate(query, threshold=0.7, probabilities=True, progress=False)
    rng = np.random.default_rng(3)
    sets = {f"set {i}": peaks_of(rng, 400, 300 + 40 * i) for i in range(n_labels)}
    evidence = deepscore.feature_importance(ds, query, "deepscore", n_features=10, progress=False)
    match = deepscore.match_markers(reference, query, 10, labels="cell_type", query_labels="cluster", progress=False)
    pictures = {
        "auc": lambda: plots.auc(query, "cell_type"),
        "composition_of_clusters": lambda: plots.composition(query, "cluster"),
        "composition_of_samples": lambda: plots.composition(query, "sample"),
        "confusion_of_labels": lambda: plots.confusion(query, "cell_type"),
        "confusion_of_clusters": lambda: plots.confusion(query, "cluster", values="count"),
        "embedding_of_calls": lambda: plots.embedding(query, ds=ds),
        "embedding_of_scores": lambda: plots.embedding(query, "deepscore_score", ds=ds),
        "importance": lambda: plots.importance(evidence),
        "label_correlation": lambda: plots.label_correlation(query, ds),
        "marker_match": lambda: plots.marker_match(match),
        "markers": lambda: plots.markers(query, ds, importance=evidence),
        "peak_widths": lambda: plots.peak_widths(sets),
        "probability_heatmap": lambda: plots.probability_heatmap(query),
        "recall": lambda: plots.recall(ds),
        "reliability": lambda: plots.reliability(query, "cell_type"),
        "roc": lambda: plots.roc(query, "cell_type"),
        "score_distribution": lambda: plots.score_distribution(query, threshold=0.7),
        "training_curve": lambda: plots.training_curve(ds),
    }
    for name, picture in pictures.items():
        picture().figure.savefig(folder / f"{name}.png", dpi=80)
        pyplot.close("all")
        print(folder / f"{name}.png")
    ds.save(folder / "model.deepscore")
    query.obs.join(_table(query)).to_csv(folder / "cells.csv")
    evidence.to_csv(folder / "importance.csv", index=False)
    pd.DataFrame(query.X.toarray().T, query.var_names, query.obs_names).to_csv(folder / "counts.csv")


def _table(query: ad.AnnData) -> pd.DataFrame:
    return query.obsm["deepscore_probabilities"].add_prefix("deepscore_probability_")


if __name__ == "__main__":
    matplotlib.use("agg")
    for n in sys.argv[1:] or ("3", "60"):
        draw(int(n))
