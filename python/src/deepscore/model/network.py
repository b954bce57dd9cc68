"""The dense network, made from numbers only: it knows no data set and no file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from .config import ACTIVATIONS

__all__ = [
    "Network",
    "SparseMatrix",
    "activation_function",
    "per_batch",
    "per_cell",
    "rows_in_parts",
    "sparse_rows",
]

# Products with so many multiplications take some milliseconds: to hand a half over costs a hundredth of that.
WORTH_A_THREAD = 10_000_000

_MODULES = dict(
    zip(
        ACTIVATIONS,
        (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
        strict=True,
    )
)


def activation_function(name: str) -> nn.Module:
    """Return the activation of that name."""
    module: nn.Module = _MODULES[name]()
    return module


@dataclass(frozen=True)
class SparseMatrix:
    """Cells x features in CSR form, as tensors."""

    indptr: Tensor
    indices: Tensor
    data: Tensor

    @classmethod
    def from_scipy(cls, matrix: sp.csr_matrix) -> SparseMatrix:
        """Share the arrays of a CSR matrix where their types allow it."""
        # embedding_bag wants both index arrays of one type
        index_type = np.result_type(matrix.indptr, matrix.indices)
        return cls(
            torch.from_numpy(matrix.indptr.astype(index_type, copy=False)),
            torch.from_numpy(matrix.indices.astype(index_type, copy=False)),
            torch.from_numpy(matrix.data),
        )

    def to(self, device: torch.device) -> SparseMatrix:
        """Move the tensors."""
        return SparseMatrix(*(t.to(device) for t in (self.indptr, self.indices, self.data)))


def sparse_rows(cells: SparseMatrix, weight: Tensor) -> Tensor:
    """Multiply CSR rows by a dense matrix (features x nodes).

    A row of the product is the weighted sum of some rows of `weight`: an embedding bag. On a CPU this is three times as
    fast as the sparse product of torch or scipy at the densities of single-cell data.
    """
    if not cells.data.numel():
        return weight.new_zeros((len(cells.indptr) - 1, weight.shape[1]))
    return embedding_bag(
        cells.indices,
        weight,
        cells.indptr,
        mode="sum",
        per_sample_weights=cells.data,
        include_last_offset=True,
    )


def rows_in_parts(cells: SparseMatrix, weight: Tensor, pool: Executor | None) -> Tensor:
    """Multiply as :func:`sparse_rows` does, each half of the rows in a thread of its own: the same to the last bit.

    Parameters
    ----------
    pool
        Threads; None where there is one core, or the values are not on the CPU.
    """
    n_values = int(cells.data.numel())
    if pool is None or n_values * weight.shape[1] < WORTH_A_THREAD:
        return sparse_rows(cells, weight)
    middle = int(torch.searchsorted(cells.indptr, n_values // 2))
    cut = int(cells.indptr[middle])
    weight = weight.detach()  # whether a gradient is wanted is known to the calling thread alone
    parts = (
        SparseMatrix(cells.indptr[: middle + 1], cells.indices[:cut], cells.data[:cut]),
        SparseMatrix(cells.indptr[middle:] - cut, cells.indices[cut:], cells.data[cut:]),
    )
    return torch.cat(list(pool.map(sparse_rows, parts, (weight, weight))))


class _FirstLayer(torch.autograd.Function):
    """Centred CSR rows times weights, plus bias; the weights' gradient is made in one piece, as large as they are."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        cells: SparseMatrix,
        transposed: SparseMatrix,
        centres: Tensor,
        batches: Tensor,
        pool: Executor | None,
    ) -> Tensor:
        ctx.transposed, ctx.centres, ctx.batches, ctx.pool = transposed, centres, batches, pool
        return rows_in_parts(cells, weight, pool).add_(per_cell(bias - centres @ weight, batches))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0].contiguous()
        sums = per_batch(gradient, ctx.batches, len(ctx.centres))
        product = rows_in_parts(ctx.transposed, gradient, ctx.pool).addmm_(ctx.centres.T, sums, alpha=-1)
        return product, sums.sum(dim=0), None, None, None, None, None


def per_cell(rows: Tensor, batches: Tensor) -> Tensor:
    """Return each cell's row, given one for each batch; where there is one batch, that row for all."""
    return rows if len(rows) == 1 else rows[batches]


