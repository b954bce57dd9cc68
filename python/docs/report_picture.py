"""Draws images/report.png, the report that the README shows: `make report-picture`, which needs chromium.

The data are those of the tutorial on trust: PBMC, with no B cells in the reference.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scanpy as sc
from PIL import Image

import deepscore

SIZE = (1100, 1020)  # of the window, in pixels


def report(path: Path) -> None:
    """Write the report."""
    pbmc = sc.datasets.pbmc68k_reduced()
    cells = pbmc.raw.to_adata()
    cells.obs["cell_type"] = pbmc.obs["bulk_labels"]
    to_query = np.random.default_rng(0).permutation(cells.n_obs) < cells.n_obs // 3
    reference = cells[~to_query & (cells.obs["cell_type"] != "CD19+ B")].copy()
    check = deepscore.check_reference(reference, "cell_type")
    ds = deepscore.DeepScore().set_reference(reference, "cell_type").train()
    deepscore.report(ds.annotate(cells[to_query].copy()), ds, path, check=check, title="Blood cells (PBMC)")


def picture(page: Path, path: Path) -> None:
    """Write what a browser shows of a page, in 128 colours."""
    window = [f"--window-size={SIZE[0]},{SIZE[1]}", "--hide-scrollbars", f"--screenshot={path}"]
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", *window, page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        report(page)
        picture(page, Path(sys.argv[1]))
