"""What DeepScore would reach on a task of chromatin with what is hidden there: the ceiling, and no competitor.

ceiling_rna annotates the paired RNA of the query cells with a model of the reference cells' RNA. ceiling_peaks learns
from peaks with true labels: those of the reference cells, or of the bridge's. Both need files of the same cells, as
snare_rna.h5ad and snare_peaks.h5ad are.
"""

from dataclasses import replace

import anndata as ad
from methods import deepscore as product

REQUIREMENTS = None
VARIANTS = {"ceiling_rna": {"half": "rna"}, "ceiling_peaks": {"half": "peaks"}}
MODALITIES = {"ceiling_rna": ("activity", "peaks"), "ceiling_peaks": ("activity", "peaks")}


def transfer(reference, query, task, half, seed):
    if task.modality == half:
        raise LookupError("this task has the true labels and the peaks: DeepScore's own row is it")
    return between(paired(reference, task, half), paired(query, task, half), task, half, seed)


def bridge(reference, multiome, query, task, half, seed):
    if half == "rna":
        return between(paired(reference, task, half), paired(query, task, half), task, half, seed)
    known = paired(multiome[1], task, half)
    known.obs["label"] = ad.read_h5ad(task.folder / task.entry["bridge"]["atac"]).obs[task.entry["label"]]
    return between(known[known.obs["label"].notna()].copy(), query, task, half, seed)


def between(reference, query, task, half, seed):
    return product.transfer(reference, query, replace(task, entry=task.entry | {"modality": half}), seed)


def paired(cells, task, half):
    """Return the other half of these cells, with the labels and samples that they have in the task."""
    path = task.folder / f"{task.entry['query'].split('_')[0]}_{half}.h5ad"
    data = ad.read_h5ad(path) if path.is_file() else None
    if data is None or not cells.obs_names.isin(data.obs_names).all():
        raise LookupError("no paired data")
    data = data[cells.obs_names].copy()
    data.obs = cells.obs.copy()
    return data