def per_batch(rows: Tensor, batches: Tensor, n_batches: int) -> Tensor:
    """Add up the rows of each batch."""
    if n_batches == 1:
        return rows.sum(dim=0, keepdim=True)
    return rows.new_zeros(n_batches, rows.shape[1]).index_add_(0, batches, rows)


class Dropout(nn.Module):
    """Dropout (Srivastava et al., JMLR 2014) whose rate is a multiple of 1/256.

    One random byte per node is four times as fast on a CPU as torch's own dropout, which draws one number per node.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped = round(rate * 256)

    def forward(self, x: Tensor) -> Tensor:
        """Drop nodes and scale up the others, in training only."""
        if not self.training or not self.dropped:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept.to(x.dtype).mul_(256 / (256 - self.dropped))


def _initial(nodes_in: int, nodes_out: int) -> Tensor:
    """Draw weights as He et al. (ICCV 2015) for rectified units."""
    return torch.randn(nodes_in, nodes_out, dtype=torch.float32) * (2 / nodes_in) ** 0.5


class Network(nn.Module):
    """Dense layers: linear, batch normalisation, activation, dropout; then one linear layer to the labels.

    The input is divided by each feature's deviation already and stays sparse; its centre is subtracted after the first
    product, so that centring costs one small product per batch of the reference.

    Parameters
    ----------
    n_features, hidden_nodes, n_labels
        Sizes of the layers.
    activation, dropout_rate, batchnorm
        Add-ons of every hidden layer.
    """

    def __init__(
        self,
        n_features: int,
        hidden_nodes: Sequence[int],
        n_labels: int,
        *,
        activation: str,
        dropout_rate: float,
        batchnorm: bool,
    ) -> None:
        super().__init__()
        sizes = [n_features, *hidden_nodes, n_labels]
        # Every weight is nodes in x nodes out: the sparse product reads the first one row by row.
        self.weights = nn.ParameterList(_initial(a, b) for a, b in itertools.pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(n, dtype=torch.float32) for n in sizes[1:])
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(n, dtype=torch.float32) if batchnorm else nn.Identity() for n in hidden_nodes
        )
        self.activation = activation_function(activation)
        self.dropout = Dropout(dropout_rate)
        self.pool: Executor | None = None  # threads for the first layer

    def forward(self, cells: SparseMatrix, transposed: SparseMatrix, centres: Tensor, batches: Tensor) -> Tensor:
        """Return the logits, cells x labels.

        Parameters
        ----------
        cells, transposed
            The cells (features divided by their deviation) and the same matrix transposed, for the gradient.
        centres
            Batches x features: what is subtracted, in units of the deviation.
        batches
            Row of `centres` for each cell.
        """
        x: Tensor = _FirstLayer.apply(self.weights[0], self.biases[0], cells, transposed, centres, batches, self.pool)  # type: ignore[no-untyped-call]
        for norm, weight, bias in zip(self.norms, list(self.weights)[1:], list(self.biases)[1:], strict=True):
            x = torch.addmm(bias, self.dropout(self.activation(norm(x))), weight)
        return x

    @torch.no_grad()
    def constrain(self, max_norm: float) -> None:
        """Shrink the incoming weights of every node to at most that length (Srivastava et al., JMLR 2014)."""
        for weight in self.weights:
            length = weight.norm(dim=0)
            if (length > max_norm).any():
                weight.mul_((max_norm / length.clamp_min(1e-12)).clamp_max(1))

    @torch.no_grad()
    def folded(self) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        """Return plain ``(weight, bias)`` layers, nodes in x nodes out, with batch normalisation folded in."""
        layers = []
        for weight, bias, norm in zip(self.weights, self.biases, [*self.norms, None], strict=True):
            w, b = _double(weight), _double(bias)
            if isinstance(norm, nn.BatchNorm1d):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                gain = _double(norm.weight) / torch.sqrt(_double(norm.running_var) + norm.eps)
                w, b = w * gain, (b - _double(norm.running_mean)) * gain + _double(norm.bias)
            layers.append((w.float().contiguous().numpy(), b.float().numpy()))
        return layers


def _double(values: Tensor) -> Tensor:
    """Return a copy on the CPU: not every device has double precision."""
    return values.cpu().double()
