"""What the peers are given: shared features and log-normalised values."""

import anndata as ad
import numpy as np
import scipy.sparse as sp
from tasks import Task


def shared(
    reference: ad.AnnData, query: ad.AnnData, task: Task, n_genes: int = 2000, n_peaks: int = 5000
) -> tuple[ad.AnnData, ad.AnnData]:
    """Return both data sets with the features they share: the most variable genes or the most open peaks."""
    features = reference.var_names[reference.var_names.isin(query.var_names)]
    reference, query = reference[:, features].copy(), query[:, features].copy()
    if task.modality == "peaks":
        most, rank = n_peaks, reference.X.getnnz(axis=0)
    else:
        most, rank = n_genes, log_normalised(reference).toarray().var(axis=0)
    best = np.sort(np.argsort(-rank, kind="stable")[:most])
    return reference[:, best].copy(), query[:, best].copy()


def log_normalised(data: ad.AnnData) -> sp.csr_matrix:
    """Return log(1 + counts per 10,000); values that are no counts are only logged, and logs stay as they are."""
    x = sp.csr_matrix(data.X, dtype=np.float32)
    if data.uns.get("x_kind", "counts") == "counts":
        total = np.asarray(x.sum(axis=1)).ravel()
        x = sp.csr_matrix(sp.diags(1e4 / np.maximum(total, 1e-9)) @ x, dtype=np.float32)
    return x if data.uns.get("x_scale") == "log" else x.log1p()


def z_scored(x: sp.csr_matrix, by: sp.csr_matrix) -> np.ndarray:
    """Return `x` with the mean and the deviation of `by`, within five deviations."""
    dense, scale = x.toarray(), by.toarray()
    deviation = scale.std(axis=0)
    return np.clip((dense - scale.mean(axis=0)) / np.where(deviation == 0, 1, deviation), -5, 5)
