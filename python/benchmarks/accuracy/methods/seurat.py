"""Seurat's anchors and TransferData, in R; gene activity is weighed in the LSI of the query's peaks.

Its anchors are found by CCA, as Signac's vignettes do it (seurat), or by reciprocal PCA (seurat_rpca).

Peaks are projected into the reference's LSI and weighed in the query's own, as Signac's vignettes do it; the TF-IDF and
the LSI are computed here, as Signac is not needed for more.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import pandas as pd
from prepare import shared
from scipy.io import mmwrite

REQUIREMENTS = ["scikit-learn==1.9.1", "anndata>=0.11"]
R_PACKAGES = ["Seurat"]
VARIANTS = {"seurat": {"reduction": "cca"}, "seurat_rpca": {"reduction": "rpca"}}
MODALITIES = {"seurat_rpca": ("activity",)}


def transfer(reference, query, task, reduction):
    reference, query = shared(reference, query, task)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = {"reference": reference, "query": query}
        if task.modality == "activity":
            tables["peaks"] = task.query_peaks(query)
        for table, data in tables.items():
            write(folder / table, data)
        reference.obs["label"].to_csv(folder / "labels.csv")
        kind = reference.uns.get("x_kind", "counts")
        words = [folder, kind, task.modality, reduction]
        subprocess.run(["Rscript", Path(__file__).with_suffix(".R"), *words], check=True)
        found = pd.read_csv(folder / "calls.csv", dtype={"call": str})
        facts = json.loads((folder / "facts.json").read_text())  # time and memory without reading files
    return found["call"], found["confidence"], facts


def write(path: Path, data) -> None:
    """Write features x cells, as R wants them."""
    path.mkdir()
    mmwrite(path / "matrix.mtx", data.X.T.tocoo())
    (path / "features").write_text("\n".join(data.var_names) + "\n")
