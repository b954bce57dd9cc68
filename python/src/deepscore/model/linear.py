"""The linear path: a strongly regularised logistic regression beside the hidden layers.

Between studies it is what holds: fitted on hundreds of cells or on thousands it leans on all markers of a label at
once, where hidden layers are free to trust the few that separate the reference best.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.optimize import minimize
from torch.nn.functional import log_softmax

from ..data.linalg import Codes
from ..data.standardise import Scale, scaled
from ..data.values import Floats
from .network import SparseMatrix, per_batch, per_cell, sparse_rows

__all__ = ["MOST_CELLS", "fit_linear"]

# More cells than these, dealt out evenly over the labels, change next to nothing: callers give no more.
MOST_CELLS = 6_000
STEPS = 100


def fit_linear(
    matrix: sp.csr_matrix, codes: Codes, n_labels: int, scale: Scale, device: str = "cpu"
) -> tuple[Floats, Floats]:
    """Fit a multinomial logistic regression in which every label has the same weight.

    Parameters
    ----------
    matrix
        Cells x features, normalised, CSR.
    codes
        Label of each cell.
    n_labels
        Number of columns of the result.
    scale
        Centre and deviation to standardise with; its batches are those of the cells.
    device
        Where torch computes loss and gradient.

    Returns
    -------
    Weight (features x labels) and bias (labels) for standardised cells.

    Notes
    -----
    The penalty is a quarter of the squared weights times the number of features, against the sum of the cells' losses:
    standardised features bring a cell's squared length to about their number.
    """
    block = scaled(matrix, scale)
    there = torch.device(device)
    x, transposed = (SparseMatrix.from_scipy(m).to(there) for m in (block, block.tocsc()))
    centres = torch.from_numpy(scale.centre / scale.deviation).to(there)
    batches = torch.zeros(len(codes), dtype=torch.int64) if scale.batches is None else torch.from_numpy(scale.batches)
    batches = batches.to(there)
    counts = np.bincount(codes, minlength=n_labels)
    weights = torch.from_numpy((len(codes) / (counts > 0).sum() / counts[codes]).astype(np.float32)[:, None]).to(there)
    truth = torch.from_numpy((codes[:, None] == np.arange(n_labels)).astype(np.float32)).to(there)
    n, n_features = block.shape
    penalty = n_features / (4 * n)

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        both = torch.from_numpy(flat.astype(np.float32)).to(there).reshape(n_features + 1, n_labels)
        weight, bias = both[:-1], both[-1]
        logits = sparse_rows(x, weight) + per_cell(bias - centres @ weight, batches)
        logarithms = log_softmax(logits, dim=1)
        value = -(weights * truth * logarithms).sum() / n + penalty * weight.square().sum()
        slope = (logarithms.exp() - truth) * (weights / n)
        gradient = sparse_rows(transposed, slope) - centres.T @ per_batch(slope, batches, len(centres))
        gradient += 2 * penalty * weight
        return float(value), torch.cat([gradient, slope.sum(0, keepdim=True)]).cpu().double().numpy().ravel()

    start = np.zeros((n_features + 1) * n_labels)
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "ftol": 1e-6, "gtol": 1e-5})
    both = best.x.astype(np.float32).reshape(n_features + 1, n_labels)
    return both[:-1].copy(), both[-1].copy()
