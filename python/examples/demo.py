"""The main job on real cells, in both languages: ``make demo`` runs this before and after ``demo.R``.

``train`` trains on three quarters of 700 annotated PBMC and saves ``pbmc.deepscore``; ``compare`` annotates with both
languages' models what R has annotated, and compares cell by cell.
"""

import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.io
import scipy.sparse as sp

import deepscore
from deepscore.output.plots import embedding_figure
from deepscore.training.metrics import accuracy, macro_f1

OUT = Path("demo-output")
LABELS = "bulk_labels"
TOLERANCE = 1e-5


def pbmc() -> ad.AnnData:
    """Return the 700 PBMC that come with scanpy: log-normalised values, labels, and a UMAP."""
    scaled = sc.datasets.pbmc68k_reduced()
    cells = scaled.raw.to_adata()
    cells.obs, cells.obsm = scaled.obs[[LABELS]].copy(), {"X_umap": scaled.obsm["X_umap"]}
    return cells


def write_for_r(cells: ad.AnnData, folder: Path) -> None:
    """Write a features x cells matrix and its names."""
    folder.mkdir(exist_ok=True)
    scipy.io.mmwrite(folder / "matrix.mtx", sp.csc_matrix(cells.X.T), precision=9)
    pd.Series(cells.var_names).to_csv(folder / "features.txt", index=False, header=False)
    cells.obs[LABELS].to_csv(folder / "cells.csv", index_label="cell")


def read_from_r(folder: Path) -> ad.AnnData:
    """Read a data set that R has written: features x cells, and the names of both."""
    features, cells = ((folder / name).read_text().split("\n")[:-1] for name in ("features.txt", "cells.txt"))
    counts = scipy.io.mmread(folder / "matrix.mtx").T.tocsr()
    return ad.AnnData(counts.astype(np.float32), obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=features))


def train() -> None:
    """Train in Python, hold a quarter of the cells out, and save the model."""
    cells = pbmc()
    held_out = np.random.default_rng(0).permutation(cells.n_obs) < cells.n_obs // 4
    reference, query = cells[~held_out].copy(), cells[held_out].copy()
    features = deepscore.find_common_features(reference, query, n_features=cells.n_vars)
    ds = deepscore.DeepScore(common_features=features).set_reference(reference, LABELS).train()
    query = ds.annotate(query, threshold=0)
    truth = query.obs[LABELS].astype(str)
    print(f"Python trained on {reference.n_obs} PBMC; {query.n_obs} held-out cells:")
    print(f"  accuracy {accuracy(truth, query.obs['deepscore']):.3f}", end=", ")
    print(f"macro-F1 {macro_f1(truth, query.obs['deepscore']):.3f} (10 types, 5 of them subsets of T cells)")
    ds.save(OUT / "pbmc.deepscore")
    write_for_r(reference, OUT / "reference")
    query = ds.annotate(query)
    figure = embedding_figure(
        np.asarray(query.obsm["X_umap"]), query.obs["deepscore"].to_numpy(), ds.manifest["labels"], "held-out PBMC"
    )
    figure.savefig(OUT / "cells.png", dpi=120)


def compare() -> None:
    """Annotate what R has annotated, with the same two files, and compare."""
    tables, equal = [], True
    for model, direction in (("pbmc", "Python -> R"), ("from_r", "R -> Python")):
        ds = deepscore.load(OUT / f"{model}.deepscore")
        for name in ("pbmc_small", "pbmc_sctransform"):
            query = ds.annotate(read_from_r(OUT / name), probabilities=True)
            from_r = pd.read_csv(OUT / f"{name}_by_{model}.csv", index_col="cell").loc[query.obs_names]
            probabilities = query.obsm["deepscore_probabilities"]
            same = int((query.obs["deepscore"] == from_r["deepscore"]).sum())
            # Columns of obsm are in the order of the labels; some characters of labels have no place in their names.
            gap = float(np.abs(probabilities.to_numpy() - from_r[ds.manifest["labels"]].to_numpy()).max())
            print(f"{direction}, {name}: {same} of {query.n_obs} cells have the same label in both languages;", end=" ")
            print(f"largest difference in probability {gap:.1e}")
            equal &= same == query.n_obs and gap <= TOLERANCE
            tables.append(query.obs.assign(data=name, model=direction))
    pd.concat(tables).to_csv(OUT / "calls.csv", index_label="cell")
    print(f"Calls: {OUT}/calls.csv   Picture: {OUT}/cells.png   Models: {OUT}/*.deepscore")
    if not equal:
        sys.exit("The two languages do not agree.")


if __name__ == "__main__":
    {"train": train, "compare": compare}[sys.argv[1]]()
